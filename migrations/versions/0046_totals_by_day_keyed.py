"""The indexes of 0045 are the keys of their tables, and stand for those by brand and day."""

from alembic import op

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table in ("daily_sellers", "daily_brands", "daily_products"):
        op.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}, "
            f"ADD CONSTRAINT pk_{table} PRIMARY KEY USING INDEX pk_{table}_by_day"
        )
    op.execute("DROP INDEX ix_daily_brands_brand_id_day, ix_daily_products_brand_id_day")
