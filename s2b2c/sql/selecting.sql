-- name: take_stale
-- The next products to describe anew. Whoever changes one of them now marks it again, after this is committed.
DELETE FROM stale_products
WHERE product_id IN (
    SELECT product_id FROM stale_products ORDER BY product_id LIMIT :limit FOR UPDATE SKIP LOCKED
)
RETURNING product_id

-- name: describe
-- What a product is found by; the costs of the dearest variant, where some price fits the tier.
SELECT p.id, p.title,
       concat_ws(' ', p.code, p.category, b.name, array_to_string(p.tonalities || p.audiences, ' '), sold.words) AS rest,
       p.brand_id, p.category, p.tonalities || p.audiences AS tags, sold.suggested_price, tier.costs,
       (p.created_at AT TIME ZONE 'Asia/Shanghai')::date AS listed_on, p.created_at AS listed_at
FROM products p
JOIN brands b ON b.id = p.brand_id
CROSS JOIN LATERAL (
    SELECT string_agg(concat_ws(' ', v.sku, option.words), ' ' ORDER BY v.id) AS words,
           least(max(x.suggested_price), min(x.max_price)) AS suggested_price
    FROM variants v
    JOIN prices x ON x.variant_id = v.id AND upper_inf(x.during)
    CROSS JOIN LATERAL (SELECT string_agg(value, ' ') AS words FROM jsonb_each_text(v.options)) AS option
    WHERE v.product_id = p.id
) AS sold
CROSS JOIN LATERAL (
    SELECT array_agg(dearest.cost ORDER BY k.rank) AS costs
    FROM generate_series(1, (SELECT max(rank) FROM tiers)) AS k (rank)
    LEFT JOIN LATERAL price_band(p.id, k.rank) AS band ON true
    LEFT JOIN LATERAL (
        SELECT max(x.tier_costs[k.rank]) AS cost
        FROM variants v JOIN prices x ON x.variant_id = v.id AND upper_inf(x.during)
        WHERE v.product_id = p.id AND band.lowest_price IS NOT NULL
    ) AS dearest ON true
) AS tier
WHERE p.id = ANY(CAST(:product_ids AS bigint[])) AND p.state = 'listed'
  AND EXISTS (SELECT FROM unnest(tier.costs) AS cost WHERE cost IS NOT NULL)
ORDER BY p.id

-- name: keep
WITH gone AS (
    DELETE FROM selectable_products s
    USING unnest(CAST(:product_ids AS bigint[])) AS described (id)
    WHERE s.product_id = described.id AND NOT EXISTS (SELECT FROM unnest(CAST(:ids AS bigint[])) AS it (id) WHERE it.id = s.product_id)
)
INSERT INTO selectable_products AS s (product_id, terms, suggested_price, costs, listed_at)
SELECT id, terms::tsvector, suggested_price, costs::bigint[], listed_at
FROM unnest(CAST(:ids AS bigint[]), CAST(:terms AS text[]), CAST(:suggested_prices AS bigint[]), CAST(:costs AS text[]),
            CAST(:listed_at AS timestamptz[])) AS it (id, terms, suggested_price, costs, listed_at)
ORDER BY id
ON CONFLICT (product_id) DO UPDATE
SET terms = excluded.terms, suggested_price = excluded.suggested_price, costs = excluded.costs, listed_at = excluded.listed_at
WHERE (s.terms, s.suggested_price, s.costs, s.listed_at)
      IS DISTINCT FROM (excluded.terms, excluded.suggested_price, excluded.costs, excluded.listed_at)

-- name: me
-- Who chooses, and the marks of the margins it asks for, which are of its tier.
me AS MATERIALIZED (
    SELECT d.id, d.tier_id, d.region, t.rank,
           (SELECT string_agg(format('''margin%s=%s''', t.rank, step), ' | ')::tsquery
            FROM unnest(CAST(:margin_steps AS bigint[])) AS step) AS margin
    FROM distributors d JOIN tiers t ON t.id = d.tier_id
    WHERE d.id = :distributor_id
)

-- name: wanted
-- What must hold of the row `s` beside its words and marks.
s.costs[me.rank] IS NOT NULL
AND (CAST(:price_from AS bigint) IS NULL OR s.suggested_price >= :price_from)
AND (CAST(:price_to AS bigint) IS NULL OR s.suggested_price <= :price_to)
AND (CAST(:margin_from_bps AS bigint) IS NULL
     OR s.suggested_price > 0 AND (s.suggested_price - s.costs[me.rank]) * 10000 / s.suggested_price >= :margin_from_bps)
AND (CAST(:listed_since AS timestamptz) IS NULL OR s.listed_at >= :listed_since)
AND (NOT CAST(:in_stock AS boolean) OR EXISTS (
    SELECT FROM variants v
    WHERE v.product_id = s.product_id AND (v.stock > v.allotted OR (v.allotted > 0 AND EXISTS (
        SELECT FROM stores WHERE distributor_id = me.id AND state = 'open' AND set_aside(v.id, stores.id) > 0
    )))
))
AND (NOT CAST(:selling AS boolean) OR EXISTS (
    SELECT FROM cohort_products c
    WHERE c.tier_id = me.tier_id AND c.region = me.region AND c.product_id = s.product_id AND c.units > 0
))

