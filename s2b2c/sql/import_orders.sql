-- name: check_paid_at
SELECT line, 'paid_at', 'is in the future' FROM staging WHERE paid_at > :now

-- name: check_completed_at
SELECT line, 'completed_at', CASE WHEN completed_at > :now THEN 'is in the future' ELSE 'is before paid_at' END
FROM staging WHERE completed_at > :now OR completed_at < paid_at

-- name: check_discount
SELECT line, 'discount', 'is more than quantity x unit_price' FROM staging WHERE discount > quantity * unit_price

-- name: resolve
CREATE TEMP TABLE known ON COMMIT DROP AS
SELECT s.line, s.order_no, s.quantity, s.unit_price, s.discount, s.brand, s.sku, s.store_slug, t.id AS store_id,
       v.id AS variant_id, v.product_id, v.brand_id, c.branch_id AS old_branch_id, c.event_id AS old_id
FROM staging s
LEFT JOIN stores t ON t.slug = s.store_slug
LEFT JOIN brands b ON b.name = s.brand
LEFT JOIN variants v ON v.brand_id = b.id AND v.sku = s.sku
LEFT JOIN claims c ON c.kind = 'order_no' AND c.name = s.order_no

-- name: check_store
SELECT line, 'store_slug', format('there is no store %s', store_slug)
FROM known WHERE store_slug IS NOT NULL AND store_id IS NULL

-- name: check_sku
SELECT line, 'sku', format('brand %s has no sku %s', brand, sku)
FROM known WHERE brand IS NOT NULL AND sku IS NOT NULL AND variant_id IS NULL

-- name: resolve_heads
CREATE TEMP TABLE head ON COMMIT DROP AS
SELECT order_no, min(line) AS line, min(store_slug) AS store_slug, min(customer_ref) AS customer_ref,
       min(paid_at) AS paid_at, min(completed_at) AS completed_at
FROM staging
GROUP BY order_no

-- name: check_changed_head
SELECT h.line, 'order_no', format('order %s was imported before with another store, customer or time', h.order_no)
FROM head h
JOIN claims c ON c.kind = 'order_no' AND c.name = h.order_no
JOIN orders o ON o.branch_id = c.branch_id AND o.id = c.event_id
JOIN stores t ON t.id = o.store_id
JOIN customers u ON u.id = o.customer_id
WHERE (t.slug, u.ref, o.paid_at) IS DISTINCT FROM (h.store_slug, h.customer_ref, h.paid_at)
   OR o.completed_at <> h.completed_at

-- name: check_changed_lines
SELECT coalesce(k.line, h.line), 'order_no',
       format('order %s was imported before with other lines', coalesce(k.order_no, h.order_no))
FROM (
    SELECT DISTINCT order_no, old_branch_id, old_id FROM known WHERE old_id IS NOT NULL
) AS old
JOIN head h USING (order_no)
JOIN order_lines l ON l.branch_id = old.old_branch_id AND l.order_id = old.old_id
FULL JOIN (SELECT * FROM known WHERE old_id IS NOT NULL) AS k
    ON k.order_no = old.order_no AND k.variant_id = l.variant_id
   AND (k.quantity, k.unit_price, k.discount) = (l.quantity, l.unit_price, l.discount)
WHERE k.line IS NULL OR l.id IS NULL

-- name: insert_customers
INSERT INTO customers (ref)
SELECT customer_ref FROM head h
WHERE NOT EXISTS (SELECT FROM customers c WHERE c.ref = h.customer_ref)
GROUP BY customer_ref ORDER BY min(line)

-- name: then_number
CREATE TEMP TABLE fresh ON COMMIT DROP AS
SELECT row_number() OVER () AS number, nextval('orders_id_seq') AS id, heads.*
FROM (
    SELECT d.branch_id, h.order_no, t.id AS store_id, u.id AS customer_id, d.id AS seller_id, h.paid_at, h.completed_at
    FROM head h
    JOIN stores t ON t.slug = h.store_slug
    JOIN distributors d ON d.id = t.distributor_id
    JOIN customers u ON u.ref = h.customer_ref
    WHERE NOT EXISTS (SELECT FROM claims c WHERE c.kind = 'order_no' AND c.name = h.order_no)
    ORDER BY h.line
) AS heads

-- name: then_lines
CREATE TEMP TABLE fresh_line ON COMMIT DROP AS
SELECT f.number, f.branch_id, f.id AS order_id, row_number() OVER (PARTITION BY f.number ORDER BY k.line) AS line_no,
       k.brand_id, k.product_id, k.variant_id, k.quantity, k.unit_price, k.discount,
       k.quantity * k.unit_price - k.discount AS paid, p.supply_price, p.tier_costs, k.quantity * p.supply_price AS supply
FROM fresh f
JOIN known k ON k.order_no = f.order_no
JOIN prices p ON p.variant_id = k.variant_id AND p.during @> f.paid_at

-- name: then_index
CREATE INDEX ON fresh_line (number)

-- name: batch_claims
INSERT INTO claims (kind, name, branch_id, event_id)
SELECT 'order_no', order_no, branch_id, id FROM fresh WHERE number > :first AND number <= :last ORDER BY number

-- name: batch_orders
INSERT INTO orders (branch_id, id, order_no, store_id, customer_id, seller_id, state, placed_at)
SELECT branch_id, id, order_no, store_id, customer_id, seller_id, 'placed', paid_at
FROM fresh WHERE number > :first AND number <= :last ORDER BY number

-- name: batch_lines
INSERT INTO order_lines (branch_id, order_id, line_no, brand_id, product_id, variant_id, quantity, unit_price, discount,
                         paid, supply_price, tier_costs, supply, platform)
SELECT branch_id, order_id, line_no, brand_id, product_id, variant_id, quantity, unit_price, discount,
       paid, supply_price, tier_costs, supply, paid - supply
FROM fresh_line WHERE number > :first AND number <= :last ORDER BY number, line_no

-- name: batch_events
SELECT branch_id, id, paid_at, completed_at FROM fresh WHERE number > :first AND number <= :last ORDER BY number

-- name: late_completions
-- Orders that an earlier file brought as paid, and that this one completes.
SELECT o.branch_id, o.id, h.completed_at
FROM head h
JOIN claims c ON c.kind = 'order_no' AND c.name = h.order_no
JOIN orders o ON o.branch_id = c.branch_id AND o.id = c.event_id
WHERE h.completed_at IS NOT NULL AND o.completed_at IS NULL
ORDER BY o.branch_id, o.id
