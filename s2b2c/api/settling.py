"""What finance closes, corrects, gives up and answers."""

from datetime import date, datetime, time
from typing import Annotated, Any

import strawberry

from s2b2c import settlements
from s2b2c.api.access import FinanceDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import check_day
from s2b2c.api.types.ids import key_of, parts
from s2b2c.api.types.settlements import FullAdjustment, FullDispute
from s2b2c.api.types.settling import (
    AdjustInput,
    AdjustResult,
    AnswerDisputeInput,
    AnswerDisputeResult,
    ApproveRunResult,
    ApproveWriteOffResult,
    AskWriteOffResult,
    Debt,
    DeductionSet,
    DiscardRunResult,
    MonthIncome,
    QuarterIncome,
    ReviewRunResult,
    RunSettled,
    SetDeductionInput,
    SetDeductionResult,
    SettleResult,
    SetWithholdingInput,
    SetWithholdingResult,
    WithholdingSet,
    WriteOff,
    WriteOffInput,
)
from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow
from s2b2c.errors import BadArgument, Refused, WrongState
from s2b2c.settlements import Owner


def owner_of(id_: str) -> Owner:
    """The payee behind an id that a client sent. Raises Refused(BadArgument)."""
    try:
        kind, key = parts(id_)
    except ValueError:
        kind, key = "", ()
    if kind not in {"distributor", "brand"} or len(key) != 1:
        raise Refused(BadArgument(f"{id_[:40]!r} is not the id of a distributor or of a brand."))
    return Owner(distributor_id=key[0]) if kind == "distributor" else Owner(brand_id=key[0])


async def person_of(info: Info, to_do: str = "close a period") -> int:
    """Who asks. Raises Refused(WrongState) for a token that names nobody: two people close a period, one decides."""
    by = (await info.context.viewer()).person_id
    if by is None:
        raise Refused(WrongState(f"This token names nobody: sign in as yourself to {to_do}."))
    return by


