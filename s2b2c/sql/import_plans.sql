-- name: then_wait
-- For whoever puts a plan in force at this moment, as they wait for us.
SELECT pg_advisory_xact_lock(hashtext('s2b2c.plans'))

-- name: check_scope
SELECT line, CASE WHEN category IS NOT NULL THEN 'category' WHEN sku IS NOT NULL THEN 'sku' ELSE 'product_code' END,
       'a rule is for a brand, a product (brand, product_code), a variant (brand, sku), a category, or for everything'
FROM staging
WHERE (category IS NOT NULL AND num_nonnulls(brand, product_code, sku) > 0)
   OR (brand IS NULL AND num_nonnulls(product_code, sku) > 0)
   OR num_nonnulls(product_code, sku) = 2

-- name: check_brand
SELECT line, 'brand', format('there is no brand %s', brand)
FROM staging s WHERE brand IS NOT NULL AND NOT EXISTS (SELECT FROM brands b WHERE b.name = s.brand)

-- name: check_product
SELECT line, 'product_code', format('brand %s has no product %s', brand, product_code)
FROM staging s
WHERE product_code IS NOT NULL AND NOT EXISTS (
    SELECT FROM brands b JOIN products p ON p.brand_id = b.id WHERE b.name = s.brand AND p.code = s.product_code
)

-- name: check_sku
SELECT line, 'sku', format('brand %s has no sku %s', brand, sku)
FROM staging s
WHERE sku IS NOT NULL AND NOT EXISTS (
    SELECT FROM brands b JOIN variants v ON v.brand_id = b.id WHERE b.name = s.brand AND v.sku = s.sku
)

-- name: check_paid_positions
SELECT line, 'level_bps',
       format('pays %s positions and the platform allows %s: a shorter chain reduces risk under 禁止传销条例 Art. 7',
              cardinality(level_bps), CAST(:max_paid_positions AS bigint))
FROM staging WHERE cardinality(level_bps) > :max_paid_positions

-- name: resolve
CREATE TEMP TABLE wanted ON COMMIT DROP AS
SELECT s.line, s.plan, s.effective_from::timestamp AT TIME ZONE 'Asia/Shanghai' AS starts_at, s.margin_floor_bps,
       v.id AS variant_id, CASE WHEN s.sku IS NULL THEN p.id END AS product_id, s.category,
       CASE WHEN s.sku IS NULL AND s.product_code IS NULL THEN b.id END AS brand_id,
       s.scheme, s.base, s.level_bps
FROM staging s
LEFT JOIN brands b ON b.name = s.brand
LEFT JOIN products p ON p.brand_id = b.id AND p.code = s.product_code
LEFT JOIN variants v ON v.brand_id = b.id AND v.sku = s.sku

-- name: check_changed
-- A file knows no versions: what it says is the first one of its code.
SELECT line, 'plan', format('plan %s is active and cannot change: give the new one a code of its own', plan)
FROM wanted w JOIN plans p ON p.code = w.plan AND p.version = 1
WHERE (w.starts_at, w.margin_floor_bps) IS DISTINCT FROM (lower(p.during), p.margin_floor_bps)
   OR NOT EXISTS (
       SELECT FROM rules r
       WHERE r.plan_id = p.id
         AND (r.variant_id, r.product_id, r.category, r.brand_id, r.scheme, r.base, r.level_bps)
             IS NOT DISTINCT FROM (w.variant_id, w.product_id, w.category, w.brand_id, w.scheme, w.base, w.level_bps)
   )
   OR (SELECT count(*) FROM rules r WHERE r.plan_id = p.id) <> (SELECT count(*) FROM wanted o WHERE o.plan = w.plan)

-- name: check_starts
SELECT w.line, 'effective_from', format('plan %s starts at or after this day: a plan takes over from the one before', p.code)
FROM wanted w JOIN plans p ON p.code <> w.plan AND p.state = 'active' AND lower(p.during) >= w.starts_at
WHERE NOT EXISTS (SELECT FROM plans known WHERE known.code = w.plan)

-- name: check_same_start
SELECT line, 'effective_from', format('plan %s starts on the same day', other)
FROM (SELECT w.line, w.plan, min(w.plan) OVER (PARTITION BY starts_at) AS other FROM wanted w) AS starts
WHERE plan <> other

-- name: update_plans
-- The open plan ends where the first new one starts.
UPDATE plans p SET during = tstzrange(lower(p.during), n.starts_at)
FROM (
    SELECT min(starts_at) AS starts_at FROM wanted w WHERE NOT EXISTS (SELECT FROM plans known WHERE known.code = w.plan)
) AS n
WHERE p.state = 'active' AND upper_inf(p.during) AND n.starts_at IS NOT NULL

-- name: insert_plans
INSERT INTO plans (code, state, during, margin_floor_bps, paid_positions, activated_at, max_paid_positions)
SELECT plan, 'active', tstzrange(starts_at, lead(starts_at) OVER (ORDER BY starts_at)), margin_floor_bps,
       paid_positions, CAST(:now AS timestamptz), CAST(:max_paid_positions AS bigint)
FROM (
    SELECT plan, min(starts_at) AS starts_at, min(margin_floor_bps) AS margin_floor_bps,
           max(cardinality(level_bps)) AS paid_positions
    FROM wanted w WHERE NOT EXISTS (SELECT FROM plans known WHERE known.code = w.plan)
    GROUP BY plan
) AS new
ORDER BY starts_at

-- name: insert_rules
INSERT INTO rules (plan_id, variant_id, product_id, category, brand_id, scheme, base, level_bps, depth)
SELECT p.id, w.variant_id, w.product_id, w.category, w.brand_id, w.scheme, w.base, w.level_bps,
       cardinality(w.level_bps)
FROM wanted w JOIN plans p ON p.code = w.plan AND p.version = 1
WHERE NOT EXISTS (SELECT FROM rules r WHERE r.plan_id = p.id)
ORDER BY w.line
