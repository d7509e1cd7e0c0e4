"""From a file to the temporary tables `staging` and `problems`: COPY, and what must hold between its rows."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.imports import files
from s2b2c.imports.cells import Column
from s2b2c.imports.kinds import AMOUNT, Kind

TIER_COST = "tier_cost:"
_SHOWN = 40


class BadHeader(Exception):
    """The first row does not name the columns of the kind. `problems` are (column, reason)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("bad header")
        self.problems = problems


async def stage(session: AsyncSession, kind: Kind, source: files.Source, progress: files.Progress) -> int:
    """Copy the file into `staging`, its bad cells into `problems`; returns the number of rows.

    Raises BadHeader, or BadFile when not even the first row can be read; a file that breaks later is a problem.
    """
    rows = files.rows(source, progress)
    header = next(rows, (1, []))[1]
    tiers = await _tiers(session) if "sku" in kind.columns and "supply_price" in kind.columns else {}
    columns = dict(kind.columns) | {
        f"{TIER_COST}{code}": Column(AMOUNT.cell, "bigint", optional=True) for code in tiers
    }
    if problems := list(_header_problems(header, columns)):
        raise BadHeader(problems)
    staged_as = {
        name: f"cost_{tiers[name.removeprefix(TIER_COST)]}" if name.startswith(TIER_COST) else name for name in header
    }
    await _create_tables(session, {staged_as[name]: columns[name].sql_type for name in header}, len(tiers))
    reader = _Reader(rows, [(name, columns[name]) for name in header])
    connection = await (await session.connection()).get_raw_connection()
    driver: Any = connection.driver_connection
    await driver.copy_records_to_table(
        "staging", records=reader.records(), columns=["line", *staged_as.values(), "bad_columns", "reasons"]
    )
    await session.execute(text("ANALYZE staging"))
    await session.execute(
        text(
            "INSERT INTO problems (line, column_name, reason) SELECT line, bad.* FROM staging "
            "CROSS JOIN LATERAL unnest(bad_columns, reasons) AS bad WHERE bad_columns IS NOT NULL"
        )
    )
    if reader.broken:
        await session.execute(
            text("INSERT INTO problems (line, column_name, reason) VALUES (:line, '', :reason)"),
            {"line": reader.broken.line, "reason": reader.broken.reason},
        )
    await _check_rows(session, kind)
    return reader.count


async def _tiers(session: AsyncSession) -> dict[str, int]:
    rows = await session.execute(text("SELECT code, rank FROM tiers ORDER BY rank"))
    return {row.code: row.rank for row in rows}


def _header_problems(header: list[str], columns: Mapping[str, Column]) -> Iterator[tuple[str, str]]:
    if not header:
        yield "", "the file has no header row"
        return
    for name in columns:
        if name not in header:
            yield name, "the column is missing"
    for position, name in enumerate(header):
        if name not in columns:
            reason = "there is no such tier" if name.startswith(TIER_COST) else "there is no such column"
            yield name[:_SHOWN], f"{reason}; the columns are {', '.join(columns)}"
        elif name in header[:position]:
            yield name, "the column appears twice"


async def _create_tables(session: AsyncSession, types: Mapping[str, str], tiers: int) -> None:
    columns = [f"{name} {sql_type}" for name, sql_type in types.items()]
    if tiers:
        costs = ", ".join(f"cost_{rank}" for rank in range(1, tiers + 1))
        columns.append(f"tier_costs bigint[] GENERATED ALWAYS AS (ARRAY[{costs}]) STORED")
    await session.execute(
        text(
            f"CREATE TEMP TABLE staging (line bigint, {', '.join(columns)}, bad_columns text[], reasons text[]) "
            "ON COMMIT DROP"
        )
    )
    await session.execute(
        text(
            "CREATE TEMP TABLE problems (line bigint, column_name text, reason text, is_warning boolean DEFAULT false) "
            "ON COMMIT DROP"
        )
    )


class _Reader:
    """The rows of a file as records of `staging`; remembers how many there were, and where the file broke off."""

    def __init__(self, rows: Iterator[tuple[int, list[str]]], columns: list[tuple[str, Column]]) -> None:
        self._rows = rows
        self._columns = columns
        self.count = 0
        self.broken: files.BadFile | None = None

    def records(self) -> Iterator[tuple[object, ...]]:
        try:
            for line, row in self._rows:
                self.count += 1
                yield self._record(line, row)
        except files.BadFile as error:
            self.broken = error

    def _record(self, line: int, row: list[str]) -> tuple[object, ...]:
        width = len(self._columns)
        if len(row) != width:
            reason = f"has {len(row)} cells where the header has {width}"
            return (line, *([None] * width), [""], [reason])
        values: list[object] = [line]
        bad: list[tuple[str, str]] = []
        for (name, column), cell in zip(self._columns, row, strict=True):
            value: object = None
            try:
                if cell:
                    value = column.cell(cell)
                elif not column.optional:
                    bad.append((name, "is empty"))
            except ValueError as error:
                bad.append((name, f"{error}: {_shown(cell)}"))
            values.append(value)
        return (*values, [name for name, _ in bad] or None, [reason for _, reason in bad] or None)


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "…")


async def _check_rows(session: AsyncSession, kind: Kind) -> None:
    for columns in kind.unique:
        await session.execute(text(_repeated(columns)))
    for group, columns in kind.agree.items():
        await session.execute(text(_disagreeing(group, columns)))


def _same(columns: tuple[str, ...], left: str, right: str) -> str:
    one, other = (", ".join(f"{side}.{name}" for name in columns) for side in (left, right))
    return f"({one}) IS NOT DISTINCT FROM ({other})"


def _repeated(columns: tuple[str, ...]) -> str:
    names = ", ".join(columns)
    return f"""
        INSERT INTO problems (line, column_name, reason)
        SELECT s.line, '{columns[-1]}', format('the same {" and ".join(columns)} stand on line %s', twice.first)
        FROM (
            SELECT {names}, min(line) AS first FROM staging WHERE bad_columns IS NULL
            GROUP BY {names} HAVING count(*) > 1
        ) AS twice
        JOIN staging s ON {_same(columns, "s", "twice")} AND s.line > twice.first
    """  # noqa: S608  the names come from KINDS


def _disagreeing(group: tuple[str, ...], columns: tuple[str, ...]) -> str:
    names = ", ".join(group)
    differ = " OR ".join(f"min({name}) <> max({name}) OR count({name}) NOT IN (0, count(*))" for name in columns)
    pairs = ", ".join(f"('{name}', s.{name} IS DISTINCT FROM f.{name})" for name in columns)
    return f"""
        INSERT INTO problems (line, column_name, reason)
        SELECT s.line, c.name, format('differs from line %s, which has the same {" and ".join(group)}', f.line)
        FROM (
            SELECT {names}, min(line) AS first FROM staging WHERE bad_columns IS NULL
            GROUP BY {names} HAVING {differ}
        ) AS g
        JOIN staging f ON f.line = g.first
        JOIN staging s ON {_same(group, "s", "g")} AND s.bad_columns IS NULL
        CROSS JOIN LATERAL (VALUES {pairs}) AS c (name, differs)
        WHERE c.differs
    """  # noqa: S608  the names come from KINDS
