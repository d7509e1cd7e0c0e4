"""From an old key to the first of S2B2C_DATA_KEYS, so that nothing needs the old one any more."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    RowMapping,
    Table,
    Text,
    Update,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import crypto
from s2b2c.models import Account
from s2b2c.sealed import Sealed
from s2b2c.settlements import Progress

BATCH = 2_000


class Resealed(NamedTuple):
    rows: int
    """Brought under the first key."""
    left: int
    """That somebody has written under another key meanwhile: whoever does has old settings."""


async def reseal(owner_url: str, progress: Progress | None = None) -> Resealed:
    """Seal every value anew that is not under the first key, in batches that are committed one by one: cut off, it goes
    on where it was. Others go on meanwhile; what they change is theirs.

    As the owner of the schema, since the app may not change what orders are sent to. Raises SealError for a value that
    none of the keys opens.
    """
    engine = create_async_engine(owner_url, poolclass=NullPool, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET lock_timeout = '10s'"))
            await connection.commit()
            counts = [await _count(connection, table) for table in _tables()]
            rows = 0
            for table in _tables():
                async for number in _batches(connection, table):
                    rows += number
                    if progress is not None:
                        progress(rows, max(rows, sum(counts)))
            return Resealed(rows, sum([await _count(connection, table) for table in _tables()]))
    finally:
        await engine.dispose()


def _tables() -> Iterator[Table]:
    """Those with something sealed in them."""
    for table in Account.metadata.sorted_tables:
        if any(_is_sealed(column) for column in table.columns):
            yield table


def _is_sealed(column: Column[Any]) -> bool:
    return isinstance(column.type, Sealed) or "kind_in" in column.info


def _columns(table: Table) -> dict[str, ColumnElement[str]]:
    """Its sealed columns as they are stored."""
    return {column.name: type_coerce(column, Text) for column in table.columns if _is_sealed(column)}


def _kind(column: Column[Any], row: RowMapping) -> str:
    """What a value is sealed as: the column says so, or another one of its row."""
    if isinstance(column.type, Sealed):
        return column.type.kind
    return str(row[column.info["kind_in"]])


def _is_old(table: Table) -> ColumnElement[bool]:
    first = literal(f"{crypto.keys().first}.", Text)
    return or_(*(~func.starts_with(column, first) for column in _columns(table).values()))


async def _count(connection: AsyncConnection, table: Table) -> int:
    count = await connection.scalar(select(func.count()).select_from(table).where(_is_old(table)))
    await connection.commit()
    return count or 0


async def _batches(connection: AsyncConnection, table: Table) -> AsyncIterator[int]:
    """How many rows each batch has brought under the first key, in the order of the primary key."""
    keys = list(table.primary_key.columns)
    said = [column for column in table.columns if column.name in {it.info.get("kind_in") for it in table.columns}]
    sealed = [column.label(name) for name, column in _columns(table).items()]
    query = select(*keys, *said, *sealed).where(_is_old(table)).order_by(*keys).limit(BATCH)
    page = query
    while rows := (await connection.execute(page)).mappings().all():
        changed = await connection.execute(_change(table, keys, rows))
        await connection.commit()
        yield changed.rowcount
        last = [literal(rows[-1][key.name], key.type) for key in keys]
        page = query.where(tuple_(*keys) > tuple_(*last))


def _change(table: Table, keys: Sequence[Column[Any]], rows: Sequence[RowMapping]) -> Update:
    """To seal these rows anew, as far as nobody has changed them since."""
    columns = _columns(table)
    arrays: dict[str, tuple[Any, list[Any]]] = {key.name: (key.type, [row[key.name] for row in rows]) for key in keys}
    for name in columns:
        old = [row[name] for row in rows]
        arrays[f"old_{name}"] = Text(), old
        arrays[f"new_{name}"] = Text(), [_anew(table.c[name], row) for row in rows]
    batch = (
        func.unnest(*(cast(values, ARRAY(kind)) for kind, values in arrays.values()))
        .table_valued(*arrays, name="batch")
        .render_derived()
    )
    values = {name: type_coerce(batch.c[f"new_{name}"], Text) for name in columns}
    same = [table.c[key.name] == batch.c[key.name] for key in keys]
    same += [column == batch.c[f"old_{name}"] for name, column in columns.items()]
    return update(table).values(values).where(and_(*same))


def _anew(column: Column[Any], row: RowMapping) -> str:
    keys, sealed, kind = crypto.keys(), row[column.name], _kind(column, row)
    try:
        return keys.seal(keys.open(sealed, kind), kind)
    except crypto.SealError as error:
        raise crypto.SealError(f"{column.table.name}.{column.name}: {error}") from None
