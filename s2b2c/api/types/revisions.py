"""What brands propose for their products."""

from datetime import datetime
from enum import Enum

import strawberry

from s2b2c.api.types.ids import id_of


@strawberry.enum(description="What a revision has come to.")
class RevisionState(Enum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@strawberry.enum(description="What a product says of itself, and the platform reviews.")
class ProductField(Enum):
    TITLE = "title"
    CATEGORY = "category"
    TONALITIES = "tonalities"
    AUDIENCES = "audiences"
    IMAGES = "images"
    DESCRIPTION = "description"


@strawberry.type(description="A field of which a revision says something else than what is live.")
class FieldDiff:
    field: ProductField = strawberry.field(description="Which one.")
    before: list[str] | None = strawberry.field(
        description="What is live; of a text one or none. Null of a product that was never live."
    )
    after: list[str] = strawberry.field(description="What it shall be.")


@strawberry.type(description="What a brand wants its product to say. Once submitted it does not change any more.")
class ProductRevision:
    id: strawberry.ID = id_of("revision")
    state: RevisionState
    diff: list[FieldDiff] = strawberry.field(
        description="What differs from what is live; of a revision that is over, from what was live then."
    )
    created_at: datetime
    submitted_at: datetime | None = strawberry.field(description="When its review began; null of a draft.")
    reviewed_at: datetime | None = strawberry.field(description="When the platform answered; null before.")
    reason: str | None = strawberry.field(description="Why it was rejected; else null.")
