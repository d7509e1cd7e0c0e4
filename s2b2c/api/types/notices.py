"""What people are told."""

from datetime import datetime
from enum import Enum

import strawberry

from s2b2c import models, notices
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.nodes import BrandNode, PartnerNode


@strawberry.enum(description="The language of a text.")
class Language(Enum):
    ZH = "zh"
    EN = "en"


def _text(root: strawberry.Parent[models.Notice], language: Language = Language.ZH) -> str:
    return notices.words(root.kind, root.facts, language.value)


@strawberry.type(description="One thing that somebody is told.")
class Notice(PartnerNode, BrandNode):
    id: strawberry.ID = id_of("notice")
    kind: str = computed(lambda row: row.kind.upper(), description="Stable, for programs, like LISTING_CLAMPED.")
    text: str = strawberry.field(resolver=_text, description="What it says.")
    created_at: datetime
    read_at: datetime | None = strawberry.field(description="Null while it is unread.")
