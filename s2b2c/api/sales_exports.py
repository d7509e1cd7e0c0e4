"""Reports of what stores sold as files: asked for, watched and downloaded, by a brand and by the operator."""

from typing import Annotated, Any

import strawberry
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, sales_exports
from s2b2c.api.access import BrandDoor, OperatorDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.periods import From, To
from s2b2c.api.sales import InStore, OfBrand, Product, Region, Tier, scope_of
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.finance_exports import FileEncoding, FileFormat
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.nodes import Key, Shown
from s2b2c.api.types.notices import Language
from s2b2c.api.types.sales_exports import SalesExport, SalesReport
from s2b2c.exports import SalesWanted
from s2b2c.output import Scope

What = Annotated[SalesReport, strawberry.argument(description="Which report.")]
Form = Annotated[FileFormat, strawberry.argument(description="Of the file.")]
InLanguage = Annotated[Language, strawberry.argument(description="Of the headings.")]
InEncoding = Annotated[FileEncoding, strawberry.argument(description="Of a CSV file.")]
Started = Annotated[SalesExport | NotFound | WrongState | BadArgument, strawberry.union("ExportSalesResult")]


def exported(account_id: int) -> dict[str, Shown]:
    """What `node` shows of the reports of an account."""

    async def read(session: AsyncSession, key: Key) -> models.SalesExport | None:
        return await sales_exports.export(session, account_id, *key)

    return {"sales-export": Shown(SalesExport, read)}


@strawberry.type
class SalesExports:
    """The fields of the doors of brands and of the operator."""

    @strawberry.field(graphql_type=Connection[SalesExport], description="The reports you asked for, newest first.")
    @staticmethod
    async def sales_exports(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("sales-export", first, after, key_length=1)
        account_id = (await info.context.viewer()).account_id
        async with info.context.db.read() as session:
            rows = await sales_exports.all_exports(session, account_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(graphql_type=SalesExport | None, description="One of your reports; null when it is none.")
    @staticmethod
    async def sales_export(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  the argument's name
        key = key_of("sales-export", id)
        account_id = (await info.context.viewer()).account_id
        async with info.context.db.read() as session:
            return await sales_exports.export(session, account_id, key)


async def _start(
    info: Info, scope: Scope, report: SalesReport, form: FileFormat, language: Language, encoding: FileEncoding
) -> models.SalesExport:
    of: tuple[Any, ...] = (report.value, scope, form.value, language.value, encoding.value)
    viewer = await info.context.viewer()
    async with info.context.db.write() as session:
        return await sales_exports.start(
            session, SalesWanted(*of), account_id=viewer.account_id, now=info.context.clock()
        )


@strawberry.type
class SalesExportMutation:
    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Started,
        description="Write what stores sold of your products from the day `from` up to, not with, the day `to` into a "
        "file: what `sales` shows page by page, all of it, with its sum. At most 5 at a time.",
    )
    async def export_sales(
        self,
        info: Info,
        report: What,
        start: From,
        end: To,
        product: Product = None,
        store: InStore = None,
        region: Region = None,
        tier: Tier = None,
        format: Form = FileFormat.CSV,  # noqa: A002  what everybody calls it
        language: InLanguage = Language.ZH,
        encoding: InEncoding = FileEncoding.UTF_8,
    ) -> models.SalesExport:
        brand_id = await info.context.brand_id()
        scope = scope_of(start, end, brand_id=brand_id, product=product, store=store, region=region, tier=tier)
        return await _start(info, scope, report, format, language, encoding)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Started,
        description="Write what stores sold of all brands, or of one, from the day `from` up to, not with, the day "
        "`to` into a file: what `sales` shows page by page, all of it, with its sum. At most 5 at a time.",
    )
    async def export_all_sales(
        self,
        info: Info,
        report: What,
        start: From,
        end: To,
        brand: OfBrand = None,
        product: Product = None,
        store: InStore = None,
        region: Region = None,
        tier: Tier = None,
        format: Form = FileFormat.CSV,  # noqa: A002
        language: InLanguage = Language.ZH,
        encoding: InEncoding = FileEncoding.UTF_8,
    ) -> models.SalesExport:
        brand_id = None if brand is None else key_of("brand", brand)
        scope = scope_of(start, end, brand_id=brand_id, product=product, store=store, region=region, tier=tier)
        return await _start(info, scope, report, format, language, encoding)
