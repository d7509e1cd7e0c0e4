-- name: lock_shelf
-- Before a store changes: nobody else changes it, its owner's tier or the prices of these products until the end. Every
-- writer locks products, then distributors, then stores, each by id, so no two of them wait for each other.
WITH supply AS MATERIALIZED (
    SELECT id FROM products WHERE id = ANY(CAST(:product_ids AS bigint[])) ORDER BY id FOR SHARE
), owner AS MATERIALIZED (
    SELECT d.id, d.state, t.rank
    FROM (SELECT count(*) FROM supply) AS first CROSS JOIN distributors d JOIN tiers t ON t.id = d.tier_id
    WHERE d.id = :distributor_id
    FOR SHARE OF d
)
SELECT s.*, owner.state AS owner_state, owner.rank AS tier_rank
FROM owner JOIN stores s ON s.distributor_id = owner.id
WHERE s.id = :store_id
FOR NO KEY UPDATE OF s

-- name: select_products
WITH wanted AS (
    SELECT w.*, row_number() OVER (PARTITION BY product_id ORDER BY n) AS nth
    FROM unnest(CAST(:product_ids AS bigint[]), CAST(:prices AS bigint[]), CAST(:pitches AS text[]))
        WITH ORDINALITY AS w (product_id, price, pitch, n)
), judged AS (
    SELECT w.n, w.product_id, w.pitch, coalesce(w.price, band.suggested_price) AS price,
           band.lowest_price, band.highest_price,
           CASE WHEN p.id IS NULL OR p.state IN ('draft', 'in_review') THEN 'no product'
                WHEN l.product_id IS NOT NULL OR w.nth > 1 THEN 'taken'
                WHEN p.state <> 'listed' OR band.lowest_price IS NULL THEN 'not selectable'
                WHEN w.price NOT BETWEEN band.lowest_price AND band.highest_price THEN 'out of band'
           END AS refusal
    FROM wanted w
    LEFT JOIN products p ON p.id = w.product_id
    LEFT JOIN LATERAL price_band(p.id, :tier_rank) AS band ON true
    LEFT JOIN listings l ON l.store_id = :store_id AND l.product_id = w.product_id
), listed AS (
    INSERT INTO listings (store_id, product_id, price, position, pitch, listed_at)
    SELECT :store_id, product_id, price,
           (SELECT coalesce(max(position), 0) FROM listings WHERE store_id = :store_id) + row_number() OVER (ORDER BY n),
           pitch, :now
    FROM judged WHERE refusal IS NULL
    RETURNING *
)
-- include: stores.judgement

-- name: update_listings
WITH wanted AS (
    SELECT *
    FROM unnest(CAST(:product_ids AS bigint[]), CAST(:prices AS bigint[]), CAST(:pitches AS text[]),
                CAST(:pins AS boolean[]))
        WITH ORDINALITY AS w (product_id, price, pitch, pinned, n)
), judged AS (
    SELECT w.*, band.lowest_price, band.highest_price,
           CASE WHEN l.product_id IS NULL THEN 'not shown'
                WHEN w.price IS NOT NULL AND band.lowest_price IS NULL THEN 'not selectable'
                WHEN w.price NOT BETWEEN band.lowest_price AND band.highest_price THEN 'out of band'
           END AS refusal
    FROM wanted w
    LEFT JOIN listings l ON l.store_id = :store_id AND l.product_id = w.product_id
    LEFT JOIN LATERAL price_band(l.product_id, :tier_rank) AS band ON true
), listed AS (
    UPDATE listings l
    SET price = coalesce(j.price, l.price), pitch = coalesce(j.pitch, l.pitch), pinned = coalesce(j.pinned, l.pinned)
    FROM judged j
    WHERE l.store_id = :store_id AND l.product_id = j.product_id AND j.refusal IS NULL
    RETURNING l.*
)
-- include: stores.judgement

-- name: judgement
SELECT j.n, j.refusal, j.lowest_price, j.highest_price, listed.*,
       p.title, p.category, p.tonalities, p.audiences, p.image_url, p.state AS product_state, p.brand_id, b.name AS brand
FROM judged j
LEFT JOIN listed ON listed.product_id = j.product_id AND j.refusal IS NULL
LEFT JOIN products p ON p.id = listed.product_id
LEFT JOIN brands b ON b.id = p.brand_id
ORDER BY j.n

-- name: remove_listings
DELETE FROM listings WHERE store_id = :store_id AND product_id = ANY(CAST(:product_ids AS bigint[])) RETURNING product_id

-- name: reorder_listings
-- The moved ones come right behind the anchor (or first), in their order; then the places of the whole shelf are dealt
-- out anew. A listing outside the moved stretch keeps its position, so that a page after it stays where it was.
WITH shelf AS (
    SELECT l.product_id, l.position, moved.n, row_number() OVER (ORDER BY l.position) AS place
    FROM listings l
    LEFT JOIN unnest(CAST(:product_ids AS bigint[])) WITH ORDINALITY AS moved (product_id, n) USING (product_id)
    WHERE l.store_id = :store_id
), ordered AS (
    SELECT product_id,
           row_number() OVER (ORDER BY CASE WHEN n IS NULL THEN position ELSE anchor END, n NULLS FIRST) AS place
    FROM shelf
    CROSS JOIN (
        SELECT CASE WHEN CAST(:after AS bigint) IS NULL THEN 0
                    ELSE (SELECT position FROM shelf WHERE product_id = :after) END
    ) AS behind (anchor)
), moved AS (
    UPDATE listings l SET position = target.position
    FROM ordered JOIN shelf target USING (place)
    WHERE l.store_id = :store_id AND l.product_id = ordered.product_id AND l.position <> target.position
)
SELECT count(n) AS found, CAST(:after AS bigint) IS NULL OR coalesce(bool_or(product_id = :after), false) AS anchored
FROM shelf
