"""Settlement: runs, statements, and the lines that make them up."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import settlements
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.stores import Store


@strawberry.enum(description="What a settlement run has come to.")
class RunState(Enum):
    DRAFT = "draft"


@strawberry.enum(description="Who a statement is for.")
class PayeeKind(Enum):
    DISTRIBUTOR = "distributor"
    BRAND = "brand"


@strawberry.enum(description="Why a commission is what it is.")
class CommissionOutcome(Enum):
    EARNED = strawberry.enum_value("earned", description="What the rule gives.")
    ZERO = strawberry.enum_value("zero", description="The rule gives nothing.")
    CAPPED = strawberry.enum_value("capped", description="Scaled down, so that the platform keeps its part.")
    BLOCKED = strawberry.enum_value("blocked", description="Suspended or eliminated as the order was paid.")


@strawberry.enum(description="How a rule turns its base into commissions.")
class CommissionScheme(Enum):
    LEVELS = strawberry.enum_value("levels", description="比例: a rate for each position.")


@strawberry.enum(description="What the rates of a rule are rates of.")
class CommissionBase(Enum):
    PAID = "paid"
    MARGIN = strawberry.enum_value("margin", description="Paid less supply (供货价).")


@strawberry.type(description="The closing of a period (结算): all that had matured before a cutoff.")
class SettlementRun:
    id: strawberry.ID = id_of("settlement-run")
    cutoff: datetime = strawberry.field(description="The first moment that is not in it.")
    state: RunState
    created_at: datetime


@strawberry.type(
    description="One line of a statement: of a distributor its commission on an order line, of a brand its supply."
)
class StatementLine:
    id: strawberry.ID = id_of("statement-line")
    order_no: str
    line_no: Int64
    paid_at: datetime
    completed_at: datetime
    matures_at: datetime
    store: Store
    product_title: str
    sku: str
    quantity: Int64
    paid: Money = strawberry.field(description="What the customer paid for the order line.")
    position: Int64 | None = strawberry.field(
        description="Of a commission: 0 is the seller, 1 its upline, and so on up."
    )
    amount: Money = strawberry.field(description="What the line adds to the statement.")
    outcome: CommissionOutcome | None = strawberry.field(description="Of a commission.")


@strawberry.type(description="One line of a statement, with all that explains its amount.")
class FullStatementLine(StatementLine):
    scheme: CommissionScheme | None = strawberry.field(description="Of a commission, as all below.")
    base: CommissionBase | None
    base_amount: Money | None
    rate_bps: Int64 | None = strawberry.field(description="In basis points: 1250 is 12.5 %.")
    uncapped_amount: Money | None = strawberry.field(description="What the rule gives, before any cap or block.")


async def _lines(statement: Any, info: Info, first: int, after: str | None) -> Connection[Any]:
    page = Page("statement-line", first, after, key_length=1)
    wanted = settlements.LinesPage(statement.id, statement.distributor_id, page.after, page.limit)
    return page.connection(await info.context.load.statement_lines.load(wanted), lambda row: (row.id,))


@strawberry.type(description="What one payee gets for one period (结算单).")
class Statement:
    id: strawberry.ID = id_of("statement")
    run: SettlementRun
    line_count: Int64 = computed(lambda row: row.lines)
    gross: Money = strawberry.field(description="The sum of its lines.")

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
class FullStatement(Statement):
    payee: Payee = computed(lambda row: row)

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
    statements: Int64
    lines: Int64
    gross: Money


@strawberry.type(description="The closing of a period (结算), with all its statements.")
class FullSettlementRun(SettlementRun):
    distributors: RunTotals = strawberry.field(description="Lines are commissions.")
    brands: RunTotals = strawberry.field(description="Lines are order lines.")

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
