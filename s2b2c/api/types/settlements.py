"""Settlement: runs, statements, and the lines that make them up."""

from datetime import date, datetime
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import strawberry

from s2b2c import settlements
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types import errors
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


@strawberry.type(description="What a run adds up to for one kind of payee.")
class RunTotals:
    statements: Int64 = strawberry.field(description="How many there are.")
    lines: Int64 = strawberry.field(description="How many are in them.")
    gross: Money = strawberry.field(description="The commissions, or the supply, that matured.")
    clawbacks: Money = strawberry.field(description="What refunds took back of it.")
    net: Money = computed(lambda row: row.gross - row.clawbacks, description="Gross less clawbacks.")


def _person(key: int | None) -> str | None:
    return None if key is None else encode("person", key)


@strawberry.type(description="The closing of a period (结算), with all its statements.")
class FullSettlementRun(SettlementRun, FinanceNode):
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("settlement-run")
    reviewed_at: datetime | None = strawberry.field(description="When its statements were shown; null before.")
    approved_at: datetime | None = strawberry.field(description="When it was closed; null before.")
    discarded_at: datetime | None = strawberry.field(description="When it was given up; null where it was not.")
    made_by: strawberry.ID | None = computed(
        lambda row: _person(row.created_by), description="Who made it; null where the command line did, as below."
    )
    reviewed_by: strawberry.ID | None = computed(lambda row: _person(row.reviewed_by), description="Who showed it.")
    approved_by: strawberry.ID | None = computed(lambda row: _person(row.approved_by), description="Who closed it.")
    discarded_by: strawberry.ID | None = computed(lambda row: _person(row.discarded_by), description="Who gave it up.")
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


@strawberry.input(description="A correction of what a payee gets: of a distributor or of a brand.")
class AdjustmentInput:
    distributor: strawberry.ID | None = strawberry.field(default=None, description="The `id` of the distributor.")
    brand: strawberry.ID | None = strawberry.field(default=None, description="The `id` of the brand.")
    amount: Int64 = strawberry.field(description="In fen, not 0; below 0 to take it.")
    dated: date = strawberry.field(description="The next run that closes this day pays it.")
    reason: str = strawberry.field(description="Why, for its payee to read: 1 to 500 characters.")


@strawberry.type(description="A correction of what a payee gets (调整).")
class Adjustment:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("adjustment")
    amount: Money = strawberry.field(description="Below 0 what it takes.")
    dated: date = strawberry.field(description="The day it belongs to.")
    reason: str
    created_at: datetime
