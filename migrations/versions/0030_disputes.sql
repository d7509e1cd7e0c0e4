CREATE SEQUENCE disputes_id_seq;

CREATE TABLE disputes (
    id BIGINT DEFAULT nextval('disputes_id_seq') NOT NULL,
    run_id BIGINT NOT NULL,
    statement_id BIGINT,
    distributor_id BIGINT,
    brand_id BIGINT,
    reason TEXT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    opened_by BIGINT,
    outcome TEXT,
    answer TEXT,
    answered_at TIMESTAMP WITH TIME ZONE,
    answered_by BIGINT,
    adjustment_id BIGINT,
    left_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_disputes PRIMARY KEY (id),
    CONSTRAINT ck_disputes_payee CHECK (num_nonnulls(distributor_id, brand_id) = 1),
    CONSTRAINT ck_disputes_reason CHECK (reason <> ''),
    CONSTRAINT ck_disputes_outcome CHECK (outcome IN ('accepted', 'rejected')),
    CONSTRAINT ck_disputes_answered
        CHECK (num_nonnulls(outcome, answer, answered_at) = CASE WHEN outcome IS NULL THEN 0 ELSE 3 END),
    CONSTRAINT ck_disputes_answer CHECK (answer <> ''),
    CONSTRAINT ck_disputes_answered_by CHECK (answered_by IS NULL OR outcome IS NOT NULL),
    CONSTRAINT ck_disputes_adjustment CHECK ((outcome IS NOT DISTINCT FROM 'accepted') = (adjustment_id IS NOT NULL)),
    CONSTRAINT uq_disputes_run_id_distributor_id_brand_id UNIQUE NULLS NOT DISTINCT (run_id, distributor_id, brand_id),
    CONSTRAINT uq_disputes_adjustment_id UNIQUE (adjustment_id),
    CONSTRAINT fk_disputes_run_id FOREIGN KEY(run_id) REFERENCES settlement_runs (id),
    CONSTRAINT fk_disputes_statement_id FOREIGN KEY(statement_id) REFERENCES statements (id) ON DELETE SET NULL,
    CONSTRAINT fk_disputes_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_disputes_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_disputes_opened_by FOREIGN KEY(opened_by) REFERENCES people (id),
    CONSTRAINT fk_disputes_answered_by FOREIGN KEY(answered_by) REFERENCES people (id),
    CONSTRAINT fk_disputes_adjustment_id FOREIGN KEY(adjustment_id) REFERENCES adjustments (id)
);

CREATE INDEX ix_disputes_waiting ON disputes (id) WHERE outcome IS NULL;

CREATE INDEX ix_disputes_statement_id ON disputes (statement_id) WHERE statement_id IS NOT NULL;

CREATE INDEX ix_disputes_distributor_id_id ON disputes (distributor_id, id) WHERE distributor_id IS NOT NULL;

CREATE INDEX ix_disputes_brand_id_id ON disputes (brand_id, id) WHERE brand_id IS NOT NULL;

CREATE INDEX ix_adjustments_distributor_id_id ON adjustments (distributor_id, id) WHERE distributor_id IS NOT NULL;

CREATE INDEX ix_adjustments_brand_id_id ON adjustments (brand_id, id) WHERE brand_id IS NOT NULL;

ALTER TABLE notices
    DROP CONSTRAINT ck_notices_kind,
    ADD CONSTRAINT ck_notices_kind CHECK (kind IN ('application_approved', 'application_rejected', 'moved', 'suspended', 'reinstated',
        'listing_clamped', 'listing_withdrawn', 'listings_fitted', 'words_removed', 'price_change_refused', 'setup_copied',
        'product_approved', 'product_rejected', 'product_withdrawn', 'product_delisted', 'product_relisted', 'statement_ready',
        'dispute_accepted', 'dispute_rejected', 'statement_postponed', 'statement_discarded')) NOT VALID;

GRANT USAGE ON SEQUENCE disputes_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (outcome, answer, answered_at, answered_by, adjustment_id, left_at) ON disputes TO s2b2c_app;
