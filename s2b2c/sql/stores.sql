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
    FROM unnest(CAST(:product_ids AS bigint[]), CAST(:prices AS bigint[]), CAST(:pitches AS text[]),
                CAST(:regions AS text[]), CAST(:segments AS text[]))
        WITH ORDINALITY AS w (product_id, price, pitch, regions, segments, n)
), judged AS (
    SELECT w.*, w.price AS asked_price, coalesce(w.price, band.suggested_price) AS listed_price, band.lowest_price, band.highest_price,
           CASE WHEN p.id IS NULL OR p.state IN ('draft', 'in_review') THEN 'no product'
                WHEN l.product_id IS NOT NULL OR w.nth > 1 THEN 'taken'
                WHEN p.state <> 'listed' THEN 'not listed'
                WHEN band.lowest_price IS NULL THEN 'not selectable'
                WHEN w.price NOT BETWEEN band.lowest_price AND band.highest_price THEN 'out of band'
                WHEN banned.word IS NOT NULL THEN 'banned word'
                WHEN w.pitch <> '' AND strpos(w.pitch, r.disclosure) = 0 THEN 'no disclosure'
           END AS refusal, banned.word AS banned_word, r.disclosure AS demanded
    FROM wanted w
    LEFT JOIN products p ON p.id = w.product_id
    LEFT JOIN LATERAL price_band(p.id, :tier_rank) AS band ON true
    LEFT JOIN listings l ON l.store_id = :store_id AND l.product_id = w.product_id
    LEFT JOIN brand_rules r ON r.brand_id = p.brand_id
    LEFT JOIN LATERAL banned_word(w.pitch, r.banned_words) AS banned (word) ON true
), listed AS (
    INSERT INTO listings (store_id, product_id, price, position, pitch, regions, segments, listed_at, account_id)
    SELECT :store_id, product_id, listed_price,
           (SELECT coalesce(max(position), 0) FROM listings WHERE store_id = :store_id) + row_number() OVER (ORDER BY n),
           pitch, ARRAY(SELECT jsonb_array_elements_text(CAST(regions AS jsonb))),
           ARRAY(SELECT jsonb_array_elements_text(CAST(segments AS jsonb))),
           greatest(:now, (SELECT max(until) FROM listing_history h
                           WHERE h.store_id = :store_id AND h.product_id = judged.product_id)),
           :account_id
    FROM judged WHERE refusal IS NULL
    RETURNING *
)
-- include: stores.judgement

-- name: update_listings
WITH wanted AS (
    SELECT *
    FROM unnest(CAST(:product_ids AS bigint[]), CAST(:prices AS bigint[]), CAST(:pitches AS text[]),
                CAST(:pins AS boolean[]), CAST(:regions AS text[]), CAST(:segments AS text[]))
        WITH ORDINALITY AS w (product_id, price, pitch, pinned, regions, segments, n)
), judged AS MATERIALIZED (
    SELECT w.n, w.product_id, w.price AS asked_price, band.lowest_price, band.highest_price,
           CASE WHEN l.product_id IS NULL THEN 'not shown'
                WHEN w.price IS NOT NULL AND band.lowest_price IS NULL THEN 'not selectable'
                WHEN w.price NOT BETWEEN band.lowest_price AND band.highest_price THEN 'out of band'
                WHEN banned.word IS NOT NULL THEN 'banned word'
                WHEN w.pitch <> '' AND strpos(w.pitch, r.disclosure) = 0 THEN 'no disclosure'
           END AS refusal, banned.word AS banned_word, r.disclosure AS demanded,
           coalesce(w.price, l.price) AS new_price, coalesce(w.pitch, l.pitch) AS new_pitch,
           coalesce(w.pinned, l.pinned) AS new_pinned,
           CASE WHEN w.regions IS NULL THEN l.regions
                ELSE ARRAY(SELECT jsonb_array_elements_text(CAST(w.regions AS jsonb))) END AS new_regions,
           CASE WHEN w.segments IS NULL THEN l.segments
                ELSE ARRAY(SELECT jsonb_array_elements_text(CAST(w.segments AS jsonb))) END AS new_segments
    FROM wanted w
    LEFT JOIN listings l ON l.store_id = :store_id AND l.product_id = w.product_id
    LEFT JOIN products p ON p.id = l.product_id
    LEFT JOIN LATERAL price_band(l.product_id, :tier_rank) AS band ON true
    LEFT JOIN brand_rules r ON r.brand_id = p.brand_id
    LEFT JOIN LATERAL banned_word(w.pitch, r.banned_words) AS banned (word) ON true
), before AS MATERIALIZED (
    SELECT l.*, j.new_price, j.new_pitch, j.new_pinned, j.new_regions, j.new_segments, NULL::text AS end_reason,
           NULL::bigint AS ended_by
    FROM judged j
    JOIN listings l ON l.store_id = :store_id AND l.product_id = j.product_id
    WHERE j.refusal IS NULL
      AND (l.price, l.pitch, l.pinned, l.regions, l.segments)
          IS DISTINCT FROM (j.new_price, j.new_pitch, j.new_pinned, j.new_regions, j.new_segments)
),
-- include: catalogue.kept
, changed AS (
    UPDATE listings l
    SET price = b.new_price, pitch = b.new_pitch, pinned = b.new_pinned, regions = b.new_regions, segments = b.new_segments,
        changed_at = nullif(greatest(b.changed_at, b.listed_at, :now), b.listed_at), why = 'changed',
        account_id = :account_id
    FROM before b
    WHERE l.store_id = b.store_id AND l.product_id = b.product_id
    RETURNING l.*
), listed AS (
    SELECT * FROM changed
    UNION ALL
    SELECT l.*
    FROM judged j
    JOIN listings l ON l.store_id = :store_id AND l.product_id = j.product_id
    WHERE j.refusal IS NULL AND NOT EXISTS (SELECT FROM before b WHERE b.product_id = j.product_id)
)
-- include: stores.judgement

