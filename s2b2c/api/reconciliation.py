"""Where rails and we differ, as finance settles it."""

from datetime import date, datetime, time
from typing import Annotated, Any

import strawberry

from s2b2c import models, reconciliation
from s2b2c.api.access import FinanceDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import check_day
from s2b2c.api.settling import person_of
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.reconciliation import (
    RailBreak,
    RailReport,
    ReadReportResult,
    ReportingRail,
    ResolveBreakResult,
)
from s2b2c.config import SHANGHAI

OfRail = Annotated[ReportingRail | None, strawberry.argument(description="Of this rail; of all when left out.")]

FirstDay = Annotated[date | None, strawberry.argument(name="from", description="Of Stripe's: the first day.")]
EndDay = Annotated[date | None, strawberry.argument(name="to", description="Of Stripe's: the first day not in it.")]


def _begin(day: date | None) -> datetime | None:
    check_day("from", day)
    return None if day is None else datetime.combine(day, time(), SHANGHAI)


@strawberry.type
class Reconciled:
    """The fields of a door that reconciles."""

    @strawberry.field(
        graphql_type=Connection[RailBreak],
        description="Where rails and we differ (对账差异), the first one found first.",
    )
    @staticmethod
    async def rail_breaks(
        info: Info,
        rail: OfRail = None,
        open_only: Annotated[bool, strawberry.argument(description="Those that nobody has settled alone.")] = True,  # noqa: FBT002
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("rail-break", first, after, key_length=1)
        wanted: Any = None if rail is None else rail.value
        async with info.context.db.read() as session:
            rows = await reconciliation.breaks(
                session, rail=wanted, open_only=open_only, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=Connection[RailReport], description="Files of rails that were read, newest first.")
    @staticmethod
    async def rail_reports(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("rail-report", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await reconciliation.reports(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class ReconciledMutation:
    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ReadReportResult,
        description="Have the worker read a file of a rail: of Stripe its itemised balance report of the days from "
        "`from` up to, not with, `to`; of a bank what it says of its batch, and payouts are paid or failed.",
    )
    async def read_report(
        self,
        info: Info,
        rail: Annotated[ReportingRail, strawberry.argument(description="Whose it is.")],
        file: Annotated[
            strawberry.ID, strawberry.argument(description="The `id` that POST /files?kind=rail_report answered.")
        ],
        start: FirstDay = None,
        end: EndDay = None,
    ) -> models.RailReport:
        by, key = await person_of(info), key_of("file", file)
        of: Any = rail.value
        async with info.context.db.write() as session:
            return await reconciliation.ask(
                session, of, key, start=_begin(start), end=_begin(end), by=by, now=info.context.clock()
            )

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=ResolveBreakResult,
        description="Say how a break was settled. It stays so until a report shows another difference of the same.",
    )
    async def resolve_break(self, info: Info, id: strawberry.ID, reason: str) -> models.RailBreak:  # noqa: A002
        by, key = await person_of(info), key_of("rail-break", id)
        async with info.context.db.write() as session:
            return await reconciliation.resolve(session, key, reason, by=by, now=info.context.clock())
