CREATE SEQUENCE eliminations_id_seq;

CREATE TABLE eliminations (
    id BIGINT DEFAULT nextval('eliminations_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason TEXT NOT NULL,
    account_id BIGINT NOT NULL,
    person_id BIGINT,
    state_before TEXT NOT NULL,
    home_id BIGINT,
    members BIGINT DEFAULT '0' NOT NULL,
    downlines BIGINT DEFAULT '0' NOT NULL,
    customers BIGINT DEFAULT '0' NOT NULL,
    stores BIGINT DEFAULT '0' NOT NULL,
    sessions BIGINT DEFAULT '0' NOT NULL,
    pending BIGINT NOT NULL,
    matured BIGINT NOT NULL,
    debt BIGINT NOT NULL,
    reinstated_at TIMESTAMP WITH TIME ZONE,
    reinstated_by BIGINT,
    reinstated_person_id BIGINT,
    reinstate_reason TEXT,
    CONSTRAINT pk_eliminations PRIMARY KEY (id),
    CONSTRAINT ck_eliminations_state_before CHECK (state_before IN ('watch', 'suspended')),
    CONSTRAINT ck_eliminations_reason CHECK (reason <> ''),
    CONSTRAINT ck_eliminations_home CHECK (home_id <> distributor_id),
    CONSTRAINT ck_eliminations_counts CHECK (least(members, downlines, customers, stores, sessions, debt) >= 0),
    CONSTRAINT ck_eliminations_reinstated CHECK (num_nonnulls(reinstated_at, reinstated_by, reinstate_reason)
        = CASE WHEN reinstated_at IS NULL THEN 0 ELSE 3 END),
    CONSTRAINT ck_eliminations_reinstated_at CHECK (reinstated_at > at),
    CONSTRAINT ck_eliminations_reinstate_reason CHECK (reinstate_reason <> ''),
    CONSTRAINT ck_eliminations_reinstated_person CHECK (reinstated_person_id IS NULL OR reinstated_at IS NOT NULL),
    CONSTRAINT fk_eliminations_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_eliminations_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_eliminations_person_id FOREIGN KEY(person_id) REFERENCES people (id),
    CONSTRAINT fk_eliminations_home_id FOREIGN KEY(home_id) REFERENCES distributors (id),
    CONSTRAINT fk_eliminations_reinstated_by FOREIGN KEY(reinstated_by) REFERENCES accounts (id),
    CONSTRAINT fk_eliminations_reinstated_person_id FOREIGN KEY(reinstated_person_id) REFERENCES people (id)
);

CREATE UNIQUE INDEX uq_eliminations_open ON eliminations (distributor_id) WHERE reinstated_at IS NULL;

CREATE INDEX ix_eliminations_distributor_id_id ON eliminations (distributor_id, id);

CREATE TABLE elimination_moves (
    elimination_id BIGINT NOT NULL,
    distributor_id BIGINT NOT NULL,
    is_back BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_elimination_moves PRIMARY KEY (elimination_id, distributor_id),
    CONSTRAINT fk_elimination_moves_elimination_id FOREIGN KEY(elimination_id) REFERENCES eliminations (id),
    CONSTRAINT fk_elimination_moves_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

CREATE TABLE elimination_stores (
    elimination_id BIGINT NOT NULL,
    store_id BIGINT NOT NULL,
    is_back BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_elimination_stores PRIMARY KEY (elimination_id, store_id),
    CONSTRAINT fk_elimination_stores_elimination_id FOREIGN KEY(elimination_id) REFERENCES eliminations (id),
    CONSTRAINT fk_elimination_stores_store_id FOREIGN KEY(store_id) REFERENCES stores (id)
);

CREATE INDEX ix_elimination_stores_store_id ON elimination_stores (store_id);

CREATE TABLE elimination_bindings (
    elimination_id BIGINT NOT NULL,
    ended_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    begun_id BIGINT,
    until TIMESTAMP WITH TIME ZONE,
    back_id BIGINT,
    CONSTRAINT pk_elimination_bindings PRIMARY KEY (elimination_id, ended_id),
    CONSTRAINT fk_elimination_bindings_elimination_id FOREIGN KEY(elimination_id) REFERENCES eliminations (id),
    CONSTRAINT fk_elimination_bindings_ended_id_customer_id FOREIGN KEY(ended_id, customer_id) REFERENCES bindings (id, customer_id),
    CONSTRAINT fk_elimination_bindings_begun_id_customer_id FOREIGN KEY(begun_id, customer_id) REFERENCES bindings (id, customer_id),
    CONSTRAINT fk_elimination_bindings_back_id_customer_id FOREIGN KEY(back_id, customer_id) REFERENCES bindings (id, customer_id)
);

ALTER TABLE notices
    DROP CONSTRAINT ck_notices_kind,
    ADD CONSTRAINT ck_notices_kind CHECK (kind IN ('application_approved', 'application_rejected', 'moved', 'suspended', 'reinstated',
        'eliminated', 'took_over', 'elimination_undone', 'listing_clamped', 'listing_withdrawn', 'listings_fitted', 'words_removed',
        'price_change_refused', 'setup_copied', 'product_approved', 'product_rejected', 'product_withdrawn', 'product_delisted',
        'product_relisted', 'statement_ready', 'dispute_accepted', 'dispute_rejected', 'statement_postponed',
        'statement_discarded', 'ranking_watched', 'ranking_noticed', 'ranking_cleared', 'appeal_upheld', 'appeal_rejected',
        'ranking_spared', 'improvement_planned')) NOT VALID;

ALTER TABLE stores
    DROP CONSTRAINT ck_stores_why,
    ADD CONSTRAINT ck_stores_why CHECK (why IN ('imported', 'edited', 'copied', 'eliminated', 'reinstated')) NOT VALID;

ALTER TABLE store_history
    DROP CONSTRAINT ck_store_history_why,
    ADD CONSTRAINT ck_store_history_why CHECK (why IN ('imported', 'edited', 'copied', 'eliminated', 'reinstated')) NOT VALID;

ALTER TABLE sessions
    DROP CONSTRAINT ck_sessions_end_reason,
    ADD CONSTRAINT ck_sessions_end_reason CHECK (end_reason IN ('signed_out', 'token_reused', 'password_changed', 'merged', 'removed',
        'eliminated')) NOT VALID;

GRANT USAGE ON SEQUENCE eliminations_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (members, downlines, customers, stores, sessions, reinstated_at, reinstated_by, reinstated_person_id,
    reinstate_reason) ON eliminations TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (is_back) ON elimination_moves, elimination_stores TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (back_id) ON elimination_bindings TO s2b2c_app;
