"""What finance decides about money that is owed, and what payees say to it."""

from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c.api.types import errors
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import DistributorName
from s2b2c.api.types.settlements import Dispute, FullAdjustment, FullDispute, FullSettlementRun, person


@strawberry.enum(description="How tax is withheld from a distributor (代扣).")
class Withholding(Enum):
    NONE = "none"
    BUSINESS = "business"
    CN_LABOUR_CUMULATIVE = "cn_labour_cumulative"


@strawberry.type(description="Debt (欠款) of a distributor that somebody asks to give up (核销).")
class WriteOff:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("write-off")
    distributor: DistributorName = strawberry.field(description="Who owes it.")
    amount: Money
    reason: str
    created_at: datetime
    created_by: strawberry.ID | None = person("created_by")
    approved_at: datetime | None = strawberry.field(description="Null while it waits.")
    approved_by: strawberry.ID | None = person("approved_by")


@strawberry.type(description="What a distributor owes, which later statements pay off.")
class Debt:
    distributor: DistributorName = strawberry.field(description="Who owes it.")
    amount: Money = strawberry.field(description="By runs that are approved, less what was written off.")


@strawberry.type(description="What a person got by us in a quarter, by the days of payment of approved runs.")
class QuarterIncome:
    distributor: DistributorName = strawberry.field(description="Who got it.")
    withholding: Withholding = strawberry.field(description="How tax is withheld, by the newest statement then.")
    income: Money = strawberry.field(description="Gross less clawbacks, with adjustments.")
    withheld: Money = strawberry.field(description="Tax that was kept back.")


@strawberry.type(description="What a person got in a month, by the days of payment of approved runs.")
class MonthIncome:
    month: date = strawberry.field(description="Its first day.")
    income: Money = strawberry.field(description="Gross less clawbacks, with adjustments.")
    withheld: Money = strawberry.field(description="Tax that was kept back.")
    income_so_far: Money = strawberry.field(description="Of the year, this month included.")
    withheld_so_far: Money = strawberry.field(description="Of the year, this month included.")


@strawberry.type(description="What a run was settled to.")
class RunSettled:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    run: Any = strawberry.field(
        graphql_type=FullSettlementRun | None, description="A draft; null when nothing is to be settled."
    )


@strawberry.type(description="How tax is withheld from a distributor from now on.")
class WithholdingSet:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    policy: Withholding = strawberry.field(description="How.")
    starts_on: date = strawberry.field(description="What is paid from this day on.")


@strawberry.type(description="What a person may deduct in a month, beside the 5,000 yuan that everybody may.")
class DeductionSet:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    month: date = strawberry.field(description="Its first day.")
    amount: Money


@strawberry.input(description="A correction of what a payee gets (调整).")
class AdjustInput:
    payee: strawberry.ID = strawberry.field(description="The `id` of a distributor or of a brand.")
    amount: Int64 = strawberry.field(description="In fen; below 0 to take.")
    dated: date = strawberry.field(description="The run that closes this day pays it.")
    reason: str = strawberry.field(description="1 to 500 characters; the payee reads them.")


@strawberry.input(description="What you say to a dispute.")
class AnswerDisputeInput:
    dispute: strawberry.ID = strawberry.field(description="The `id` of the dispute.")
    answer: str = strawberry.field(description="1 to 500 characters; the payee reads them.")
    amount: Int64 | None = strawberry.field(
        default=None, description="Accepts it, by an adjustment of so many fen; null rejects it."
    )
    dated: date | None = strawberry.field(default=None, description="Of the adjustment; today when left out.")


@strawberry.input(description="Debt of a distributor that shall be given up (核销).")
class WriteOffInput:
    distributor: strawberry.ID = strawberry.field(description="The `id` of the distributor.")
    amount: Int64 = strawberry.field(description="In fen, above 0, and no more than it owes.")
    reason: str = strawberry.field(description="1 to 500 characters.")


@strawberry.input(description="How tax is withheld from a distributor.")
class SetWithholdingInput:
    distributor: strawberry.ID = strawberry.field(description="The `id` of the distributor.")
    policy: Withholding = strawberry.field(description="From the day `startsOn` on.")
    starts_on: date = strawberry.field(description="What is paid on this day or later.")


@strawberry.input(description="What a person may deduct in a month, in place of what was said before.")
class SetDeductionInput:
    distributor: strawberry.ID = strawberry.field(description="The `id` of the distributor.")
    month: date = strawberry.field(description="Its first day.")
    amount: Int64 = strawberry.field(description="In fen.")


SettleResult = Annotated[
    RunSettled | errors.BadArgument | errors.PeriodOpen | errors.WrongState, strawberry.union("SettleResult")
]
ReviewRunResult = Annotated[
    FullSettlementRun | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("ReviewRunResult")
]
ApproveRunResult = Annotated[
    FullSettlementRun | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("ApproveRunResult")
]
DiscardRunResult = Annotated[
    FullSettlementRun | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("DiscardRunResult")
]
AdjustResult = Annotated[
    FullAdjustment | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("AdjustResult")
]
AskWriteOffResult = Annotated[
    WriteOff | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("AskWriteOffResult")
]
ApproveWriteOffResult = Annotated[
    WriteOff | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("ApproveWriteOffResult")
]
SetWithholdingResult = Annotated[
    WithholdingSet | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("SetWithholdingResult")
]
SetDeductionResult = Annotated[
    DeductionSet | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("SetDeductionResult")
]
AnswerDisputeResult = Annotated[
    FullDispute | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("AnswerDisputeResult")
]
DisputeStatementResult = Annotated[
    Dispute | errors.BadArgument | errors.NotFound | errors.WrongState, strawberry.union("DisputeStatementResult")
]
