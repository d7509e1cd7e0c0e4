"""Exports of finance: asked for, watched and downloaded."""

from typing import Annotated, Any

import strawberry

from s2b2c import finance_exports, models
from s2b2c.api.access import FinanceDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import From, To, check_period
from s2b2c.api.types.errors import BadArgument, NotFound
from s2b2c.api.types.finance_exports import FileEncoding, FileFormat, FinanceDocument, FinanceExport
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.notices import Language
from s2b2c.exports import Wanted

Run = Annotated[strawberry.ID, strawberry.argument(description="The settlement run.")]
What = Annotated[FinanceDocument, strawberry.argument(description="Which document.")]
Form = Annotated[FileFormat, strawberry.argument(description="Of the file.")]
InLanguage = Annotated[Language, strawberry.argument(description="Of the headings.")]
InEncoding = Annotated[FileEncoding, strawberry.argument(description="Of a CSV file.")]
WithPayees = Annotated[bool, strawberry.argument(description="Whether it says to whom is paid, in full.")]


@strawberry.type
class FinanceExports:
    """The fields of the door of finance."""

    @strawberry.field(graphql_type=Connection[FinanceExport], description="Everybody's exports, newest first.")
    @staticmethod
    async def exports(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("finance-export", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await finance_exports.all_exports(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=FinanceExport | None, description="One of the exports; null when there is none.")
    @staticmethod
    async def export(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        key = key_of("finance-export", id)
        async with info.context.db.read() as session:
            return await finance_exports.export(session, key)


async def _start(info: Info, wanted: Wanted) -> models.FinanceExport:
    viewer = await info.context.viewer()
    async with info.context.db.write() as session:
        return await finance_exports.start(
            session,
            wanted,
            account_id=viewer.account_id,
            person_id=viewer.person_id,
            now=info.context.clock(),
        )


@strawberry.type
class FinanceExportMutation:
    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[FinanceExport | NotFound | BadArgument, strawberry.union("ExportRunResult")],
        description="Write a document of a settlement run into a file. With `payees` it says to whom is paid, in full, "
        "and that goes on record.",
    )
    async def export_run(
        self,
        info: Info,
        run: Run,
        document: What,
        format: Form = FileFormat.CSV,  # noqa: A002  what everybody calls it
        language: InLanguage = Language.ZH,
        encoding: InEncoding = FileEncoding.UTF_8,
        payees: WithPayees = False,  # noqa: FBT002  passed by name by the library
    ) -> models.FinanceExport:
        run_id = key_of("settlement-run", run)
        told: Any = (format.value, language.value, encoding.value, payees)
        of: Any = document.value
        return await _start(info, Wanted(of, run_id, None, None, *told))

    @strawberry.mutation(
        permission_classes=[FinanceDoor],
        graphql_type=Annotated[FinanceExport | NotFound | BadArgument, strawberry.union("ExportPeriodResult")],
        description="Write a document of a period into a file, from the day `from` up to, not with, the day `to`: of "
        "runs closed and paid in it, or of what was posted in it. With `payees` it says to whom is paid, in full, and "
        "that goes on record.",
    )
    async def export_period(
        self,
        info: Info,
        document: What,
        start: From,
        end: To,
        format: Form = FileFormat.CSV,  # noqa: A002
        language: InLanguage = Language.ZH,
        encoding: InEncoding = FileEncoding.UTF_8,
        payees: WithPayees = False,  # noqa: FBT002
    ) -> models.FinanceExport:
        check_period(start, end)
        told: Any = (format.value, language.value, encoding.value, payees)
        of: Any = document.value
        return await _start(info, Wanted(of, None, start, end, *told))
