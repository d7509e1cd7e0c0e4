DELETE FROM ranking_scores;

DELETE FROM ranking_runs;

ALTER TABLE ranking_policies
    DROP CONSTRAINT uq_ranking_policies_code,
    ADD COLUMN version BIGINT DEFAULT '1' NOT NULL,
    ADD COLUMN metrics_version BIGINT DEFAULT '1' NOT NULL,
    ADD COLUMN cohort TEXT DEFAULT 'tier_region' NOT NULL,
    ADD COLUMN strikes BIGINT DEFAULT '2' NOT NULL,
    ADD COLUMN appeal_days BIGINT DEFAULT '7' NOT NULL,
    ADD COLUMN created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ADD COLUMN created_by BIGINT,
    ADD COLUMN published_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN published_by BIGINT,
    ADD CONSTRAINT ck_ranking_policies_process CHECK (strikes BETWEEN 1 AND 100 AND appeal_days BETWEEN 1 AND 365) NOT VALID,
    ADD CONSTRAINT ck_ranking_policies_cohort CHECK (cohort IN ('tier_region', 'tier')) NOT VALID,
    ADD CONSTRAINT ck_ranking_policies_published CHECK (published_by IS NULL OR published_at IS NOT NULL) NOT VALID,
    ADD CONSTRAINT uq_ranking_policies_code_version UNIQUE (code, version),
    ADD CONSTRAINT fk_ranking_policies_created_by FOREIGN KEY(created_by) REFERENCES people (id) NOT VALID,
    ADD CONSTRAINT fk_ranking_policies_published_by FOREIGN KEY(published_by) REFERENCES people (id) NOT VALID;

UPDATE ranking_policies SET published_at = now();

CREATE SEQUENCE ranking_exemptions_id_seq;

