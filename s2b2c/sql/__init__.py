"""Statements too long for a constant: one file per subject, a block per statement, opened by `-- name: <name>`."""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import TextClause, text


@cache
def statements(subject: str) -> dict[str, TextClause]:
    """The named blocks of `sql/<subject>.sql`."""
    source = (Path(__file__).parent / f"{subject}.sql").read_text(encoding="utf-8")
    _, *blocks = re.split(r"^-- name: (\w+)$", source, flags=re.MULTILINE)
    return {name: text(body) for name, body in zip(blocks[::2], blocks[1::2], strict=True)}
