ALTER TABLE products
    ADD COLUMN more_images TEXT[] DEFAULT '{}' NOT NULL,
    ADD COLUMN description TEXT DEFAULT '' NOT NULL,
    ADD CONSTRAINT ck_products_more_images CHECK (cardinality(more_images) <= 8 AND (image_url IS NOT NULL OR more_images = '{}')) NOT VALID,
    ADD CONSTRAINT ck_products_description CHECK (char_length(description) <= 5000) NOT VALID;

CREATE SEQUENCE product_revisions_id_seq;

CREATE TABLE product_revisions (
    id BIGINT DEFAULT nextval('product_revisions_id_seq') NOT NULL,
    product_id BIGINT NOT NULL,
    content JSONB NOT NULL,
    base JSONB,
    state TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    created_by BIGINT NOT NULL,
    submitted_at TIMESTAMP WITH TIME ZONE,
    submitted_by BIGINT,
    reviewed_at TIMESTAMP WITH TIME ZONE,
    reviewed_by BIGINT,
    reason TEXT,
    CONSTRAINT pk_product_revisions PRIMARY KEY (id),
    CONSTRAINT ck_product_revisions_state CHECK (state IN ('draft', 'in_review', 'approved', 'rejected', 'withdrawn')),
    CONSTRAINT ck_product_revisions_submitted_at CHECK ((submitted_at IS NULL) = (state = 'draft')),
    CONSTRAINT ck_product_revisions_reviewed_at CHECK ((reviewed_at IS NULL) = (state NOT IN ('approved', 'rejected'))),
    CONSTRAINT ck_product_revisions_base CHECK ((base IS NULL) = (state IN ('draft', 'in_review'))),
    CONSTRAINT ck_product_revisions_reason CHECK ((reason IS NULL) = (state <> 'rejected')),
    CONSTRAINT ck_product_revisions_submitted_by CHECK (num_nulls(submitted_at, submitted_by) IN (0, 2)),
    CONSTRAINT ck_product_revisions_reviewed_by CHECK (num_nulls(reviewed_at, reviewed_by) IN (0, 2)),
    CONSTRAINT ck_product_revisions_times CHECK (created_at <= submitted_at AND submitted_at <= reviewed_at),
    CONSTRAINT fk_product_revisions_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_product_revisions_created_by FOREIGN KEY(created_by) REFERENCES accounts (id),
    CONSTRAINT fk_product_revisions_submitted_by FOREIGN KEY(submitted_by) REFERENCES accounts (id),
    CONSTRAINT fk_product_revisions_reviewed_by FOREIGN KEY(reviewed_by) REFERENCES accounts (id)
);

CREATE INDEX ix_product_revisions_product_id_id ON product_revisions (product_id, id);
CREATE UNIQUE INDEX uq_product_revisions_open ON product_revisions (product_id) WHERE state IN ('draft', 'in_review');
CREATE INDEX ix_product_revisions_in_review ON product_revisions (submitted_at) WHERE state = 'in_review';

CREATE SEQUENCE product_events_id_seq;

CREATE TABLE product_events (
    id BIGINT DEFAULT nextval('product_events_id_seq') NOT NULL,
    product_id BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    kind TEXT NOT NULL,
    account_id BIGINT NOT NULL,
    reason TEXT,
    facts JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_product_events PRIMARY KEY (id),
    CONSTRAINT ck_product_events_kind CHECK (kind IN ('created', 'submitted', 'taken_back', 'approved', 'rejected', 'listed', 'withdrawn')),
    CONSTRAINT fk_product_events_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_product_events_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_product_events_product_id_id ON product_events (product_id, id);

GRANT SELECT, INSERT, UPDATE (content, base, state, submitted_at, submitted_by, reviewed_at, reviewed_by, reason) ON product_revisions TO s2b2c_app;
GRANT SELECT, INSERT ON product_events TO s2b2c_app;
GRANT USAGE ON SEQUENCE product_revisions_id_seq, product_events_id_seq TO s2b2c_app;
