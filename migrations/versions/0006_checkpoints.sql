CREATE TABLE ledger_checkpoints (
    account_id BIGINT NOT NULL,
    debits BIGINT NOT NULL,
    credits BIGINT NOT NULL,
    CONSTRAINT pk_ledger_checkpoints PRIMARY KEY (account_id),
    CONSTRAINT ck_ledger_checkpoints_debits CHECK (debits >= 0),
    CONSTRAINT ck_ledger_checkpoints_credits CHECK (credits >= 0),
    CONSTRAINT fk_ledger_checkpoints_account_id FOREIGN KEY(account_id) REFERENCES ledger_accounts (id)
);

CREATE TABLE ledger_horizon (
    id BIGINT DEFAULT '1' NOT NULL,
    through_id BIGINT NOT NULL,
    pending_id BIGINT NOT NULL,
    waits_for TEXT[] NOT NULL,
    CONSTRAINT pk_ledger_horizon PRIMARY KEY (id),
    CONSTRAINT ck_ledger_horizon_one CHECK (id = 1),
    CONSTRAINT ck_ledger_horizon_through_id CHECK (through_id BETWEEN 0 AND pending_id)
);

GRANT SELECT, INSERT, UPDATE ON ledger_checkpoints, ledger_horizon TO s2b2c_app;
