"""What finance pays out of closed runs, and decides about payouts."""

from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import Annotated, Any

import strawberry

from s2b2c import payouts, settlements
from s2b2c.api.access import FinanceDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.settling import person_of
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.paying_out import (
    ApprovePayoutResult,
    FullPayout,
    HoldPayoutResult,
    MarkPaidOutsideResult,
    PaidOutsideInput,
    ReleasePayoutResult,
    RetryPayoutResult,
    ReversePayoutResult,
    SendingRail,
    StartPayoutsResult,
)
from s2b2c.api.types.payouts import PayoutHold, PayoutRail, PayoutState, PayoutTotal
from s2b2c.db import AnyRow
from s2b2c.models import Payout

Run = Annotated[strawberry.ID, strawberry.argument(description="The `id` of the run.")]
Id = Annotated[strawberry.ID, strawberry.argument(description="The `id` of the payout.")]
Rail = Annotated[SendingRail, strawberry.argument(description="By what they are sent.")]
OtherRail = Annotated[SendingRail | None, strawberry.argument(description="The same as before when left out.")]


def _words(given: Iterable[Enum] | None) -> set[str]:
    return {str(it.value) for it in given or ()}


@strawberry.type
class Payouts:
    """The fields of a door that pays out."""

    @strawberry.field(
        graphql_type=Connection[FullPayout], description="What a run pays out (打款), the first one first."
    )
    @staticmethod
    async def payouts(
        info: Info,
        run: Run,
        states: Annotated[
            list[PayoutState] | None, strawberry.argument(description="Those in one of these; in any when left out.")
        ] = None,
        rails: Annotated[
            list[PayoutRail] | None, strawberry.argument(description="Those by one of these; by any when left out.")
        ] = None,
        holds: Annotated[
            list[PayoutHold] | None,
            strawberry.argument(description="Those that one of these keeps back; all of them when left out."),
        ] = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("payout", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await payouts.of_run(
                session,
                key_of("settlement-run", run),
                states=_words(states),
                rails=_words(rails),
                holds=_words(holds),
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=list[PayoutTotal], description="What the payouts of a run come to, state by state.")
    @staticmethod
    async def payout_totals(info: Info, run: Run) -> Any:
        key = key_of("settlement-run", run)
        async with info.context.db.read() as session:
            return (await payouts.totals_of(session, [key])).get(key, [])

    @strawberry.field(graphql_type=FullPayout | None, description="One payout; null when there is none.")
    @staticmethod
    async def payout(info: Info, id: Id) -> Any:  # noqa: A002  the argument's name
        async with info.context.db.read() as session:
            return await payouts.payout(session, key_of("payout", id))


async def _decided(info: Info, id_: str, decide: Callable[..., Awaitable[Payout]], **said: Any) -> AnyRow | None:
    key = key_of("payout", id_)
    async with info.context.db.write() as session:
        await decide(session, key, **said)
        return await payouts.payout(session, key)


@strawberry.type
class PayingOutMutation:
    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=StartPayoutsResult,
        description="Have what an approved run pays out sent (打款): one payout for each statement. Those above the "
        "limit wait until somebody else approves them.",
    )
    async def start_payouts(self, info: Info, run: Run, rail: Rail) -> AnyRow | None:
        by, key = await person_of(info), key_of("settlement-run", run)
        sending: Any = rail.value
        async with info.context.db.write() as session:
            await payouts.start(session, key, rail=sending, by=by, now=info.context.clock())
            return await settlements.run(session, key)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ApprovePayoutResult,
        description="Let a payout above the limit be sent. Who started the payouts of the run cannot.",
    )
    async def approve_payout(self, info: Info, id: Id) -> Any:  # noqa: A002
        by = await person_of(info)
        return await _decided(info, id, payouts.approve, by=by, now=info.context.clock())

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=HoldPayoutResult,
        description="Keep a payout back that is not on its way, until it is released.",
    )
    async def hold_payout(self, info: Info, id: Id, reason: str) -> Any:  # noqa: A002
        by = await person_of(info)
        return await _decided(info, id, payouts.hold, reason=reason, by=by)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ReleasePayoutResult,
        description="Let a payout go that somebody holds back.",
    )
    async def release_payout(self, info: Info, id: Id) -> Any:  # noqa: A002
        await person_of(info)
        return await _decided(info, id, payouts.release)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=RetryPayoutResult,
        description="Try a failed payout again, for the same statement; by another rail where one is named.",
    )
    async def retry_payout(self, info: Info, id: Id, rail: OtherRail = None) -> Any:  # noqa: A002
        await person_of(info)
        return await _decided(info, id, payouts.retry, rail=None if rail is None else rail.value)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ReversePayoutResult,
        description="Bring a confirmed payout back: Stripe is asked by the worker, what a bank or somebody else "
        "returned is noted. It is owed to its payee again.",
    )
    async def reverse_payout(self, info: Info, id: Id, reason: str) -> Any:  # noqa: A002
        by = await person_of(info)
        return await _decided(info, id, payouts.reverse, reason=reason, by=by, now=info.context.clock())

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=MarkPaidOutsideResult,
        description="Note that a payout was made by other means, with a file that proves it and is kept.",
    )
    async def mark_paid_outside(self, info: Info, input: PaidOutsideInput) -> Any:  # noqa: A002
        by = await person_of(info)
        return await _decided(
            info,
            input.payout,
            payouts.mark_paid_outside,
            note=input.note,
            reference=input.reference,
            proof_file_id=key_of("file", input.proof),
            by=by,
            now=info.context.clock(),
        )
