-- name: lock_stores
-- Whoever writes listings locks their stores first, in this order: no two writers wait for each other.
SELECT count(*)
FROM (
    SELECT FROM stores
    WHERE id IN (SELECT l.store_id FROM listings l JOIN touched ON touched.product_id = l.product_id)
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked

-- name: mark_stale
-- Whoever searches the catalogue finds the products in `touched` as they are now, soon.
INSERT INTO stale_products SELECT product_id FROM touched ORDER BY product_id ON CONFLICT DO NOTHING

-- name: find_bands
-- What a listing of the products in `touched` may cost; `lowest` is NULL where no price fits any more. A band belongs to
-- a product and a tier, however many stores show the product.
CREATE TEMP TABLE band ON COMMIT DROP AS
WITH shown AS (
    SELECT l.store_id, l.product_id, s.title, s.distributor_id, t.rank
    FROM touched
    JOIN listings l ON l.product_id = touched.product_id
    JOIN stores s ON s.id = l.store_id
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
), wanted AS (
    SELECT DISTINCT product_id, rank FROM shown
)
SELECT shown.store_id, shown.product_id, shown.title AS store, products.title AS product, shown.distributor_id,
       band.lowest_price AS lowest, band.highest_price AS highest
FROM shown
JOIN products ON products.id = shown.product_id
JOIN wanted ON wanted.product_id = shown.product_id AND wanted.rank = shown.rank
LEFT JOIN LATERAL price_band(wanted.product_id, wanted.rank) AS band ON true

-- name: withdraw_listings
WITH withdrawn AS (
    DELETE FROM listings l
    USING band
    WHERE l.store_id = band.store_id AND l.product_id = band.product_id AND band.lowest IS NULL
    RETURNING band.*, l.price
)
INSERT INTO notices (distributor_id, kind, facts, created_at)
SELECT distributor_id, 'listing_withdrawn', jsonb_build_object('product', product, 'store', store, 'old_price', price), :now
FROM withdrawn
ORDER BY store_id, product_id

-- name: clamp_listings
WITH outside AS (
    SELECT band.*, l.price AS old_price
    FROM band JOIN listings l ON l.store_id = band.store_id AND l.product_id = band.product_id
    WHERE l.price NOT BETWEEN band.lowest AND band.highest
), clamped AS (
    UPDATE listings l
    SET price = least(greatest(outside.old_price, outside.lowest), outside.highest)
    FROM outside
    WHERE l.store_id = outside.store_id AND l.product_id = outside.product_id
    RETURNING outside.*, l.price
)
INSERT INTO notices (distributor_id, kind, facts, created_at)
SELECT distributor_id, 'listing_clamped',
       jsonb_build_object('product', product, 'store', store, 'old_price', old_price, 'new_price', price), :now
FROM clamped
ORDER BY store_id, product_id
