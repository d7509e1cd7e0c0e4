"""Reports of what stores sold that a brand or the platform asks for: the worker writes each into a file."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import exports, jobs
from s2b2c.bulk import write_export
from s2b2c.db import Database, page
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.exports import ExportError, SalesWanted
from s2b2c.imports import Progress
from s2b2c.models import Brand, Product, SalesExport, Store, Tier
from s2b2c.output import Scope

MAX_UNFINISHED = 5
"""Of an account."""


async def start(session: AsyncSession, wanted: SalesWanted, *, account_id: int, now: datetime) -> SalesExport:
    """Have the worker write a report.

    Raises Refused: BadArgument for a report that there cannot be, NotFound for a scope of what is not there or another
    brand's, WrongState while as many as anybody may have at once wait or run.
    """
    try:
        exports.check_sales(wanted)
    except ExportError as error:
        raise Refused(BadArgument(str(error))) from None
    await _check_scope(session, wanted.scope)
    unfinished = select(func.count()).where(
        SalesExport.account_id == account_id, SalesExport.state.in_(["waiting", "running"])
    )
    if (await session.scalar(unfinished) or 0) >= MAX_UNFINISHED:
        raise Refused(WrongState(f"{MAX_UNFINISHED} reports of yours wait or run: wait for the end of one."))
    scope = wanted.scope
    it = SalesExport(
        report=wanted.report,
        starts_on=scope.start,
        ends_on=scope.end,
        brand_id=scope.brand_id,
        product_id=scope.product_id,
        store_id=scope.store_id,
        region=scope.region,
        tier_id=scope.tier_id,
        format=wanted.format,
        language=wanted.language,
        encoding=wanted.encoding,
        account_id=account_id,
        name=wanted.file_name,
        created_at=now,
    )
    session.add(it)
    await session.flush()
    await jobs.enqueue(session, write_sales_export.__name__, {"export_id": it.id})
    return it


async def _check_scope(session: AsyncSession, scope: Scope) -> None:
    """Raises Refused(NotFound)."""
    product = select(Product.id).where(Product.id == scope.product_id)
    if scope.brand_id is not None:
        product = product.where(Product.brand_id == scope.brand_id)
    chosen: dict[str, tuple[int | None, Any]] = {
        "brand": (scope.brand_id, select(Brand.id).where(Brand.id == scope.brand_id)),
        "product": (scope.product_id, product),
        "store": (scope.store_id, select(Store.id).where(Store.id == scope.store_id)),
        "tier": (scope.tier_id, select(Tier.id).where(Tier.id == scope.tier_id)),
    }
    asked = {what: query.exists() for what, (key, query) in chosen.items() if key is not None}
    if not asked:
        return
    there = (await session.execute(select(*asked.values()))).one()
    for what, is_there in zip(asked, there, strict=True):
        if not is_there:
            raise Refused(NotFound(f"There is no such {what}: choose one of the list."))


async def all_exports(
    session: AsyncSession, account_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[SalesExport]:
    """The reports that an account has asked for, newest first; `after` is an (id,)."""
    mine = select(SalesExport).where(SalesExport.account_id == account_id)
    return (await session.scalars(page(mine, (SalesExport.id, "down"), after=after, limit=limit))).all()


async def export(session: AsyncSession, account_id: int, export_id: int) -> SalesExport | None:
    """One of the reports of an account."""
    query = select(SalesExport).where(SalesExport.account_id == account_id, SalesExport.id == export_id)
    return (await session.scalars(query)).one_or_none()


async def write_sales_export(db: Database, *, export_id: int) -> None:
    """The job: written again of the same sales it is the same."""

    async def write(it: SalesExport, out: Path, progress: Progress) -> exports.SalesWritten:
        wanted = SalesWanted(
            it.report,  # type: ignore[arg-type]  # the table holds nothing else
            Scope(it.starts_on, it.ends_on, it.brand_id, it.product_id, it.store_id, it.region, it.tier_id),
            it.format,  # type: ignore[arg-type]
            it.language,  # type: ignore[arg-type]
            it.encoding,  # type: ignore[arg-type]
        )
        async with db.snapshot() as session:
            return await exports.write_sales(
                session, wanted, out=out, progress=lambda rows: progress("writing", rows, rows)
            )

    await write_export(db, SalesExport, export_id, write, kind="sales_export")