-- name: shown
-- The rows of the page `found`, in its order.
SELECT p.id, p.title, p.category, p.tonalities, p.audiences, p.image_url, b.id AS brand_id, b.name AS brand, band.lowest_price,
       band.highest_price, band.suggested_price, coalesce(c.stores, 0) AS stores_like_mine,
       coalesce(c.units, 0) AS units_like_mine,
       (SELECT count(*) FROM listings l JOIN stores ON stores.id = l.store_id
        WHERE stores.distributor_id = me.id AND l.product_id = p.id) AS in_my_stores,
       found.place, found.price
FROM found
CROSS JOIN me
JOIN products p ON p.id = found.product_id AND p.state = 'listed'
JOIN brands b ON b.id = p.brand_id
CROSS JOIN LATERAL price_band(p.id, me.rank) AS band
LEFT JOIN cohort_products c ON c.tier_id = me.tier_id AND c.region = me.region AND c.product_id = p.id

-- name: newest
-- Of all there is.
WITH
-- include: selecting.me
, found AS MATERIALIZED (
    SELECT s.product_id, 1 AS place, 0::bigint AS price
    FROM me CROSS JOIN selectable_products s
    WHERE s.product_id < :after_id AND
-- include: selecting.wanted
    ORDER BY s.product_id DESC
    LIMIT :limit
)
-- include: selecting.shown
ORDER BY p.id DESC

-- name: matching
-- What matches the queries, one after the other; where nothing does, what is near.
WITH
-- include: selecting.me
, top AS (
    SELECT coalesce(max(stretch), -1) AS stretch
    FROM (SELECT stretch FROM selectable_products ORDER BY product_id DESC LIMIT 1) AS newest
), matched AS MATERIALIZED (
    SELECT hit.product_id, q.place
    FROM me CROSS JOIN top CROSS JOIN LATERAL unnest(CAST(:queries AS text[])) WITH ORDINALITY AS q (query, place)
-- include: selecting.stretches
    LIMIT :limit
), near AS MATERIALIZED (
    SELECT hit.product_id, q.place
    FROM me CROSS JOIN top CROSS JOIN LATERAL (SELECT CAST(:near AS text), 3) AS q (query, place)
-- include: selecting.stretches
      AND CAST(:near AS text) IS NOT NULL AND NOT EXISTS (SELECT FROM matched)
    LIMIT :limit
), found AS (
    SELECT product_id, place, 0::bigint AS price FROM (TABLE matched UNION ALL TABLE near) AS either
)
-- include: selecting.shown
ORDER BY found.place, p.id DESC

-- name: stretches
-- Of the query the newest first, one stretch of ids after the other until the page is full: LATERAL keeps that order.
-- OFFSET 0: a stretch is cut out of the index of terms, nobody walks along the ids and looks whether they match.
CROSS JOIN LATERAL generate_series(
    CASE WHEN q.place = :after_place THEN least(top.stretch, CAST(:after_id AS bigint) / 32768) ELSE top.stretch END, 0, -1
) AS at (stretch)
CROSS JOIN LATERAL (
    SELECT product_id
    FROM (
        SELECT s.product_id
        FROM selectable_products s
        WHERE s.stretch = at.stretch AND s.terms @@ coalesce(q.query::tsquery && me.margin, q.query::tsquery, me.margin)
          AND (q.place > :after_place OR s.product_id < :after_id) AND
-- include: selecting.wanted
        OFFSET 0
    ) AS any_order
    ORDER BY product_id DESC
    LIMIT :limit
) AS hit
WHERE q.place >= :after_place

-- name: cheapest
WITH
-- include: selecting.me
, found AS MATERIALIZED (
    SELECT s.product_id, 1 AS place, s.suggested_price AS price
    FROM me CROSS JOIN selectable_products s
    WHERE (s.suggested_price, s.product_id) > (CAST(:after_price AS bigint), CAST(:after_id AS bigint)) AND
-- include: selecting.wanted
    ORDER BY s.suggested_price, s.product_id
    LIMIT :limit
)
-- include: selecting.shown
ORDER BY found.price, p.id

-- name: dearest
WITH
-- include: selecting.me
, found AS MATERIALIZED (
    SELECT s.product_id, 1 AS place, s.suggested_price AS price
    FROM me CROSS JOIN selectable_products s
    WHERE (s.suggested_price, s.product_id) < (CAST(:after_price AS bigint), CAST(:after_id AS bigint)) AND
-- include: selecting.wanted
    ORDER BY s.suggested_price DESC, s.product_id DESC
    LIMIT :limit
)
-- include: selecting.shown
ORDER BY found.price DESC, p.id DESC

