-- name: span
-- What the orders paid from :start on brought, and what the given rules would have made of them, each share less what
-- refunds have taken back. At most :orders of them and those paid in the same moment as the last; spans add up.
WITH batch AS (
    SELECT branch_id, id AS order_id, 0::bigint AS plan_id, upline, upline_tiers, upline_states, paid_at
    FROM orders
    WHERE paid_at >= :start AND paid_at < :end
    ORDER BY paid_at
    FETCH FIRST (:orders) ROWS WITH TIES
),
-- include: commissions.lines
, rule AS (
    -- Read so, the planner takes them for a thousand, and does not try them one by one on each line.
    SELECT r.*, CAST(:margin_floor_bps AS bigint) AS margin_floor_bps
    FROM jsonb_path_query(CAST(:rules AS jsonb), '$[*]') AS one
    CROSS JOIN LATERAL jsonb_populate_record(NULL::rules, one) AS r
),
-- include: commissions.shares
, sold AS (
    SELECT l.branch_id, l.id AS line_id, l.paid, l.refunded, l.supply
    FROM batch JOIN order_lines l USING (branch_id, order_id)
), earned AS (
    SELECT distributor_id, tier_id, sum(actual)::bigint AS actual, sum(simulated)::bigint AS simulated
    FROM (
        SELECT distributor_id, tier_id, amount - clawed(amount, refunded, paid) AS actual, 0 AS simulated
        FROM sold JOIN commissions USING (branch_id, line_id)
        UNION ALL
        SELECT distributor_id, tier_id, 0, amount - clawed(amount, refunded, paid)
        FROM sold JOIN share USING (branch_id, line_id)
    ) AS net
    GROUP BY distributor_id, tier_id
)
SELECT orders.*, lines.*, shares.*
FROM (SELECT count(*) AS orders, max(paid_at) AS last_paid_at FROM batch) AS orders
CROSS JOIN (
    SELECT count(*) AS lines, coalesce(sum(paid), 0)::bigint AS paid, coalesce(sum(refunded), 0)::bigint AS refunded,
           coalesce(sum(supply), 0)::bigint AS supply
    FROM sold
) AS lines
CROSS JOIN (
    SELECT coalesce(array_agg(distributor_id), '{}') AS distributor_ids, coalesce(array_agg(tier_id), '{}') AS tier_ids,
           coalesce(array_agg(actual), '{}') AS actual, coalesce(array_agg(simulated), '{}') AS simulated
    FROM earned
) AS shares
