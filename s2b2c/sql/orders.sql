-- name: locked
-- The orders of a batch, locked one after the other by their keys, and when it happened to each.
batch AS (
    SELECT o.branch_id, o.id, o.seller_id, o.state, batch.at
    FROM (
        SELECT * FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[]), CAST(:times AS timestamptz[]))
            AS batch (branch_id, order_id, at)
        ORDER BY branch_id, order_id
    ) AS batch
    CROSS JOIN LATERAL (
        SELECT * FROM orders WHERE branch_id = batch.branch_id AND id = batch.order_id FOR UPDATE
    ) AS o
)

-- name: pay
-- Freezes the upline as it stands and the plan in force; an order that is not waiting for its payment stays as it is.
WITH
-- include: orders.locked
UPDATE orders o
SET state = 'paid', paid_at = batch.at,
    upline = seller.ancestors, upline_tiers = member.tiers, upline_states = member.states,
    plan_id = (SELECT p.id FROM plans p WHERE p.state = 'active' AND p.during @> batch.at)
FROM batch
JOIN distributors seller ON seller.id = batch.seller_id
-- include: commissions.members
WHERE o.branch_id = batch.branch_id AND o.id = batch.id AND batch.state = 'placed'
RETURNING o.branch_id, o.id

-- name: complete
WITH
-- include: orders.locked
UPDATE orders o
SET state = 'completed', completed_at = batch.at,
    matures_at = batch.at + CAST(:hold_days AS bigint) * interval '86400 seconds'
FROM batch
WHERE o.branch_id = batch.branch_id AND o.id = batch.id AND batch.state IN ('paid', 'shipped', 'received')
RETURNING o.branch_id, o.id
