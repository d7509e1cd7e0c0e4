"""What 0025 demands of every run, statement, account and transfer is checked, while finance goes on."""

from alembic import op

revision = "0026"
down_revision = "0025"

CHECKED = {
    "settlement_runs": (
        *("ck_settlement_runs_state", "ck_settlement_runs_minimum_payout", "ck_settlement_runs_debt_offset_bps"),
        *("ck_settlement_runs_months_rule", "ck_settlement_runs_reviewed", "ck_settlement_runs_approved"),
        *("ck_settlement_runs_discarded", "ck_settlement_runs_two_people", "fk_settlement_runs_created_by"),
        *("fk_settlement_runs_reviewed_by", "fk_settlement_runs_approved_by", "fk_settlement_runs_discarded_by"),
    ),
    "statements": (
        *("ck_statements_lines", "ck_statements_withheld", "ck_statements_withholding", "ck_statements_debt_offset"),
        *("ck_statements_net", "ck_statements_payout", "ck_statements_carry_out", "ck_statements_debt_added"),
    ),
    "ledger_accounts": ("ck_ledger_accounts_kind", "ck_ledger_accounts_distributor"),
    "transfers": ("ck_transfers_code", "ck_transfers_source_type"),
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    # It needs no transaction, and can be run again.
    with op.get_context().autocommit_block():
        for table, names in CHECKED.items():
            for name in names:
                op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
