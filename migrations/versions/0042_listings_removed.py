"""What was listed in a period and is no more is found by its product, built while listings come and go."""

from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again: what an interrupted build leaves behind is invalid and goes first.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_listing_history_removed")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_listing_history_removed ON listing_history (product_id, until) "
            "WHERE end_reason IS NOT NULL"
        )
