-- name: then_lock_products
-- Nobody changes their prices, or the rules of their brands, until the end.
SELECT count(*)
FROM (
    SELECT FROM products p
    WHERE EXISTS (SELECT FROM brands b JOIN staging s ON s.brand = b.name AND s.product_code = p.code WHERE b.id = p.brand_id)
    ORDER BY id FOR SHARE
) AS locked

-- name: then_lock_stores
SELECT count(*)
FROM (
    SELECT FROM stores WHERE slug IN (SELECT store_slug FROM staging) ORDER BY id FOR NO KEY UPDATE
) AS locked

-- name: check_store
SELECT line, 'store_slug', format('there is no store %s', store_slug)
FROM staging s
WHERE store_slug IS NOT NULL AND NOT EXISTS (SELECT FROM stores t WHERE t.slug = s.store_slug)

-- name: check_product
SELECT line, 'product_code', format('brand %s has no listed product %s', brand, product_code)
FROM staging s
WHERE brand IS NOT NULL AND product_code IS NOT NULL AND NOT EXISTS (
    SELECT FROM brands b JOIN products p ON p.brand_id = b.id
    WHERE b.name = s.brand AND p.code = s.product_code AND p.state = 'listed'
)

-- name: resolve
CREATE TEMP TABLE chosen ON COMMIT DROP AS
SELECT s.line, s.price, s.position, coalesce(s.pitch, '') AS pitch, t.id AS store_id, p.id AS product_id, p.brand_id,
       tier.rank AS tier_rank, d.joined_on::timestamp AT TIME ZONE 'Asia/Shanghai' AS listed_at
FROM staging s
JOIN stores t ON t.slug = s.store_slug
JOIN distributors d ON d.id = t.distributor_id
JOIN tiers tier ON tier.id = d.tier_id
JOIN brands b ON b.name = s.brand
JOIN products p ON p.brand_id = b.id AND p.code = s.product_code

-- name: check_band
SELECT DISTINCT ON (c.line) c.line, 'price', CASE
    WHEN x.tier_costs[c.tier_rank] IS NULL THEN format('sku %s has no cost for the tier of the owner', v.sku)
    WHEN c.price < x.min_price THEN format('is below the band of sku %s', v.sku)
    WHEN c.price > x.max_price THEN format('is above the band of sku %s', v.sku)
    WHEN c.price < x.tier_costs[c.tier_rank] THEN format('is below what sku %s costs the owner', v.sku)
    ELSE format('is below %s bps of the suggested price of sku %s, the floor of its brand', r.floor_bps, v.sku) END
FROM chosen c
JOIN variants v ON v.product_id = c.product_id
JOIN prices x ON x.variant_id = v.id AND upper_inf(x.during)
LEFT JOIN brand_rules r ON r.brand_id = c.brand_id
WHERE c.price < floor_price(x.suggested_price, r.floor_bps) OR c.price NOT BETWEEN x.min_price AND x.max_price OR c.price < x.tier_costs[c.tier_rank]
   OR x.tier_costs[c.tier_rank] IS NULL
ORDER BY c.line, v.sku COLLATE "C"

-- name: check_words
SELECT c.line, 'pitch', CASE
    WHEN banned.word IS NOT NULL THEN format('holds "%s", which the brand bans', banned.word)
    ELSE format('lacks the text that the brand demands: %s', r.disclosure) END
FROM chosen c
JOIN brand_rules r ON r.brand_id = c.brand_id
CROSS JOIN LATERAL banned_word(c.pitch, r.banned_words) AS banned (word)
WHERE c.pitch <> '' AND (banned.word IS NOT NULL OR strpos(c.pitch, r.disclosure) = 0)

-- name: check_position
SELECT c.line, 'position', format('position %s of the store belongs to product %s', c.position, p.code)
FROM chosen c
JOIN listings l ON l.store_id = c.store_id AND l.position = c.position AND l.product_id <> c.product_id
JOIN products p ON p.id = l.product_id
WHERE NOT EXISTS (SELECT FROM chosen other WHERE other.store_id = l.store_id AND other.product_id = l.product_id)

-- name: update_listings
WITH before AS MATERIALIZED (
    SELECT l.*, c.price AS new_price, c.position AS new_position, c.pitch AS new_pitch, NULL::text AS end_reason,
           NULL::bigint AS ended_by
    FROM chosen c
    JOIN listings l ON l.store_id = c.store_id AND l.product_id = c.product_id
    WHERE (l.price, l.position, l.pitch) IS DISTINCT FROM (c.price, c.position, c.pitch)
),
-- include: catalogue.kept
UPDATE listings l
SET price = b.new_price, position = b.new_position, pitch = b.new_pitch, why = 'imported', account_id = NULL,
    changed_at = nullif(greatest(b.changed_at, b.listed_at, :now), b.listed_at)
FROM before b
WHERE l.store_id = b.store_id AND l.product_id = b.product_id

-- name: insert_listings
-- They were live in the system they come from, nobody knows since when: since their owner joined at the earliest, and
-- since they left this store where they did.
INSERT INTO listings (store_id, product_id, price, position, pitch, listed_at, why)
SELECT store_id, product_id, price, position, pitch,
       greatest(listed_at, (SELECT max(until) FROM listing_history h
                            WHERE h.store_id = c.store_id AND h.product_id = c.product_id)),
       'imported'
FROM chosen c
WHERE NOT EXISTS (SELECT FROM listings l WHERE l.store_id = c.store_id AND l.product_id = c.product_id)
ORDER BY line
