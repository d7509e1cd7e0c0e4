ALTER TABLE listings
    ADD COLUMN regions TEXT[] DEFAULT '{}' NOT NULL,
    ADD COLUMN segments TEXT[] DEFAULT '{}' NOT NULL,
    ADD COLUMN changed_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN why TEXT DEFAULT 'selected' NOT NULL,
    ADD COLUMN account_id BIGINT,
    ADD CONSTRAINT ck_listings_segments CHECK (segments <@ ARRAY['new', 'returning', 'bound']) NOT VALID,
    ADD CONSTRAINT ck_listings_why CHECK (why IN ('imported', 'selected', 'changed', 'reordered', 'copied', 'clamped', 'words_removed')) NOT VALID,
    ADD CONSTRAINT ck_listings_changed_at CHECK (changed_at > listed_at) NOT VALID,
    ADD CONSTRAINT fk_listings_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) NOT VALID;

CREATE TABLE listing_history (
    store_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    price BIGINT NOT NULL,
    position BIGINT NOT NULL,
    pitch TEXT NOT NULL,
    pinned BOOLEAN NOT NULL,
    regions TEXT[] NOT NULL,
    segments TEXT[] NOT NULL,
    why TEXT NOT NULL,
    account_id BIGINT,
    end_reason TEXT,
    ended_by BIGINT,
    CONSTRAINT pk_listing_history PRIMARY KEY (store_id, product_id, since),
    CONSTRAINT ck_listing_history_until CHECK (since < until),
    CONSTRAINT ck_listing_history_why CHECK (why IN ('imported', 'selected', 'changed', 'reordered', 'copied', 'clamped', 'words_removed')),
    CONSTRAINT ck_listing_history_end_reason CHECK (end_reason IN ('removed', 'no_price_fits', 'product_withdrawn')),
    CONSTRAINT fk_listing_history_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_listing_history_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_listing_history_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_listing_history_ended_by FOREIGN KEY(ended_by) REFERENCES accounts (id)
);

CREATE INDEX ix_listing_history_store_id_until ON listing_history (store_id, until);

GRANT SELECT, INSERT ON listing_history TO s2b2c_app;
