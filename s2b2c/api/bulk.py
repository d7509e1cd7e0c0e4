"""A brand's bulk edits: its catalogue out as a file, and in again."""

from functools import partial
from typing import Annotated, Any

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import bulk, models
from s2b2c.api.access import BrandDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.bulk import ExportRun, ImportRun
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.nodes import Key, Shown, only
from s2b2c.api.types.notices import Language

_TYPES: dict[bulk.Kind, type] = {"import": ImportRun, "export": ExportRun}


def edited(brand_id: int) -> dict[str, Shown]:
    """What `node` shows of the bulk edits of a brand."""

    def shown(kind: bulk.Kind) -> Shown:
        async def read(session: AsyncSession, key: Key) -> models.BulkRun | None:
            row: models.BulkRun | None = await only(partial(bulk.runs, session, brand_id, kind), key, step=-1)
            return row

        return Shown(_TYPES[kind], read)

    return {kind: shown(kind) for kind in _TYPES}


async def _page(info: Info, kind: bulk.Kind, first: int, after: str | None) -> Connection[Any]:
    page = Page(kind, first, after, key_length=1)
    brand_id = await info.context.brand_id()
    async with info.context.db.read() as session:
        rows = await bulk.runs(session, brand_id, kind, after=page.after, limit=page.limit)
    return page.connection(rows, lambda row: (row.id,))


async def _one(info: Info, kind: bulk.Kind, text: str) -> Any:
    key = key_of(kind, text)
    shown = edited(await info.context.brand_id())[kind]
    async with info.context.db.read() as session:
        return await shown.read(session, (key,))


@strawberry.type
class BulkEdits:
    """The fields of the door of brands."""

    @strawberry.field(graphql_type=Connection[ImportRun], description="Your imports, newest first.")
    @staticmethod
    async def imports(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        return await _page(info, "import", first, after)

    @strawberry.field(
        name="import", graphql_type=ImportRun | None, description="One of your imports; null when it is none."
    )
    @staticmethod
    async def import_(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        return await _one(info, "import", id)

    @strawberry.field(graphql_type=Connection[ExportRun], description="Your exports, newest first.")
    @staticmethod
    async def exports(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        return await _page(info, "export", first, after)

    @strawberry.field(graphql_type=ExportRun | None, description="One of your exports; null when it is none.")
    @staticmethod
    async def export(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        return await _one(info, "export", id)


@strawberry.type
class BulkMutation:
    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[
            ImportRun | NotFound | WrongState | BadArgument, strawberry.union("ImportCatalogueResult")
        ],
        description="Import your catalogue from a file that you have sent to POST /files?kind=catalogue&name=..., or "
        "only check it (a dry run). It goes in as a whole or not at all, one at a time; new products are drafts. "
        "`language` is that of the headings of the error report.",
    )
    async def import_catalogue(
        self,
        info: Info,
        file: strawberry.ID,
        dry_run: bool,  # noqa: FBT001  passed by name by the library
        language: Language = Language.ZH,
    ) -> models.BulkRun:
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        file_id = key_of("file", file)
        async with info.context.db.write() as session:
            return await bulk.start_import(
                session,
                file_id=file_id,
                brand_id=brand_id,
                account_id=viewer.account_id,
                is_dry_run=dry_run,
                language=language.value,
            )

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[ExportRun | WrongState, strawberry.union("ExportCatalogueResult")],
        description="Write your catalogue into a file that `importCatalogue` reads, one export at a time. Unless asked "
        "for, the column stock is empty: so the file, read back, brings back nothing that was sold meanwhile.",
    )
    async def export_catalogue(
        self,
        info: Info,
        with_stock: bool = False,  # noqa: FBT001, FBT002  passed by name by the library
    ) -> models.BulkRun:
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        async with info.context.db.write() as session:
            return await bulk.start_export(
                session,
                brand_id=brand_id,
                account_id=viewer.account_id,
                with_stock=with_stock,
                now=info.context.clock(),
            )
