"""The documents of settlement: what each is of, what must tie before it is written, and what stands at its foot.

Every total at a foot is one of statements, of what stands in them and of transfers of the ledger, and all three are the
same; or nothing is written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.exports.cells import Cells, ExportError
from s2b2c.exports.words import Words
from s2b2c.money import format_yuan
from s2b2c.sql import statements

Document = Literal[
    "statement_detail", "statement_summary", "bank_batch", "brand_payable", "withholding_report", "ledger_journal"
]

OF_A_RUN: frozenset[Document] = frozenset(("statement_detail", "statement_summary", "bank_batch", "brand_payable"))
OF_A_PERIOD: frozenset[Document] = frozenset(
    ("statement_detail", "statement_summary", "brand_payable", "withholding_report", "ledger_journal")
)
NEEDS_PAYEES: frozenset[Document] = frozenset(("bank_batch", "withholding_report"))
"""What is nothing without to whom is paid."""
NAMES_NO_PAYEES: frozenset[Document] = frozenset(("ledger_journal",))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in the rows of a document; columns count from 0."""

    statement: int | None
    """The statement that tells whose payee belongs to a row."""
    fen: int
    """What the foot adds up."""
    shown: int = 4
    """How many of (legal name, identity number, bank, account), where they are asked for."""


LAYOUTS: Mapping[Document, Layout] = {
    "statement_detail": Layout(3, 18),
    "statement_summary": Layout(3, 20),
    "bank_batch": Layout(3, 7),
    "brand_payable": Layout(3, 15),
    # State Council Decree 810, with Announcement 15 of 2025 of the tax office: identity, income and what is withheld;
    # the income in full, what was returned of it, and what is left.
    "withholding_report": Layout(3, 12, 2),
    "ledger_journal": Layout(None, 11),
}


class Proved(NamedTuple):
    """What a document must come to, and what its foot says."""

    rows: int
    amount: int
    """Of the column `Layout.fen`."""
    foot: Sequence[Cells]


Parameters = Mapping[str, Any]
Row = Mapping[str, Any]


async def _rows(session: AsyncSession, name: str, parameters: Parameters) -> Sequence[Row]:
    return [dict(row) for row in (await session.execute(statements("exports")[name], parameters)).mappings()]


async def prove(session: AsyncSession, document: Document, parameters: Parameters, words: Words) -> Proved:
    """The totals that tie. Raises ExportError when they do not."""
    if document == "ledger_journal":
        return await _journal(session, parameters, words)
    if document == "bank_batch":
        return _batch(await _rows(session, "batch_totals", parameters), words)
    totals = await _rows(session, "control_totals", parameters)
    if not all(map(_ties, totals)):
        raise ExportError("The statements do not tie to their lines and the ledger: see `s2b2c audit`.")
    if document == "withholding_report":
        return _withholding(await _rows(session, "income_totals", parameters), totals, words)
    return _FEET[document](totals, words)


def _ties(row: Row) -> bool:
    """Of a row of `control_totals`: what statements say is what stands in them, and what was posted."""
    pairs = (
        ("lines", "of_lines"),
        *((name, f"{of}_{name}") for name in ("gross", "clawbacks", "adjustments") for of in ("of", "posted")),
        *((f"due_{name}", f"posted_{name}") for name in ("withholding", "debt_offset", "debt")),
    )
    earned = row["gross"] - row["clawbacks"] + row["adjustments"]
    return (
        all(row[one] == row[other] for one, other in pairs)
        and bool(row["net"] == earned - row["withheld"] - row["debt_offset"])
        and bool(row["carry_in"] + row["net"] == row["payout"] + row["carry_out"] - row["debt_added"])
    )


_COUNTED = frozenset(("statements", "rows", "transfers", "payouts", "persons"))


def _foot(words: Words, names: Sequence[str], totals: Sequence[tuple[str, Mapping[str, int]]]) -> list[Cells]:
    """An empty row, the names of what is added up, and a row for each of `totals`; counts and fen are numbers."""

    def cell(name: str, measured: Mapping[str, int]) -> str | int:
        if name in _COUNTED:
            return measured[name]
        return measured[name.removesuffix("_fen")] if name.endswith("_fen") else format_yuan(measured[name])

    head = (words.control, *(words.measures[name] for name in names))
    return [(), head, *((label, *(cell(name, measured) for name in names)) for label, measured in totals)]


