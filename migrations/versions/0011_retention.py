"""What was handled long ago may go: the app deletes it, and finds it by an index that is built while orders go on."""

from alembic import op

revision = "0011"
down_revision = "0010"

INDEXES = {
    "ix_stripe_events_handled_at": "stripe_events (handled_at) WHERE handled_at IS NOT NULL",
    "ix_pgqueuer_log_created": "pgqueuer_log (created)",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("GRANT DELETE ON stripe_events, pgqueuer_log TO s2b2c_app")
    # None of this needs a transaction, and all of it can be run again.
    with op.get_context().autocommit_block():
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
