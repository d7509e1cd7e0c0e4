CREATE SEQUENCE seats_id_seq;

CREATE TABLE seats (
    id BIGINT DEFAULT nextval('seats_id_seq') NOT NULL,
    tier_id BIGINT NOT NULL,
    region TEXT NOT NULL,
    parent_id BIGINT,
    places BIGINT NOT NULL,
    taken BIGINT DEFAULT 0 NOT NULL,
    opens_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closes_at TIMESTAMP WITH TIME ZONE,
    needs_code BOOLEAN NOT NULL,
    experience_bps BIGINT NOT NULL,
    audience_bps BIGINT NOT NULL,
    output_bps BIGINT NOT NULL,
    review_bps BIGINT NOT NULL,
    weights_version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by BIGINT NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    closed_by BIGINT,
    close_reason TEXT,
    CONSTRAINT pk_seats PRIMARY KEY (id),
    CONSTRAINT ck_seats_places CHECK (places BETWEEN 1 AND 1000),
    CONSTRAINT ck_seats_taken CHECK (taken BETWEEN 0 AND places),
    CONSTRAINT ck_seats_closes_at CHECK (opens_at < closes_at),
    CONSTRAINT ck_seats_weights CHECK (least(experience_bps, audience_bps, output_bps, review_bps) >= 0 AND experience_bps + audience_bps + output_bps + review_bps = 10000),
    CONSTRAINT ck_seats_closed_at CHECK (num_nonnulls(closed_at, closed_by, close_reason) IN (0, 3)),
    CONSTRAINT fk_seats_tier_id FOREIGN KEY(tier_id) REFERENCES tiers (id),
    CONSTRAINT fk_seats_parent_id FOREIGN KEY(parent_id) REFERENCES distributors (id),
    CONSTRAINT fk_seats_created_by FOREIGN KEY(created_by) REFERENCES accounts (id),
    CONSTRAINT fk_seats_closed_by FOREIGN KEY(closed_by) REFERENCES accounts (id)
);

CREATE INDEX ix_seats_open ON seats (id) WHERE closed_at IS NULL;

CREATE SEQUENCE recruiting_codes_id_seq;

CREATE TABLE recruiting_codes (
    id BIGINT DEFAULT nextval('recruiting_codes_id_seq') NOT NULL,
    code TEXT NOT NULL,
    seat_id BIGINT,
    distributor_id BIGINT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by BIGINT NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    revoked_by BIGINT,
    CONSTRAINT pk_recruiting_codes PRIMARY KEY (id),
    CONSTRAINT ck_recruiting_codes_revoked_at CHECK (num_nonnulls(revoked_at, revoked_by) IN (0, 2)),
    CONSTRAINT uq_recruiting_codes_code UNIQUE (code),
    CONSTRAINT fk_recruiting_codes_seat_id FOREIGN KEY(seat_id) REFERENCES seats (id),
    CONSTRAINT fk_recruiting_codes_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_recruiting_codes_created_by FOREIGN KEY(created_by) REFERENCES accounts (id),
    CONSTRAINT fk_recruiting_codes_revoked_by FOREIGN KEY(revoked_by) REFERENCES accounts (id)
);

CREATE INDEX ix_recruiting_codes_distributor_id_id ON recruiting_codes (distributor_id, id);

CREATE SEQUENCE seat_applications_id_seq;

