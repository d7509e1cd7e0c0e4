"""The ledger: accounts and transfers."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import ledger
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Money
from s2b2c.api.types.nodes import FinanceNode


@strawberry.enum(description="What stands on an account of the ledger.")
class LedgerAccountKind(Enum):
    CLEARING = strawberry.enum_value("clearing", description="What came in by a payment rail.")
    ESCROW = strawberry.enum_value("escrow", description="Orders paid, not completed.")
    REVENUE = strawberry.enum_value("revenue", description="The platform's part.")
    BRAND_PAYABLE = strawberry.enum_value("brand_payable", description="Owed to a brand for its supply.")
    COMMISSION_PAYABLE = strawberry.enum_value("commission_payable", description="Owed to a distributor (分佣).")


@strawberry.enum(description="Why money moved.")
class TransferCode(Enum):
    PAYMENT = strawberry.enum_value("payment", description="A customer paid an order.")
    SUPPLY = strawberry.enum_value("supply", description="An order was completed: a brand's supply.")
    COMMISSION = strawberry.enum_value("commission", description="An order was completed: a distributor's commission.")
    REVENUE = strawberry.enum_value("revenue", description="An order was completed: the platform's part.")
    SUBSIDY = strawberry.enum_value("subsidy", description="An order was completed: what the platform paid in.")
    REFUND = strawberry.enum_value("refund", description="Money went back to the customer, or a refund was reversed.")
    SUPPLY_RETURN = strawberry.enum_value("supply_return", description="A refund: what the brand gives back.")
    CLAWBACK = strawberry.enum_value("clawback", description="A refund: what a distributor gives back (佣金回收).")
    REVENUE_RETURN = strawberry.enum_value("revenue_return", description="A refund: what the platform gives back.")


@strawberry.type(description="An account of the ledger.")
class LedgerAccount:
    id: strawberry.ID = id_of("ledger-account")
    kind: LedgerAccountKind
    rail: str | None = strawberry.field(description="Of a clearing account.")
    owner: str | None = strawberry.field(description="The brand or the distributor; null for the platform.")


@strawberry.type(description="Money that moved from the debited to the credited account, for good.")
class Transfer:
    id: strawberry.ID = id_of("transfer")
    code: TransferCode = strawberry.field(description="Why it moved.")
    amount: Money = strawberry.field(description="Always above 0.")
    posted_at: datetime = strawberry.field(description="When the money moved in real life.")
    debit_account: LedgerAccount = strawberry.field(description="Where it came from.")
    credit_account: LedgerAccount = strawberry.field(description="Where it went.")
    order_no: str = strawberry.field(description="The order it comes from.")


@strawberry.type(description="An account of the ledger, with what it stands at and what moved.")
class FullLedgerAccount(LedgerAccount, FinanceNode):
    id: strawberry.ID = id_of("ledger-account")
    debits: Money
    credits: Money
    balance: Money = strawberry.field(description="Credits minus debits.")

    @strawberry.field(graphql_type=Connection[Transfer], description="From and to the account, newest first.")
    @staticmethod
    async def transfers(
        root: strawberry.Parent[Any], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("transfer-newest", first, after, key_length=1)
        wanted = ledger.TransfersPage(root.id, page.after, page.limit)
        return page.connection(await info.context.load.transfers.load(wanted), lambda row: (row.id,))


@strawberry.type(description="All accounts together: debits and credits are equal, or the ledger is broken.")
class TrialBalance:
    debits: Money = strawberry.field(description="Of all accounts together.")
    credits: Money = strawberry.field(description="Of all accounts together.")

    @strawberry.field(graphql_type=Connection[FullLedgerAccount], description="Oldest first.")
    @staticmethod
    async def accounts(
        info: Info, kind: LedgerAccountKind | None = None, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("ledger-account", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await ledger.accounts(session, kind=kind and str(kind.value), after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))
