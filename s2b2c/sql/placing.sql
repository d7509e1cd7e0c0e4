-- name: place
-- Carts of different customers, each locked by a statement before this one: of each an order, or of each of its lines what
-- keeps it from being one, all of it or nothing. Variants are locked in the order of their ids, and their stock is judged
-- as it is then. Carts that are fine but for the stock that those before them take have to be asked for again, by
-- `place_aside`. So have those with a variant of which some is set aside: allotments are written under the lock of their
-- variant, and a statement that waited for it still sees them as they were before.
WITH
-- include: placing.asked
, judged AS MATERIALIZED (
    SELECT *, stock AS sellable,
           coalesce(obstacle, CASE WHEN quantity > stock AND allotted = 0 THEN 'out of stock' END) AS refusal
    FROM offered
), wanted AS (
    SELECT n, stock, allotted, sum(quantity) OVER (PARTITION BY variant_id ORDER BY n) AS up_to
    FROM judged
    WHERE n NOT IN (SELECT n FROM judged WHERE refusal IS NOT NULL)
), bought AS MATERIALIZED (
    SELECT n FROM wanted GROUP BY n HAVING bool_and(up_to <= stock AND allotted = 0)
),
-- include: placing.touch
,
-- include: bindings.touch
,
-- include: placing.order
, taken AS (
    UPDATE variants v SET stock = v.stock - line.quantity
    FROM (SELECT variant_id, sum(quantity)::bigint AS quantity FROM line GROUP BY variant_id) AS line
    WHERE v.id = line.variant_id
)
-- include: placing.outcome

-- name: place_aside
-- As `place`, of variants that are locked by a statement before this one: units come out of what is set aside for their
-- store, then for its region, then out of what is free.
WITH
-- include: placing.asked
, judged AS MATERIALIZED (
    SELECT offered.*, pool.*, free + own + regional AS sellable,
           coalesce(obstacle, CASE WHEN offered.quantity > free + own + regional THEN 'out of stock' END) AS refusal
    FROM offered
    LEFT JOIN allotments of_store ON of_store.variant_id = offered.variant_id AND of_store.store_id = offered.store_id
    LEFT JOIN allotments of_region
        ON of_region.variant_id = offered.variant_id AND of_region.store_id IS NULL
       AND of_region.region = offered.store_region
    CROSS JOIN LATERAL (
        SELECT stock - allotted AS free, of_store.id AS own_id, coalesce(of_store.quantity, 0) AS own,
               of_region.id AS regional_id, coalesce(of_region.quantity, 0) AS regional
    ) AS pool
), aside AS MATERIALIZED (
    -- Of each line what comes out of its store's allotment, then out of its region's, when all carts before are served.
    SELECT n, line_no, variant_id, own_id, from_own, regional_id,
           least(regional, sum(quantity - from_own) OVER up_to)
           - least(regional, sum(quantity - from_own) OVER up_to - (quantity - from_own)) AS from_regional
    FROM (
        SELECT *, least(own, sum(quantity) OVER up_to) - least(own, sum(quantity) OVER up_to - quantity) AS from_own
        FROM judged
        WHERE own + regional > 0 AND n NOT IN (SELECT n FROM judged WHERE refusal IS NOT NULL)
        WINDOW up_to AS (PARTITION BY variant_id, store_id ORDER BY n)
    ) AS own_first
    WINDOW up_to AS (PARTITION BY variant_id, store_region ORDER BY n)
), wanted AS MATERIALIZED (
    SELECT j.n, j.allotted, j.free, sum(j.quantity - coalesce(a.from_own + a.from_regional, 0)) OVER up_to AS up_to
    FROM judged j
    LEFT JOIN aside a ON a.n = j.n AND a.line_no = j.line_no
    WHERE j.n NOT IN (SELECT n FROM judged WHERE refusal IS NOT NULL)
    WINDOW up_to AS (PARTITION BY j.variant_id ORDER BY j.n)
), bought AS MATERIALIZED (
    -- What comes out of which pool holds as long as all carts before are served.
    SELECT n
    FROM wanted
    GROUP BY n
    HAVING bool_and(up_to <= free)
       AND (max(allotted) = 0 OR n < ALL (SELECT n FROM wanted WHERE up_to > free))
),
-- include: placing.touch
,
-- include: bindings.touch
,
-- include: placing.order
, part AS MATERIALIZED (
    SELECT a.n, a.line_no, a.variant_id, pool.id AS allotment_id, pool.quantity::bigint AS quantity
    FROM bought
    JOIN aside a ON a.n = bought.n
    CROSS JOIN LATERAL (VALUES (own_id, from_own), (regional_id, from_regional)) AS pool (id, quantity)
    WHERE pool.quantity > 0
), taken AS (
    UPDATE variants v
    SET stock = v.stock - line.quantity,
        allotted = v.allotted - coalesce((SELECT sum(quantity)::bigint FROM part WHERE part.variant_id = v.id), 0)
    FROM (SELECT variant_id, sum(quantity)::bigint AS quantity FROM line GROUP BY variant_id) AS line
    WHERE v.id = line.variant_id
), taken_aside AS (
    UPDATE allotments a SET quantity = a.quantity - part.quantity
    FROM (SELECT allotment_id, sum(quantity)::bigint AS quantity FROM part GROUP BY allotment_id) AS part
    WHERE a.id = part.allotment_id
), parts AS (
    INSERT INTO line_allotments (branch_id, order_id, line_no, allotment_id, quantity)
    SELECT head.branch_id, head.id, line_no, allotment_id, quantity FROM head JOIN part ON part.n = head.n
)
-- include: placing.outcome

