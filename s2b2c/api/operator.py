"""The door of whoever runs the network."""

from functools import partial
from typing import Annotated, Any

import strawberry

from s2b2c import directory, errors, jobs, models, network, orders, privacy
from s2b2c.api.access import OperatorDoor
from s2b2c.api.asked import asked
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.jobs import HeldJobs
from s2b2c.api.offboarding import Eliminations
from s2b2c.api.periods import From, To, check_period
from s2b2c.api.privacy import PersonalData, reader_of
from s2b2c.api.ranking import Rankings
from s2b2c.api.recruiting import Recruiting
from s2b2c.api.refunds import ask_refund
from s2b2c.api.reviews import Reviews, Withdrawals
from s2b2c.api.sales import AllSales
from s2b2c.api.sales_exports import SalesExports, exported
from s2b2c.api.shelves import Shelves
from s2b2c.api.storefronts import StoreRecords
from s2b2c.api.types.errors import (
    AlreadyTaken,
    BadArgument,
    InvalidPlan,
    MakesCycle,
    NotFound,
    PaysTooFar,
    WrongState,
)
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.jobs import HeldJob
from s2b2c.api.types.network import (
    BrandInUse,
    Distributor,
    DistributorDetail,
    DistributorState,
    MovePreview,
    StoreInUse,
    TierInUse,
)
from s2b2c.api.types.nodes import OperatorNode, Shown, only, read_node
from s2b2c.api.types.orders import AnyRefundLineInput, OrderLife, RefundAsked, order_key
from s2b2c.api.types.plans import CheckedPlan, Plan, PlanCheck, PlanDetail
from s2b2c.api.types.simulation import SimulatePlanResult
from s2b2c.commissions import plans, simulation
from s2b2c.db import AnyRow
from s2b2c.errors import Refused
from s2b2c.orders import RefundedLine

SIMULATED_DAYS = 31
SIMULATED_ORDERS = 20_000
SIMULATED_TOP = 100
"""The most of each in one request; the command line has no limits."""