CREATE TABLE seat_applications (
    id BIGINT DEFAULT nextval('seat_applications_id_seq') NOT NULL,
    seat_id BIGINT NOT NULL,
    person_id BIGINT NOT NULL,
    code_id BIGINT,
    legal_name TEXT,
    region TEXT,
    introduction TEXT,
    experience_months BIGINT NOT NULL,
    audience BIGINT NOT NULL,
    declared_output BIGINT NOT NULL,
    verified_experience_months BIGINT,
    verified_audience BIGINT,
    verified_output BIGINT,
    review BIGINT,
    state TEXT NOT NULL,
    submitted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    distributor_id BIGINT,
    CONSTRAINT pk_seat_applications PRIMARY KEY (id),
    CONSTRAINT ck_seat_applications_state CHECK (state IN ('submitted', 'withdrawn', 'approved', 'rejected')),
    CONSTRAINT ck_seat_applications_legal_name CHECK (legal_name ~ '^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$'),
    CONSTRAINT ck_seat_applications_region CHECK (region ~ '^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$'),
    CONSTRAINT ck_seat_applications_introduction CHECK (introduction ~ '^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{4}){9,}([A-Za-z0-9_-]{4}|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{2}==)$'),
    CONSTRAINT ck_seat_applications_erased CHECK (num_nonnulls(legal_name, region, introduction) IN (0, 3)),
    CONSTRAINT ck_seat_applications_known CHECK (legal_name IS NOT NULL OR state <> 'submitted'),
    CONSTRAINT ck_seat_applications_experience_months CHECK (experience_months BETWEEN 0 AND 1200),
    CONSTRAINT ck_seat_applications_audience CHECK (audience BETWEEN 0 AND 1000000000),
    CONSTRAINT ck_seat_applications_declared_output CHECK (declared_output BETWEEN 0 AND 1000000000000000),
    CONSTRAINT ck_seat_applications_verified_experience_months CHECK (verified_experience_months BETWEEN 0 AND 1200),
    CONSTRAINT ck_seat_applications_verified_audience CHECK (verified_audience BETWEEN 0 AND 1000000000),
    CONSTRAINT ck_seat_applications_verified_output CHECK (verified_output BETWEEN 0 AND 1000000000000000),
    CONSTRAINT ck_seat_applications_review CHECK (review BETWEEN 0 AND 100),
    CONSTRAINT ck_seat_applications_decided_at CHECK ((state = 'submitted') = (decided_at IS NULL)),
    CONSTRAINT ck_seat_applications_distributor_id CHECK ((state = 'approved') = (distributor_id IS NOT NULL)),
    CONSTRAINT ck_seat_applications_reason CHECK (state <> 'rejected' OR reason IS NOT NULL),
    CONSTRAINT uq_seat_applications_distributor_id UNIQUE (distributor_id),
    CONSTRAINT fk_seat_applications_seat_id FOREIGN KEY(seat_id) REFERENCES seats (id),
    CONSTRAINT fk_seat_applications_person_id FOREIGN KEY(person_id) REFERENCES people (id),
    CONSTRAINT fk_seat_applications_code_id FOREIGN KEY(code_id) REFERENCES recruiting_codes (id),
    CONSTRAINT fk_seat_applications_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

CREATE INDEX ix_seat_applications_code_id ON seat_applications (code_id);

CREATE INDEX ix_seat_applications_person_id_id ON seat_applications (person_id, id);

CREATE INDEX ix_seat_applications_waiting ON seat_applications (seat_id, id) WHERE state = 'submitted';

CREATE UNIQUE INDEX uq_seat_applications_open ON seat_applications (person_id, seat_id) WHERE state IN ('submitted', 'approved');

CREATE SEQUENCE seat_application_events_id_seq;

CREATE TABLE seat_application_events (
    id BIGINT DEFAULT nextval('seat_application_events_id_seq') NOT NULL,
    application_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id BIGINT,
    facts JSONB NOT NULL,
    reason TEXT,
    CONSTRAINT pk_seat_application_events PRIMARY KEY (id),
    CONSTRAINT ck_seat_application_events_kind CHECK (kind IN ('submitted', 'withdrawn', 'approved', 'rejected', 'verified', 'reviewed', 'moved', 'member_removed')),
    CONSTRAINT ck_seat_application_events_facts CHECK (jsonb_typeof(facts) = 'object'),
    CONSTRAINT fk_seat_application_events_application_id FOREIGN KEY(application_id) REFERENCES seat_applications (id),
    CONSTRAINT fk_seat_application_events_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_seat_application_events_application_id_id ON seat_application_events (application_id, id);

ALTER TABLE personal_reads
    DROP CONSTRAINT ck_personal_reads_purpose,
    DROP CONSTRAINT ck_personal_reads_kinds,
    ADD CONSTRAINT ck_personal_reads_purpose
        CHECK (purpose IN ('shipping', 'order', 'support', 'payout', 'export', 'erasure', 'recruiting')) NOT VALID,
    ADD CONSTRAINT ck_personal_reads_kinds
        CHECK (kinds <@ ARRAY['phone', 'openid', 'unionid', 'recipient', 'region', 'street', 'legal_name', 'identity_number', 'bank_account', 'introduction']) NOT VALID;

GRANT USAGE ON SEQUENCE seats_id_seq, recruiting_codes_id_seq, seat_applications_id_seq, seat_application_events_id_seq
    TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (experience_bps, audience_bps, output_bps, review_bps, weights_version, taken, closed_at,
                              closed_by, close_reason) ON seats TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (revoked_at, revoked_by) ON recruiting_codes TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (seat_id, person_id, legal_name, region, introduction, verified_experience_months,
                              verified_audience, verified_output, review, state, decided_at, reason, distributor_id)
    ON seat_applications TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (reason) ON seat_application_events TO s2b2c_app;
