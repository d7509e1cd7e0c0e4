"""What 0008 demands of every row is checked, and what the scans and the doors read by is built, while orders go on."""

from alembic import op

revision = "0009"
down_revision = "0008"

CHECKED = {
    "claims": ("kind",),
    "transfers": ("code",),
    "orders": ("freight", "cancelled_at", "shipped_at", "received_at", "times_between", "due_at"),
}
INDEXES = {
    "ix_orders_due_at": "orders (due_at) WHERE due_at IS NOT NULL",
    "ix_orders_customer_id_id": "orders (customer_id, id)",
    "ix_orders_seller_id_id": "orders (seller_id, id)",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # None of this needs a transaction, and all of it can be run again.
    with op.get_context().autocommit_block():
        for table, names in CHECKED.items():
            for name in names:
                op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
        for name, columns in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
