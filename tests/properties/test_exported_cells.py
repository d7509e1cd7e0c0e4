"""Whatever people call themselves and their things, no cell of a file is run by a spreadsheet, and no row is broken."""

import csv
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import openpyxl
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import exports
from s2b2c.exports import Wanted, not_a_formula
from tests import factories
from tests.test_exports import NOW

EXAMPLES = 500
"""In `make test`; each is a text, and is used as a code, a name and a note. A soak has twenty times as many."""
AT_ONCE = 100

_SIGNS = "=+-@|%\t\r\n＝＋－＠｜％"
_BEFORE = " \u00a0\u3000\u200b\ufeff\"'＂＇‘’“”"
_RUN = re.compile(f"[{re.escape(_BEFORE)}]*[{re.escape(_SIGNS)}]")
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]{2})?")

_NASTY = st.builds(
    "".join,
    st.tuples(
        st.text(st.sampled_from(_BEFORE + _SIGNS), max_size=3),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
        st.sampled_from(
            ["", '"', '","', "\n=1", "\r\n", "\\.", "<r>x</r>", "=cmd|' /C calc'!A0", "\ufffe", "\x0b", "_x000B_"]
        ),
    ),
).filter(lambda it: it.strip() != "")


def _is_safe(cell: str) -> bool:
    """Behind an apostrophe it is text, whatever it is."""
    return cell.startswith("'") or _RUN.match(cell) is None or _AMOUNT.fullmatch(cell) is not None


@given(st.lists(_NASTY, min_size=AT_ONCE, max_size=AT_ONCE, unique=True))
@hypothesis.settings(max_examples=max(EXAMPLES // AT_ONCE, hypothesis.settings().max_examples // 10))
async def test_no_cell_is_run_and_no_row_is_broken(session: AsyncSession, texts: list[str]) -> None:
    savepoint = await session.begin_nested()
    try:
        tier = await factories.a_tier(session)
        await session.execute(_RUN_OF_ALL, {"tier": tier.id, "texts": texts, "at": NOW})
        with tempfile.TemporaryDirectory() as folder:
            await _check(session, Path(folder), texts)
    finally:
        await savepoint.rollback()


_RUN_OF_ALL = text("""
    WITH run AS (
        INSERT INTO settlement_runs (cutoff, state, created_at, pay_on) VALUES (:at, 'draft', :at, '2026-10-01') RETURNING id
    ), named AS MATERIALIZED (
        SELECT nextval('distributors_id_seq') AS id, one, n - 1 AS n
        FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS named (one, n)
    ), payee AS (
        INSERT INTO distributors (id, code, name, tier_id, ancestors, region, joined_on, state)
        SELECT id, one || n, one, :tier, ARRAY[id], '', '2026-01-01', 'active' FROM named
    ), platform AS (
        INSERT INTO ledger_accounts (kind) VALUES ('in_transit') RETURNING id
    ), account AS (
        INSERT INTO ledger_accounts (kind, distributor_id) SELECT 'commission_payable', id FROM named
        RETURNING id, distributor_id
    ), statement AS (
        INSERT INTO statements (run_id, distributor_id, lines, gross, adjustments, net, payout)
        SELECT run.id, named.id, 0, 0, 1, 1, 1 FROM named, run
        RETURNING id, distributor_id
    ), adjustment AS (
        INSERT INTO adjustments (distributor_id, amount, dated, reason, created_at, statement_id)
        SELECT named.id, 1, '2026-09-01', one, :at, statement.id
        FROM named JOIN statement ON statement.distributor_id = named.id
        RETURNING id, distributor_id
    )
    INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
    SELECT 0, 'adjustment', adjustment.id, 'adjustment', platform.id, account.id, 1, :at
    FROM platform, adjustment JOIN account USING (distributor_id)
""")


async def _check(session: AsyncSession, folder: Path, texts: list[str]) -> None:
    run_id = await session.scalar(text("SELECT max(id) FROM settlement_runs"))
    expected = {f"{one}{number}": one for number, one in enumerate(texts)}
    rows = await _csv(session, folder, run_id, "utf-8")
    assert all(_is_safe(cell) for row in rows for cell in row)
    assert {row[1]: row[2] for row in rows[1 : 1 + len(texts)]} == {
        not_a_formula(code): not_a_formula(name) for code, name in expected.items()
    }
    assert all(row[19].startswith("调整：") for row in rows[1 : 1 + len(texts)])
    assert sum(int(row[18]) for row in rows[1 : 1 + len(texts)]) == len(texts)
    assert [len(row) for row in rows] == [20] * (1 + len(texts)) + [0, 15, 15, 15, 15]
    assert await _csv(session, folder, run_id, "gb18030") == rows
    wanted = Wanted("statement_detail", run_id, format="xlsx")
    await exports.write_document(session, wanted, out=folder / "x.xlsx")
    (sheet,) = openpyxl.load_workbook(folder / "x.xlsx").worksheets
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr", "n"}
    assert sheet.max_row == 1 + len(texts) + 5
    amounts = [row[18] for row in sheet.iter_rows(min_row=2, max_row=1 + len(texts), values_only=True)]
    assert amounts == [1] * len(texts)


async def _csv(session: AsyncSession, folder: Path, run_id: Any, encoding: exports.Encoding) -> list[list[str]]:
    out = folder / "x.csv"
    await exports.write_document(session, Wanted("statement_detail", run_id, encoding=encoding), out=out)
    content = out.read_bytes().decode("utf-8-sig" if encoding == "utf-8" else encoding)
    return list(csv.reader(io.StringIO(content, newline=""), strict=True))
