"""What rails report, and where they and we differ."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c import reconciliation
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.bulk import Progress
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.nodes import FinanceNode
from s2b2c.api.types.settlements import person


@strawberry.enum(description="Who reports what it did with our money.")
class ReportingRail(Enum):
    STRIPE = strawberry.enum_value("stripe", description="Its itemised balance report.")
    BANK = strawberry.enum_value("bank", description="What your bank says of the batch that you gave it.")


@strawberry.enum(description="How a rail and we differ.")
class RailBreakKind(Enum):
    MISSING_HERE = strawberry.enum_value("missing_here", description="The rail has it, and we do not.")
    MISSING_THERE = strawberry.enum_value("missing_there", description="We have it, and the rail does not.")
    AMOUNT_DIFFERS = strawberry.enum_value("amount_differs", description="Both have it, with other amounts.")
    STATE_DIFFERS = strawberry.enum_value("state_differs", description="One says it was paid, the other it was not.")
    DUPLICATE = strawberry.enum_value("duplicate", description="The rail has paid it twice.")


@strawberry.type(description="Something of which a rail and we say different (对账差异). Amounts above 0 came in.")
class RailBreak(FinanceNode):
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("rail-break")
    rail: ReportingRail
    kind: RailBreakKind
    category: str = strawberry.field(description="charge, refund, return, dispute, transfer and so on; payout by bank.")
    reference: str = strawberry.field(description="What the rail calls it; of a bank the key of the attempt.")
    ours: Money | None = strawberry.field(description="What we have; null where we have nothing.")
    theirs: Money | None = strawberry.field(description="What the rail has; null where it has nothing.")
    at: datetime = strawberry.field(description="When it happened, by whoever has it.")
    resolved_at: datetime | None = strawberry.field(description="Null while it is open.")
    resolved_by: strawberry.ID | None = person("resolved_by")
    reason: str | None = strawberry.field(description="How somebody settled it; null where a later report agrees.")

    @strawberry.field(graphql_type=Int64, description="Whole days since it happened.")
    @staticmethod
    def age_days(root: strawberry.Parent[Any], info: Info) -> int:
        return reconciliation.age_days(root, info.context.clock())


@strawberry.enum(description="How far the reading of a report is.")
class RailReportState(Enum):
    WAITING = strawberry.enum_value("waiting", description="The worker has not taken it up.")
    RUNNING = strawberry.enum_value("running", description="It is read now.")
    DONE = strawberry.enum_value("done", description="All of it was taken in.")
    REFUSED = strawberry.enum_value("refused", description="It cannot be read, and says why.")
    FAILED = strawberry.enum_value("failed", description="It broke on our side, and is tried again.")


@strawberry.type(description="A file of a rail that was read. Nothing of it is kept but where it differs.")
class RailReport:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("rail-report")
    rail: ReportingRail
    name: str
    sha256: str = strawberry.field(description="Of the file, in hexadecimal.")
    starts_at: datetime | None = strawberry.field(description="Of Stripe's: the first moment it speaks of.")
    ends_at: datetime | None = strawberry.field(description="Of Stripe's: the first moment that is not in it.")
    state: RailReportState = strawberry.field(description="How far it is.")
    progress: Progress = computed(lambda row: row, description="Moves while the state is RUNNING; else empty.")
    problem: str | None = strawberry.field(description="Why it cannot be read, by line and column; null where it can.")
    rows: Int64 = strawberry.field(description="Without the headings; 0 until it is read.")
    read_at: datetime = strawberry.field(description="When it was asked for last.")
    read_by: strawberry.ID | None = person("read_by")


ReadReportResult = Annotated[
    RailReport | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("ReadReportResult")
]
ResolveBreakResult = Annotated[
    RailBreak | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("ResolveBreakResult")
]