-- name: asked
-- The carts, and of each line what it would be in an order, or what keeps the store from selling it.
cart AS MATERIALIZED (
    SELECT c.*, hours.opens_at, s.distributor_id, s.region AS store_region, t.rank, a.recipient, a.phone, a.region, a.street,
           done.branch_id AS placed_branch_id, done.event_id AS placed_id,
           CASE WHEN done.name IS NOT NULL THEN 'placed before'
                WHEN s.id IS NULL THEN 'no store'
                WHEN s.opening_hours IS NOT NULL AND hours.opens_at > :now THEN 'not open'
                WHEN a.id IS NULL THEN 'no address' END AS refusal
    FROM unnest(CAST(:customer_ids AS bigint[]), CAST(:store_ids AS bigint[]), CAST(:address_ids AS bigint[]),
                CAST(:tokens AS text[]), CAST(:share_codes AS text[]), CAST(:coupons AS bigint[]))
        WITH ORDINALITY AS c (customer_id, store_id, address_id, token, share_code, coupon, n)
    LEFT JOIN claims done ON done.kind = 'order_token' AND done.name = c.token
    LEFT JOIN stores s ON s.id = c.store_id AND s.state = 'open'
    LEFT JOIN LATERAL (SELECT opens_at(s.opening_hours, :now)) AS hours (opens_at) ON s.opening_hours IS NOT NULL
    LEFT JOIN distributors d ON d.id = s.distributor_id
    LEFT JOIN tiers t ON t.id = d.tier_id
    LEFT JOIN addresses a ON a.id = c.address_id AND a.customer_id = c.customer_id AND a.removed_at IS NULL
), asked AS (
    SELECT a.*, cart.store_id, cart.store_region, cart.rank, cart.customer_id, cart.distributor_id
    FROM unnest(CAST(:ns AS bigint[]), CAST(:line_nos AS bigint[]), CAST(:variant_ids AS bigint[]),
                CAST(:quantities AS bigint[]), CAST(:prices AS bigint[])) AS a (n, line_no, variant_id, quantity, price)
    JOIN cart ON cart.n = a.n AND cart.refusal IS NULL
), stock AS MATERIALIZED (
    SELECT v.*
    FROM (SELECT DISTINCT variant_id FROM asked ORDER BY variant_id) AS a
    CROSS JOIN LATERAL (
        SELECT id, product_id, brand_id, stock, allotted FROM variants WHERE id = a.variant_id FOR NO KEY UPDATE
    ) AS v
), offered AS (
    SELECT a.*, stock.stock, stock.allotted, stock.product_id, stock.brand_id, listings.price AS unit_price,
           prices.supply_price, prices.tier_costs,
           CASE WHEN listings.price IS NULL OR products.state <> 'listed' OR prices.tier_costs[a.rank] IS NULL
                THEN 'not offered'
                WHEN a.price <> listings.price THEN 'other price' END AS obstacle
    FROM asked a
    LEFT JOIN stock ON stock.id = a.variant_id
    LEFT JOIN products ON products.id = stock.product_id
    LEFT JOIN listings ON listings.store_id = a.store_id AND listings.product_id = stock.product_id
        AND (listings.segments = '{}' OR is_shown_to(listings.segments, a.customer_id, a.distributor_id, :now))
    LEFT JOIN prices ON prices.variant_id = stock.id AND upper_inf(prices.during)
)

