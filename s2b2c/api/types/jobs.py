"""Jobs."""

from datetime import datetime

import strawberry

from s2b2c.api.types.ids import id_of
from s2b2c.api.types.nodes import OperatorNode


@strawberry.type(description="A job that failed as often as it may, and waits for somebody to look.")
class HeldJob(OperatorNode):
    id: strawberry.ID = id_of("job")
    name: str = strawberry.field(description="What it does, like export_settlement.")
    payload: str = strawberry.field(description="What it does it to: a JSON object.")
    error: str | None = strawberry.field(description="Why its last attempt failed; null where nobody knows any more.")
    attempts: int = strawberry.field(description="How often it was tried.")
    held_since: datetime = strawberry.field(description="When its last attempt failed.")
