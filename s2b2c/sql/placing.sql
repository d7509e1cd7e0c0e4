-- name: place
-- An order of one customer, or of each line what keeps it from being one: all of it or nothing. No row where there is no
-- such open store or address, or where the token was used before. Variants are locked in the order of their ids, and
-- their stock is judged as it is then.
WITH store AS (
    SELECT s.id, s.distributor_id, t.rank
    FROM stores s
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
    WHERE s.id = :store_id AND s.state = 'open'
), address AS (
    SELECT recipient, phone, region, street FROM addresses
    WHERE id = :address_id AND customer_id = :customer_id AND removed_at IS NULL
), asked AS (
    SELECT asked.*
    FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:quantities AS bigint[]), CAST(:prices AS bigint[]))
        WITH ORDINALITY AS asked (variant_id, quantity, price, line_no)
    WHERE EXISTS (SELECT FROM store) AND EXISTS (SELECT FROM address)
      AND NOT EXISTS (SELECT FROM claims WHERE kind = 'order_token' AND name = :token)
), stock AS MATERIALIZED (
    SELECT v.*
    FROM (SELECT variant_id FROM asked ORDER BY variant_id) AS a
    CROSS JOIN LATERAL (
        SELECT id, product_id, brand_id, stock FROM variants WHERE id = a.variant_id FOR NO KEY UPDATE
    ) AS v
), judged AS MATERIALIZED (
    SELECT a.line_no, a.variant_id, a.quantity, stock.stock, stock.product_id, stock.brand_id, listings.price AS unit_price,
           prices.supply_price, prices.tier_costs,
           CASE WHEN listings.price IS NULL OR products.state <> 'listed' OR prices.tier_costs[store.rank] IS NULL
                THEN 'not offered'
                WHEN a.price <> listings.price THEN 'other price'
                WHEN a.quantity > stock.stock THEN 'out of stock' END AS refusal
    FROM asked a
    CROSS JOIN store
    LEFT JOIN stock ON stock.id = a.variant_id
    LEFT JOIN products ON products.id = stock.product_id
    LEFT JOIN listings ON listings.store_id = store.id AND listings.product_id = stock.product_id
    LEFT JOIN prices ON prices.variant_id = stock.id AND upper_inf(prices.during)
), priced AS (
    SELECT line_no, (quantity * unit_price)::bigint AS gross, sum(quantity * unit_price) OVER up_to AS gross_up_to,
           sum(quantity * unit_price) OVER () AS gross_of_all
    FROM judged
    WHERE NOT EXISTS (SELECT FROM judged WHERE refusal IS NOT NULL)
    WINDOW up_to AS (ORDER BY line_no)
), line AS MATERIALIZED (
    -- The coupon is spread by cumulative floor: its parts add up to it exactly.
    SELECT j.*, p.gross, (div(c.coupon * p.gross_up_to, p.gross_of_all)
                          - div(c.coupon * (p.gross_up_to - p.gross), p.gross_of_all))::bigint AS discount
    FROM priced p
    JOIN judged j USING (line_no)
    CROSS JOIN LATERAL (SELECT least(CAST(:coupon AS bigint), p.gross_of_all) AS coupon) AS c
), touch AS (
    SELECT CAST(:customer_id AS bigint) AS customer_id,
           CASE WHEN sharer.state IN ('active', 'watch') THEN sharer.id ELSE store.distributor_id END AS distributor_id,
           CAST(:now AS timestamptz) AS at, store.id AS store_id, NULL::bigint AS product_id, link.id AS share_link_id
    FROM store
    LEFT JOIN share_links link ON link.code = :share_code AND link.store_id = store.id
    LEFT JOIN distributors sharer ON sharer.id = link.distributor_id
    WHERE EXISTS (SELECT FROM line)
),
-- include: bindings.touch
, drawn AS MATERIALIZED (
    SELECT nextval('orders_id_seq') AS id, seller.id AS seller_id, seller.branch_id,
           CASE WHEN :goods_from <= (SELECT sum(gross - discount) FROM line) THEN 0 ELSE :freight END AS freight
    FROM touched JOIN distributors seller ON seller.id = touched.seller_id
), head AS MATERIALIZED (
    SELECT *, to_char(CAST(:now AS timestamptz) AT TIME ZONE 'Asia/Shanghai', 'YYMMDD') || lpad(id::text, 10, '0') AS order_no
    FROM drawn
), claim AS (
    INSERT INTO claims (kind, name, branch_id, event_id)
    SELECT 'order_token', :token, branch_id, id FROM head
    UNION ALL
    SELECT 'order_no', order_no, branch_id, id FROM head
), taken AS (
    UPDATE variants v SET stock = v.stock - line.quantity FROM line WHERE v.id = line.variant_id
), placed AS (
    INSERT INTO orders (branch_id, id, order_no, store_id, customer_id, seller_id, state, placed_at, freight, due_at)
    SELECT branch_id, id, order_no, :store_id, :customer_id, seller_id, 'placed', :now, freight,
           CAST(:now AS timestamptz) + CAST(:pay_minutes AS bigint) * interval '1 minute'
    FROM head
), lines AS (
    INSERT INTO order_lines (branch_id, order_id, line_no, brand_id, product_id, variant_id, quantity, unit_price, discount,
                             paid, supply_price, tier_costs, supply, platform)
    SELECT head.branch_id, head.id, line_no, brand_id, product_id, variant_id, quantity, unit_price, discount,
           gross - discount, supply_price, tier_costs, quantity * supply_price, gross - discount - quantity * supply_price
    FROM head CROSS JOIN line
    ORDER BY line_no
), supply_order AS (
    INSERT INTO supply_orders (branch_id, order_id, brand_id)
    SELECT head.branch_id, head.id, brand_id FROM head CROSS JOIN (SELECT DISTINCT brand_id FROM line) AS brand
    ORDER BY brand_id
), sent_to AS (
    INSERT INTO order_addresses (branch_id, order_id, recipient, phone, region, street)
    SELECT head.branch_id, head.id, recipient, phone, region, street FROM head CROSS JOIN address
)
SELECT j.line_no, j.refusal, j.stock, j.unit_price, head.branch_id, head.id, head.order_no,
       (SELECT sum(gross - discount) FROM line)::bigint + head.freight AS amount
FROM judged j LEFT JOIN head ON true
ORDER BY j.line_no
