-- name: lock
-- The orders asked for, in the order in which every step of an order locks them.
SELECT o.branch_id, o.id, o.order_no, o.state
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
ORDER BY o.branch_id, o.id
FOR NO KEY UPDATE OF o

-- name: claim
-- The references that nobody has used before, each with the id of its refund.
-- Numbered as they were asked for, but written in the order of their names: two calls wait, and never for each other.
WITH numbered AS MATERIALIZED (
    SELECT name, branch_id, nextval('refunds_id_seq') AS id
    FROM unnest(CAST(:names AS text[]), CAST(:branch_ids AS bigint[])) AS asked (name, branch_id)
)
INSERT INTO claims (kind, name, branch_id, event_id)
SELECT 'refund', name, branch_id, id FROM numbered ORDER BY name COLLATE "C", id
ON CONFLICT (kind, name) DO NOTHING
RETURNING name, event_id

-- name: record
INSERT INTO refunds (branch_id, id, order_id, reference, state, refunded_at, freight)
SELECT o.branch_id, asked.id, o.id, asked.reference, CASE WHEN o.paid_at IS NULL THEN 'waiting' ELSE 'applied' END, asked.at,
       asked.freight
FROM unnest(
    CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:order_ids AS bigint[]), CAST(:names AS text[]),
    CAST(:times AS timestamptz[]), CAST(:freights AS bigint[])
) AS asked (branch_id, id, order_id, reference, at, freight)
JOIN orders o ON o.branch_id = asked.branch_id AND o.id = asked.order_id
RETURNING branch_id, id, state

-- name: left
-- What is left of each line of these orders, and under number 0 of their freight; refunds that wait count.
SELECT l.line_no, (l.paid - coalesce(sum(r.amount), 0))::bigint AS amount
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN order_lines l ON l.branch_id = batch.branch_id AND l.order_id = batch.order_id
LEFT JOIN refund_lines r ON r.branch_id = l.branch_id AND r.line_id = l.id
GROUP BY l.branch_id, l.id
UNION ALL
SELECT 0, (o.freight - coalesce(sum(r.freight), 0))::bigint
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
LEFT JOIN refunds r ON r.branch_id = o.branch_id AND r.order_id = o.id
GROUP BY o.branch_id, o.id
ORDER BY line_no

-- name: freight_left
-- Orders of which more freight was refunded than was paid, and how much more.
SELECT o.branch_id, o.id, sum(r.freight)::bigint - o.freight AS over
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
JOIN refunds r ON r.branch_id = o.branch_id AND r.order_id = o.id
GROUP BY o.branch_id, o.id
HAVING sum(r.freight) > o.freight

-- name: record_lines
-- What each refund gives back of each line, in the order they were asked for: as far as units, money and supply are left.
-- The units that empty a line take all that is left of it. What was asked for and cannot be had is returned.
WITH asked AS (
    SELECT asked.*, l.id AS line_id, l.quantity AS units, l.paid, l.supply_price,
           before.units AS units_before, before.amount AS amount_before, before.supply AS supply_before,
           asked.quantity IS NULL AND asked.amount IS NULL AS is_rest
    FROM unnest(
        CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:order_ids AS bigint[]), CAST(:line_nos AS bigint[]),
        CAST(:quantities AS bigint[]), CAST(:amounts AS bigint[]), CAST(:goods_back AS boolean[]),
        CAST(:brand_amounts AS bigint[])
    ) WITH ORDINALITY AS asked (branch_id, refund_id, order_id, line_no, quantity, amount, goods_back, brand_amount, n)
    LEFT JOIN order_lines l
        ON l.branch_id = asked.branch_id AND l.order_id = asked.order_id AND l.line_no = asked.line_no
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(r.quantity), 0) AS units, coalesce(sum(r.amount), 0) AS amount,
               coalesce(sum(r.supply), 0) AS supply
        FROM refund_lines r WHERE r.branch_id = l.branch_id AND r.line_id = l.id
    ) AS before ON true
), counted AS (
    SELECT *, least(units, units_before + sum(CASE WHEN is_rest THEN units ELSE coalesce(quantity, 0) END) OVER so_far)
                  AS units_after
    FROM asked
    WINDOW so_far AS (PARTITION BY branch_id, line_id ORDER BY n)
), emptied AS (
    SELECT *, lag(units_after, 1, units_before) OVER lines AS units_until,
           bool_or(is_rest) OVER lines OR (units_before < units AND units_after = units) AS is_emptied
    FROM counted
    WINDOW lines AS (PARTITION BY branch_id, line_id ORDER BY n)
), valued AS (
    SELECT *, CASE WHEN is_emptied THEN paid ELSE least(paid, amount_before + sum(coalesce(
               amount, div(paid * units_after, units) - div(paid * units_until, units)
           )) OVER so_far) END AS amount_after,
           least(units * supply_price, supply_before + sum(
               CASE WHEN goods_back THEN (units_after - units_until) * supply_price ELSE brand_amount END
           ) OVER so_far) AS supply_after
    FROM emptied
    WINDOW so_far AS (PARTITION BY branch_id, line_id ORDER BY n)
), part AS (
    SELECT branch_id, refund_id, line_id, n, units_after - units_until AS quantity,
           amount_after - lag(amount_after, 1, amount_before) OVER lines AS amount,
           supply_after - lag(supply_after, 1, supply_before) OVER lines AS supply
    FROM valued
    WINDOW lines AS (PARTITION BY branch_id, line_id ORDER BY n)
), recorded AS (
    INSERT INTO refund_lines (branch_id, refund_id, line_id, quantity, amount, supply)
    SELECT branch_id, refund_id, line_id, quantity, amount, supply
    FROM part WHERE line_id IS NOT NULL AND (quantity > 0 OR amount > 0)
)
SELECT asked.refund_id, asked.line_no, asked.line_id IS NULL AS is_unknown,
       asked.units - asked.units_before AS units_left, asked.paid - asked.amount_before AS amount_left,
       asked.units * asked.supply_price - asked.supply_before AS supply_left
