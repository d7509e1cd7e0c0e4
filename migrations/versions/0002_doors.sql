ALTER TABLE listings ADD COLUMN pinned BOOLEAN DEFAULT false NOT NULL;

ALTER TABLE distributor_history ADD COLUMN account_id BIGINT;
ALTER TABLE distributor_history ADD COLUMN reason TEXT;
ALTER TABLE distributor_history
    ADD CONSTRAINT fk_distributor_history_account_id FOREIGN KEY(account_id) REFERENCES accounts (id) NOT VALID;
ALTER TABLE distributor_history VALIDATE CONSTRAINT fk_distributor_history_account_id;

CREATE FUNCTION price_band(product bigint, tier_rank bigint)
    RETURNS TABLE (lowest_price bigint, highest_price bigint, suggested_price bigint)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
    BEGIN ATOMIC
        SELECT lowest, highest, least(greatest(suggested, lowest), highest)
        FROM (SELECT CASE WHEN bool_and(p.tier_costs[tier_rank] IS NOT NULL)
                          THEN max(greatest(p.min_price, p.tier_costs[tier_rank])) END AS lowest,
                     min(p.max_price) AS highest, max(p.suggested_price) AS suggested
              FROM variants v JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
              WHERE v.product_id = product) AS all_variants
        WHERE lowest <= highest; END;

CREATE SEQUENCE notices_id_seq;

CREATE TABLE notices (
    id BIGINT DEFAULT nextval('notices_id_seq') NOT NULL,
    distributor_id BIGINT,
    brand_id BIGINT,
    kind TEXT NOT NULL,
    facts JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_notices PRIMARY KEY (id),
    CONSTRAINT ck_notices_kind CHECK (kind IN ('application_approved', 'application_rejected', 'moved', 'suspended', 'reinstated', 'listing_clamped', 'listing_withdrawn', 'statement_ready')),
    CONSTRAINT ck_notices_recipient CHECK (num_nonnulls(distributor_id, brand_id) = 1),
    CONSTRAINT ck_notices_read_at CHECK (read_at >= created_at),
    CONSTRAINT fk_notices_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_notices_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id)
);

CREATE INDEX ix_notices_distributor_id_id ON notices (distributor_id, id) WHERE distributor_id IS NOT NULL;

CREATE INDEX ix_notices_brand_id_id ON notices (brand_id, id) WHERE brand_id IS NOT NULL;

GRANT USAGE ON SEQUENCE notices_id_seq TO s2b2c_app;
GRANT SELECT, INSERT ON notices TO s2b2c_app;
GRANT UPDATE (read_at) ON notices TO s2b2c_app;
