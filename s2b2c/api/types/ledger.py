"""The ledger: accounts and transfers."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import ledger
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.fields import computed
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
    TAX_PAYABLE = strawberry.enum_value("tax_payable", description="Tax withheld, owed to the tax office (代扣税).")
    IN_TRANSIT = strawberry.enum_value("in_transit", description="Payouts that were sent and not confirmed (打款).")
    DEBT = strawberry.enum_value("debt", description="What a distributor owes; below 0.")
    WRITE_OFF = strawberry.enum_value("write_off", description="Debts that were given up; below 0.")


@strawberry.enum(description="Why money moved.")
class TransferCode(Enum):
    PAYMENT = strawberry.enum_value("payment", description="A customer paid an order.")
    FREIGHT = strawberry.enum_value("freight", description="A customer paid for shipping.")
    SUPPLY = strawberry.enum_value("supply", description="An order was completed: a brand's supply.")
    COMMISSION = strawberry.enum_value("commission", description="An order was completed: a distributor's commission.")
    REVENUE = strawberry.enum_value("revenue", description="An order was completed: the platform's part.")
    SUBSIDY = strawberry.enum_value("subsidy", description="An order was completed: what the platform paid in.")
    REFUND = strawberry.enum_value("refund", description="Money went back to the customer, or a refund was reversed.")
    FREIGHT_REFUND = strawberry.enum_value("freight_refund", description="Money for shipping went back.")
    SUPPLY_RETURN = strawberry.enum_value("supply_return", description="A refund: what the brand gives back.")
    CLAWBACK = strawberry.enum_value("clawback", description="A refund: what a distributor gives back (佣金回收).")
    REVENUE_RETURN = strawberry.enum_value("revenue_return", description="A refund: what the platform gives back.")
    ADJUSTMENT = strawberry.enum_value("adjustment", description="Somebody corrected what a payee gets.")
    WITHHOLDING = strawberry.enum_value("withholding", description="A statement: the tax of its payee.")
    DEBT = strawberry.enum_value("debt", description="A statement below 0: what its payee owes.")
    DEBT_OFFSET = strawberry.enum_value("debt_offset", description="A statement: what pays off a debt.")
    WRITE_OFF = strawberry.enum_value("write_off", description="A debt was given up.")
    PAYOUT = strawberry.enum_value("payout", description="A payout was sent.")
    PAYOUT_SENT = strawberry.enum_value("payout_sent", description="A payout was confirmed.")
    PAYOUT_RETURNED = strawberry.enum_value("payout_returned", description="A payout came back.")


@strawberry.enum(description="What moved money.")
class TransferSource(Enum):
    ORDER = strawberry.enum_value("order", description="An order that was paid or completed.")
    REFUND = strawberry.enum_value("refund", description="A refund, or the reversal of one.")
    ADJUSTMENT = strawberry.enum_value("adjustment", description="A correction of what a payee gets.")
    STATEMENT = strawberry.enum_value("statement", description="A statement of an approved run.")
    WRITE_OFF = strawberry.enum_value("write_off", description="A debt that was given up.")
    PAYOUT = strawberry.enum_value("payout", description="Money on its way to a payee, or back.")


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
    source: TransferSource = computed(lambda row: row.source_type, description="What moved it.")
    order_no: str = strawberry.field(description="Of the order it comes from; empty where it comes from none.")


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
