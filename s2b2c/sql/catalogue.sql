-- name: find_bands
-- What a listing of the products in `touched` may cost; `lowest` is NULL where the owner's tier has no cost any more.
CREATE TEMP TABLE band ON COMMIT DROP AS
SELECT l.store_id, l.product_id,
       CASE WHEN bool_and(p.tier_costs[t.rank] IS NOT NULL) THEN max(greatest(p.min_price, p.tier_costs[t.rank])) END AS lowest,
       min(p.max_price) AS highest
FROM touched
JOIN listings l ON l.product_id = touched.product_id
JOIN stores s ON s.id = l.store_id
JOIN distributors d ON d.id = s.distributor_id
JOIN tiers t ON t.id = d.tier_id
JOIN variants v ON v.product_id = l.product_id
JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
GROUP BY l.store_id, l.product_id

-- name: withdraw_listings
DELETE FROM listings l
USING band
WHERE l.store_id = band.store_id AND l.product_id = band.product_id
  AND (band.lowest IS NULL OR band.lowest > band.highest)

-- name: clamp_listings
UPDATE listings l
SET price = least(greatest(l.price, band.lowest), band.highest)
FROM band
WHERE l.store_id = band.store_id AND l.product_id = band.product_id AND l.price NOT BETWEEN band.lowest AND band.highest
