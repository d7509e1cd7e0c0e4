CREATE SEQUENCE payouts_id_seq;

CREATE TABLE payouts (
    id BIGINT DEFAULT nextval('payouts_id_seq') NOT NULL,
    run_id BIGINT NOT NULL,
    statement_id BIGINT NOT NULL,
    distributor_id BIGINT,
    brand_id BIGINT,
    amount BIGINT NOT NULL,
    rail TEXT NOT NULL,
    state TEXT NOT NULL,
    hold TEXT,
    hold_reason TEXT,
    needs_approval BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by BIGINT,
    approved_at TIMESTAMP WITH TIME ZONE,
    approved_by BIGINT,
    sent_at TIMESTAMP WITH TIME ZONE,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    reversal_reason TEXT,
    reversal_asked_at TIMESTAMP WITH TIME ZONE,
    reversal_asked_by BIGINT,
    reversed_at TIMESTAMP WITH TIME ZONE,
    note TEXT,
    CONSTRAINT pk_payouts PRIMARY KEY (id),
    CONSTRAINT uq_payouts_statement_id UNIQUE (statement_id),
    CONSTRAINT ck_payouts_payee CHECK (num_nonnulls(distributor_id, brand_id) = 1),
    CONSTRAINT ck_payouts_amount CHECK (amount > 0),
    CONSTRAINT ck_payouts_rail CHECK (rail IN ('stripe', 'bank', 'outside')),
    CONSTRAINT ck_payouts_state
        CHECK (state IN ('pending', 'sending', 'unknown', 'sent', 'confirmed', 'failed', 'reversed')),
    CONSTRAINT ck_payouts_hold CHECK (hold IN ('suspended', 'no_account', 'person')),
    CONSTRAINT ck_payouts_held CHECK (hold IS NULL OR state IN ('pending', 'failed')),
    CONSTRAINT ck_payouts_hold_reason CHECK ((hold_reason <> '') IS TRUE = (hold IS NOT NULL AND hold = 'person')),
    CONSTRAINT ck_payouts_approved CHECK (
        state IN ('pending', 'failed') OR NOT needs_approval OR approved_at IS NOT NULL
    ),
    CONSTRAINT ck_payouts_two_people CHECK (approved_by <> created_by),
    CONSTRAINT ck_payouts_sent CHECK ((sent_at IS NOT NULL) = (state IN ('sent', 'confirmed', 'reversed'))),
    CONSTRAINT ck_payouts_confirmed CHECK ((confirmed_at IS NOT NULL) = (state IN ('confirmed', 'reversed'))),
    CONSTRAINT ck_payouts_reversed CHECK ((reversed_at IS NOT NULL) = (state = 'reversed')),
    CONSTRAINT ck_payouts_reversal CHECK (
        num_nulls(reversal_reason, reversal_asked_at) IN (0, 2)
        AND (reversal_asked_at IS NULL OR state IN ('confirmed', 'reversed'))
        AND (reversal_asked_at IS NOT NULL OR state <> 'reversed')
    ),
    CONSTRAINT ck_payouts_note CHECK (rail <> 'outside' OR (note <> '') IS TRUE),
    CONSTRAINT fk_payouts_run_id FOREIGN KEY(run_id) REFERENCES settlement_runs (id),
    CONSTRAINT fk_payouts_statement_id FOREIGN KEY(statement_id) REFERENCES statements (id),
    CONSTRAINT fk_payouts_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_payouts_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_payouts_created_by FOREIGN KEY(created_by) REFERENCES people (id),
    CONSTRAINT fk_payouts_approved_by FOREIGN KEY(approved_by) REFERENCES people (id),
    CONSTRAINT fk_payouts_reversal_asked_by FOREIGN KEY(reversal_asked_by) REFERENCES people (id)
);

CREATE INDEX ix_payouts_run_id_id ON payouts (run_id, id);

CREATE INDEX ix_payouts_pending ON payouts (id) WHERE state = 'pending';

CREATE INDEX ix_payouts_unfinished ON payouts (run_id) WHERE state NOT IN ('confirmed', 'reversed');

CREATE SEQUENCE payout_attempts_id_seq;

CREATE TABLE payout_attempts (
    id BIGINT DEFAULT nextval('payout_attempts_id_seq') NOT NULL,
    payout_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    key TEXT NOT NULL,
    rail TEXT NOT NULL,
    state TEXT NOT NULL,
    destination TEXT,
    reference TEXT,
    next_step TEXT,
    due_at TIMESTAMP WITH TIME ZONE,
    calls BIGINT DEFAULT '0' NOT NULL,
    is_spent BOOLEAN DEFAULT 'false' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    failed_at TIMESTAMP WITH TIME ZONE,
    failure TEXT,
    reversed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_payout_attempts PRIMARY KEY (id),
    CONSTRAINT uq_payout_attempts_payout_id_number UNIQUE (payout_id, number),
    CONSTRAINT uq_payout_attempts_key UNIQUE (key),
    CONSTRAINT ck_payout_attempts_number CHECK (number >= 1),
    CONSTRAINT ck_payout_attempts_rail CHECK (rail IN ('stripe', 'bank', 'outside')),
    CONSTRAINT ck_payout_attempts_state
        CHECK (state IN ('sending', 'unknown', 'sent', 'confirmed', 'failed', 'reversed')),
    CONSTRAINT ck_payout_attempts_next_step CHECK (next_step IN ('send', 'look_up', 'reverse')),
    CONSTRAINT ck_payout_attempts_due CHECK (
        num_nulls(next_step, due_at) IN (0, 2) AND (next_step IS NULL OR rail = 'stripe')
        AND (next_step IS NULL OR state IN ('sending', 'unknown', 'sent', 'confirmed'))
        AND (next_step IS NOT NULL OR rail <> 'stripe' OR state IN ('confirmed', 'failed', 'reversed'))
    ),
    CONSTRAINT ck_payout_attempts_destination CHECK ((rail = 'stripe') = (destination IS NOT NULL)),
    CONSTRAINT ck_payout_attempts_reference
        CHECK (reference IS NOT NULL OR state NOT IN ('sent', 'confirmed', 'reversed')),
    CONSTRAINT ck_payout_attempts_sent CHECK ((sent_at IS NOT NULL) = (state IN ('sent', 'confirmed', 'reversed'))),
    CONSTRAINT ck_payout_attempts_confirmed CHECK ((confirmed_at IS NOT NULL) = (state IN ('confirmed', 'reversed'))),
    CONSTRAINT ck_payout_attempts_failed
        CHECK (num_nulls(failed_at, failure) IN (0, 2) AND (failed_at IS NOT NULL) = (state = 'failed')),
    CONSTRAINT ck_payout_attempts_reversed CHECK ((reversed_at IS NOT NULL) = (state = 'reversed')),
    CONSTRAINT fk_payout_attempts_payout_id FOREIGN KEY(payout_id) REFERENCES payouts (id)
);

CREATE UNIQUE INDEX ix_payout_attempts_alive ON payout_attempts (payout_id) WHERE state <> 'failed';

CREATE INDEX ix_payout_attempts_due_at ON payout_attempts (due_at) WHERE due_at IS NOT NULL;

GRANT USAGE ON SEQUENCE payouts_id_seq, payout_attempts_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (rail, state, hold, hold_reason, approved_at, approved_by, sent_at, confirmed_at, reversal_reason,
    reversal_asked_at, reversal_asked_by, reversed_at, note) ON payouts TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (state, reference, next_step, due_at, calls, is_spent, sent_at, confirmed_at, failed_at, failure,
    reversed_at) ON payout_attempts TO s2b2c_app;
