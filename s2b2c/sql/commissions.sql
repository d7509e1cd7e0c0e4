-- name: accrue
-- One row for each position that the rule of a line pays, also when it gets nothing, with what explains the amount.
WITH batch AS (
    SELECT o.branch_id, o.id AS order_id, o.plan_id, o.upline, o.upline_tiers, o.upline_states
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
    WHERE o.plan_id IS NOT NULL
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (plan_id, variant_id, product_id, category, brand_id)
           id, plan_id, variant_id, product_id, category, brand_id
    FROM rules
    WHERE plan_id IN (SELECT plan_id FROM batch)
    ORDER BY plan_id, variant_id, product_id, category, brand_id, id DESC
), line AS (
    SELECT l.branch_id, l.id, b.upline, b.upline_tiers, b.upline_states, r.id AS rule_id, r.level_bps,
           CASE r.base WHEN 'paid' THEN l.paid ELSE greatest(l.paid - l.supply, 0) END AS base_amount,
           greatest(0, l.paid - l.supply - div(l.paid::numeric * p.margin_floor_bps + 9999, 10000)) AS available
    FROM batch b
    JOIN plans p ON p.id = b.plan_id
    JOIN order_lines l ON l.branch_id = b.branch_id AND l.order_id = b.order_id
    JOIN products ON products.id = l.product_id
    LEFT JOIN newest of_variant ON of_variant.plan_id = b.plan_id AND of_variant.variant_id = l.variant_id
    LEFT JOIN newest of_product ON of_product.plan_id = b.plan_id AND of_product.product_id = l.product_id
    LEFT JOIN newest of_category ON of_category.plan_id = b.plan_id AND of_category.category = products.category
    LEFT JOIN newest of_brand ON of_brand.plan_id = b.plan_id AND of_brand.brand_id = l.brand_id
    LEFT JOIN newest of_all ON of_all.plan_id = b.plan_id
        AND num_nonnulls(of_all.variant_id, of_all.product_id, of_all.category, of_all.brand_id) = 0
    JOIN rules r ON r.id = coalesce(of_variant.id, of_product.id, of_category.id, of_brand.id, of_all.id)
), share AS (
    SELECT line.branch_id, line.id AS line_id, line.rule_id, line.base_amount, line.available,
           k.ordinality - 1 AS position, k.distributor_id, k.tier_id, k.rate_bps,
           k.state NOT IN ('active', 'watch') AS blocked,
           div(line.base_amount::numeric * k.rate_bps, 10000) AS uncapped
    FROM line
    CROSS JOIN LATERAL unnest(line.level_bps, line.upline, line.upline_tiers, line.upline_states)
        WITH ORDINALITY AS k (rate_bps, distributor_id, tier_id, state, ordinality)
    WHERE k.rate_bps IS NOT NULL AND k.distributor_id IS NOT NULL
), totalled AS (
    SELECT share.*, sum(CASE WHEN blocked THEN 0 ELSE uncapped END) OVER (PARTITION BY branch_id, line_id) AS total
    FROM share
)
INSERT INTO commissions (branch_id, line_id, position, distributor_id, tier_id, rule_id, base_amount, rate_bps,
                         uncapped_amount, amount, outcome)
SELECT branch_id, line_id, position, distributor_id, tier_id, rule_id, base_amount, rate_bps, uncapped,
       CASE WHEN blocked THEN 0 WHEN total > available THEN div(uncapped * available, total) ELSE uncapped END,
       CASE WHEN blocked THEN 'blocked' WHEN uncapped = 0 THEN 'zero' WHEN total > available THEN 'capped' ELSE 'earned' END
FROM totalled

-- name: total_lines
-- The commission total of each line, and what is left to the platform. Looked up line by line: these commissions were
-- written a moment ago, the planner knows nothing of them, and once joined the whole table in a loop.
UPDATE order_lines l
SET commission = c.total, platform = l.paid - l.refunded - l.supply - c.total
FROM (
    SELECT l.branch_id, l.id, share.total
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    JOIN order_lines l USING (branch_id, order_id)
    CROSS JOIN LATERAL (
        SELECT sum(c.amount) AS total FROM commissions c WHERE c.branch_id = l.branch_id AND c.line_id = l.id
    ) AS share
    WHERE share.total > 0
) AS c
WHERE l.branch_id = c.branch_id AND l.id = c.id
