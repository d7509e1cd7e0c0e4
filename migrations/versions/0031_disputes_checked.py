"""What 0030 demands of every notice is checked, while people read theirs."""

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again.
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE notices VALIDATE CONSTRAINT ck_notices_kind")
