-- name: kept
-- What the stores in `changed` were goes into their history; what lasted no time at all does not.
kept AS (
    INSERT INTO store_history (store_id, since, until, distributor_id, title, region, state, persona, cover_url, blocks,
                               blocks_version, opening_hours, why, account_id)
    SELECT s.id, coalesce(s.changed_at, '-infinity'), :now, s.distributor_id, s.title, s.region, s.state, s.persona,
           s.cover_url, s.blocks, s.blocks_version, s.opening_hours, s.why, s.account_id
    FROM changed JOIN stores s ON s.id = changed.id
    WHERE coalesce(s.changed_at, '-infinity') < :now
)

-- name: write_settings
-- The stores are locked by a statement before this one. What is changed in the moment of its creation was created so.
WITH changed AS (
    SELECT given.*
    FROM jsonb_to_recordset(CAST(:settings AS jsonb)) AS given (id bigint, title text, region text, persona jsonb,
                                                                 cover_url text, blocks jsonb, opening_hours jsonb)
    JOIN stores s ON s.id = given.id
    WHERE (s.title, s.region, s.persona, s.cover_url, s.blocks, s.opening_hours)
        IS DISTINCT FROM (given.title, given.region, given.persona, given.cover_url, given.blocks, given.opening_hours)
),
-- include: storefronts.kept
UPDATE stores s
SET title = changed.title, region = changed.region, persona = changed.persona, cover_url = changed.cover_url,
    blocks = changed.blocks, blocks_version = :version, opening_hours = changed.opening_hours,
    changed_at = greatest(s.changed_at, :now), account_id = :account_id,
    why = CASE WHEN s.why = 'created' AND s.changed_at >= :now THEN s.why ELSE :why END
FROM changed
WHERE s.id = changed.id
RETURNING s.id

-- name: stores_at
SELECT s.id, s.slug, asked.at, it.*
FROM unnest(CAST(:store_ids AS bigint[]), CAST(:moments AS timestamptz[])) AS asked (store_id, at)
JOIN stores s ON s.id = asked.store_id
-- include: storefronts.then

-- name: store_at
SELECT s.id, s.slug, asked.at, it.*
FROM (SELECT CAST(:at AS timestamptz) AS at) AS asked
JOIN stores s ON s.slug = :slug
-- include: storefronts.then

-- name: then
-- What `s` was at the moment of `asked`.
CROSS JOIN LATERAL (
    SELECT s.distributor_id, s.title, s.region, s.state, s.persona, s.cover_url, s.blocks, s.blocks_version, s.opening_hours,
           s.changed_at AS since, CAST(NULL AS timestamptz) AS until, s.why, s.account_id
    WHERE coalesce(s.changed_at, '-infinity') <= asked.at
    UNION ALL
    SELECT h.distributor_id, h.title, h.region, h.state, h.persona, h.cover_url, h.blocks, h.blocks_version, h.opening_hours,
           nullif(h.since, '-infinity'), h.until, h.why, h.account_id
    FROM store_history h
    WHERE h.store_id = s.id AND h.since <= asked.at AND h.until > asked.at
) AS it

-- name: lock_copy
-- Before stores are made like another: as `lock_shelf`, for all of them at once.
WITH supply AS MATERIALIZED (
    SELECT id FROM products WHERE id = ANY(CAST(:product_ids AS bigint[])) ORDER BY id FOR SHARE
), owner AS MATERIALIZED (
    SELECT d.id, d.state, d.tier_id
    FROM (SELECT count(*) FROM supply) AS first
    CROSS JOIN distributors d
    WHERE d.id IN (SELECT distributor_id FROM stores WHERE id = ANY(CAST(:store_ids AS bigint[])))
    ORDER BY d.id
    FOR SHARE OF d
), locked AS MATERIALIZED (
    SELECT s.*
    FROM (SELECT count(*) FROM owner) AS first CROSS JOIN stores s
    WHERE s.id = ANY(CAST(:store_ids AS bigint[]))
    ORDER BY s.id
    FOR NO KEY UPDATE OF s
)
SELECT locked.*, owner.state AS owner_state, t.rank AS tier_rank
FROM locked
LEFT JOIN owner ON owner.id = locked.distributor_id
LEFT JOIN tiers t ON t.id = owner.tier_id

-- name: copy_listings
-- What the model lists goes behind what each store lists, as its customers see it from the top, at the model's price moved
-- into the band of the owner's tier. A band belongs to a product and a tier, however many stores there are.
WITH target AS (
    SELECT * FROM unnest(CAST(:store_ids AS bigint[]), CAST(:tier_ranks AS bigint[])) AS target (store_id, tier_rank)
), model AS (
    SELECT l.*, p.state
    FROM listings l JOIN products p ON p.id = l.product_id
    WHERE l.store_id = :model_id AND l.product_id = ANY(CAST(:product_ids AS bigint[]))
), band AS MATERIALIZED (
    SELECT model.product_id, tier.rank, b.lowest_price, b.highest_price
    FROM model
    CROSS JOIN (SELECT DISTINCT tier_rank AS rank FROM target) AS tier
    CROSS JOIN LATERAL price_band(model.product_id, tier.rank) AS b
), judged AS (
    SELECT target.store_id, model.product_id, model.pinned, model.position, model.pitch, model.regions, model.segments,
           least(greatest(model.price, band.lowest_price), band.highest_price) AS price,
           CASE WHEN own.product_id IS NOT NULL THEN 'kept'
                WHEN model.state <> 'listed' THEN 'not_on_offer'
                WHEN band.product_id IS NULL THEN 'no_price_fits'
                ELSE 'added' END AS outcome
    FROM target
    CROSS JOIN model
    LEFT JOIN band ON band.product_id = model.product_id AND band.rank = target.tier_rank
    LEFT JOIN listings own ON own.store_id = target.store_id AND own.product_id = model.product_id
), added AS (
    INSERT INTO listings (store_id, product_id, price, position, pitch, regions, segments, listed_at, why, account_id)
    SELECT store_id, product_id, price,
           (SELECT coalesce(max(own.position), 0) FROM listings own WHERE own.store_id = judged.store_id)
           + row_number() OVER (PARTITION BY store_id ORDER BY pinned DESC, position),
           CASE WHEN :include_words THEN pitch ELSE '' END, regions, segments, :now, 'copied', :account_id
    FROM judged
    WHERE outcome = 'added'
)
SELECT store_id, count(*) FILTER (WHERE outcome = 'added') AS added, count(*) FILTER (WHERE outcome = 'kept') AS kept,
       count(*) FILTER (WHERE outcome = 'not_on_offer') AS not_on_offer,
       count(*) FILTER (WHERE outcome = 'no_price_fits') AS no_price_fits,
       CASE WHEN cardinality(CAST(:store_ids AS bigint[])) = 1 THEN
           coalesce(jsonb_agg(jsonb_build_array(product_id, outcome) ORDER BY pinned DESC, position)
                    FILTER (WHERE outcome IN ('not_on_offer', 'no_price_fits')), '[]') END AS left_out
FROM judged
GROUP BY store_id

-- name: tell_owners
INSERT INTO notices (distributor_id, kind, facts, created_at)
SELECT s.distributor_id, 'setup_copied',
       jsonb_build_object('model', CAST(:model AS text), 'stores', string_agg(s.title, '、' ORDER BY s.id),
                          'products', sum(copied.added)), :now
FROM unnest(CAST(:store_ids AS bigint[]), CAST(:added AS bigint[])) AS copied (store_id, added)
JOIN stores s ON s.id = copied.store_id
GROUP BY s.distributor_id
ORDER BY s.distributor_id
