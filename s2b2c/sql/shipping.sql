-- name: lock
-- The supply orders asked for that are this brand's, and their orders, locked in the order in which every step of an
-- order locks them.
SELECT s.branch_id, s.id, s.order_id, s.shipped_at, o.state, o.order_no
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:supply_order_ids AS bigint[])) AS batch (branch_id, id)
JOIN supply_orders s ON s.branch_id = batch.branch_id AND s.id = batch.id AND s.brand_id = :brand_id
JOIN orders o ON o.branch_id = s.branch_id AND o.id = s.order_id
ORDER BY o.branch_id, o.id
FOR NO KEY UPDATE OF o

-- name: known
-- Parcels that were told before.
SELECT p.branch_id, p.supply_order_id
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:supply_order_ids AS bigint[]), CAST(:carriers AS text[]),
            CAST(:tracking_nos AS text[])) AS batch (branch_id, supply_order_id, carrier, tracking_no)
JOIN shipments p USING (branch_id, supply_order_id, carrier, tracking_no)

-- name: left
-- The lines of supply orders: units bought, refunded before they left, and in parcels. Goods that came back were in one.
left_of AS (
    SELECT batch.n, s.branch_id, s.id AS supply_order_id, s.order_id, l.id AS line_id, l.line_no,
           greatest(0, l.quantity - refunded.units - sent.units)::bigint AS units
    FROM batch
    JOIN supply_orders s ON s.branch_id = batch.branch_id AND s.id = batch.supply_order_id
    JOIN order_lines l ON l.branch_id = s.branch_id AND l.order_id = s.order_id AND l.brand_id = s.brand_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(quantity), 0) AS units FROM refund_lines WHERE branch_id = l.branch_id AND line_id = l.id
    ) AS refunded
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(quantity), 0) AS units FROM shipment_lines WHERE branch_id = l.branch_id AND line_id = l.id
    ) AS sent
)

-- name: ship
-- A parcel for each supply order asked for, with what was named or else all that is left; and of each line what was asked
-- for too much. The caller has locked the orders.
WITH batch AS (
    SELECT *
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:supply_order_ids AS bigint[]), CAST(:carriers AS text[]),
                CAST(:tracking_nos AS text[])) WITH ORDINALITY AS batch (branch_id, supply_order_id, carrier, tracking_no, n)
), named AS (
    SELECT * FROM unnest(CAST(:ns AS bigint[]), CAST(:line_nos AS bigint[]), CAST(:quantities AS bigint[]))
        AS named (n, line_no, quantity)
),
-- include: shipping.left
, judged AS MATERIALIZED (
    SELECT coalesce(l.n, named.n) AS n, l.branch_id, l.line_id, coalesce(l.line_no, named.line_no) AS line_no,
           coalesce(l.units, 0) AS units,
           coalesce(named.quantity, CASE WHEN NOT EXISTS (SELECT FROM named any_of WHERE any_of.n = l.n) THEN l.units END, 0)
               AS quantity
    FROM left_of l FULL JOIN named USING (n, line_no)
), fine AS (
    SELECT n FROM judged GROUP BY n HAVING bool_and(quantity <= units) AND sum(quantity) > 0
), parcel AS MATERIALIZED (
    SELECT nextval('shipments_id_seq') AS id, batch.* FROM batch WHERE n IN (SELECT n FROM fine)
), written AS (
    INSERT INTO shipments (branch_id, id, supply_order_id, carrier, tracking_no, shipped_at)
    SELECT branch_id, id, supply_order_id, carrier, tracking_no, :now FROM parcel
), contents AS (
    INSERT INTO shipment_lines (branch_id, shipment_id, line_id, quantity)
    SELECT parcel.branch_id, parcel.id, judged.line_id, judged.quantity
    FROM parcel JOIN judged USING (n) WHERE judged.quantity > 0
)
SELECT n, line_no, units, quantity FROM judged WHERE n NOT IN (SELECT n FROM fine) ORDER BY n, line_no

-- name: close
-- Supply orders of which nothing is left to ship, and the orders that have none left: the last parcel shipped them.
WITH batch AS (
    SELECT row_number() OVER () AS n, s.branch_id, s.id AS supply_order_id
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS asked (branch_id, order_id)
    JOIN supply_orders s ON s.branch_id = asked.branch_id AND s.order_id = asked.order_id
    WHERE s.shipped_at IS NULL
),
-- include: shipping.left
, done AS (
    SELECT l.branch_id, l.order_id, l.supply_order_id, max(p.shipped_at) AS shipped_at
    FROM (
        SELECT branch_id, order_id, supply_order_id FROM left_of GROUP BY 1, 2, 3 HAVING sum(units) = 0
    ) AS l
    LEFT JOIN shipments p ON p.branch_id = l.branch_id AND p.supply_order_id = l.supply_order_id
    GROUP BY 1, 2, 3
), closed AS (
    UPDATE supply_orders s SET shipped_at = done.shipped_at
    FROM done
    WHERE s.branch_id = done.branch_id AND s.id = done.supply_order_id AND done.shipped_at IS NOT NULL
)
UPDATE orders o
SET state = 'shipped', shipped_at = greatest(last.shipped_at, o.paid_at),
    due_at = greatest(last.shipped_at, o.paid_at) + CAST(:receive_days AS bigint) * interval '86400 seconds'
FROM (
    SELECT asked.branch_id, asked.order_id, max(p.shipped_at) AS shipped_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS asked (branch_id, order_id)
    JOIN supply_orders s ON s.branch_id = asked.branch_id AND s.order_id = asked.order_id
    JOIN shipments p ON p.branch_id = s.branch_id AND p.supply_order_id = s.id
    WHERE NOT EXISTS (
        SELECT FROM left_of l WHERE l.branch_id = asked.branch_id AND l.order_id = asked.order_id AND l.units > 0
    )
    GROUP BY asked.branch_id, asked.order_id
) AS last
WHERE o.branch_id = last.branch_id AND o.id = last.order_id AND o.state = 'paid'
RETURNING o.branch_id, o.id
