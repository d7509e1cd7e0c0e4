CREATE TABLE selectable_products (
    product_id BIGINT NOT NULL,
    stretch BIGINT GENERATED ALWAYS AS (product_id / 32768) STORED NOT NULL,
    terms TSVECTOR NOT NULL,
    suggested_price BIGINT NOT NULL,
    costs BIGINT[] NOT NULL,
    listed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_selectable_products PRIMARY KEY (product_id),
    CONSTRAINT fk_selectable_products_product_id FOREIGN KEY(product_id) REFERENCES products (id)
);

CREATE INDEX ix_selectable_products_terms ON selectable_products USING gin (stretch, terms);
CREATE INDEX ix_selectable_products_suggested_price_product_id ON selectable_products (suggested_price, product_id);

CREATE TABLE stale_products (
    product_id BIGINT NOT NULL,
    CONSTRAINT pk_stale_products PRIMARY KEY (product_id),
    CONSTRAINT fk_stale_products_product_id FOREIGN KEY(product_id) REFERENCES products (id)
);

-- The worker makes their rows.
INSERT INTO stale_products SELECT id FROM products WHERE state = 'listed' ORDER BY id;

CREATE TABLE cohort_products (
    tier_id BIGINT NOT NULL,
    region TEXT NOT NULL,
    product_id BIGINT NOT NULL,
    stores BIGINT NOT NULL,
    units BIGINT NOT NULL,
    CONSTRAINT pk_cohort_products PRIMARY KEY (tier_id, region, product_id),
    CONSTRAINT fk_cohort_products_tier_id FOREIGN KEY(tier_id) REFERENCES tiers (id),
    CONSTRAINT fk_cohort_products_product_id FOREIGN KEY(product_id) REFERENCES products (id)
);

CREATE INDEX ix_cohort_products_units ON cohort_products (tier_id, region, units DESC, product_id DESC);

CREATE TABLE cohort_counts (
    id BIGINT DEFAULT '1' NOT NULL,
    counted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_cohort_counts PRIMARY KEY (id),
    CONSTRAINT ck_cohort_counts_one CHECK (id = 1)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON selectable_products, cohort_products TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON stale_products TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE ON cohort_counts TO s2b2c_app;
