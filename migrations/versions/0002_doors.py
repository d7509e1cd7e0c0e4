"""What the doors of partners, finance and operators read: pins, notices, who changed the tree, and indexes."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

INDEXES = {
    "ix_orders_placed": "orders (placed_at) WHERE state = 'placed'",
    "ix_order_lines_statement_id_id": "order_lines (statement_id, id) WHERE statement_id IS NOT NULL",
    "ix_commissions_distributor_id_statement_id_id": "commissions (distributor_id, statement_id, id)",
    "ix_daily_sellers_seller_id_day": "daily_sellers (seller_id, day)",
    "ix_transfers_debit_account_id_id": "transfers (debit_account_id, id)",
    "ix_transfers_credit_account_id_id": "transfers (credit_account_id, id)",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for statement in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
    with op.get_context().autocommit_block():
        # Orders go on while these are built, and the reader of the old one finds the new one there. What an interrupted
        # build leaves behind is invalid and goes first.
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
        for name in ("ix_commissions_statement_id", "ix_order_lines_statement_id"):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
