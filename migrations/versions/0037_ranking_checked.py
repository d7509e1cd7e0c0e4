"""What 0035 and 0036 demand of every daily total, policy and notice is checked, while others go on."""

from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again.
    with op.get_context().autocommit_block():
        for name in ("ck_{}_process", "ck_{}_cohort", "ck_{}_published", "fk_{}_created_by", "fk_{}_published_by"):
            constraint = name.format("ranking_policies")
            op.execute(f"ALTER TABLE ranking_policies VALIDATE CONSTRAINT {constraint}")
        op.execute("ALTER TABLE daily_sellers VALIDATE CONSTRAINT ck_daily_sellers_kept")
        op.execute("ALTER TABLE notices VALIDATE CONSTRAINT ck_notices_kind")