@strawberry.type(description="What the operator sees.")
class OperatorQuery(
    HeldJobs,
    PersonalData,
    Rankings,
    Eliminations,
    Recruiting,
    Shelves,
    StoreRecords,
    Reviews,
    Withdrawals,
    AllSales,
    SalesExports,
):
    @strawberry.field(
        graphql_type=OperatorNode | None,
        description="A distributor, a brand, a store, a plan, a held job or a report of yours by its id; null when "
        "there is none.",
    )
    @staticmethod
    async def node(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        return await read_node(
            info,
            id,
            {
                "distributor": Shown(DistributorDetail, lambda session, key: directory.distributor(session, *key)),
                "brand": Shown(BrandInUse, lambda session, key: only(partial(directory.brands, session), key, step=1)),
                "store": Shown(
                    StoreInUse, lambda session, key: only(partial(directory.stores, session, search=None), key, step=1)
                ),
                "plan": Shown(PlanDetail, lambda session, key: directory.plan(session, *key)),
                "job": Shown(HeldJob, lambda session, key: only(partial(jobs.held, session), key, step=-1)),
                **exported((await info.context.viewer()).account_id),
            },
        )

    @strawberry.field(graphql_type=Connection[TierInUse], description="From the top.")
    @staticmethod
    async def tiers(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("tier", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await directory.tiers(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.rank,))

    @strawberry.field(
        graphql_type=Connection[Distributor],
        description="Those with this state, tier and region whose code or name holds the search, first come first.",
    )
    @staticmethod
    async def distributors(
        info: Info,
        state: DistributorState | None = None,
        tier: strawberry.ID | None = None,
        region: str | None = None,
        search: str | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("distributor", first, after, key_length=1)
        tier_id = None if tier is None else key_of("tier", tier)
        async with info.context.db.read() as session:
            rows = await directory.distributors(
                session,
                state=state and state.value,
                tier_id=tier_id,
                region=region,
                search=search,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=DistributorDetail | None, description="One distributor; null when there is none.")
    @staticmethod
    async def distributor(info: Info, id: strawberry.ID) -> network.Standing | None:  # noqa: A002  the argument's name
        key = key_of("distributor", id)
        async with info.context.db.read() as session:
            return await directory.distributor(session, key)

    @strawberry.field(
        graphql_type=MovePreview | None,
        description="What moving a distributor below `parent`, or below nobody, would change; null when there is no "
        "such distributor.",
    )
    @staticmethod
    async def move_preview(
        info: Info, distributor: strawberry.ID, parent: strawberry.ID | None = None
    ) -> network.MovePreview | None:
        key, parent_key = key_of("distributor", distributor), _parent(parent)
        async with info.context.db.snapshot() as session:
            return await network.preview_move(session, key, parent_key)

    @strawberry.field(graphql_type=Connection[BrandInUse], description="First come first.")
    @staticmethod
    async def brands(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("brand", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await directory.brands(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[StoreInUse],
        description="Those whose slug or title holds the search, first come first.",
    )
    @staticmethod
    async def stores(
        info: Info, search: str | None = None, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("store", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await directory.stores(session, search=search, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Connection[Plan], description="Newest first.")
    @staticmethod
    async def plans(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("plan", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await directory.plans(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=PlanDetail | None, description="One plan; null when there is none.")
    @staticmethod
    async def plan(info: Info, id: strawberry.ID) -> models.Plan | None:  # noqa: A002  the argument's name
        key = key_of("plan", id)
        async with info.context.db.read() as session:
            return await directory.plan(session, key)

    @strawberry.field(
        graphql_type=PlanCheck, description="A plan document in YAML or JSON, looked over; nothing is saved."
    )
    @staticmethod
    async def plan_check(info: Info, document: str) -> CheckedPlan:
        try:
            async with info.context.db.read() as session:
                return CheckedPlan((), await plans.check(session, document))
        except Refused as error:
            if isinstance(error.refusal, errors.InvalidPlan):
                return CheckedPlan(error.refusal.problems, None)
            raise

    @strawberry.field(
        graphql_type=SimulatePlanResult,
        description="What a plan document, in YAML or JSON, would have paid for the orders paid from the day `from` up "
        "to, not with, the day `to`, beside what was earned on them; nothing is written. At most 31 days and 20,000 "
        "orders: `s2b2c plan simulate` takes any period. `top` bounds winners and losers.",
    )
    @staticmethod
    async def simulate_plan(info: Info, document: str, start: From, end: To, top: int = 10) -> simulation.Simulation:
        check_period(start, end)
        if (end - start).days > SIMULATED_DAYS:
            raise Refused(
                errors.BadArgument(
                    f"From {start} to {end} are more than {SIMULATED_DAYS} days: ask for fewer, or use the command "
                    "line, `s2b2c plan simulate`."
                )
            )
        if not 1 <= top <= SIMULATED_TOP:
            raise Refused(errors.BadArgument(f"top is {top}, but must be 1 to {SIMULATED_TOP}."))
        async with info.context.db.snapshot() as session:
            plan = await plans.check(session, document)
            return await simulation.simulate(
                session,
                plan.rules,
                plan.document.margin_floor_bps,
                start=start,
                end=end,
                top=top,
                most_orders=SIMULATED_ORDERS,
            )

    @strawberry.field(
        graphql_type=OrderLife | None,
        description="An order with its whole life; null when there is none. A look at where it goes is on record.",
    )
    @staticmethod
    async def order(info: Info, order_no: str) -> AnyRow | None:
        if "region" not in asked(info):
            async with info.context.db.read() as session:
                return await orders.order_by_number(session, order_no)
        look = privacy.Look(reader_of(await info.context.viewer()), info.context.clock(), ("region",))
        async with info.context.db.write() as session:
            return await orders.order_by_number(session, order_no, look=look)


@strawberry.input(description="Somebody who wants to join.")
class ApplyDistributorInput:
    code: str = strawberry.field(description="1 to 64 characters, not used by anybody yet.")
    name: str = strawberry.field(description="1 to 200 characters.")
    tier: strawberry.ID
    parent: strawberry.ID | None = strawberry.field(
        default=None, description="Who stands above it, active or on watch; without one it begins a branch (分支)."
    )
    region: str = strawberry.field(description="1 to 200 characters.")


@strawberry.type
class OperatorMutation:
    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Distributor | BadArgument | NotFound | WrongState | AlreadyTaken,
            strawberry.union("ApplyDistributorResult"),
        ],
        description="Write down that somebody wants to join; it takes part once it is approved.",
    )
    async def apply_distributor(self, info: Info, input: ApplyDistributorInput) -> network.Standing:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        tier_id, parent_id = key_of("tier", input.tier), _parent(input.parent)
        async with info.context.db.write() as session:
            return await network.apply(
                session,
                code=input.code,
                name=input.name,
                tier_id=tier_id,
                parent_id=parent_id,
                region=input.region,
                now=info.context.clock(),
                account_id=viewer.account_id,
            )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Distributor | BadArgument | NotFound | WrongState, strawberry.union("ApproveDistributorResult")
        ],
        description="Let somebody who applied take part from today on. It is told.",
    )
    async def approve_distributor(self, info: Info, id: strawberry.ID) -> network.Standing:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        key = key_of("distributor", id)
        async with info.context.db.write() as session:
            return await network.approve(session, key, now=info.context.clock(), account_id=viewer.account_id)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Distributor | BadArgument | NotFound | WrongState, strawberry.union("RejectDistributorResult")
        ],
        description="Turn down somebody who applied, for good. It is told the reason.",
    )
    async def reject_distributor(self, info: Info, id: strawberry.ID, reason: str) -> network.Standing:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        key = key_of("distributor", id)
        async with info.context.db.write() as session:
            return await network.reject(
                session, key, reason=reason, now=info.context.clock(), account_id=viewer.account_id
            )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Distributor | BadArgument | NotFound | WrongState, strawberry.union("SuspendDistributorResult")
        ],
        description="Until it is reinstated it earns nothing; those below it stay there. It is told the reason.",
    )
    async def suspend_distributor(self, info: Info, id: strawberry.ID, reason: str) -> network.Standing:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        key = key_of("distributor", id)
        async with info.context.db.write() as session:
            return await network.suspend(
                session, key, reason=reason, now=info.context.clock(), account_id=viewer.account_id
            )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Distributor | BadArgument | NotFound | WrongState, strawberry.union("ReinstateDistributorResult")
        ],
        description="Somebody who was suspended is active again. It is told the reason.",
    )
    async def reinstate_distributor(self, info: Info, id: strawberry.ID, reason: str) -> network.Standing:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        key = key_of("distributor", id)
        async with info.context.db.write() as session:
            return await network.reinstate(
                session, key, reason=reason, now=info.context.clock(), account_id=viewer.account_id
            )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Distributor | BadArgument | NotFound | WrongState | MakesCycle,
            strawberry.union("MoveDistributorResult"),
        ],
        description="Put a distributor and everybody below it below `parent`, or below nobody: see movePreview. It is "
        "told the reason.",
    )
    async def move_distributor(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  the argument's name
        reason: str,
        parent: strawberry.ID | None = None,
    ) -> network.Standing:
        viewer = await info.context.viewer()
        key, parent_key = key_of("distributor", id), _parent(parent)
        async with info.context.db.write() as session:
            return await network.move(
                session, key, parent_key, reason=reason, now=info.context.clock(), account_id=viewer.account_id
            )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[Plan | InvalidPlan | WrongState, strawberry.union("SavePlanResult")],
        description="Keep a plan document, in YAML or JSON, as a draft: the next version of its code; what the newest "
        "version says already is not saved again.",
    )
    async def save_plan(self, info: Info, document: str) -> models.Plan:
        async with info.context.db.write() as session:
            return await plans.save(session, await plans.check(session, document), now=info.context.clock())

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            Plan | BadArgument | NotFound | WrongState | PaysTooFar, strawberry.union("ActivatePlanResult")
        ],
        description="Put a draft in force for its range; the plan in force as it begins ends there. One that pays "
        "further than the platform allows needs a reason for overriding that, which stays on record.",
    )
    async def activate_plan(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  the argument's name
        override_reason: str | None = None,
    ) -> models.Plan:
        viewer = await info.context.viewer()
        key = key_of("plan", id)
        async with info.context.db.write() as session:
            return await plans.activate(
                session,
                key,
                now=info.context.clock(),
                account_id=viewer.account_id,
                override_reason=override_reason,
            )

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            RefundAsked | NotFound | WrongState | BadArgument, strawberry.union("RefundOrderResult")
        ],
        description="Send money of an order back that was paid, whatever has come of it since. Freight stays paid.",
    )
    async def refund_order(
        self, info: Info, order: strawberry.ID, lines: list[AnyRefundLineInput], reason: str
    ) -> models.RefundRequest:
        wanted = [
            RefundedLine(line.line_no, line.quantity, line.amount, line.goods_back, line.brand_amount) for line in lines
        ]
        return await ask_refund(info, order_key(order), wanted, reason)


def _parent(parent: strawberry.ID | None) -> int | None:
    return None if parent is None else key_of("distributor", parent)