FROM asked JOIN part USING (n)
WHERE asked.line_id IS NULL OR part.quantity < asked.quantity OR part.amount < asked.amount
   OR part.supply < asked.brand_amount OR (part.quantity = 0 AND part.amount = 0)
ORDER BY n
LIMIT 1

-- name: reverse
-- What takes a refund back, once: it waits for the payment as its refund does.
INSERT INTO refunds (branch_id, order_id, reverses_id, state, refunded_at, freight)
SELECT r.branch_id, r.order_id, r.id, r.state, asked.at, -r.freight
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:times AS timestamptz[]))
    AS asked (branch_id, id, at)
JOIN refunds r ON r.branch_id = asked.branch_id AND r.id = asked.id
ORDER BY r.id
ON CONFLICT (branch_id, reverses_id) DO NOTHING
RETURNING branch_id, id, state

-- name: reverse_lines
INSERT INTO refund_lines (branch_id, refund_id, line_id, quantity, amount, supply)
SELECT reversal.branch_id, reversal.id, l.line_id, -l.quantity, -l.amount, -l.supply
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
JOIN refunds reversal ON reversal.branch_id = batch.branch_id AND reversal.id = batch.refund_id
JOIN refund_lines l ON l.branch_id = reversal.branch_id AND l.refund_id = reversal.reverses_id

-- name: release
-- The refunds that waited for the payment of these orders.
UPDATE refunds r
SET state = 'applied'
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
WHERE r.branch_id = batch.branch_id AND r.order_id = batch.order_id AND r.state = 'waiting'
RETURNING r.branch_id, r.id

-- name: of_orders
-- The refunds that these orders have had.
SELECT r.branch_id, r.id
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN refunds r ON r.branch_id = batch.branch_id AND r.order_id = batch.order_id

-- name: total_lines
-- What is left of each line after these refunds.
UPDATE order_lines l
SET refunded = part.refunded, supply = part.supply, commission = part.commission,
    platform = l.paid - part.refunded - part.supply - part.commission
FROM (
    SELECT l.branch_id, l.id, l.refunded + back.amount AS refunded, l.supply - back.supply AS supply,
           coalesce((
               SELECT sum(c.amount - clawed(c.amount, l.refunded + back.amount, l.paid))
               FROM commissions c WHERE c.branch_id = l.branch_id AND c.line_id = l.id
           ), 0) AS commission
    FROM (
        SELECT r.branch_id, r.line_id, sum(r.amount)::bigint AS amount, sum(r.supply)::bigint AS supply
        FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
        JOIN refund_lines r USING (branch_id, refund_id)
        GROUP BY r.branch_id, r.line_id
    ) AS back
    JOIN order_lines l ON l.branch_id = back.branch_id AND l.id = back.line_id
) AS part
WHERE l.branch_id = part.branch_id AND l.id = part.id