-- name: judgement
-- Of what is refused for its price, what bounds it: the strictest of all variants.
SELECT j.n, j.refusal, j.asked_price, j.lowest_price, j.highest_price, j.banned_word, j.demanded, bound.*, listed.*,
       p.title, p.category, p.tonalities, p.audiences, p.image_url, p.state AS product_state, p.brand_id, b.name AS brand,
       nullif(rules.disclosure, '') AS disclosure
FROM judged j
LEFT JOIN LATERAL (
    SELECT count(*) AS variants, bool_or(x.tier_costs[:tier_rank] IS NULL) AS lacks_cost, max(x.min_price) AS min_price,
           max(x.tier_costs[:tier_rank]) AS tier_cost
    FROM variants v
    JOIN prices x ON x.variant_id = v.id AND upper_inf(x.during)
    WHERE v.product_id = j.product_id
) AS bound ON j.refusal IN ('not selectable', 'out of band')
LEFT JOIN listed ON listed.product_id = j.product_id AND j.refusal IS NULL
LEFT JOIN products p ON p.id = listed.product_id
LEFT JOIN brands b ON b.id = p.brand_id
LEFT JOIN brand_rules rules ON rules.brand_id = p.brand_id
ORDER BY j.n

-- name: remove_listings
WITH before AS MATERIALIZED (
    SELECT l.*, 'removed' AS end_reason, CAST(:account_id AS bigint) AS ended_by
    FROM listings l
    WHERE l.store_id = :store_id AND l.product_id = ANY(CAST(:product_ids AS bigint[]))
),
-- include: catalogue.kept
DELETE FROM listings l
USING before b
WHERE l.store_id = b.store_id AND l.product_id = b.product_id
RETURNING l.product_id

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
), before AS MATERIALIZED (
    SELECT l.*, target.position AS new_position, NULL::text AS end_reason, NULL::bigint AS ended_by
    FROM ordered
    JOIN shelf target USING (place)
    JOIN listings l ON l.store_id = :store_id AND l.product_id = ordered.product_id AND l.position <> target.position
),
-- include: catalogue.kept
, moved AS (
    UPDATE listings l
    SET position = b.new_position, changed_at = nullif(greatest(b.changed_at, b.listed_at, :now), b.listed_at),
        why = 'reordered', account_id = :account_id
    FROM before b
    WHERE l.store_id = b.store_id AND l.product_id = b.product_id
)
SELECT count(n) AS found, CAST(:after AS bigint) IS NULL OR coalesce(bool_or(product_id = :after), false) AS anchored
FROM shelf

-- name: lives
-- Pages of the lives of listings, newest first: what each was, and still is where `until` is NULL.
SELECT asked.n, life.*
FROM unnest(CAST(:store_ids AS bigint[]), CAST(:product_ids AS bigint[]), CAST(:afters AS bigint[]),
            CAST(:limits AS bigint[])) WITH ORDINALITY AS asked (store_id, product_id, after, most, n)
CROSS JOIN LATERAL (
    SELECT *, CAST(extract(epoch FROM since) * 1000000 AS bigint) AS key
    FROM (
        SELECT coalesce(l.changed_at, l.listed_at) AS since, NULL::timestamptz AS until, l.price, l.position, l.pitch,
               l.pinned, l.regions, l.segments, l.why, l.account_id, NULL::text AS end_reason, NULL::bigint AS ended_by
        FROM listings l WHERE l.store_id = asked.store_id AND l.product_id = asked.product_id
        UNION ALL
        SELECT h.since, h.until, h.price, h.position, h.pitch, h.pinned, h.regions, h.segments, h.why, h.account_id,
               h.end_reason, h.ended_by
        FROM listing_history h WHERE h.store_id = asked.store_id AND h.product_id = asked.product_id
    ) AS version
    WHERE asked.after IS NULL OR CAST(extract(epoch FROM since) * 1000000 AS bigint) < asked.after
    ORDER BY since DESC
    LIMIT asked.most
) AS life
ORDER BY asked.n, life.since DESC

-- name: broken_rules
-- What texts hold that the brands which these stores list, or those of `product_ids`, ban: by store.
WITH broken AS MATERIALIZED (
    SELECT t.n, r.brand_id, b.name AS brand, banned_word(t.words, r.banned_words) AS word
    FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS t (words, n)
    CROSS JOIN brand_rules r
    JOIN brands b ON b.id = r.brand_id
    WHERE banned_word(t.words, r.banned_words) IS NOT NULL
)
SELECT s.store_id, broken.n, broken.brand, broken.word
FROM broken
CROSS JOIN unnest(CAST(:store_ids AS bigint[])) AS s (store_id)
WHERE broken.brand_id IN (SELECT brand_id FROM products WHERE id = ANY(CAST(:product_ids AS bigint[])))
   OR EXISTS (SELECT FROM listings l JOIN products p ON p.id = l.product_id
              WHERE l.store_id = s.store_id AND p.brand_id = broken.brand_id)
ORDER BY s.store_id, broken.n, broken.brand_id
