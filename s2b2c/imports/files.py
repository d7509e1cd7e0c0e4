"""A CSV file as rows with line numbers, whatever Excel wrote it, without ever holding more than a piece of it."""

import codecs
import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

MAX_LINE = 1 << 20
"""Characters between two line ends; what is longer is no table."""
_PIECE = 1 << 20
_GUARD = re.compile(r"'+[=+\-@＝＋－＠]")
"""What a cell begins with that our own exports keep from being run as a formula; they put one apostrophe before."""

Progress = Callable[[int], None]
"""Told how many more bytes were read."""


class BadFile(Exception):
    """The file cannot be read as a table at all. `line` is where it broke, 1 at the top."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Source(NamedTuple):
    """A file whose encoding is known to fit from the first byte to the last."""

    path: Path
    encoding: str
    sha256: str
    size: int


def inspect(path: Path) -> Source:
    """Read the file once: its SHA-256, and whether it is UTF-8 or GB18030. Raises BadFile when it is neither."""
    digest = hashlib.sha256()
    decoders = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8-sig", "gb18030")}
    line, size = 1, 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                if line == 1 and piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise BadFile(1, "the file is UTF-16: save it as CSV in UTF-8 or GB18030")
                digest.update(piece)
                size += len(piece)
                _decode(decoders, piece, line, final=False)
                line += piece.count(b"\n")
    except OSError as error:
        raise BadFile(1, f"cannot be opened: {error.strerror}") from error
    _decode(decoders, b"", line, final=True)
    return Source(path, next(iter(decoders)), digest.hexdigest(), size)


def _decode(decoders: dict[str, codecs.IncrementalDecoder], piece: bytes, line: int, *, final: bool) -> None:
    broken_at = line
    for name, decoder in list(decoders.items()):
        try:
            decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            del decoders[name]
            broken_at = line + piece[: error.start].count(b"\n")
    if not decoders:
        raise BadFile(broken_at, "the text is neither UTF-8 nor GB18030")


def rows(source: Source, progress: Progress) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it starts on; empty lines are passed over, cells are stripped of outer blanks.

    A text that begins like a formula loses the apostrophe that an export has put before it.
    """
    with source.path.open(encoding=source.encoding, newline="") as file:
        reader = csv.reader(_lines(file, source.encoding, progress), strict=True)
        line = 1
        try:
            for row in reader:
                if row:
                    yield line, [_without_guard(cell.strip()) for cell in row]
                line = reader.line_num + 1
        except csv.Error as error:
            raise BadFile(line, f"the row that starts here is not CSV: {error}; is a quote left open?") from error


def _without_guard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _GUARD.match(cell) else cell


def _lines(file: IO[str], encoding: str, progress: Progress) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise BadFile(number, f"the line is longer than {MAX_LINE} characters")
        progress(len(line.encode(encoding)))
        yield line
