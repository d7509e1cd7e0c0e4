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

-- name: kept
-- What the listings in `before` were until now; nothing of a span of no length.
kept AS (
    INSERT INTO listing_history (store_id, product_id, since, until, price, position, pitch, pinned, regions, segments, why,
                                 account_id, end_reason, ended_by)
    SELECT store_id, product_id, coalesce(changed_at, listed_at), :now, price, position, pitch, pinned, regions, segments,
           why, account_id, end_reason, ended_by
    FROM before
    WHERE coalesce(changed_at, listed_at) < :now
)

-- name: fit_listings
-- Listings of the products in `touched` that break their band or their brand's rules: the price moves to the nearest one
-- inside, or the listing leaves its store where no price fits; words that break the rules are emptied. Each owner is told
-- once, by the first three. A band belongs to a product and a tier, however many stores show the product.
WITH shown AS MATERIALIZED (
    SELECT l.*, s.title AS store, s.distributor_id, t.rank
    FROM touched
    JOIN listings l ON l.product_id = touched.product_id
    JOIN stores s ON s.id = l.store_id
    JOIN distributors d ON d.id = s.distributor_id
    JOIN tiers t ON t.id = d.tier_id
), allowed AS MATERIALIZED (
    SELECT wanted.*, p.title AS product, band.lowest_price AS lowest, band.highest_price AS highest, r.banned_words,
           r.disclosure
    FROM (SELECT DISTINCT product_id, rank FROM shown) AS wanted
    JOIN products p ON p.id = wanted.product_id
    LEFT JOIN LATERAL price_band(wanted.product_id, wanted.rank) AS band ON true
    LEFT JOIN brand_rules r ON r.brand_id = p.brand_id
), judged AS MATERIALIZED (
    SELECT shown.*, product, CASE WHEN lowest IS NULL THEN 'no_price_fits' END AS end_reason, NULL::bigint AS ended_by,
           least(greatest(shown.price, lowest), highest) AS new_price,
           CASE WHEN strpos(pitch, disclosure) = 0 OR banned_word(pitch, banned_words) IS NOT NULL THEN ''
                ELSE pitch END AS new_pitch
    FROM shown JOIN allowed USING (product_id, rank)
), before AS MATERIALIZED (
    SELECT * FROM judged WHERE end_reason IS NOT NULL OR (new_price, new_pitch) <> (price, pitch)
),
-- include: catalogue.kept
, withdrawn AS (
    DELETE FROM listings l
    USING before b
    WHERE l.store_id = b.store_id AND l.product_id = b.product_id AND b.end_reason IS NOT NULL
), fitted AS (
    UPDATE listings l
    SET price = b.new_price, pitch = b.new_pitch, account_id = NULL,
        changed_at = nullif(greatest(b.changed_at, b.listed_at, :now), b.listed_at),
        why = CASE WHEN b.new_price <> b.price THEN 'clamped' ELSE 'words_removed' END
    FROM before b
    WHERE l.store_id = b.store_id AND l.product_id = b.product_id AND b.end_reason IS NULL
), numbered AS (
    SELECT *, end_reason IS NULL AND new_price <> price AS is_clamped, end_reason IS NULL AND new_pitch <> pitch AS is_emptied,
           row_number() OVER (PARTITION BY distributor_id ORDER BY store_id, product_id) AS nth
    FROM before
), owner AS (
    SELECT distributor_id, count(*) AS listings, count(*) FILTER (WHERE is_clamped) AS clamped,
           count(*) FILTER (WHERE end_reason IS NOT NULL) AS withdrawn, count(*) FILTER (WHERE is_emptied) AS emptied,
           jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'product', product, 'store', store, 'old_price', price,
               'new_price', CASE WHEN end_reason IS NULL THEN new_price END)) ORDER BY nth) FILTER (WHERE nth <= 3) AS first
    FROM numbered
    GROUP BY distributor_id
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT distributor_id, kind,
           CASE kind
               WHEN 'listings_fitted' THEN jsonb_build_object(
                   'clamped', clamped, 'withdrawn', withdrawn, 'emptied', emptied, 'first', first)
               WHEN 'words_removed' THEN first -> 0 #- '{old_price}' #- '{new_price}'
               ELSE first -> 0 END,
           :now
    FROM owner
    CROSS JOIN LATERAL (
        SELECT CASE WHEN listings > 1 OR clamped + emptied > 1 THEN 'listings_fitted'
                    WHEN withdrawn = 1 THEN 'listing_withdrawn'
                    WHEN clamped = 1 THEN 'listing_clamped'
                    ELSE 'words_removed' END AS kind
    ) AS told_as
    ORDER BY distributor_id
)
SELECT count(*) FROM before

-- name: close_prices
-- Two changes at one moment, or a clock that is behind: the later one begins right behind the earlier one.
UPDATE prices p SET during = tstzrange(lower(p.during), greatest(:now, lower(p.during) + interval '1 microsecond'))
FROM priced WHERE priced.variant_id = p.variant_id AND upper_inf(p.during)

-- name: open_prices
INSERT INTO prices (variant_id, during, supply_price, suggested_price, min_price, max_price, tier_costs)
SELECT variant_id,
       tstzrange((SELECT max(upper(p.during)) FROM prices p WHERE p.variant_id = priced.variant_id), NULL),
       supply_price, suggested_price, min_price, max_price, tier_costs
FROM priced
ORDER BY line

-- name: touch
CREATE TEMP TABLE touched ON COMMIT DROP AS SELECT DISTINCT product_id FROM priced
