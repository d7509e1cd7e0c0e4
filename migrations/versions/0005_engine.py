"""Four schemes, versions of plans, refunds and what they take back; a commission is known by line and position."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Built while orders go on, and again where it was interrupted; as the key it takes over in a moment.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS pk_commissions_by_line")
        op.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY pk_commissions_by_line ON commissions (branch_id, line_id, position)"
        )
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
