"""Settlement: runs, statements, and the lines that make them up."""

from datetime import date, datetime
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import strawberry

from s2b2c import settlements
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.errors import done
from s2b2c.api.types.explanations import (
    CommissionBase,
    CommissionOutcome,
    CommissionScheme,
    FullCommissionExplanation,
)
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.nodes import BrandNode, FinanceNode, PartnerNode
from s2b2c.api.types.payouts import Payout
from s2b2c.api.types.stores import Store
from s2b2c.commissions import Explanation


@strawberry.enum(description="What a settlement run has come to.")
class RunState(Enum):
    DRAFT = "draft"
    REVIEWED = "reviewed"
    APPROVED = "approved"
    PAYING = "paying"
    PAID = "paid"
    DISCARDED = "discarded"


@strawberry.enum(description="Who a statement is for.")
class PayeeKind(Enum):
    DISTRIBUTOR = "distributor"
    BRAND = "brand"


def person(column: str) -> Any:
    """The field for who did something."""
    return computed(
        lambda row: None if getattr(row, column) is None else encode("person", getattr(row, column)),
        description="The id of the person; null where the command line did it, and before.",
    )


@strawberry.type(description="The closing of a period (结算): all that had matured before a cutoff.")
class SettlementRun:
    id: strawberry.ID = id_of("settlement-run")
    cutoff: datetime = strawberry.field(description="The first moment that is not in it.")
    state: RunState
    created_at: datetime
    pay_on: date = strawberry.field(description="When it is paid out: income of that month, in Asia/Shanghai.")


@strawberry.enum(description="What a line of a statement is.")
class StatementLineKind(Enum):
    COMMISSION = strawberry.enum_value("commission", description="A distributor's share in an order line (佣金).")
    CLAWBACK = strawberry.enum_value("clawback", description="What a refund takes back of a share (佣金回收).")
    SUPPLY = strawberry.enum_value("supply", description="A brand's supply of an order line (供货款).")
    RETURN = strawberry.enum_value("return", description="What a refund takes back of a supply.")


class _Store(NamedTuple):
    id: int
    slug: str
    title: str
    region: str


@strawberry.type(
    description="One line of a statement: of a distributor its commission on an order line, of a brand its supply, or "
    "what a refund takes back of it."
)
class StatementLine:
    id: strawberry.ID = computed(lambda row: encode(f"statement-{row.kind}", row.id))
    kind: StatementLineKind
    order_no: str
    line_no: Int64
    paid_at: datetime
    completed_at: datetime
    matures_at: datetime
    refunded_at: datetime | None = strawberry.field(description="Of what a refund takes back.")
    store: Store = computed(lambda row: _Store(row.store_id, row.slug, row.title, row.region))
    product_title: str
    sku: str
    quantity: Int64
    paid: Money = strawberry.field(description="What the customer paid for the order line.")
    position: Int64 | None = strawberry.field(
        description="Of a commission: 0 is the seller, 1 its upline, and so on up."
    )
    amount: Money = strawberry.field(
        description="What the line adds to the statement: below 0 what a refund takes back."
    )
    outcome: CommissionOutcome | None = strawberry.field(description="Of a commission.")


@strawberry.type(description="One line of a statement, with all that explains its amount.")
class FullStatementLine(StatementLine):
    scheme: CommissionScheme | None = strawberry.field(description="Of a commission, as all below.")
    base: CommissionBase | None
    base_amount: Money | None = strawberry.field(description="What the rate is applied to.")
    rate_bps: Int64 | None = strawberry.field(description="In basis points: 1250 is 12.5 %.")
    uncapped_amount: Money | None = strawberry.field(description="What the rule gives, before any cap or block.")

    @strawberry.field(graphql_type=FullCommissionExplanation | None, description="How the commission came about.")
    @staticmethod
    async def explanation(root: strawberry.Parent[Any], info: Info) -> Explanation | None:
        if root.position is None:
            return None
        return await info.context.load.explanations.load((root.branch_id, root.line_id, root.position))


