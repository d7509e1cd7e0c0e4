"""Statements too long for a constant: one file per subject, a block per statement, opened by `-- name: <name>`.

A line `-- include: <subject>.<name>` stands for another block: what several statements must do alike.
"""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import TextClause, text


@cache
def statements(subject: str) -> dict[str, TextClause]:
    """The named blocks of `sql/<subject>.sql`."""
    return {name: text(body) for name, body in _blocks(subject).items()}


@cache
def _blocks(subject: str) -> dict[str, str]:
    source = (Path(__file__).parent / f"{subject}.sql").read_text(encoding="utf-8")
    _, *parts = re.split(r"^-- name: (\w+)$", source, flags=re.MULTILINE)
    blocks = dict(zip(parts[::2], parts[1::2], strict=True))

    def whole(body: str) -> str:
        return re.sub(r"^-- include: (\w+)\.(\w+)$", included, body, flags=re.MULTILINE)

    def included(line: re.Match[str]) -> str:
        return (whole(blocks[line[2]]) if line[1] == subject else _blocks(line[1])[line[2]]).strip()

    return {name: whole(body) for name, body in blocks.items()}