-- name: matching_by_price
-- What matches the query, up (1) or down (-1) in price; where nothing does, what is near.
WITH
-- include: selecting.me
, matched AS MATERIALIZED (
    SELECT hit.product_id, q.place, hit.suggested_price
    FROM me CROSS JOIN LATERAL (SELECT CAST(:query AS text), 1) AS q (query, place)
-- include: selecting.steps
    LIMIT :limit
), near AS MATERIALIZED (
    SELECT hit.product_id, q.place, hit.suggested_price
    FROM me CROSS JOIN LATERAL (SELECT CAST(:near AS text), 3) AS q (query, place)
-- include: selecting.steps
      AND CAST(:near AS text) IS NOT NULL AND NOT EXISTS (SELECT FROM matched)
    LIMIT :limit
), found AS (
    SELECT product_id, place, suggested_price AS price FROM (TABLE matched UNION ALL TABLE near) AS either
)
-- include: selecting.shown
ORDER BY found.price * :way, p.id * :way

-- name: steps
-- As `stretches`, one step of prices after the other, in the order they are given in.
CROSS JOIN LATERAL unnest(CAST(:steps AS text[])) AS at (mark)
CROSS JOIN LATERAL (
    SELECT product_id, suggested_price
    FROM (
        SELECT s.product_id, s.suggested_price
        FROM selectable_products s
        WHERE s.terms @@ (coalesce(q.query::tsquery && me.margin, q.query::tsquery, me.margin) && at.mark::tsquery)
          AND (s.suggested_price * :way, s.product_id * :way)
              > (CAST(:after_price AS bigint) * :way, CAST(:after_id AS bigint) * :way) AND
-- include: selecting.wanted
        OFFSET 0
    ) AS any_order
    ORDER BY suggested_price * :way, product_id * :way
    LIMIT :limit
) AS hit
WHERE q.place >= :after_place

-- name: best_selling
-- What the stores of the cohort sell, most units first.
WITH
-- include: selecting.me
, found AS MATERIALIZED (
    SELECT c.product_id, 1 AS place, c.units AS price
    FROM me
    JOIN cohort_products c ON c.tier_id = me.tier_id AND c.region = me.region
    JOIN selectable_products s ON s.product_id = c.product_id
    WHERE c.units > 0 AND (c.units, c.product_id) < (CAST(:after_price AS bigint), CAST(:after_id AS bigint))
      AND (CAST(:query AS text) IS NULL OR s.terms @@ CAST(CAST(:query AS text) AS tsquery)) AND
-- include: selecting.wanted
    ORDER BY c.units DESC, c.product_id DESC
    LIMIT :limit
)
-- include: selecting.shown
ORDER BY found.price DESC, p.id DESC

-- name: one
WITH
-- include: selecting.me
, found AS (
    SELECT CAST(:product_id AS bigint) AS product_id, 1 AS place, 0::bigint AS price
)
-- include: selecting.shown

-- name: counted
-- Whether it is time to count again, for one of those that ask at the same time.
INSERT INTO cohort_counts AS c (counted_at) VALUES (:now)
ON CONFLICT (id) DO UPDATE SET counted_at = excluded.counted_at WHERE c.counted_at <= :before
RETURNING counted_at

-- name: count_cohorts
WITH member AS MATERIALIZED (
    SELECT s.id AS store_id, d.tier_id, d.region
    FROM stores s JOIN distributors d ON d.id = s.distributor_id
    WHERE s.state = 'open' AND d.state IN ('active', 'watch')
), counted AS MATERIALIZED (
    SELECT tier_id, region, product_id, sum(stores)::bigint AS stores, sum(units)::bigint AS units
    FROM (
        SELECT m.tier_id, m.region, l.product_id, count(*) AS stores, 0 AS units
        FROM member m JOIN listings l ON l.store_id = m.store_id
        GROUP BY m.tier_id, m.region, l.product_id
        UNION ALL
        SELECT m.tier_id, m.region, l.product_id, 0, sum(l.quantity)
        FROM orders o
        JOIN member m ON m.store_id = o.store_id
        JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
        WHERE o.paid_at >= :since AND o.paid_at < :now AND (l.refunded < l.paid OR l.paid = 0)
        GROUP BY m.tier_id, m.region, l.product_id
    ) AS part
    GROUP BY tier_id, region, product_id
), gone AS (
    DELETE FROM cohort_products c
    WHERE NOT EXISTS (
        SELECT FROM counted n WHERE n.tier_id = c.tier_id AND n.region = c.region AND n.product_id = c.product_id
    )
)
INSERT INTO cohort_products AS c (tier_id, region, product_id, stores, units)
SELECT tier_id, region, product_id, stores, units FROM counted ORDER BY tier_id, region, product_id
ON CONFLICT (tier_id, region, product_id) DO UPDATE SET stores = excluded.stores, units = excluded.units
WHERE (c.stores, c.units) <> (excluded.stores, excluded.units)
