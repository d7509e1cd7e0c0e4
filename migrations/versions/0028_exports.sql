ALTER TABLE files
    ALTER COLUMN brand_id DROP NOT NULL,
    DROP CONSTRAINT ck_files_kind,
    ADD CONSTRAINT ck_files_kind CHECK (kind IN ('catalogue', 'catalogue_export', 'import_report', 'finance_export')) NOT VALID,
    ADD CONSTRAINT ck_files_brand CHECK ((brand_id IS NULL) = (kind = 'finance_export')) NOT VALID;

CREATE SEQUENCE finance_exports_id_seq;

CREATE TABLE finance_exports (
    id BIGINT DEFAULT nextval('finance_exports_id_seq') NOT NULL,
    document TEXT NOT NULL,
    run_id BIGINT,
    starts_on DATE,
    ends_on DATE,
    format TEXT NOT NULL,
    language TEXT NOT NULL,
    encoding TEXT NOT NULL,
    with_payees BOOLEAN NOT NULL,
    account_id BIGINT NOT NULL,
    person_id BIGINT,
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
    CONSTRAINT pk_finance_exports PRIMARY KEY (id),
    CONSTRAINT ck_finance_exports_document CHECK (document IN ('statement_detail', 'statement_summary', 'bank_batch',
        'brand_payable', 'withholding_report', 'ledger_journal')),
    CONSTRAINT ck_finance_exports_format CHECK (format IN ('csv', 'xlsx')),
    CONSTRAINT ck_finance_exports_language CHECK (language IN ('zh', 'en')),
    CONSTRAINT ck_finance_exports_encoding CHECK (encoding IN ('utf-8', 'gb18030')),
    CONSTRAINT ck_finance_exports_state CHECK (state IN ('waiting', 'running', 'done', 'refused', 'failed')),
    CONSTRAINT ck_finance_exports_scope CHECK ((run_id IS NULL) = (starts_on IS NOT NULL) AND (starts_on IS NULL) = (ends_on IS NULL)),
    CONSTRAINT ck_finance_exports_finished_at CHECK ((state IN ('done', 'refused')) = (finished_at IS NOT NULL)),
    CONSTRAINT ck_finance_exports_problem CHECK ((state = 'refused') = (problem IS NOT NULL)),
    CONSTRAINT ck_finance_exports_done CHECK (0 <= done AND done <= total),
    CONSTRAINT fk_finance_exports_run_id FOREIGN KEY(run_id) REFERENCES settlement_runs (id),
    CONSTRAINT fk_finance_exports_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_finance_exports_person_id FOREIGN KEY(person_id) REFERENCES people (id),
    CONSTRAINT fk_finance_exports_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE SET NULL
);

CREATE INDEX ix_finance_exports_file_id ON finance_exports (file_id);

CREATE FUNCTION yuan(amount bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN amount < 0 THEN '-' ELSE '' END || (abs(amount) / 100)::text || '.' || lpad((abs(amount) % 100)::text, 2, '0');

CREATE FUNCTION safe_cell(value text, guarded boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN guarded AND strpos(E'-=+@|%\t\r\n＝＋－＠｜％ \u00a0\u3000\u200b\ufeff"\'＂＇‘’“”' COLLATE "C", left(value, 1)) > 0
                 AND value COLLATE "C" ~ E'^[ \u00a0\u3000\u200b\ufeff"\'＂＇‘’“”]*[=+@|%\t\r\n＝＋－＠｜％-]'
            THEN '''' || value ELSE value END;

GRANT USAGE ON SEQUENCE finance_exports_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (file_id, state, step, done, total, rows, sha256, problem, started_at, finished_at)
    ON finance_exports TO s2b2c_app;
