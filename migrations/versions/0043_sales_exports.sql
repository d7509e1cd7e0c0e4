ALTER TABLE files
    DROP CONSTRAINT ck_files_kind,
    DROP CONSTRAINT ck_files_brand,
    ADD CONSTRAINT ck_files_kind
        CHECK (kind IN ('catalogue', 'catalogue_export', 'import_report', 'finance_export', 'payout_proof', 'rail_report', 'sales_export')) NOT VALID,
    ADD CONSTRAINT ck_files_brand CHECK (kind = 'sales_export' OR (brand_id IS NULL) = (kind IN ('finance_export', 'payout_proof', 'rail_report'))) NOT VALID;

CREATE SEQUENCE sales_exports_id_seq;

CREATE TABLE sales_exports (
    id BIGINT DEFAULT nextval('sales_exports_id_seq') NOT NULL,
    report TEXT NOT NULL,
    starts_on DATE NOT NULL,
    ends_on DATE NOT NULL,
    brand_id BIGINT,
    product_id BIGINT,
    store_id BIGINT,
    region TEXT,
    tier_id BIGINT,
    format TEXT NOT NULL,
    language TEXT NOT NULL,
    encoding TEXT NOT NULL,
    account_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    file_id BIGINT,
    state TEXT DEFAULT 'waiting' NOT NULL,
    step TEXT DEFAULT '' NOT NULL,
    done BIGINT DEFAULT 0 NOT NULL,
    total BIGINT DEFAULT 0 NOT NULL,
    rows BIGINT DEFAULT 0 NOT NULL,
    sha256 TEXT,
    problem TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_sales_exports PRIMARY KEY (id),
    CONSTRAINT ck_sales_exports_report CHECK (report IN ('stores', 'regions', 'tiers', 'products', 'days', 'weeks', 'months',
        'distribution', 'sell-through', 'never-sold')),
    CONSTRAINT ck_sales_exports_format CHECK (format IN ('csv', 'xlsx')),
    CONSTRAINT ck_sales_exports_language CHECK (language IN ('zh', 'en')),
    CONSTRAINT ck_sales_exports_encoding CHECK (encoding IN ('utf-8', 'gb18030')),
    CONSTRAINT ck_sales_exports_state CHECK (state IN ('waiting', 'running', 'done', 'refused', 'failed')),
    CONSTRAINT ck_sales_exports_ends_on CHECK (starts_on < ends_on),
    CONSTRAINT ck_sales_exports_finished_at CHECK ((state IN ('done', 'refused')) = (finished_at IS NOT NULL)),
    CONSTRAINT ck_sales_exports_problem CHECK ((state = 'refused') = (problem IS NOT NULL)),
    CONSTRAINT ck_sales_exports_done CHECK (0 <= done AND done <= total),
    CONSTRAINT fk_sales_exports_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_sales_exports_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_sales_exports_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_sales_exports_tier_id FOREIGN KEY(tier_id) REFERENCES tiers (id),
    CONSTRAINT fk_sales_exports_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_sales_exports_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE SET NULL
);

CREATE INDEX ix_sales_exports_account_id_id ON sales_exports (account_id, id);

CREATE INDEX ix_sales_exports_file_id ON sales_exports (file_id);

GRANT SELECT, INSERT, UPDATE (state, step, done, total, rows, sha256, problem, file_id, started_at, finished_at) ON sales_exports TO s2b2c_app;

GRANT USAGE ON SEQUENCE sales_exports_id_seq TO s2b2c_app;