@strawberry.type
class Settling:
    """The fields of a door that settles."""

    @strawberry.field(
        graphql_type=Connection[FullDispute], description="What payees have against their statements, first come first."
    )
    @staticmethod
    async def disputes(
        info: Info,
        waiting_only: bool = True,  # noqa: FBT001, FBT002  passed by name by the library
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("dispute", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.disputes(session, waiting_only=waiting_only, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[FullAdjustment],
        description="Corrections (调整), newest first.",
    )
    @staticmethod
    async def adjustments(
        info: Info,
        payee: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="The `id` of a distributor or of a brand; of all when left out."),
        ] = None,
        open_only: bool = False,  # noqa: FBT001, FBT002  passed by name by the library
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("adjustment-newest", first, after, key_length=1)
        owner = Owner() if payee is None else owner_of(payee)
        async with info.context.db.read() as session:
            rows = await settlements.adjustments(
                session, owner, open_only=open_only, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Connection[Debt], description="Distributors that owe something, by when they came.")
    @staticmethod
    async def debts(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("debt", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.debts(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.distributor.id,))

    @strawberry.field(
        graphql_type=Connection[WriteOff], description="Debts that somebody asked to give up (核销), newest first."
    )
    @staticmethod
    async def write_offs(
        info: Info,
        waiting_only: bool = True,  # noqa: FBT001, FBT002  passed by name by the library
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("write-off-newest", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.write_offs(session, waiting_only=waiting_only, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[QuarterIncome],
        description="What each person got by this platform in a quarter: what is reported to the tax office.",
    )
    @staticmethod
    async def income_of_quarter(
        info: Info, year: int, quarter: int, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("income", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await settlements.income_of_quarter(session, year, quarter, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.distributor.id,))

    @strawberry.field(
        graphql_type=list[MonthIncome],
        description="What one person got in a year, month by month; months without anything are left out.",
    )
    @staticmethod
    async def income_of_year(info: Info, distributor: strawberry.ID, year: int) -> Any:
        key = key_of("distributor", distributor)
        async with info.context.db.read() as session:
            return await settlements.income_of_year(session, key, year)


@strawberry.type
class SettlingMutation:
    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=SettleResult,
        description="Put all that matured before the day `until`, and every adjustment dated before it, into a draft, "
        "one statement for each payee, to be paid on `payOn`, today when left out. Nobody else sees a draft; it "
        "reserves what it holds until it is discarded.",
    )
    async def settle(self, info: Info, until: date, pay_on: date | None = None) -> RunSettled:
        by = await person_of(info)
        check_day("until", until)
        check_day("payOn", pay_on)
        async with info.context.db.write() as session:
            settled = await settlements.settle(
                session,
                cutoff=datetime.combine(until, time(), SHANGHAI),
                now=info.context.clock(),
                pay_on=pay_on,
                terms=settlements.usual_terms(),
                by=by,
            )
            return RunSettled(run=await settlements.run(session, settled.run_id) if settled else None)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ReviewRunResult,
        description="Show the statements of a draft to their payees, who are told and may dispute theirs until the run "
        "is approved.",
    )
    async def review_run(self, info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002  the argument's name
        by, key = await person_of(info), key_of("settlement-run", id)
        async with info.context.db.write() as session:
            await settlements.review(session, key, now=info.context.clock(), by=by)
            return await settlements.run(session, key)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ApproveRunResult,
        description="Close a reviewed run for good; somebody else has made it. A statement whose dispute waits for an "
        "answer, or was accepted, leaves the run: all of it comes with the next.",
    )
    async def approve_run(self, info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002
        by, key = await person_of(info), key_of("settlement-run", id)
        async with info.context.db.write() as session:
            await settlements.approve(session, key, now=info.context.clock(), by=by)
            return await settlements.run(session, key)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=DiscardRunResult,
        description="Give up a run that is not approved: all that stood in it waits for another one.",
    )
    async def discard_run(self, info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002
        by, key = await person_of(info), key_of("settlement-run", id)
        async with info.context.db.write() as session:
            await settlements.discard(session, key, now=info.context.clock(), by=by)
            return await settlements.run(session, key)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=AdjustResult,
        description="Correct what a payee gets (调整): the platform bears or gains it. Closed runs stay as they are.",
    )
    async def adjust(self, info: Info, input: AdjustInput) -> AnyRow:  # noqa: A002  the argument's name
        by, owner = await person_of(info), owner_of(input.payee)
        check_day("dated", input.dated)
        async with info.context.db.write() as session:
            made = await settlements.adjust(
                session,
                **owner._asdict(),
                amount=input.amount,
                dated=input.dated,
                reason=input.reason,
                by=by,
                now=info.context.clock(),
            )
            return await settlements.adjustment(session, made.id)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=AskWriteOffResult,
        description="Ask that debt of a distributor be given up (核销); nothing changes until somebody else approves.",
    )
    async def ask_write_off(self, info: Info, input: WriteOffInput) -> AnyRow:  # noqa: A002
        by, key = await person_of(info), key_of("distributor", input.distributor)
        async with info.context.db.write() as session:
            made = await settlements.write_off(
                session, key, input.amount, input.reason, by=by, now=info.context.clock()
            )
            return await settlements.write_off_row(session, made.id)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ApproveWriteOffResult,
        description="Give up a debt for good, which somebody else has asked for.",
    )
    async def approve_write_off(self, info: Info, id: strawberry.ID) -> AnyRow:  # noqa: A002
        by, key = await person_of(info), key_of("write-off", id)
        async with info.context.db.write() as session:
            await settlements.approve_write_off(session, key, by=by, now=info.context.clock())
            return await settlements.write_off_row(session, key)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=SetWithholdingResult,
        description="Say how tax is withheld from a distributor from a day on; what it was stays on record.",
    )
    async def set_withholding(self, info: Info, input: SetWithholdingInput) -> WithholdingSet:  # noqa: A002
        by, key = await person_of(info), key_of("distributor", input.distributor)
        check_day("startsOn", input.starts_on)
        async with info.context.db.write() as session:
            await settlements.set_policy(
                session,
                key,
                input.policy.value,
                starts_on=input.starts_on,
                by=by,
                now=info.context.clock(),
            )
        return WithholdingSet(policy=input.policy, starts_on=input.starts_on)

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=SetDeductionResult,
        description="Say what a person may deduct in a month, beside the 5,000 yuan that everybody may.",
    )
    async def set_deduction(self, info: Info, input: SetDeductionInput) -> DeductionSet:  # noqa: A002
        by, key = await person_of(info), key_of("distributor", input.distributor)
        check_day("month", input.month)
        async with info.context.db.write() as session:
            await settlements.set_deduction(session, key, input.month, input.amount, by=by, now=info.context.clock())
        return DeductionSet(month=input.month, amount=input.amount)  # type: ignore[arg-type]  # Money is a fen

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=AnswerDisputeResult,
        description="Answer a dispute, once; its payee is told. Rejected, the statement stays as it is. Accepted, the "
        "amount is adjusted, and the statement leaves its run when that is approved.",
    )
    async def answer_dispute(self, info: Info, input: AnswerDisputeInput) -> AnyRow:  # noqa: A002
        by, key = await person_of(info), key_of("dispute", input.dispute)
        check_day("dated", input.dated)
        async with info.context.db.write() as session:
            return await settlements.answer(
                session,
                key,
                input.answer,
                amount=input.amount,
                dated=input.dated,
                by=by,
                now=info.context.clock(),
            )
