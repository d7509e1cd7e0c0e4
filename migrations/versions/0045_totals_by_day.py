"""In the keys of daily totals the day comes early, and the brand first: the indexes for that, built meanwhile."""

from alembic import op

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again: what an interrupted build leaves behind is invalid and goes first.
    with op.get_context().autocommit_block():
        for table, columns in (
            ("daily_sellers", "branch_id, day, seller_id"),
            ("daily_brands", "brand_id, day, store_id, branch_id"),
            ("daily_products", "brand_id, day, store_id, product_id, branch_id"),
        ):
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS pk_{table}_by_day")
            op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY pk_{table}_by_day ON {table} ({columns})")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_daily_sellers_day")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_daily_sellers_day ON daily_sellers USING brin (day) WITH (autosummarize = on)"
        )