CREATE TABLE ranking_exemptions (
    id BIGINT DEFAULT nextval('ranking_exemptions_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    during DATERANGE NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by BIGINT,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_by BIGINT,
    CONSTRAINT pk_ranking_exemptions PRIMARY KEY (id),
    CONSTRAINT ck_ranking_exemptions_during CHECK (NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
    CONSTRAINT ex_ranking_exemptions_during EXCLUDE USING gist (distributor_id WITH =, during WITH &&),
    CONSTRAINT fk_ranking_exemptions_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_ranking_exemptions_created_by FOREIGN KEY(created_by) REFERENCES people (id),
    CONSTRAINT fk_ranking_exemptions_ended_by FOREIGN KEY(ended_by) REFERENCES people (id)
);

ALTER TABLE ranking_runs
    ADD COLUMN created_by BIGINT,
    ADD COLUMN ranked BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN in_tail BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN digest BYTEA,
    ADD COLUMN acted_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN acted_by BIGINT,
    ADD CONSTRAINT ex_ranking_runs_acted_on EXCLUDE USING gist (period WITH &&) WHERE (acted_at IS NOT NULL),
    ADD CONSTRAINT ck_ranking_runs_digest CHECK ((digest IS NULL) = (acted_at IS NULL)),
    ADD CONSTRAINT ck_ranking_runs_acted CHECK (acted_by IS NULL OR acted_at IS NOT NULL),
    ADD CONSTRAINT fk_ranking_runs_created_by FOREIGN KEY(created_by) REFERENCES people (id),
    ADD CONSTRAINT fk_ranking_runs_acted_by FOREIGN KEY(acted_by) REFERENCES people (id);

ALTER TABLE ranking_scores
    DROP COLUMN in_tail,
    DROP CONSTRAINT pk_ranking_scores,
    ADD CONSTRAINT pk_ranking_scores PRIMARY KEY (distributor_id, run_id),
    DROP CONSTRAINT fk_ranking_scores_run_id,
    DROP CONSTRAINT fk_ranking_scores_distributor_id,
    DROP CONSTRAINT fk_ranking_scores_tier_id,
    ADD COLUMN home_region TEXT NOT NULL,
    ADD COLUMN repeat_mean_bps BIGINT NOT NULL,
    ADD COLUMN refund_mean_bps BIGINT NOT NULL,
    ADD COLUMN growth_mean_bps BIGINT NOT NULL,
    ADD COLUMN sell_through_mean_bps BIGINT NOT NULL,
    ADD COLUMN output_place BIGINT NOT NULL,
    ADD COLUMN orders_place BIGINT NOT NULL,
    ADD COLUMN customers_place BIGINT NOT NULL,
    ADD COLUMN repeat_place BIGINT NOT NULL,
    ADD COLUMN refund_place BIGINT NOT NULL,
    ADD COLUMN growth_place BIGINT NOT NULL,
    ADD COLUMN sell_through_place BIGINT NOT NULL,
    ADD COLUMN outcome TEXT NOT NULL,
    ADD COLUMN exemption_id BIGINT,
    ADD CONSTRAINT ck_ranking_scores_places CHECK (output_place BETWEEN 1 AND compared AND orders_place BETWEEN 1 AND compared AND customers_place BETWEEN 1 AND compared AND repeat_place BETWEEN 1 AND compared AND refund_place BETWEEN 1 AND compared AND growth_place BETWEEN 1 AND compared AND sell_through_place BETWEEN 1 AND compared),
    ADD CONSTRAINT ck_ranking_scores_region CHECK (region IS NULL OR region = home_region),
    ADD CONSTRAINT ck_ranking_scores_outcome CHECK (outcome IN ('clear', 'tail', 'let_off', 'no_tail')),
    ADD CONSTRAINT ck_ranking_scores_exemption CHECK ((outcome = 'let_off') = (exemption_id IS NOT NULL)),
    ADD CONSTRAINT fk_ranking_scores_exemption_id FOREIGN KEY(exemption_id) REFERENCES ranking_exemptions (id);

CREATE SEQUENCE tail_cases_id_seq;

CREATE TABLE tail_cases (
    id BIGINT DEFAULT nextval('tail_cases_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    state TEXT NOT NULL,
    strikes BIGINT NOT NULL,
    opened_run_id BIGINT NOT NULL,
    last_run_id BIGINT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    noticed_at TIMESTAMP WITH TIME ZONE,
    appeal_until TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_tail_cases PRIMARY KEY (id),
    CONSTRAINT ck_tail_cases_state CHECK (state IN ('watch', 'noticed', 'appealed', 'rejected', 'upheld', 'spared', 'cleared', 'eliminated')),
    CONSTRAINT ck_tail_cases_strikes CHECK (strikes >= 1),
    CONSTRAINT ck_tail_cases_closed CHECK ((closed_at IS NOT NULL) = (state IN ('upheld', 'spared', 'cleared', 'eliminated'))),
    CONSTRAINT ck_tail_cases_notice CHECK ((noticed_at IS NULL) = (appeal_until IS NULL) AND noticed_at < appeal_until),
    CONSTRAINT ck_tail_cases_noticed CHECK (noticed_at IS NOT NULL OR state IN ('watch', 'cleared')),
    CONSTRAINT fk_tail_cases_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_tail_cases_opened_run_id FOREIGN KEY(opened_run_id) REFERENCES ranking_runs (id),
    CONSTRAINT fk_tail_cases_last_run_id FOREIGN KEY(last_run_id) REFERENCES ranking_runs (id)
);

CREATE INDEX ix_tail_cases_distributor_id_id ON tail_cases (distributor_id, id);

CREATE INDEX ix_tail_cases_state_id ON tail_cases (state, id);

CREATE UNIQUE INDEX uq_tail_cases_open ON tail_cases (distributor_id) WHERE closed_at IS NULL;

CREATE SEQUENCE tail_steps_id_seq;

CREATE TABLE tail_steps (
    id BIGINT DEFAULT nextval('tail_steps_id_seq') NOT NULL,
    case_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    run_id BIGINT,
    person_id BIGINT,
    strikes BIGINT NOT NULL,
    said TEXT,
    CONSTRAINT pk_tail_steps PRIMARY KEY (id),
    CONSTRAINT ck_tail_steps_kind CHECK (kind IN ('watched', 'struck', 'noticed', 'planned', 'appealed', 'appeal_upheld', 'appeal_rejected', 'spared', 'cleared', 'eliminated')),
    CONSTRAINT fk_tail_steps_case_id FOREIGN KEY(case_id) REFERENCES tail_cases (id),
    CONSTRAINT fk_tail_steps_run_id FOREIGN KEY(run_id) REFERENCES ranking_runs (id),
    CONSTRAINT fk_tail_steps_person_id FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE INDEX ix_tail_steps_case_id_id ON tail_steps (case_id, id);

ALTER TABLE notices
    DROP CONSTRAINT ck_notices_kind,
    ADD CONSTRAINT ck_notices_kind CHECK (kind IN ('application_approved', 'application_rejected', 'moved', 'suspended', 'reinstated',
        'listing_clamped', 'listing_withdrawn', 'listings_fitted', 'words_removed', 'price_change_refused', 'setup_copied',
        'product_approved', 'product_rejected', 'product_withdrawn', 'product_delisted', 'product_relisted', 'statement_ready',
        'dispute_accepted', 'dispute_rejected', 'statement_postponed', 'statement_discarded',
        'ranking_watched', 'ranking_noticed', 'ranking_cleared', 'appeal_upheld', 'appeal_rejected', 'ranking_spared',
        'improvement_planned')) NOT VALID;

GRANT USAGE ON SEQUENCE ranking_exemptions_id_seq, tail_cases_id_seq, tail_steps_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (during, ended_at, ended_by) ON ranking_exemptions TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (state, strikes, last_run_id, noticed_at, appeal_until, closed_at) ON tail_cases TO s2b2c_app;

GRANT SELECT, INSERT ON tail_steps TO s2b2c_app;

GRANT UPDATE (published_at, published_by) ON ranking_policies TO s2b2c_app;

GRANT UPDATE (ranked, in_tail, digest, acted_at, acted_by) ON ranking_runs TO s2b2c_app;
