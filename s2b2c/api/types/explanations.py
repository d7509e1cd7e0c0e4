"""Why a commission is what it is, and an order with all that is earned on it."""

from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

import strawberry

from s2b2c import commissions
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import decode, encode
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import DistributorName, DistributorState, Tier
from s2b2c.api.types.notices import Language
from s2b2c.api.types.stores import Store
from s2b2c.commissions import CommissionKey, Explanation
from s2b2c.db import AnyRow
from s2b2c.errors import BadArgument, Refused


@strawberry.enum(description="Why a commission is what it is.")
class CommissionOutcome(Enum):
    EARNED = strawberry.enum_value("earned", description="What the rule gives.")
    ZERO = strawberry.enum_value("zero", description="The rule gives nothing.")
    CAPPED = strawberry.enum_value("capped", description="Scaled down, so that the platform keeps its part.")
    BLOCKED = strawberry.enum_value("blocked", description="Suspended or eliminated as the order was paid.")


@strawberry.enum(description="How a rule turns an order line into commissions.")
class CommissionScheme(Enum):
    LEVELS = strawberry.enum_value("levels", description="比例: a rate for each position.")
    FIXED = strawberry.enum_value("fixed", description="固定额: an amount a unit for each position.")
    DIFFERENTIAL = strawberry.enum_value(
        "differential", description="级差: the rate of a tier less the highest below, and a same-tier bonus (平级奖)."
    )
    SPREAD = strawberry.enum_value(
        "spread", description="价差: what lies between one's own cost (拿货价) and that below."
    )


@strawberry.enum(description="What the rates of a rule are rates of.")
class CommissionBase(Enum):
    PAID = "paid"
    MARGIN = strawberry.enum_value("margin", description="Paid less supply (供货价).")


@strawberry.enum(description="Why a rule gives nothing.")
class ZeroReason(Enum):
    NO_RATE = strawberry.enum_value("no_rate", description="It has nothing for this position or tier.")
    TOO_SMALL = strawberry.enum_value("too_small", description="Less than one fen.")
    NOT_ABOVE = strawberry.enum_value(
        "not_above", description="The rate is not above those below, or the cost not below."
    )
    SAME_TIER_GIVEN = strawberry.enum_value(
        "same_tier_given", description="Level with the highest rate below, but the bonus for it (平级奖) is given once."
    )
    UNKNOWN_COST = strawberry.enum_value("unknown_cost", description="The tier has no cost (拿货价).")
    BELOW_COST = strawberry.enum_value("below_cost", description="Sold for no more than the seller's cost (拿货价).")


def commission_id(row: Any) -> str:
    return encode("commission", row.branch_id, row.line_id, row.position)


def commission_key(text: str) -> CommissionKey:
    """The key behind an id that a client sent. Raises Refused(BadArgument)."""
    try:
        branch_id, line_id, position = decode("commission", text, length=3)
    except ValueError:
        raise Refused(BadArgument(f"{text[:40]!r} is not the id of a commission.")) from None
    return branch_id, line_id, position


@strawberry.type(description="How a commission came about. What a scheme has no use for is null.")
class CommissionExplanation:
    plan_code: str
    plan_version: Int64
    scheme: CommissionScheme
    base: CommissionBase | None
    base_amount: Money | None = strawberry.field(
        description="The base; of FIXED what one unit gives, of SPREAD what the goods brought. Null of a margin, and "
        "of what the goods cost others."
    )
    rate_bps: Int64 | None = strawberry.field(description="Of the base; in basis points: 1250 is 12.5 %.")
    tier_bps: Int64 | None = strawberry.field(description="Of DIFFERENTIAL: the rate of the tier.")
    below_bps: Int64 | None = strawberry.field(description="Of DIFFERENTIAL: the highest rate below.")
    is_same_tier: bool = strawberry.field(description="Whether it is a same-tier bonus (平级奖).")
    cost: Money | None = strawberry.field(description="Of SPREAD: what all units cost the tier (拿货价).")
    quantity: Int64
    paid: Money = strawberry.field(description="What the customer paid for the order line.")
    position: Int64 = strawberry.field(description="0 is the seller, 1 its upline, and so on up.")
    skipped: Int64 = strawberry.field(description="Suspended or eliminated ones below who left their place (紧缩).")
    tier: Tier = strawberry.field(description="As the order was paid.")
    beneficiary_state: DistributorState = strawberry.field(description="As the order was paid.")
    uncapped_amount: Money | None = strawberry.field(
        description="What the rule gives, before any cap or block. Null where it would tell a margin."
    )
    amount: Money = strawberry.field(description="After cap and block.")
    outcome: CommissionOutcome
    zero_reason: ZeroReason | None = strawberry.field(description="Why the rule gives nothing, where it does not.")
    clawed_back: Money = strawberry.field(description="What refunds took back so far (佣金回收).")
    net: Money = strawberry.field(description="The amount less what was taken back.")

    @strawberry.field(description="All this in one sentence.")
    @staticmethod
    def sentence(root: strawberry.Parent[Explanation], language: Language = Language.ZH) -> str:
        return commissions.sentence(root, language.value, "beneficiary")


