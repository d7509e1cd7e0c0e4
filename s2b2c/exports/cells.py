"""Cells, and the files that they go into: CSV and XLSX, row after row, in memory that does not grow."""

import codecs
import csv
import hashlib
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

import xlsxwriter

Format = Literal["csv", "xlsx"]
Encoding = Literal["utf-8", "gb18030"]

Cells = Sequence[str | int | None]
Write = Callable[[Iterable[Cells]], None]

_SHEET_ROWS = 1_048_576


class ExportError(Exception):
    """Nothing was exported; the message is one line that says why."""


_FORMULA = re.compile("[ \u00a0\u3000\u200b\ufeff\"'＂＇‘’“”]*[=+@|%\t\r\n＝＋－＠｜％-]")


def not_a_formula(text: str) -> str:
    """A spreadsheet runs a CSV cell that starts like a formula, quoted or not; after an apostrophe it is text.

    Blanks and quotes before the sign do not make it safe: some programs take them off. As OWASP advises (CSV
    Injection), with the full-width forms that an input method yields, and the signs of DDE. `safe_cell` is this in SQL.
    """
    return f"'{text}" if _FORMULA.match(text) else text


class CsvFile:
    """A CSV file that is hashed as it is written. Lines end as COPY ends them, with a line feed.

    Excel takes a file without a byte order mark for the local encoding, which in China is GB18030.
    """

    def __init__(self, file: io.BufferedRandom, encoding: Encoding) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._decode = None if encoding == "utf-8" else codecs.getincrementaldecoder("utf-8")("strict").decode
        self._encoding = encoding
        if encoding == "utf-8":
            self.write(codecs.BOM_UTF8)

    def write(self, data: bytes) -> None:
        """UTF-8, in pieces of any length."""
        if self._decode is not None:
            data = self._decode(data).encode(self._encoding)
        self._digest.update(data)
        self._file.write(data)

    def write_rows(self, rows: Iterable[Cells]) -> None:
        piece = io.StringIO()
        csv.writer(piece, lineterminator="\n").writerows(rows)
        self.write(piece.getvalue().encode())

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _not_markup(text: str) -> str:
    """XlsxWriter copies a text in these tags into the file as XML, where it could break or change the sheet."""
    return f"'{text}" if text.startswith("<r>") and text.endswith("</r>") else text


@contextmanager
def xlsx(file: io.BufferedRandom, created_at: datetime, headings: Cells) -> Iterator[Write]:
    """Rows go to disk as they come, and on to the next sheet where one is full. All texts are written as texts."""
    with tempfile.TemporaryDirectory() as scratch:
        book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": scratch})
        book.use_zip64()
        book.set_properties({"created": created_at})
        sheet, used = book.add_worksheet(), 0

        def write(rows: Iterable[Cells]) -> None:
            nonlocal sheet, used
            for cells in rows:
                if used == _SHEET_ROWS:
                    sheet, used = book.add_worksheet(), 0
                    write([headings])
                for column, cell in enumerate(cells):
                    if isinstance(cell, str):
                        if sheet.write_string(used, column, _not_markup(cell)):
                            raise ExportError(f"{cell[:20]}... is longer than an XLSX cell can be; choose csv.")
                    elif cell is not None:
                        sheet.write_number(used, column, cell)
                used += 1

        write([headings])
        try:
            yield write
        finally:  # also closes the files of its sheets
            book.close()
