"""The indexes of 0045 are the keys of their tables."""

from alembic import op

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    for table in ("daily_sellers", "daily_brands"):
        op.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}, "
            f"ADD CONSTRAINT pk_{table} PRIMARY KEY USING INDEX pk_{table}_by_day"
        )
