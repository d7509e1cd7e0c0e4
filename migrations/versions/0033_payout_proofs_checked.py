"""What 0032 demands of every file and attempt is checked, while others go on."""

from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again.
    with op.get_context().autocommit_block():
        for name in ("ck_files_kind", "ck_files_brand"):
            op.execute(f"ALTER TABLE files VALIDATE CONSTRAINT {name}")
        for name in ("proof_file_id", "created_by"):
            op.execute(f"ALTER TABLE payout_attempts VALIDATE CONSTRAINT fk_payout_attempts_{name}")
        op.execute("ALTER TABLE payout_attempts VALIDATE CONSTRAINT ck_payout_attempts_proof")
        for name in ("fk_payouts_held_by", "ck_payouts_held_by"):
            op.execute(f"ALTER TABLE payouts VALIDATE CONSTRAINT {name}")