def _by_payee(rows: Sequence[Row], words: Words) -> list[tuple[str, Mapping[str, int]]]:
    """What kinds of payees come to, and all of them."""
    measured = [
        dict(row)
        | {
            "rows": row["lines"] + row["adjustment_lines"],
            "amount": row["gross"] - row["clawbacks"] + row["adjustments"],
        }
        for row in rows
    ]
    total = {name: sum(one[name] for one in measured) for name in measured[0] if name != "payee"}
    return [*((words.codes[one["payee"]], one) for one in measured), (words.total, total)]


_OF_STATEMENTS = (
    *("gross", "clawbacks", "adjustments", "withheld", "debt_offset", "net"),
    *("carry_in", "payout", "carry_out", "debt_added"),
)


def _detail(rows: Sequence[Row], words: Words) -> Proved:
    totals = _by_payee(rows, words)
    _, total = totals[-1]
    names = ("statements", "rows", "amount", "amount_fen", *_OF_STATEMENTS)
    return Proved(total["rows"], total["amount"], _foot(words, names, totals))


def _summary(rows: Sequence[Row], words: Words) -> Proved:
    totals = _by_payee(rows, words)
    _, total = totals[-1]
    names = ("statements", *_OF_STATEMENTS, "payout_fen")
    return Proved(total["statements"], total["payout"], _foot(words, names, totals))


def _brands(rows: Sequence[Row], words: Words) -> Proved:
    total = rows[-1]
    names = ("statements", "gross", "clawbacks", "adjustments", "net", "carry_in", "payout", "carry_out", "payout_fen")
    return Proved(total["statements"], total["payout"], _foot(words, names, [(words.total, total)]))


_FEET: Mapping[Document, Callable[[Sequence[Row], Words], Proved]] = {
    "statement_detail": _detail,
    "statement_summary": _summary,
    "brand_payable": _brands,
}


def _split(told: Sequence[Row], names: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Of totals by `is_told`: of those who have told their payee, and of those who have not."""

    known, unknown = (
        {name: sum(row[name] for row in told if row["is_told"] == is_told) for name in names}
        for is_told in (True, False)
    )
    return known, unknown


def _batch(told: Sequence[Row], words: Words) -> Proved:
    paid, unpaid = _split(told, ("payouts", "payout"))
    if any(not row["payout"] == row["of_payout"] == row["posted_payout"] for row in told):
        raise ExportError("The payouts do not tie to the statements and the ledger: see `s2b2c audit`.")
    foot = _foot(words, ("payouts", "payout", "payout_fen"), [(words.total, paid), (words.not_told, unpaid)])
    return Proved(paid["payouts"], paid["payout"], foot)


def _withholding(told: Sequence[Row], totals: Sequence[Row], words: Words) -> Proved:
    known, unknown = _split(told, ("rows", "persons", "income", "withheld"))
    total = {name: known[name] + unknown[name] for name in known}
    own = totals[0]
    if (total["income"], total["withheld"]) != (own["gross"] - own["clawbacks"] + own["adjustments"], own["withheld"]):
        raise ExportError("The income does not tie to the statements: see `s2b2c audit`.")
    names = ("persons", "rows", "income", "withheld", "income_fen", "withheld_fen")
    return Proved(
        total["rows"], total["withheld"], _foot(words, names, [(words.total, total), (words.not_told, unknown)])
    )


async def _journal(session: AsyncSession, parameters: Parameters, words: Words) -> Proved:
    rows = await _rows(session, "journal_totals", parameters)
    by_code = [(words.codes[f"code {row['code']}"], row) for row in rows]
    total = {"transfers": sum(row["transfers"] for row in rows), "amount": sum(row["amount"] for row in rows)}
    foot = _foot(words, ("transfers", "amount", "amount_fen"), [*by_code, (words.total, total)])
    return Proved(total["transfers"], total["amount"], foot)