@strawberry.type(description="How a commission came about, with what it leaves the platform.")
class FullCommissionExplanation(CommissionExplanation):
    supply: Money = strawberry.field(description="Of the line, as it was paid (供货价).")
    margin: Money = strawberry.field(description="Paid less supply.")
    margin_floor_bps: Int64 = strawberry.field(description="The part of what is paid that the platform keeps at least.")
    available: Money = strawberry.field(description="What that leaves for all commissions of the line.")

    @strawberry.field(description="All this in one sentence.")
    @staticmethod
    def sentence(root: strawberry.Parent[Explanation], language: Language = Language.ZH) -> str:
        return commissions.sentence(root, language.value, "finance")


@strawberry.enum(description="What an order has come to.")
class OrderState(Enum):
    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    RECEIVED = "received"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@strawberry.enum(description="What a refund has come to.")
class RefundState(Enum):
    WAITING = strawberry.enum_value("waiting", description="For the payment of its order.")
    APPLIED = "applied"


class _Distributor(NamedTuple):
    id: int
    code: str
    name: str


@strawberry.type(description="What a refund took back of a commission (佣金回收).")
class CommissionClawback:
    reference: str = strawberry.field(description="Of the refund, or of the one that is reversed.")
    is_reversal: bool
    refunded_at: datetime
    amount: Money = computed(lambda row: row.taken, description="Below 0 where a reversal gives back.")


@strawberry.type(description="What one position earns on an order line.")
class ExplainedCommission:
    id: strawberry.ID = computed(lambda it: commission_id(it.row))
    distributor: DistributorName = computed(
        lambda it: _Distributor(it.row.distributor_id, it.row.distributor_code, it.row.distributor_name),
        description="Who stands at the position.",
    )
    explanation: FullCommissionExplanation = strawberry.field(description="How it came about.")
    clawbacks: list[CommissionClawback] = strawberry.field(description="In the order of the refunds.")


@strawberry.type(description="What a refund, or the reversal of one, does to an order line; a reversal is below 0.")
class LineRefund:
    reference: str = strawberry.field(description="Of the refund, or of the one that is reversed.")
    is_reversal: bool
    state: RefundState
    refunded_at: datetime
    quantity: Int64 = computed(lambda row: row.refunded_quantity, description="0 where only an amount was refunded.")
    amount: Money
    supply: Money = computed(lambda row: row.returned_supply, description="What the brand gives back.")


def _of_row(name: str, description: str | None = None) -> Any:
    return computed(lambda line: getattr(line.row, name), description)


@strawberry.type(description="A line of an order: supply + commission + platform = paid - refunded.")
class ExplainedLine:
    line_no: Int64 = _of_row("line_no")
    brand: str = _of_row("brand")
    product_title: str = _of_row("product_title")
    sku: str = _of_row("sku")
    quantity: Int64 = _of_row("quantity")
    unit_price: Money = _of_row("unit_price")
    discount: Money = _of_row("discount")
    paid: Money = _of_row("paid")
    refunded: Money = _of_row("refunded")
    supply_price: Money = _of_row("supply_price", "Of one unit (供货价).")
    supply: Money = _of_row("supply", "Net of returns.")
    commission: Money = _of_row("commission", "Of all positions, net of clawbacks.")
    platform: Money = _of_row("platform", "What is left, or with a minus what the platform pays in.")
    commissions: list[ExplainedCommission] = strawberry.field(description="From the seller up.")
    refunds: list[LineRefund] = strawberry.field(description="In the order they were recorded.")


@strawberry.type(
    description="An order with all that is earned on it: supply + commission + platform = paid - refunded."
)
class ExplainedOrder:
    order_no: str
    state: OrderState
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    matures_at: datetime | None
    store: Store
    seller: DistributorName = strawberry.field(description="Whose customer bought it (锁客).")
    plan_code: str | None = strawberry.field(description="The plan in force as it was paid.")
    plan_version: Int64 | None
    paid: Money
    refunded: Money
    supply: Money = strawberry.field(description="Of all lines, net of returns (供货价).")
    commission: Money = strawberry.field(description="Of all lines and positions, net of clawbacks (佣金).")
    platform: Money = strawberry.field(description="What is left, or with a minus what the platform pays in.")

    @strawberry.field(graphql_type=Connection[ExplainedLine], description="As they were ordered.")
    @staticmethod
    async def lines(
        root: strawberry.Parent[AnyRow], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("order-line", first, after, key_length=1)
        (last,) = page.after or (0,)
        async with info.context.db.snapshot() as session:
            rows = await commissions.explained_lines(session, root.branch_id, root.id, after=last, limit=page.limit)
        return page.connection(rows, lambda line: (line.row.line_no,))
