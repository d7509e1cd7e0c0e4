-- name: names
-- The keys behind the names of each rule of a document, and the rank of every tier.
SELECT r.n, b.id AS brand_id, p.id AS product_id, v.id AS variant_id,
       r.category IN (SELECT category FROM products) AS has_category,
       (SELECT jsonb_object_agg(code, rank) FROM tiers) AS ranks
FROM jsonb_to_recordset(CAST(:scopes AS jsonb)) AS r (n bigint, category text, brand text, product_code text, sku text)
LEFT JOIN brands b ON b.name = r.brand
LEFT JOIN products p ON p.brand_id = b.id AND p.code = r.product_code
LEFT JOIN variants v ON v.brand_id = b.id AND v.sku = r.sku
ORDER BY r.n

-- name: save
WITH plan AS (
    INSERT INTO plans (code, version, state, during, margin_floor_bps, paid_positions, created_at)
    VALUES (:code, :version, 'draft', tstzrange(:start, :end), :margin_floor_bps, :paid_positions, :now)
    ON CONFLICT (code, version) DO NOTHING
    RETURNING *
), written AS (
    INSERT INTO rules (plan_id, variant_id, product_id, category, brand_id, scheme, base, level_bps, level_amounts,
                       tier_bps, same_tier_bps, depth, compress)
    SELECT plan.id, r.variant_id, r.product_id, r.category, r.brand_id, r.scheme, r.base, r.level_bps, r.level_amounts,
           r.tier_bps, r.same_tier_bps, r.depth, r.compress
    FROM plan CROSS JOIN jsonb_populate_recordset(NULL::rules, CAST(:rules AS jsonb)) AS r
    ORDER BY r.id
)
SELECT * FROM plan

-- name: activate
-- The plan in force makes room first, in the same statement: active ranges never overlap, not even for a moment.
WITH ended AS (
    UPDATE plans SET during = tstzrange(lower(during), CAST(:start AS timestamptz))
    WHERE id = :before_id
    RETURNING id
)
UPDATE plans
SET state = 'active', activated_at = :now, activated_by = :account_id, max_paid_positions = :max_paid_positions,
    override_reason = :override_reason
FROM (SELECT count(*) FROM ended) AS room
WHERE id = :plan_id AND state = 'draft'
RETURNING plans.*

-- name: rules
-- The rules of the plan of this row, as a document says them.
SELECT coalesce(jsonb_agg(jsonb_build_object(
           'category', r.category, 'brand', b.name, 'product_code', p.code, 'sku', v.sku, 'scheme', r.scheme,
           'base', r.base, 'level_bps', r.level_bps, 'level_amounts', r.level_amounts, 'tier_bps', rates.by_tier,
           'same_tier_bps', r.same_tier_bps, 'depth', r.depth, 'compress', r.compress
       ) ORDER BY r.id), '[]')
FROM rules r
LEFT JOIN variants v ON v.id = r.variant_id
LEFT JOIN products p ON p.id = r.product_id
LEFT JOIN brands b ON b.id = coalesce(r.brand_id, p.brand_id, v.brand_id)
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_array(t.code, r.tier_bps[t.rank]) ORDER BY t.rank), '[]') AS by_tier
    FROM tiers t WHERE r.tier_bps[t.rank] > 0
) AS rates
WHERE r.plan_id = plans.id

-- name: examples
-- What each rule gives on one order line, by the engine itself. A tier's id is its rank here, and every rule is a plan
-- of its own for everything: an example needs no network.
WITH tiers AS (
    SELECT rank AS id, rank FROM generate_series(1, 100) AS rank
), products AS (
    SELECT 0::bigint AS id, NULL::text AS category
), rule AS (
    SELECT r.*, CAST(:margin_floor_bps AS bigint) AS margin_floor_bps
    FROM jsonb_populate_recordset(NULL::rules, CAST(:rules AS jsonb)) AS r
), line AS (
    SELECT 1::bigint AS branch_id, c.id, c.id AS plan_id, 0::bigint AS variant_id, 0::bigint AS product_id,
           0::bigint AS brand_id, CAST(:quantity AS bigint) AS quantity, CAST(:paid AS bigint) AS paid,
           CAST(:supply AS bigint) AS supply, CAST(:tier_costs AS bigint[]) AS tier_costs,
           c.chain AS upline, c.chain AS upline_tiers,
           array_fill('active'::text, ARRAY[cardinality(c.chain)]) AS upline_states
    FROM jsonb_to_recordset(CAST(:chains AS jsonb)) AS c (id bigint, chain bigint[])
),
-- include: commissions.shares
SELECT line_id AS id, position, rate_bps, below_bps, uncapped_amount::bigint AS uncapped_amount, amount::bigint AS amount
FROM share
ORDER BY line_id, position
