CREATE SEQUENCE personal_reads_id_seq;

CREATE TABLE personal_reads (
    id BIGINT DEFAULT nextval('personal_reads_id_seq') NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id BIGINT,
    reader_id BIGINT,
    purpose TEXT NOT NULL,
    reason TEXT,
    kinds TEXT[] NOT NULL,
    customer_id BIGINT,
    person_id BIGINT,
    distributor_id BIGINT,
    brand_id BIGINT,
    branch_id BIGINT,
    order_id BIGINT,
    CONSTRAINT pk_personal_reads PRIMARY KEY (id),
    CONSTRAINT ck_personal_reads_purpose CHECK (purpose IN ('shipping', 'order', 'support', 'payout', 'export', 'erasure')),
    CONSTRAINT ck_personal_reads_kinds CHECK (kinds <@ ARRAY['phone', 'openid', 'unionid', 'recipient', 'region', 'street', 'legal_name', 'identity_number', 'bank_account']),
    CONSTRAINT ck_personal_reads_reason CHECK (purpose <> 'support' OR reason IS NOT NULL),
    CONSTRAINT ck_personal_reads_about CHECK (num_nonnulls(customer_id, person_id, distributor_id, brand_id) > 0),
    CONSTRAINT ck_personal_reads_order_id CHECK ((branch_id IS NULL) = (order_id IS NULL)),
    CONSTRAINT ck_personal_reads_reader_id CHECK (reader_id IS NULL OR account_id IS NOT NULL)
);

CREATE INDEX ix_personal_reads_customer_id_id ON personal_reads (customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX ix_personal_reads_person_id_id ON personal_reads (person_id, id) WHERE person_id IS NOT NULL;
CREATE INDEX ix_personal_reads_distributor_id_id ON personal_reads (distributor_id, id) WHERE distributor_id IS NOT NULL;

ALTER TABLE customers ADD COLUMN erased_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE sessions DROP CONSTRAINT ck_sessions_end_reason;
ALTER TABLE sessions ADD CONSTRAINT ck_sessions_end_reason CHECK (end_reason IN ('signed_out', 'token_reused', 'password_changed', 'merged', 'removed'));

GRANT USAGE ON SEQUENCE personal_reads_id_seq TO s2b2c_app;
GRANT SELECT, INSERT ON personal_reads TO s2b2c_app;
GRANT DELETE ON identities, memberships, addresses, order_addresses, payees TO s2b2c_app;
