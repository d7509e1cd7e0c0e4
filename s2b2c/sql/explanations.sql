-- name: columns
-- What explains the commission `c` of the line `l` of the order `o`, beside what `sources` brings.
       plans.code AS plan_code, plans.version AS plan_version, plans.margin_floor_bps, c.rule_id, rules.scheme,
       CASE WHEN rules.scheme IN ('levels', 'differential') THEN rules.base END AS base, c.base_amount, c.rate_bps,
       CASE rules.scheme WHEN 'differential' THEN coalesce(rules.tier_bps[tiers.rank], 0) END AS tier_bps,
       c.below_bps, rules.same_tier_bps,
       CASE rules.scheme WHEN 'spread' THEN l.quantity * l.tier_costs[tiers.rank] END AS cost,
       c.position, place.raw - 1 - c.position AS skipped, tiers.id AS tier_id, tiers.code AS tier_code,
       tiers.rank AS tier_rank, tiers.name AS tier_name, tiers.is_leader AS tier_is_leader,
       o.upline_states[place.raw] AS beneficiary_state, l.quantity, l.paid, l.quantity * l.supply_price AS supply,
       greatest(0, l.paid - l.quantity * l.supply_price - div(l.paid::numeric * plans.margin_floor_bps + 9999, 10000))::bigint
           AS available,
       c.uncapped_amount, c.amount, c.outcome, clawed(c.amount, l.refunded, l.paid) AS clawed_back

-- name: sources
JOIN rules ON rules.id = c.rule_id
JOIN plans ON plans.id = rules.plan_id
JOIN tiers ON tiers.id = c.tier_id
CROSS JOIN LATERAL (SELECT array_position(o.upline, c.distributor_id) AS raw) AS place

-- name: by_key
SELECT c.branch_id, c.line_id,
-- include: explanations.columns
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:line_ids AS bigint[]), CAST(:positions AS bigint[]))
    AS asked (branch_id, line_id, position)
JOIN commissions c ON c.branch_id = asked.branch_id AND c.line_id = asked.line_id AND c.position = asked.position
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
-- include: explanations.sources

-- name: of_lines
-- Every commission of these lines, with each refund that took of it.
SELECT c.line_id, c.branch_id, c.id, d.id AS distributor_id, d.code AS distributor_code,
       d.name AS distributor_name,
-- include: explanations.columns
       , b.amount AS taken, r.refunded_at, coalesce(r.reference, reversed.reference) AS reference,
       r.reverses_id IS NOT NULL AS is_reversal
FROM unnest(CAST(:line_ids AS bigint[])) AS asked (line_id)
JOIN order_lines l ON l.branch_id = :branch_id AND l.id = asked.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
-- include: explanations.sources
JOIN distributors d ON d.id = c.distributor_id
LEFT JOIN clawbacks b ON b.branch_id = c.branch_id AND b.line_id = c.line_id AND b.position = c.position
LEFT JOIN refunds r ON r.branch_id = b.branch_id AND r.id = b.refund_id
LEFT JOIN refunds reversed ON reversed.branch_id = r.branch_id AND reversed.id = r.reverses_id
ORDER BY c.line_id, c.position, b.refund_id

-- name: lines
-- Some lines of an order, each with every refund of it.
SELECT l.*, brands.name AS brand, p.title AS product_title, v.sku, part.quantity AS refunded_quantity, part.amount,
       part.supply AS returned_supply, r.state, r.refunded_at, coalesce(r.reference, reversed.reference) AS reference,
       r.reverses_id IS NOT NULL AS is_reversal
FROM (
    SELECT * FROM order_lines
    WHERE branch_id = :branch_id AND order_id = :order_id AND line_no > :after
    ORDER BY line_no
    LIMIT :limit
) AS l
JOIN brands ON brands.id = l.brand_id
JOIN products p ON p.id = l.product_id
JOIN variants v ON v.id = l.variant_id
LEFT JOIN refund_lines part ON part.branch_id = l.branch_id AND part.line_id = l.id
LEFT JOIN refunds r ON r.branch_id = part.branch_id AND r.id = part.refund_id
LEFT JOIN refunds reversed ON reversed.branch_id = r.branch_id AND reversed.id = r.reverses_id
ORDER BY l.line_no, part.refund_id
