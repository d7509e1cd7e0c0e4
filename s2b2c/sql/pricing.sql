-- name: lock_products
-- Whoever chooses one of them now waits for its new prices.
SELECT count(*)
FROM (
    SELECT FROM products
    WHERE id IN (SELECT product_id FROM variants WHERE id = ANY(CAST(:variant_ids AS bigint[])))
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked

-- name: lock_changes
-- Against whoever cancels or applies them at the same time.
SELECT c.id, c.state
FROM scheduled_prices c
JOIN variants v ON v.id = c.variant_id
WHERE c.id = ANY(CAST(:ids AS bigint[])) AND v.brand_id = :brand_id
ORDER BY c.id
FOR UPDATE OF c

-- name: cancel_changes
UPDATE scheduled_prices SET state = 'cancelled', done_at = :now WHERE id = ANY(CAST(:ids AS bigint[])) AND state = 'waiting'

-- name: replace_changes
-- Those that wait for the same moment make room for the new ones.
UPDATE scheduled_prices c SET state = 'cancelled', done_at = :now
FROM (
    SELECT id FROM scheduled_prices
    WHERE variant_id = ANY(CAST(:variant_ids AS bigint[])) AND starts_at = :starts_at AND state = 'waiting'
    ORDER BY id
    FOR UPDATE
) AS old
WHERE c.id = old.id

-- name: write_changes
INSERT INTO scheduled_prices (variant_id, starts_at, supply_price, suggested_price, min_price, max_price, tier_costs, state,
                              created_at, account_id, done_at)
SELECT c.variant_id, :starts_at, c.supply_price, c.suggested_price, c.min_price, c.max_price,
       CAST(c.tier_costs AS bigint[]), CASE WHEN :at_once THEN 'applied' ELSE 'waiting' END, :now, :account_id,
       CASE WHEN :at_once THEN CAST(:now AS timestamptz) END
FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:supply_prices AS bigint[]), CAST(:suggested_prices AS bigint[]),
            CAST(:min_prices AS bigint[]), CAST(:max_prices AS bigint[]), CAST(:tier_costs AS text[]))
    WITH ORDINALITY AS c (variant_id, supply_price, suggested_price, min_price, max_price, tier_costs, n)
ORDER BY n
RETURNING id

-- name: find_due
-- The earliest that is due of each variant: whoever takes it holds off all others, and a later one waits for the next batch.
SELECT due.id, due.variant_id
FROM (
    SELECT DISTINCT ON (variant_id) id, variant_id
    FROM (
        SELECT * FROM scheduled_prices WHERE state = 'waiting' AND starts_at <= :now ORDER BY starts_at, id LIMIT :limit
    ) AS first
    ORDER BY variant_id, starts_at, id
) AS due
WHERE pg_try_advisory_xact_lock(hashtext('s2b2c.scheduled_prices'))

-- name: take_due
-- Nothing is changed about what its brand has withdrawn; the brand is told. Some may have been cancelled meanwhile.
WITH due AS MATERIALIZED (
    SELECT id FROM scheduled_prices WHERE id = ANY(CAST(:ids AS bigint[])) AND state = 'waiting' ORDER BY id FOR UPDATE
), taken AS (
    UPDATE scheduled_prices c
    SET done_at = :now, state = CASE WHEN p.state = 'delisted' THEN 'refused' ELSE 'applied' END,
        refusal = CASE WHEN p.state = 'delisted' THEN 'product_delisted' END
    FROM due, variants v JOIN products p ON p.id = v.product_id
    WHERE c.id = due.id AND v.id = c.variant_id
    RETURNING c.id, c.state, c.starts_at, v.sku, v.brand_id
), told AS (
    INSERT INTO notices (brand_id, kind, facts, created_at)
    SELECT brand_id, 'price_change_refused',
           jsonb_build_object('sku', sku, 'starts_at',
                              to_char(starts_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI')), :now
    FROM taken WHERE state = 'refused'
    ORDER BY id
)
SELECT id FROM taken WHERE state = 'applied' ORDER BY id

-- name: priced
-- What differs from the prices of now.
CREATE TEMP TABLE priced ON COMMIT DROP AS
SELECT c.id AS line, c.variant_id, v.product_id, c.supply_price, c.suggested_price, c.min_price, c.max_price, c.tier_costs
FROM scheduled_prices c
JOIN variants v ON v.id = c.variant_id
JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
WHERE c.id = ANY(CAST(:ids AS bigint[]))
  AND (p.supply_price, p.suggested_price, p.min_price, p.max_price, p.tier_costs)
      IS DISTINCT FROM (c.supply_price, c.suggested_price, c.min_price, c.max_price, c.tier_costs)

-- name: upcoming
-- Pages of what waits for each variant, the earliest first.
SELECT asked.n, c.*
FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:afters AS bigint[]), CAST(:limits AS bigint[]))
    WITH ORDINALITY AS asked (variant_id, after, most, n)
CROSS JOIN LATERAL (
    SELECT *, CAST(extract(epoch FROM starts_at) * 1000000 AS bigint) AS key
    FROM scheduled_prices c
    WHERE c.variant_id = asked.variant_id AND c.state = 'waiting'
      AND (asked.after IS NULL OR CAST(extract(epoch FROM starts_at) * 1000000 AS bigint) > asked.after)
    ORDER BY starts_at
    LIMIT asked.most
) AS c
ORDER BY asked.n, c.starts_at

-- name: history
-- Pages of the prices of each variant, the newest first.
SELECT asked.n, p.*, lower(p.during) AS starts, upper(p.during) AS ends
FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:afters AS bigint[]), CAST(:limits AS bigint[]))
    WITH ORDINALITY AS asked (variant_id, after, most, n)
CROSS JOIN LATERAL (
    SELECT * FROM prices p
    WHERE p.variant_id = asked.variant_id AND (asked.after IS NULL OR p.id < asked.after)
    ORDER BY p.id DESC
    LIMIT asked.most
) AS p
ORDER BY asked.n, p.id DESC

-- name: set_rules
-- Nothing where they are these already.
WITH changed AS (
    INSERT INTO brand_rules AS r (brand_id, banned_words, floor_bps, disclosure, updated_at, account_id)
    VALUES (:brand_id, CAST(:banned_words AS text[]), :floor_bps, :disclosure, :now, :account_id)
    ON CONFLICT (brand_id) DO UPDATE
    SET banned_words = excluded.banned_words, floor_bps = excluded.floor_bps, disclosure = excluded.disclosure,
        updated_at = excluded.updated_at, account_id = excluded.account_id
    WHERE (r.banned_words, r.floor_bps, r.disclosure)
          IS DISTINCT FROM (excluded.banned_words, excluded.floor_bps, excluded.disclosure)
    RETURNING *
)
INSERT INTO brand_rules_history (brand_id, banned_words, floor_bps, disclosure, set_at, account_id)
SELECT brand_id, banned_words, floor_bps, disclosure, updated_at, account_id FROM changed
RETURNING id

-- name: lock_products_of_brand
SELECT count(*) FROM (SELECT FROM products WHERE brand_id = :brand_id ORDER BY id FOR NO KEY UPDATE) AS locked

-- name: touch_products_of_brand
CREATE TEMP TABLE touched ON COMMIT DROP AS
SELECT p.id AS product_id FROM products p
WHERE p.brand_id = :brand_id AND EXISTS (SELECT FROM listings l WHERE l.product_id = p.id)
