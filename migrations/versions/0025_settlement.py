"""Settlement from draft to paid: what a statement comes to, adjustments, debts, withholding, the lock of a period."""

from pathlib import Path

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n\n"):
        if statement.strip():
            op.execute(statement)
