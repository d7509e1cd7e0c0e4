"""The indexes that the doors read by, built while orders go on."""

from alembic import op

revision = "0004"
down_revision = "0003"

INDEXES = {
    "ix_orders_placed": "orders (placed_at) WHERE state = 'placed'",
    "ix_commissions_distributor_id_statement_id": "commissions (distributor_id, statement_id)",
    "ix_daily_sellers_seller_id_day": "daily_sellers (seller_id, day)",
    "ix_transfers_debit_account_id_id": "transfers (debit_account_id, id)",
    "ix_transfers_credit_account_id_id": "transfers (credit_account_id, id)",
}
REPLACED = "ix_commissions_statement_id"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # None of this can be part of a transaction, so all of it can be run again: what an interrupted build leaves behind
    # is invalid and goes first, and the old index goes once the new one is there.
    with op.get_context().autocommit_block():
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {REPLACED}")
