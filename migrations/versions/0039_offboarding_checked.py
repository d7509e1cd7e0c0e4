"""What 0038 demands of every notice, store and session is checked, while others go on."""

from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again.
    with op.get_context().autocommit_block():
        for table, column in (
            ("notices", "kind"),
            ("stores", "why"),
            ("store_history", "why"),
            ("sessions", "end_reason"),
        ):
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{column}")
