"""What 0017 demands of every notice is checked, while people are told more."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again.
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE notices VALIDATE CONSTRAINT ck_notices_kind")
