-- name: locked
-- The orders of a batch, locked one after the other by their keys, and when it happened to each: by the clock of whoever
-- tells, so never before what we know to have happened.
batch AS (
    SELECT o.branch_id, o.id, o.seller_id, o.state,
           greatest(batch.at, o.placed_at, o.paid_at, o.shipped_at, o.received_at) AS at
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
-- Freezes the upline as it stands and the plan in force; an order that is not waiting for its payment stays as it is. What
-- is paid waits for its totals.
WITH
-- include: orders.locked
, paid AS (
    UPDATE orders o
    SET state = 'paid', paid_at = batch.at, due_at = NULL,
        upline = seller.ancestors, upline_tiers = member.tiers, upline_states = member.states,
        plan_id = (SELECT p.id FROM plans p WHERE p.state = 'active' AND p.during @> batch.at)
    FROM batch
    JOIN distributors seller ON seller.id = batch.seller_id
-- include: commissions.members
    WHERE o.branch_id = batch.branch_id AND o.id = batch.id AND batch.state = 'placed'
    RETURNING o.branch_id, o.id
), waiting AS (
    INSERT INTO orders_to_add (branch_id, order_id) SELECT branch_id, id FROM paid
)
SELECT branch_id, id FROM paid

-- name: complete
WITH
-- include: orders.locked
UPDATE orders o
SET state = 'completed', completed_at = batch.at, due_at = NULL,
    matures_at = batch.at + CAST(:hold_days AS bigint) * interval '86400 seconds'
FROM batch
WHERE o.branch_id = batch.branch_id AND o.id = batch.id AND batch.state IN ('paid', 'shipped', 'received')
RETURNING o.branch_id, o.id

-- name: receive
WITH
-- include: orders.locked
UPDATE orders o
SET state = 'received', received_at = batch.at,
    due_at = batch.at + CAST(:complete_days AS bigint) * interval '86400 seconds'
FROM batch
WHERE o.branch_id = batch.branch_id AND o.id = batch.id AND batch.state = 'shipped'
RETURNING o.branch_id, o.id

-- name: cancel
-- What was reserved goes back, variant by variant in the order in which placing locks them, to the allotments that it came
-- from; one that was changed or taken away since is not there under its id any more, and its units are free.
WITH
-- include: orders.locked
, cancelled AS (
    UPDATE orders o
    SET state = 'cancelled', cancelled_at = batch.at, due_at = NULL
    FROM batch
    WHERE o.branch_id = batch.branch_id AND o.id = batch.id AND batch.state = 'placed'
    RETURNING o.branch_id, o.id
), reserved AS (
    SELECT l.variant_id, sum(l.quantity)::bigint AS quantity
    FROM cancelled c JOIN order_lines l ON l.branch_id = c.branch_id AND l.order_id = c.id
    GROUP BY l.variant_id
), stock AS MATERIALIZED (
    SELECT v.id
    FROM (SELECT variant_id FROM reserved ORDER BY variant_id) AS r
    CROSS JOIN LATERAL (SELECT id FROM variants WHERE id = r.variant_id FOR NO KEY UPDATE) AS v
), put_back AS (
    UPDATE allotments a SET quantity = a.quantity + part.quantity
    FROM (
        SELECT p.allotment_id, sum(p.quantity)::bigint AS quantity
        FROM cancelled c JOIN line_allotments p ON p.branch_id = c.branch_id AND p.order_id = c.id
        GROUP BY p.allotment_id
    ) AS part
    CROSS JOIN stock
    WHERE a.id = part.allotment_id AND stock.id = a.variant_id
    RETURNING a.variant_id, part.quantity
), given_back AS (
    UPDATE variants v
    SET stock = v.stock + r.quantity,
        allotted = v.allotted + coalesce((SELECT sum(a.quantity)::bigint FROM put_back a WHERE a.variant_id = v.id), 0)
    FROM reserved r JOIN stock ON stock.id = r.variant_id
    WHERE v.id = r.variant_id
)
SELECT branch_id, id FROM cancelled

-- name: due
-- Orders whose next step is due, those that have waited longest first; what somebody else is working on is left to them.
SELECT branch_id, id, due_at FROM orders
WHERE state = :state AND due_at <= :now
ORDER BY due_at, branch_id, id
LIMIT :limit
FOR NO KEY UPDATE SKIP LOCKED

-- name: unpaid_with
-- The orders with a product that wait for payment, and what its lines cost.
SELECT o.branch_id, o.id, sum(l.paid)::bigint AS amount
FROM orders o
JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
WHERE o.state = 'placed' AND l.product_id = :product_id
GROUP BY o.branch_id, o.id
ORDER BY o.branch_id, o.id
