"""The door of finance: every run, every statement, every order, every account of the ledger."""

from datetime import datetime, time
from typing import Any

import strawberry

from s2b2c import commissions, finance_exports, ledger, orders, payments, payouts, reconciliation, settlements
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.finance_exports import FinanceExports
from s2b2c.api.paying_out import Payouts
from s2b2c.api.periods import From, To, check_period
from s2b2c.api.reconciliation import Reconciled
from s2b2c.api.settling import Settling
from s2b2c.api.types.explanations import ExplainedOrder
from s2b2c.api.types.finance_exports import FinanceExport
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.ledger import FullLedgerAccount, TrialBalance
from s2b2c.api.types.nodes import FinanceNode, Shown, read_node
from s2b2c.api.types.paying_out import FullPayout
from s2b2c.api.types.payments import Payment, StripeBreaksResult
from s2b2c.api.types.reconciliation import RailBreak
from s2b2c.api.types.settlements import FullSettlementRun, FullStatement
from s2b2c.config import SHANGHAI
from s2b2c.errors import BadArgument, Refused
from s2b2c.payments import Report

RECONCILED_DAYS = 31
MOST_BREAKS = 1_000
"""The most of each in one request."""


@strawberry.type(description="What finance sees.")
class FinanceQuery(FinanceExports, Settling, Payouts, Reconciled):
    @strawberry.field(
        graphql_type=FinanceNode | None,
        description="A run, a statement, a payout, an export, a break or an account of the ledger by its id; null when "
        "there is none.",
    )
    @staticmethod
    async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        return await read_node(
            info,
            id,
            {
                "settlement-run": Shown(FullSettlementRun, lambda session, key: settlements.run(session, *key)),
                "statement": Shown(FullStatement, lambda session, key: settlements.statement(session, *key)),
                "finance-export": Shown(FinanceExport, lambda session, key: finance_exports.export(session, *key)),
                "payout": Shown(FullPayout, lambda session, key: payouts.payout(session, *key)),
                "rail-break": Shown(RailBreak, lambda session, key: reconciliation.rail_break(session, *key)),
                "ledger-account": Shown(FullLedgerAccount, lambda session, key: ledger.account(session, *key)),
            },
        )

    @strawberry.field(graphql_type=Connection[FullSettlementRun], description="Settlement runs (结算), newest first.")
    @staticmethod
    async def runs(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("run-newest", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.runs(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=FullSettlementRun | None, description="A settlement run; null when there is none.")
    @staticmethod
    async def run(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
        async with info.context.db.read() as session:
            return await settlements.run(session, key_of("settlement-run", id))

    @strawberry.field(graphql_type=FullStatement | None, description="Anybody's statement; null when there is none.")
    @staticmethod
    async def statement(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
        async with info.context.db.read() as session:
            return await settlements.statement(session, key_of("statement", id))

    @strawberry.field(
        graphql_type=ExplainedOrder | None,
        description="An order with all that is earned on it, and why; null when there is none.",
    )
    @staticmethod
    async def order(info: Info, order_no: str) -> Any:
        async with info.context.db.read() as session:
            return await commissions.explained_order(session, order_no)

    @strawberry.field(graphql_type=TrialBalance, description="The whole ledger.")
    @staticmethod
    async def trial_balance(info: Info) -> ledger.Sides:
        async with info.context.db.read() as session:
            return await ledger.trial_balance(session)

    @strawberry.field(
        graphql_type=FullLedgerAccount | None, description="An account of the ledger; null when there is none."
    )
    @staticmethod
    async def ledger_account(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
        async with info.context.db.read() as session:
            return await ledger.account(session, key_of("ledger-account", id))

    @strawberry.field(
        graphql_type=Connection[Payment], description="Attempts to have an order paid, the first one first."
    )
    @staticmethod
    async def payments(
        info: Info, order_no: str, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("payment", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await orders.payments_of_number(session, order_no, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=StripeBreaksResult,
        description="Where Stripe's balance did not move as our payments, refunds and disputes say (对账), from the "
        "day `from` up to, not with, the day `to`, at most 31 days. `top` bounds the breaks.",
    )
    @staticmethod
    async def stripe_breaks(info: Info, start: From, end: To, top: int = 100) -> Report:
        check_period(start, end, most_days=RECONCILED_DAYS)
        if not 1 <= top <= MOST_BREAKS:
            raise Refused(BadArgument(f"top is {top}, but must be 1 to {MOST_BREAKS}."))
        with info.context.stripe() as gateway:
            return await payments.reconcile(
                info.context.db,
                gateway,
                start=datetime.combine(start, time(), SHANGHAI),
                end=datetime.combine(end, time(), SHANGHAI),
                now=info.context.clock(),
                limit=top,
            )
