-- name: withdraw_listings
-- Of the products in `touched`: a listing leaves when its owner's tier has no cost or no price fits every variant.
DELETE FROM listings l
USING (
    SELECT l.store_id, l.product_id
    FROM touched
    JOIN listings l ON l.product_id = touched.product_id
    JOIN stores s ON s.id = l.store_id
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
    JOIN variants v ON v.product_id = l.product_id
    JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
    GROUP BY l.store_id, l.product_id
    HAVING bool_or(p.tier_costs[t.rank] IS NULL)
        OR max(greatest(p.min_price, p.tier_costs[t.rank])) > min(p.max_price)
) AS gone
WHERE l.store_id = gone.store_id AND l.product_id = gone.product_id

-- name: clamp_listings
-- Of the products in `touched`: a listing's price moves to the nearest one that suits every variant and its owner.
UPDATE listings l
SET price = least(greatest(l.price, band.lowest), band.highest)
FROM (
    SELECT l.store_id, l.product_id, max(greatest(p.min_price, p.tier_costs[t.rank])) AS lowest, min(p.max_price) AS highest
    FROM touched
    JOIN listings l ON l.product_id = touched.product_id
    JOIN stores s ON s.id = l.store_id
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
    JOIN variants v ON v.product_id = l.product_id
    JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
    GROUP BY l.store_id, l.product_id
) AS band
WHERE l.store_id = band.store_id AND l.product_id = band.product_id AND l.price NOT BETWEEN band.lowest AND band.highest
