CREATE SEQUENCE rail_reports_id_seq;

CREATE TABLE rail_reports (
    id BIGINT DEFAULT nextval('rail_reports_id_seq') NOT NULL,
    rail TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE,
    ends_at TIMESTAMP WITH TIME ZONE,
    file_id BIGINT,
    state TEXT NOT NULL,
    step TEXT DEFAULT '' NOT NULL,
    done BIGINT DEFAULT 0 NOT NULL,
    total BIGINT DEFAULT 0 NOT NULL,
    rows BIGINT DEFAULT 0 NOT NULL,
    problem TEXT,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    read_by BIGINT,
    CONSTRAINT pk_rail_reports PRIMARY KEY (id),
    CONSTRAINT ck_rail_reports_state CHECK (state IN ('waiting', 'running', 'done', 'refused', 'failed')),
    CONSTRAINT ck_rail_reports_problem CHECK ((state = 'refused') = (problem IS NOT NULL)),
    CONSTRAINT ck_rail_reports_done CHECK (0 <= done AND done <= total),
    CONSTRAINT ck_rail_reports_rail CHECK (rail IN ('stripe', 'bank')),
    CONSTRAINT ck_rail_reports_period CHECK (num_nonnulls(starts_at, ends_at) = CASE rail WHEN 'stripe' THEN 2 ELSE 0 END),
    CONSTRAINT uq_rail_reports_rail_sha256 UNIQUE (rail, sha256),
    CONSTRAINT fk_rail_reports_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE SET NULL,
    CONSTRAINT fk_rail_reports_read_by FOREIGN KEY(read_by) REFERENCES people (id)
);

CREATE INDEX ix_rail_reports_file_id ON rail_reports (file_id);

CREATE SEQUENCE rail_breaks_id_seq;

CREATE TABLE rail_breaks (
    id BIGINT DEFAULT nextval('rail_breaks_id_seq') NOT NULL,
    rail TEXT NOT NULL,
    kind TEXT NOT NULL,
    category TEXT NOT NULL,
    reference TEXT NOT NULL,
    ours BIGINT,
    theirs BIGINT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    report_id BIGINT NOT NULL,
    resolved_at TIMESTAMP WITH TIME ZONE,
    resolved_by BIGINT,
    reason TEXT,
    closed_by_report_id BIGINT,
    CONSTRAINT pk_rail_breaks PRIMARY KEY (id),
    CONSTRAINT ck_rail_breaks_rail CHECK (rail IN ('stripe', 'bank')),
    CONSTRAINT ck_rail_breaks_kind CHECK (kind IN ('missing_here', 'missing_there', 'amount_differs', 'state_differs', 'duplicate')),
    CONSTRAINT ck_rail_breaks_reference CHECK (reference <> ''),
    CONSTRAINT ck_rail_breaks_sides CHECK ((kind = 'missing_here') = (ours IS NULL) AND (kind = 'missing_there') = (theirs IS NULL)),
    CONSTRAINT ck_rail_breaks_resolved
        CHECK (num_nonnulls(reason, closed_by_report_id) = CASE WHEN resolved_at IS NULL THEN 0 ELSE 1 END),
    CONSTRAINT ck_rail_breaks_reason CHECK (reason <> ''),
    CONSTRAINT ck_rail_breaks_resolved_by CHECK (resolved_by IS NULL OR reason IS NOT NULL),
    CONSTRAINT uq_rail_breaks_rail_category_reference UNIQUE (rail, category, reference),
    CONSTRAINT fk_rail_breaks_report_id FOREIGN KEY(report_id) REFERENCES rail_reports (id),
    CONSTRAINT fk_rail_breaks_resolved_by FOREIGN KEY(resolved_by) REFERENCES people (id),
    CONSTRAINT fk_rail_breaks_closed_by_report_id FOREIGN KEY(closed_by_report_id) REFERENCES rail_reports (id)
);

CREATE INDEX ix_rail_breaks_open ON rail_breaks (at, id) WHERE resolved_at IS NULL;

GRANT USAGE ON SEQUENCE rail_reports_id_seq, rail_breaks_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (starts_at, ends_at, file_id, state, step, done, total, rows, problem, read_at, read_by)
    ON rail_reports TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (kind, ours, theirs, at, report_id, resolved_at, resolved_by, reason, closed_by_report_id)
    ON rail_breaks TO s2b2c_app;
