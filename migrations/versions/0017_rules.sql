CREATE FUNCTION plain_words(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(regexp_replace(normalize(words, NFKC), '[\s\u00AD\u200B-\u200D\u2060\uFEFF]', '', 'g'));

CREATE FUNCTION banned_word(words text, banned text[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT word FROM (SELECT plain_words(words) AS said OFFSET 0) AS plain,
                             unnest(banned) WITH ORDINALITY AS list (word, n)
            WHERE words <> '' AND strpos(said, plain_words(word)) > 0 ORDER BY n LIMIT 1);

CREATE FUNCTION floor_price(suggested bigint, floor_bps bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN div(suggested::numeric * floor_bps + 9999, 10000)::bigint;

CREATE TABLE brand_rules (
    brand_id BIGINT NOT NULL,
    banned_words TEXT[] NOT NULL,
    floor_bps BIGINT,
    disclosure TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id BIGINT,
    CONSTRAINT pk_brand_rules PRIMARY KEY (brand_id),
    CONSTRAINT ck_brand_rules_floor_bps CHECK (floor_bps BETWEEN 1 AND 10000),
    CONSTRAINT fk_brand_rules_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_brand_rules_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE SEQUENCE brand_rules_history_id_seq;

CREATE TABLE brand_rules_history (
    id BIGINT DEFAULT nextval('brand_rules_history_id_seq') NOT NULL,
    brand_id BIGINT NOT NULL,
    banned_words TEXT[] NOT NULL,
    floor_bps BIGINT,
    disclosure TEXT NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id BIGINT,
    CONSTRAINT pk_brand_rules_history PRIMARY KEY (id),
    CONSTRAINT fk_brand_rules_history_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_brand_rules_history_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_brand_rules_history_brand_id_id ON brand_rules_history (brand_id, id);

CREATE SEQUENCE scheduled_prices_id_seq;

CREATE TABLE scheduled_prices (
    id BIGINT DEFAULT nextval('scheduled_prices_id_seq') NOT NULL,
    variant_id BIGINT NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    supply_price BIGINT NOT NULL,
    suggested_price BIGINT NOT NULL,
    min_price BIGINT NOT NULL,
    max_price BIGINT NOT NULL,
    tier_costs BIGINT[] NOT NULL,
    state TEXT DEFAULT 'waiting' NOT NULL,
    refusal TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id BIGINT,
    done_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_scheduled_prices PRIMARY KEY (id),
    CONSTRAINT ck_scheduled_prices_supply_price CHECK (0 <= supply_price AND supply_price <= min_price),
    CONSTRAINT ck_scheduled_prices_band CHECK (min_price <= suggested_price AND suggested_price <= max_price),
    CONSTRAINT ck_scheduled_prices_tier_costs CHECK (costs_in_order(supply_price, tier_costs)),
    CONSTRAINT ck_scheduled_prices_state CHECK (state IN ('waiting', 'applied', 'cancelled', 'refused')),
    CONSTRAINT ck_scheduled_prices_refusal CHECK (refusal IN ('product_delisted')),
    CONSTRAINT ck_scheduled_prices_done_at CHECK ((state = 'waiting') = (done_at IS NULL)),
    CONSTRAINT ck_scheduled_prices_refused CHECK ((state = 'refused') = (refusal IS NOT NULL)),
    CONSTRAINT fk_scheduled_prices_variant_id FOREIGN KEY(variant_id) REFERENCES variants (id),
    CONSTRAINT fk_scheduled_prices_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE UNIQUE INDEX uq_scheduled_prices_waiting ON scheduled_prices (variant_id, starts_at) WHERE state = 'waiting';
CREATE INDEX ix_scheduled_prices_due ON scheduled_prices (starts_at, id) WHERE state = 'waiting';

CREATE OR REPLACE FUNCTION price_band(product bigint, tier_rank bigint)
    RETURNS TABLE (lowest_price bigint, highest_price bigint, suggested_price bigint)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
    BEGIN ATOMIC
        SELECT lowest, highest, least(greatest(suggested, lowest), highest)
        FROM (SELECT CASE WHEN bool_and(p.tier_costs[tier_rank] IS NOT NULL)
                          THEN max(greatest(p.min_price, p.tier_costs[tier_rank],
                                            floor_price(p.suggested_price, r.floor_bps))) END AS lowest,
                     min(p.max_price) AS highest, max(p.suggested_price) AS suggested
              FROM variants v JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
              LEFT JOIN brand_rules r ON r.brand_id = v.brand_id
              WHERE v.product_id = product) AS all_variants
        WHERE lowest <= highest; END;

CREATE FUNCTION is_shown_to(segments text[], customer bigint, owner bigint, at timestamp with time zone)
    RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN segments = '{}'
        OR 'bound' = ANY (segments)
           AND EXISTS (SELECT FROM bindings b WHERE b.customer_id = customer AND b.distributor_id = owner
                       AND b.during @> at)
        OR segments && ARRAY['new', 'returning']
           AND CASE WHEN EXISTS (SELECT FROM orders o WHERE o.customer_id = customer AND o.paid_at IS NOT NULL)
                    THEN 'returning' ELSE 'new' END = ANY (segments);

ALTER TABLE notices
    DROP CONSTRAINT ck_notices_kind,
    ADD CONSTRAINT ck_notices_kind CHECK (kind IN ('application_approved', 'application_rejected', 'moved', 'suspended', 'reinstated', 'listing_clamped', 'listing_withdrawn', 'listings_fitted', 'words_removed', 'price_change_refused', 'setup_copied', 'product_approved', 'product_rejected', 'product_withdrawn', 'product_delisted', 'product_relisted', 'statement_ready')) NOT VALID;

GRANT SELECT, INSERT, UPDATE ON brand_rules TO s2b2c_app;
GRANT SELECT, INSERT ON brand_rules_history TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE (state, refusal, done_at) ON scheduled_prices TO s2b2c_app;
GRANT USAGE ON SEQUENCE brand_rules_history_id_seq, scheduled_prices_id_seq TO s2b2c_app;
