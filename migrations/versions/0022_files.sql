CREATE SEQUENCE files_id_seq;

CREATE TABLE files (
    id BIGINT DEFAULT nextval('files_id_seq') NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    object_name TEXT NOT NULL,
    brand_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    size BIGINT,
    sha256 TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_files PRIMARY KEY (id),
    CONSTRAINT uq_files_id_brand_id UNIQUE (id, brand_id),
    CONSTRAINT uq_files_object_name UNIQUE (object_name),
    CONSTRAINT ck_files_kind CHECK (kind IN ('catalogue', 'catalogue_export', 'import_report')),
    CONSTRAINT ck_files_whole CHECK (num_nulls(size, sha256) IN (0, 2)),
    CONSTRAINT fk_files_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_files_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_files_created_at ON files (created_at);

CREATE SEQUENCE bulk_runs_id_seq;

CREATE TABLE bulk_runs (
    id BIGINT DEFAULT nextval('bulk_runs_id_seq') NOT NULL,
    kind TEXT NOT NULL,
    brand_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    file_id BIGINT,
    is_dry_run BOOLEAN,
    with_stock BOOLEAN,
    language TEXT,
    state TEXT DEFAULT 'waiting' NOT NULL,
    step TEXT DEFAULT '' NOT NULL,
    done BIGINT DEFAULT 0 NOT NULL,
    total BIGINT DEFAULT 0 NOT NULL,
    rows BIGINT DEFAULT 0 NOT NULL,
    inserted BIGINT DEFAULT 0 NOT NULL,
    updated BIGINT DEFAULT 0 NOT NULL,
    warnings BIGINT DEFAULT 0 NOT NULL,
    problems BIGINT DEFAULT 0 NOT NULL,
    report_file_id BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_bulk_runs PRIMARY KEY (id),
    CONSTRAINT ck_bulk_runs_kind CHECK (kind IN ('import', 'export')),
    CONSTRAINT ck_bulk_runs_state CHECK (state IN ('waiting', 'running', 'done', 'refused', 'failed')),
    CONSTRAINT ck_bulk_runs_language CHECK (language IN ('zh', 'en')),
    CONSTRAINT ck_bulk_runs_is_dry_run CHECK ((kind = 'import') = (is_dry_run IS NOT NULL)),
    CONSTRAINT ck_bulk_runs_of_import CHECK ((kind = 'import') = (language IS NOT NULL)),
    CONSTRAINT ck_bulk_runs_with_stock CHECK ((kind = 'export') = (with_stock IS NOT NULL)),
    CONSTRAINT ck_bulk_runs_finished_at CHECK ((state IN ('done', 'refused')) = (finished_at IS NOT NULL)),
    CONSTRAINT ck_bulk_runs_started_at CHECK (finished_at >= started_at),
    CONSTRAINT ck_bulk_runs_problems CHECK (problems > 0 OR state <> 'refused'),
    CONSTRAINT ck_bulk_runs_done CHECK (0 <= done AND done <= total),
    CONSTRAINT fk_bulk_runs_file_id_brand_id FOREIGN KEY(file_id, brand_id) REFERENCES files (id, brand_id) ON DELETE SET NULL (file_id),
    CONSTRAINT fk_bulk_runs_report_file_id_brand_id FOREIGN KEY(report_file_id, brand_id) REFERENCES files (id, brand_id) ON DELETE SET NULL (report_file_id),
    CONSTRAINT fk_bulk_runs_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_bulk_runs_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_bulk_runs_brand_id_kind_id ON bulk_runs (brand_id, kind, id);
CREATE INDEX ix_bulk_runs_file_id ON bulk_runs (file_id);
CREATE INDEX ix_bulk_runs_report_file_id ON bulk_runs (report_file_id);

GRANT USAGE ON SEQUENCE files_id_seq, bulk_runs_id_seq TO s2b2c_app;
GRANT SELECT, INSERT, DELETE, UPDATE (size, sha256) ON files TO s2b2c_app;
GRANT SELECT, INSERT ON bulk_runs TO s2b2c_app;
GRANT UPDATE (state, step, done, total, rows, inserted, updated, warnings, problems, file_id, report_file_id, started_at, finished_at)
    ON bulk_runs TO s2b2c_app;
GRANT UPDATE (slot) ON pgqueuer TO s2b2c_app;