@strawberry.enum(description="What finance says to a dispute.")
class DisputeOutcome(Enum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@strawberry.type
class DisputeHead:
    """What both sides know of a dispute."""

    id: strawberry.ID = id_of("dispute")
    run: SettlementRun
    reason: str = strawberry.field(description="What is wrong, in the words of the payee.")
    opened_at: datetime = strawberry.field(description="When the payee said so.")
    outcome: DisputeOutcome | None = strawberry.field(description="Null until finance answers.")
    answer: str | None = strawberry.field(description="Why, in the words of finance.")
    answered_at: datetime | None = strawberry.field(description="Null until then.")
    adjusted: Money | None = strawberry.field(description="What an accepted one is adjusted by; below 0 what it takes.")
    left_at: datetime | None = strawberry.field(
        description="When the statement left its run, all of it to come with the next; null while it has not."
    )


@strawberry.type(description="What you have against a statement of yours (异议), and what finance says to it.")
class Dispute(DisputeHead):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("dispute")


@strawberry.type(description="Whom something is for, by an id that mutations take.")
class NamedPayee:
    id: strawberry.ID = computed(lambda row: encode(row.payee, row.payee_id))
    kind: PayeeKind = computed(lambda row: row.payee)
    code: str = strawberry.field(description="Of a brand it is its name.")
    name: str


@strawberry.type(description="What a payee has against its statement (异议), and what you say to it.")
class FullDispute(DisputeHead):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("dispute")
    payee: NamedPayee = computed(lambda row: row, description="Whose statement it is.")
    statement_id: strawberry.ID | None = computed(
        lambda row: None if row.statement_id is None else encode("statement", row.statement_id),
        description="Null once it has left its run, or the run was discarded.",
    )
    opened_by: strawberry.ID | None = person("opened_by")
    answered_by: strawberry.ID | None = person("answered_by")


@strawberry.type(description="A correction of what you get (调整); below 0 it takes.")
class Adjustment:
    id: strawberry.ID = id_of("adjustment")
    amount: Money
    dated: date = strawberry.field(description="The run that closed this day pays it.")
    reason: str
    created_at: datetime


@strawberry.type(description="A correction of what a payee gets (调整); below 0 it takes.")
class FullAdjustment(Adjustment):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("adjustment")
    payee: NamedPayee = computed(lambda row: row, description="Who gets it.")
    created_by: strawberry.ID | None = person("created_by")
    statement_id: strawberry.ID | None = computed(
        lambda row: None if row.statement_id is None else encode("statement", row.statement_id),
        description="Null while it waits for a run.",
    )


async def _adjustments(statement: Any, info: Info, first: int, after: str | None) -> Connection[Any]:
    page = Page("statement-adjustment", first, after, key_length=1)
    wanted = settlements.AdjustmentsPage(statement.id, page.after, page.limit)
    return page.connection(await info.context.load.statement_adjustments.load(wanted), lambda row: (row.id,))


async def _lines(statement: Any, info: Info, first: int, after: str | None) -> Connection[Any]:
    page = Page("statement-part-line", first, after, key_length=2)
    wanted = settlements.LinesPage(statement.id, statement.distributor_id, page.after, page.limit)
    return page.connection(await info.context.load.statement_lines.load(wanted), lambda row: (row.part, row.id))


@strawberry.type
class StatementHead:
    """What everybody may know of a statement whom it concerns."""

    id: strawberry.ID = id_of("statement")
    run: SettlementRun
    line_count: Int64 = computed(lambda row: row.lines, description="How many lines make it up.")
    gross: Money = strawberry.field(description="The commissions, or the supply, that matured.")
    clawbacks: Money = strawberry.field(description="What refunds took back of it.")
    adjustments: Money = strawberry.field(description="Corrections, each with its reason; below 0 what they take.")
    withheld: Money = strawberry.field(description="Tax that the platform pays for its payee (代扣).")
    debt_offset: Money = strawberry.field(description="What of an earlier debt it pays off.")
    net: Money = strawberry.field(description="gross - clawbacks + adjustments - withheld - debtOffset.")
    carry_in: Money = strawberry.field(description="What earlier statements carried forward; a brand's may be below 0.")
    payout: Money = strawberry.field(description="What is paid out: carryIn + net = payout + carryOut - debtAdded.")
    carry_out: Money = strawberry.field(description="What is carried forward, since it is too little to be paid out.")
    debt_added: Money = strawberry.field(description="What its payee owes from it on; later statements pay it off.")


@strawberry.type(description="What one payee gets for one period (结算单).")
class Statement(StatementHead, PartnerNode, BrandNode):
    id: strawberry.ID = id_of("statement")

    @strawberry.field(graphql_type=Connection[StatementLine], description="What makes it up, in order of recording.")
    @staticmethod
    async def lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _lines(root, info, first, after)

    @strawberry.field(graphql_type=Connection[Adjustment], description="The corrections in it, in order of making.")
    @staticmethod
    async def adjustment_lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _adjustments(root, info, first, after)

    @strawberry.field(
        graphql_type=Payout | None, description="How its payout is on its way to you; null before it is started."
    )
    @staticmethod
    async def payment(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.payouts.load(root.id)

    @strawberry.field(graphql_type=Dispute | None, description="What its payee has against it; null when nothing.")
    @staticmethod
    async def dispute(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.disputes.load(root.id)


@strawberry.type(description="Whom a statement is for.")
class Payee:
    kind: PayeeKind = computed(lambda row: row.payee)
    code: str = strawberry.field(description="Of a brand it is its name.")
    name: str


@strawberry.type(description="What one payee gets for one period (结算单), with whom it is for.")
class FullStatement(StatementHead, FinanceNode):
    id: strawberry.ID = id_of("statement")
    payee: Payee = computed(lambda row: row, description="Who gets it.")

    @strawberry.field(
        graphql_type=Connection[FullStatementLine], description="What makes it up, in order of recording."
    )
    @staticmethod
    async def lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _lines(root, info, first, after)

    @strawberry.field(graphql_type=Connection[FullAdjustment], description="The corrections in it, in order of making.")
    @staticmethod
    async def adjustment_lines(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        return await _adjustments(root, info, first, after)

    @strawberry.field(graphql_type=FullDispute | None, description="What its payee has against it; null when nothing.")
    @staticmethod
    async def dispute(root: strawberry.Parent[Any], info: Info) -> Any:
        return await info.context.load.disputes.load(root.id)


@strawberry.type(description="What a run adds up to for one kind of payee.")
class RunTotals:
    statements: Int64 = strawberry.field(description="How many there are.")
    lines: Int64 = strawberry.field(description="How many are in them.")
    gross: Money = strawberry.field(description="The commissions, or the supply, that matured.")
    clawbacks: Money = strawberry.field(description="What refunds took back of it.")
    net: Money = computed(lambda row: row.gross - row.clawbacks, description="Gross less clawbacks.")
    adjustments: Money = strawberry.field(description="Corrections; below 0 what they take.")
    withheld: Money = strawberry.field(description="Tax that the platform pays for its payees (代扣).")
    debt_offset: Money = strawberry.field(description="What of earlier debts they pay off.")
    payout: Money = strawberry.field(description="What is paid out.")
    carry_out: Money = strawberry.field(description="What is carried forward.")
    debt_added: Money = strawberry.field(description="What payees owe from them on.")


@strawberry.type(description="The closing of a period (结算), with all its statements.")
class FullSettlementRun(SettlementRun, FinanceNode):
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("settlement-run")
    created_by: strawberry.ID | None = person("created_by")
    reviewed_at: datetime | None = strawberry.field(description="When it was shown to its payees; null before.")
    reviewed_by: strawberry.ID | None = person("reviewed_by")
    approved_at: datetime | None = strawberry.field(description="When it was closed for good; null before.")
    approved_by: strawberry.ID | None = person("approved_by")
    discarded_at: datetime | None = strawberry.field(description="Null unless it was given up.")
    discarded_by: strawberry.ID | None = person("discarded_by")
    distributors: RunTotals = strawberry.field(description="Lines are commissions and clawbacks.")
    brands: RunTotals = strawberry.field(description="Lines are order lines and returns.")

    @strawberry.field(graphql_type=Connection[FullStatement], description="Greatest gross first.")
    @staticmethod
    async def statements(
        root: strawberry.Parent[Any],
        info: Info,
        payee: PayeeKind,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page(f"statement-gross-{payee.value}", first, after, key_length=2)
        wanted = settlements.StatementsPage(root.id, payee.value, page.after, page.limit)
        return page.connection(await info.context.load.statements.load(wanted), lambda row: (row.gross, row.id))
