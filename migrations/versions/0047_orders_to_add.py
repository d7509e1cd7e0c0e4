"""Which orders wait for their daily totals stands in a table of its own: to mark one took its row and six keys anew."""

from pathlib import Path

from alembic import op

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n\n"):
        if statement.strip():
            op.execute(statement)
