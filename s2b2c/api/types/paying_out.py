"""Payouts as finance sees them and decides about them."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Money
from s2b2c.api.types.nodes import FinanceNode
from s2b2c.api.types.payouts import PayoutAttempt, PayoutHold, PayoutRail, PayoutState
from s2b2c.api.types.settlements import FullSettlementRun, NamedPayee, person


@strawberry.enum(description="By what you have payouts sent.")
class SendingRail(Enum):
    STRIPE = strawberry.enum_value("stripe", description="Transfers to connected accounts, by the worker.")
    BANK = strawberry.enum_value("bank", description="A file for your bank: see the document BANK_BATCH.")


@strawberry.type(description="What is paid out of a statement (打款), with all that was done about it.")
class FullPayout(FinanceNode):
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("payout")
    run_id: strawberry.ID = computed(lambda row: encode("settlement-run", row.run_id), description="Of its run.")
    statement_id: strawberry.ID = computed(
        lambda row: encode("statement", row.statement_id), description="Of the statement that it pays."
    )
    payee: NamedPayee = computed(lambda row: row, description="Who gets it.")
    amount: Money
    rail: PayoutRail
    state: PayoutState
    hold: PayoutHold | None = strawberry.field(description="What keeps it back; null when nothing does.")
    hold_reason: str | None = strawberry.field(description="In the words of who held it.")
    held_by: strawberry.ID | None = person("held_by")
    needs_approval: bool = strawberry.field(description="Whether it is above the limit for one person.")
    created_at: datetime
    created_by: strawberry.ID | None = person("created_by")
    approved_at: datetime | None = strawberry.field(description="Null while it waits for that, or needs none.")
    approved_by: strawberry.ID | None = person("approved_by")
    sent_at: datetime | None = strawberry.field(description="Null before.")
    confirmed_at: datetime | None = strawberry.field(description="Null before.")
    reversal_reason: str | None = strawberry.field(description="Why it shall come back; null where it shall not.")
    reversal_asked_at: datetime | None = strawberry.field(description="Null unless somebody asked for that.")
    reversal_asked_by: strawberry.ID | None = person("reversal_asked_by")
    reversed_at: datetime | None = strawberry.field(description="When it was with us again; null before.")
    note: str | None = strawberry.field(description="How it was paid outside; null for other rails.")

    @strawberry.field(graphql_type=list[PayoutAttempt], description="The first one first.")
    @staticmethod
    async def attempts(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.payout_attempts.load(root.id)


@strawberry.input(description="A payout that was made by other means.")
class PaidOutsideInput:
    payout: strawberry.ID = strawberry.field(description="The `id` of the payout.")
    note: str = strawberry.field(description="How it was paid: 1 to 500 characters.")
    reference: str = strawberry.field(description="What the payment is called in the proof: 1 to 500 characters.")
    proof: strawberry.ID = strawberry.field(
        description="The `id` that POST /files?kind=payout_proof answered, of a PDF, PNG or JPEG."
    )


_NO = errors.BadArgument | errors.NotFound | errors.WrongState

StartPayoutsResult = Annotated[FullSettlementRun | _NO, strawberry.union("StartPayoutsResult")]
ApprovePayoutResult = Annotated[FullPayout | _NO, strawberry.union("ApprovePayoutResult")]
HoldPayoutResult = Annotated[FullPayout | _NO, strawberry.union("HoldPayoutResult")]
ReleasePayoutResult = Annotated[FullPayout | _NO, strawberry.union("ReleasePayoutResult")]
RetryPayoutResult = Annotated[FullPayout | _NO, strawberry.union("RetryPayoutResult")]
ReversePayoutResult = Annotated[FullPayout | _NO, strawberry.union("ReversePayoutResult")]
MarkPaidOutsideResult = Annotated[FullPayout | _NO, strawberry.union("MarkPaidOutsideResult")]
