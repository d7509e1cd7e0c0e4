"""The part of the door of finance that closes a period."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Annotated, Any

import strawberry

from s2b2c import errors, models, settlements
from s2b2c.api.access import FinanceDoor
from s2b2c.api.context import Info
from s2b2c.api.types.errors import BadArgument, NotFound, PeriodOpen, WrongState
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.network import moment
from s2b2c.api.types.settlements import Adjustment, AdjustmentInput, FullSettlementRun
from s2b2c.errors import Refused

_STEP = FullSettlementRun | NotFound | WrongState | BadArgument


@strawberry.type
class ClosingMutation:
    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[
            FullSettlementRun | PeriodOpen | WrongState | BadArgument, strawberry.union("SettleResult")
        ],
        description="Put everything that matured before `cutoff` and stands in no statement into a draft (结算): one "
        "statement for each payee. Of more than some 100,000 lines `s2b2c settle run` makes it.",
    )
    async def settle(self, info: Info, cutoff: datetime, pay_on: date | None = None) -> Any:
        by = await _person(info)
        async with info.context.db.write() as session:
            settled = await settlements.settle(
                session,
                cutoff=moment(cutoff),
                now=info.context.clock(),
                pay_on=pay_on,
                terms=settlements.usual_terms(),
                by=by,
            )
            if settled is None:
                raise Refused(errors.WrongState("Nothing matured before then that is in no statement yet."))
            return await settlements.run(session, settled.run_id)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[_STEP, strawberry.union("ReviewRunResult")],
        description="Show the statements of a draft to their payees (复核); each is told.",
    )
    async def review_run(self, info: Info, run: strawberry.ID) -> Any:
        return await _step(info, run, settlements.review)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[_STEP, strawberry.union("ApproveRunResult")],
        description="Close a reviewed run for good (审批), and post it to the ledger. Who made it cannot approve it.",
    )
    async def approve_run(self, info: Info, run: strawberry.ID) -> Any:
        return await _step(info, run, settlements.approve)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[_STEP, strawberry.union("DiscardRunResult")],
        description="Give up a run that is not approved (作废): all that stands in it waits for another run.",
    )
    async def discard_run(self, info: Info, run: strawberry.ID) -> Any:
        return await _step(info, run, settlements.discard)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[Adjustment | NotFound | WrongState | BadArgument, strawberry.union("AdjustResult")],
        description="Correct what a payee gets (调整): the next run that closes the day pays it. Closed periods stay.",
    )
    async def adjust(self, info: Info, adjustment: AdjustmentInput) -> models.Adjustment:
        by = await _person(info)
        named = {"distributor": adjustment.distributor, "brand": adjustment.brand}
        payee = {f"{kind}_id": key_of(kind, given) for kind, given in named.items() if given is not None}
        if len(payee) != 1:
            raise Refused(errors.BadArgument("Name a distributor or a brand, one of the two."))
        async with info.context.db.write() as session:
            return await settlements.adjust(
                session,
                **payee,
                amount=adjustment.amount,
                dated=adjustment.dated,
                reason=adjustment.reason,
                by=by,
                now=info.context.clock(),
            )


async def _step(info: Info, run: strawberry.ID, step: Callable[..., Awaitable[models.SettlementRun]]) -> Any:
    by, key = await _person(info), key_of("settlement-run", run)
    async with info.context.db.write() as session:
        await step(session, key, now=info.context.clock(), by=by)
        return await settlements.run(session, key)


async def _person(info: Info) -> int:
    """Who asks. Raises Refused(WrongState) for a token that names nobody: two people close a period."""
    person_id = (await info.context.viewer()).person_id
    if person_id is None:
        raise Refused(errors.WrongState("This token names nobody: sign in as yourself to close a period."))
    return person_id
