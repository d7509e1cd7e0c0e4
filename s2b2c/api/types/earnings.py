"""What a distributor earns, and what its branches sell."""

from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import commissions
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import YEAR, From, To, check_period
from s2b2c.api.types.explanations import CommissionExplanation, CommissionOutcome, commission_id
from s2b2c.api.types.fields import computed
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import DistributorName, DistributorState, Tier
from s2b2c.api.types.nodes import PartnerNode


@strawberry.type(description="What you earned on the orders paid on one day.")
class DayEarnings:
    day: date = strawberry.field(description="In Asia/Shanghai.")
    amount: Money = strawberry.field(description="Less what refunds took back since.")
    orders: Int64


@strawberry.enum(description="How far a commission has come.")
class EarningState(Enum):
    PENDING = "pending"
    AVAILABLE = "available"
    IN_STATEMENT = "in_statement"
    PAID = "paid"


@strawberry.type(description="What one line of an order earns you.")
class LineEarning(PartnerNode):
    id: strawberry.ID = computed(commission_id)
    order_no: str
    line_no: Int64
    paid_at: datetime
    matures_at: datetime | None = strawberry.field(
        description="When it becomes available; null until the order is completed."
    )
    store_slug: str = strawberry.field(description="Where it was bought.")
    store_title: str = strawberry.field(description="As it is called today.")
    product_title: str
    sku: str
    quantity: Int64
    paid: Money
    position: Int64 = strawberry.field(description="0: you sold it. 1: a distributor right below you did, and so on.")
    amount: Money = strawberry.field(description="As the order was paid.")
    clawed_back: Money = strawberry.field(description="What refunds took back so far (佣金回收).")
    net: Money = computed(lambda row: row.amount - row.clawed_back, description="The amount less what was taken back.")
    outcome: CommissionOutcome
    state: EarningState
    explanation: CommissionExplanation = computed(
        lambda row: commissions.for_beneficiary(commissions.explanation(row)), description="How it came about."
    )


@strawberry.type(
    description="Your commissions (佣金), less what refunds took back of them: each fen in exactly one place, and "
    "below 0 where it was settled before the refund."
)
class Earnings:
    pending: Money = strawberry.field(description="Of paid orders whose hold is not over.")
    available: Money = strawberry.field(description="Matured, and in no statement yet.")
    in_statement: Money = strawberry.field(description="In statements that are not paid out yet.")
    paid: Money = strawberry.field(description="In statements that are paid out.")

    @strawberry.field(
        graphql_type=Connection[DayEarnings],
        description="By the day on which the orders were paid, newest first, over at most 366 days; "
        "days without anything to earn are left out.",
    )
    @staticmethod
    async def by_day(
        info: Info, start: From, end: To, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        check_period(start, end, most_days=YEAR)
        page = Page("earnings-day", first, after, key_length=1)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await commissions.earnings_by_day(
                session, distributor_id, start=start, end=end, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.day.toordinal(),))

    @strawberry.field(
        graphql_type=Connection[LineEarning],
        description="Order by order, line by line: what is in no statement yet first, then the newest statement.",
    )
    @staticmethod
    async def by_order(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("earnings-line", first, after, key_length=2)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await commissions.earnings_by_line(
                session, distributor_id, now=info.context.clock(), after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.place, row.id))


@strawberry.type(description="One of your direct downlines with everybody below it, in total.")
class TeamBranch:
    distributor: DistributorName = strawberry.field(description="The direct downline.")
    tier: Tier
    state: DistributorState
    members: Int64 = strawberry.field(description="Distributors in this branch, the direct downline with them.")
    output: Money = strawberry.field(description="What they sold: paid minus refunded (产值).")
    orders: Int64
