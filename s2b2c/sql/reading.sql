-- name: quote
-- What a cart costs in a store now, line by line, judged as placing judges it; no row where there is no such open store.
-- Of what the store does not sell nothing is told.
WITH store AS (
    SELECT s.id, s.distributor_id, t.rank, nullif(opens_at(s.opening_hours, :now), :now) AS opens_at
    FROM stores s
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
    WHERE s.id = :store_id AND s.state = 'open'
)
SELECT a.line_no, a.variant_id, a.quantity, store.opens_at, sold.*,
       CASE WHEN sold.unit_price IS NULL THEN 'not offered'
            WHEN a.price <> sold.unit_price THEN 'other price'
            WHEN a.quantity > sold.in_stock THEN 'out of stock' END AS problem
FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:quantities AS bigint[]), CAST(:prices AS bigint[]))
    WITH ORDINALITY AS a (variant_id, quantity, price, line_no)
CROSS JOIN store
LEFT JOIN LATERAL (
    SELECT listings.price AS unit_price, sellable(v.stock, v.allotted, v.id, store.id) AS in_stock, v.sku, v.options,
           p.title AS product_title, p.image_url
    FROM variants v
    JOIN products p ON p.id = v.product_id AND p.state = 'listed'
    JOIN listings ON listings.store_id = store.id AND listings.product_id = p.id
        AND (listings.segments = '{}' OR is_shown_to(listings.segments, :customer_id, store.distributor_id, :now))
    JOIN prices ON prices.variant_id = v.id AND upper_inf(prices.during) AND prices.tier_costs[store.rank] IS NOT NULL
    WHERE v.id = a.variant_id
) AS sold ON true
ORDER BY a.line_no

-- name: asked
-- Parts of lists of orders: behind a key, of one brand or of all.
asked AS (
    SELECT *
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[]), CAST(:brand_ids AS bigint[]),
                CAST(:afters AS bigint[]), CAST(:limits AS bigint[]))
        WITH ORDINALITY AS asked (branch_id, order_id, brand_id, after, most, n)
)

-- name: lines
-- Nothing is to be shipped of an order that is not paid yet, or that is over.
WITH
-- include: reading.asked
SELECT asked.n, l.line_no, l.quantity, l.unit_price, l.discount, l.paid, l.refunded, l.supply_price, l.supply,
       v.sku, v.options, p.title AS product_title, p.image_url, b.name AS brand_name,
       back.units AS refunded_units, sent.units AS shipped_units,
       CASE o.state WHEN 'paid' THEN greatest(0, l.quantity - back.units - sent.units) ELSE 0 END AS units_to_ship
FROM asked
JOIN orders o ON o.branch_id = asked.branch_id AND o.id = asked.order_id
CROSS JOIN LATERAL (
    SELECT * FROM order_lines
    WHERE branch_id = asked.branch_id AND order_id = asked.order_id AND line_no > asked.after
      AND (asked.brand_id IS NULL OR brand_id = asked.brand_id)
    ORDER BY line_no
    LIMIT asked.most
) AS l
JOIN variants v ON v.id = l.variant_id
JOIN products p ON p.id = l.product_id
JOIN brands b ON b.id = l.brand_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0)::bigint AS units FROM refund_lines WHERE branch_id = l.branch_id AND line_id = l.id
) AS back
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0)::bigint AS units FROM shipment_lines WHERE branch_id = l.branch_id AND line_id = l.id
) AS sent
ORDER BY asked.n, l.line_no

-- name: parcels
WITH
-- include: reading.asked
SELECT asked.n, p.id, p.carrier, p.tracking_no, p.shipped_at, inside.line_nos, inside.quantities
FROM asked
CROSS JOIN LATERAL (
    SELECT shipments.*
    FROM supply_orders s
    JOIN shipments ON shipments.branch_id = s.branch_id AND shipments.supply_order_id = s.id
    WHERE s.branch_id = asked.branch_id AND s.order_id = asked.order_id AND shipments.id > asked.after
      AND (asked.brand_id IS NULL OR s.brand_id = asked.brand_id)
    ORDER BY shipments.id
    LIMIT asked.most
) AS p
CROSS JOIN LATERAL (
    SELECT array_agg(l.line_no ORDER BY l.line_no) AS line_nos, array_agg(c.quantity ORDER BY l.line_no) AS quantities
    FROM shipment_lines c
    JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
    WHERE c.branch_id = p.branch_id AND c.shipment_id = p.id
) AS inside
ORDER BY asked.n, p.id

-- name: refundable
-- An order that could be refunded, with each line asked for: what was refunded before, in all three measures. The payment
-- that paid it is None where it was not paid through Stripe; a refund in hand is one that is on its way.
SELECT o.branch_id, o.id, o.state, asked.line_no, l.quantity AS units, l.paid, l.supply_price,
       before.units AS units_before, before.amount AS amount_before, before.supply AS supply_before,
       (SELECT p.id FROM payments p
        WHERE p.branch_id = o.branch_id AND p.order_id = o.id AND p.state = 'succeeded' AND p.returned_at IS NULL
        ORDER BY p.succeeded_at, p.id LIMIT 1) AS payment_id,
       EXISTS (SELECT FROM refund_requests r WHERE r.branch_id = o.branch_id AND r.order_id = o.id
               AND r.state IN ('sending', 'sent')) AS is_in_hand,
       EXISTS (SELECT FROM supply_orders s JOIN shipments p ON p.branch_id = s.branch_id AND p.supply_order_id = s.id
               WHERE s.branch_id = o.branch_id AND s.order_id = o.id) AS is_shipped
FROM orders o
CROSS JOIN unnest(CAST(:line_nos AS bigint[])) WITH ORDINALITY AS asked (line_no, n)
LEFT JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id AND l.line_no = asked.line_no
LEFT JOIN LATERAL (
    SELECT coalesce(sum(r.quantity), 0)::bigint AS units, coalesce(sum(r.amount), 0)::bigint AS amount,
           coalesce(sum(r.supply), 0)::bigint AS supply
    FROM refund_lines r WHERE r.branch_id = l.branch_id AND r.line_id = l.id
) AS before ON true
WHERE o.branch_id = :branch_id AND o.id = :order_id
  AND (CAST(:customer_id AS bigint) IS NULL OR o.customer_id = :customer_id)
ORDER BY asked.n

-- name: own_order
SELECT o.state, o.due_at, (o.freight + (
    SELECT sum(l.paid) FROM order_lines l WHERE l.branch_id = o.branch_id AND l.order_id = o.id
))::bigint AS total
FROM orders o
WHERE o.branch_id = :branch_id AND o.id = :id AND o.customer_id = :customer_id