-- name: touch
-- The lines of the carts that are bought, and whom their customers touch with them.
priced AS (
    SELECT j.*, (quantity * unit_price)::bigint AS gross, sum(quantity * unit_price) OVER up_to AS gross_up_to,
           sum(quantity * unit_price) OVER (PARTITION BY j.n) AS gross_of_all
    FROM bought JOIN judged j ON j.n = bought.n
    WINDOW up_to AS (PARTITION BY j.n ORDER BY line_no)
), line AS MATERIALIZED (
    -- The coupon is spread by cumulative floor: its parts add up to it exactly.
    SELECT p.*, (div(c.coupon * p.gross_up_to, p.gross_of_all)
                 - div(c.coupon * (p.gross_up_to - p.gross), p.gross_of_all))::bigint AS discount
    FROM priced p
    JOIN cart ON cart.n = p.n
    CROSS JOIN LATERAL (SELECT least(cart.coupon, p.gross_of_all) AS coupon) AS c
), touch AS (
    SELECT cart.customer_id,
           CASE WHEN sharer.state IN ('active', 'watch') THEN sharer.id ELSE cart.distributor_id END AS distributor_id,
           CAST(:now AS timestamptz) AS at, cart.store_id, NULL::bigint AS product_id, link.id AS share_link_id
    FROM bought
    JOIN cart ON cart.n = bought.n
    LEFT JOIN share_links link ON link.code = cart.share_code AND link.store_id = cart.store_id
    LEFT JOIN distributors sharer ON sharer.id = link.distributor_id
)

-- name: order
-- The orders of the carts that are bought, and all of theirs but what becomes of the stock.
drawn AS MATERIALIZED (
    SELECT cart.*, nextval('orders_id_seq') AS id, seller.id AS seller_id, seller.branch_id, goods.fen AS goods,
           CASE WHEN :goods_from <= goods.fen THEN 0 ELSE :freight END AS freight
    FROM (SELECT n, sum(gross - discount)::bigint AS fen FROM line GROUP BY n) AS goods
    JOIN cart ON cart.n = goods.n
    JOIN touched ON touched.customer_id = cart.customer_id
    JOIN distributors seller ON seller.id = touched.seller_id
), head AS MATERIALIZED (
    SELECT *, to_char(CAST(:now AS timestamptz) AT TIME ZONE 'Asia/Shanghai', 'YYMMDD') || lpad(id::text, 10, '0') AS order_no
    FROM drawn
), claim AS (
    INSERT INTO claims (kind, name, branch_id, event_id)
    SELECT 'order_token', token, branch_id, id FROM head
    UNION ALL
    SELECT 'order_no', order_no, branch_id, id FROM head
), placed AS (
    INSERT INTO orders (branch_id, id, order_no, store_id, customer_id, seller_id, state, placed_at, freight, due_at)
    SELECT branch_id, id, order_no, store_id, customer_id, seller_id, 'placed', :now, freight,
           CAST(:now AS timestamptz) + CAST(:pay_minutes AS bigint) * interval '1 minute'
    FROM head
), lines AS (
    INSERT INTO order_lines (branch_id, order_id, line_no, brand_id, product_id, variant_id, quantity, unit_price, discount,
                             paid, supply_price, tier_costs, supply, platform)
    SELECT head.branch_id, head.id, line_no, brand_id, product_id, variant_id, quantity, unit_price, discount,
           gross - discount, supply_price, tier_costs, quantity * supply_price, gross - discount - quantity * supply_price
    FROM head JOIN line ON line.n = head.n
    ORDER BY head.id, line_no
), supply_order AS (
    INSERT INTO supply_orders (branch_id, order_id, brand_id)
    SELECT head.branch_id, head.id, brand_id
    FROM head JOIN (SELECT DISTINCT n, brand_id FROM line) AS brand ON brand.n = head.n
    ORDER BY head.id, brand_id
), sent_to AS (
    INSERT INTO order_addresses (branch_id, order_id, recipient, phone, region, street)
    SELECT branch_id, id, recipient, phone, region, street FROM head
)

-- name: outcome
-- Of what the store does not sell nothing is told.
SELECT cart.n, cart.refusal AS cart_refusal, cart.opens_at, cart.placed_branch_id, cart.placed_id, j.line_no, j.refusal,
       CASE WHEN j.refusal = 'not offered' THEN NULL ELSE j.sellable END AS stock,
       CASE WHEN j.refusal = 'not offered' THEN NULL ELSE j.unit_price END AS unit_price,
       head.branch_id, head.id, head.order_no, head.goods + head.freight AS amount
FROM cart
LEFT JOIN judged j ON j.n = cart.n
LEFT JOIN head ON head.n = cart.n
ORDER BY cart.n, j.line_no

-- name: placed_before
SELECT o.branch_id, o.id, o.order_no, (sum(l.paid) + o.freight)::bigint AS amount
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
GROUP BY o.branch_id, o.id
