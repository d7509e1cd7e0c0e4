"""What a plan would have paid."""

from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c.api.types import errors
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import DistributorName, Tier


@strawberry.type(description="Money as it came, and as the simulated plan would have made it.")
class SimulatedMoney:
    actual: Money = strawberry.field(description="As it came.")
    simulated: Money = strawberry.field(description="As the plan would have made it.")
    difference: Money = strawberry.field(description="simulated - actual")


@strawberry.type(description="What those earn who stood on a tier (层级) as the orders were paid.")
class SimulatedTier:
    tier: Tier
    distributors: Int64 = strawberry.field(description="Those with a share, be it 0, in one of the orders.")
    commission: SimulatedMoney = strawberry.field(description="What they earn together (佣金).")


@strawberry.type(description="A distributor (分销商) whose commission would have been another.")
class SimulatedDistributor(DistributorName):
    tier: Tier = strawberry.field(description="Where it stands now.")
    commission: SimulatedMoney = strawberry.field(description="What it earns on these orders (佣金).")


@strawberry.type(
    description="The orders paid in a period under a plan that was not in force. Money is less what refunds have taken "
    "back of it to date, matured or not."
)
class Simulation:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    orders: Int64
    lines: Int64 = strawberry.field(description="How many order lines.")
    paid: Money
    refunded: Money
    supply: Money = strawberry.field(description="What brands are owed for them (供货价).")
    commission: SimulatedMoney = strawberry.field(description="What all distributors earn (佣金).")
    platform: SimulatedMoney = strawberry.field(
        description="What is left to the platform: paid - refunded - supply - commission."
    )
    tiers: list[SimulatedTier] = strawberry.field(description="From the top.")
    gaining: Int64 = strawberry.field(description="How many distributors would have earned more.")
    losing: Int64 = strawberry.field(description="How many would have earned less.")
    unchanged: Int64 = strawberry.field(
        description="How many have a share in the orders and would have earned as much."
    )
    winners: list[SimulatedDistributor] = strawberry.field(description="The largest gain first.")
    losers: list[SimulatedDistributor] = strawberry.field(description="The largest loss first.")


SimulatePlanResult = Annotated[
    Simulation | errors.InvalidPlan | errors.BadArgument, strawberry.union("SimulatePlanResult")
]
