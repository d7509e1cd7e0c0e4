CREATE SEQUENCE payees_id_seq;

CREATE TABLE payees (
    id BIGINT DEFAULT nextval('payees_id_seq') NOT NULL,
    distributor_id BIGINT,
    brand_id BIGINT,
    legal_name TEXT NOT NULL,
    identity_number TEXT NOT NULL,
    bank_name TEXT NOT NULL,
    bank_account TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_by BIGINT NOT NULL,
    CONSTRAINT pk_payees PRIMARY KEY (id),
    CONSTRAINT ck_payees_owner CHECK (num_nonnulls(distributor_id, brand_id) = 1),
    CONSTRAINT ck_payees_legal_name CHECK (legal_name ~ '^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$'),
    CONSTRAINT ck_payees_identity_number CHECK (identity_number ~ '^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$'),
    CONSTRAINT ck_payees_bank_account CHECK (bank_account ~ '^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$'),
    CONSTRAINT uq_payees_distributor_id UNIQUE (distributor_id),
    CONSTRAINT uq_payees_brand_id UNIQUE (brand_id),
    CONSTRAINT fk_payees_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_payees_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_payees_updated_by FOREIGN KEY(updated_by) REFERENCES accounts (id)
);

GRANT USAGE ON SEQUENCE payees_id_seq TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE (legal_name, identity_number, bank_name, bank_account, updated_at, updated_by) ON payees
    TO s2b2c_app;
