-- name: pay
-- Freezes the upline as it stands and the plan in force; an order that is not waiting for its payment stays as it is.
WITH batch AS (
    SELECT o.branch_id, o.id, o.seller_id, batch.paid_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[]), CAST(:times AS timestamptz[]))
        AS batch (branch_id, order_id, paid_at)
    JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
    WHERE o.state = 'placed'
    ORDER BY o.branch_id, o.id
    FOR UPDATE OF o
),
-- include: commissions.uplines
UPDATE orders o
SET state = 'paid', paid_at = batch.paid_at,
    upline = seller.upline, upline_tiers = seller.upline_tiers, upline_states = seller.upline_states,
    plan_id = (SELECT p.id FROM plans p WHERE p.state = 'active' AND p.during @> batch.paid_at)
FROM batch JOIN seller ON seller.id = batch.seller_id
WHERE o.branch_id = batch.branch_id AND o.id = batch.id
RETURNING o.branch_id, o.id

-- name: complete
WITH batch AS (
    SELECT o.branch_id, o.id, batch.completed_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[]), CAST(:times AS timestamptz[]))
        AS batch (branch_id, order_id, completed_at)
    JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
    WHERE o.state IN ('paid', 'shipped', 'received')
    ORDER BY o.branch_id, o.id
    FOR UPDATE OF o
)
UPDATE orders o
SET state = 'completed', completed_at = batch.completed_at,
    matures_at = batch.completed_at + CAST(:hold_days AS bigint) * interval '86400 seconds'
FROM batch
WHERE o.branch_id = batch.branch_id AND o.id = batch.id
RETURNING o.branch_id, o.id
