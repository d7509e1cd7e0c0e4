-- name: insert_variants
-- Variants with a price since ever, in the order they came. Rows are the SKUs that the brand has already.
WITH wanted AS (
    SELECT *
    FROM jsonb_to_recordset(CAST(:variants AS jsonb))
        AS v (n bigint, sku text, options jsonb, stock bigint, supply_price bigint, suggested_price bigint,
              min_price bigint, max_price bigint, tier_costs bigint[])
), made AS (
    INSERT INTO variants (product_id, brand_id, sku, options, stock)
    SELECT :product_id, :brand_id, sku, options, stock FROM wanted ORDER BY n
    ON CONFLICT DO NOTHING
    RETURNING id, sku
), priced AS (
    INSERT INTO prices (variant_id, during, supply_price, suggested_price, min_price, max_price, tier_costs)
    SELECT made.id, '(,)', supply_price, suggested_price, min_price, max_price, tier_costs
    FROM made JOIN wanted USING (sku)
    ORDER BY n
)
SELECT sku FROM wanted WHERE sku NOT IN (SELECT sku FROM made) ORDER BY n

-- name: set_stock
-- Variants are locked in the order in which placing locks them, and judged as they are then.
WITH wanted AS (
    SELECT *
    FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:stocks AS bigint[]), CAST(:adds AS bigint[]),
                CAST(:seen AS bigint[]))
        WITH ORDINALITY AS w (variant_id, stock, added, seen, n)
), held AS MATERIALIZED (
    SELECT v.*
    FROM (SELECT variant_id FROM wanted ORDER BY variant_id) AS w
    CROSS JOIN LATERAL (
        SELECT id, sku, stock, allotted FROM variants WHERE id = w.variant_id AND brand_id = :brand_id FOR NO KEY UPDATE
    ) AS v
), judged AS (
    SELECT w.n, held.id, held.sku, held.stock AS was, held.allotted, coalesce(w.stock, held.stock + w.added) AS stock,
           CASE WHEN held.id IS NULL THEN 'no variant'
                WHEN w.seen <> held.stock THEN 'changed'
                WHEN coalesce(w.stock, held.stock + w.added) NOT BETWEEN 0 AND :most THEN 'out of range'
                WHEN coalesce(w.stock, held.stock + w.added) < held.allotted THEN 'set aside'
           END AS refusal
    FROM wanted w LEFT JOIN held ON held.id = w.variant_id
), changed AS (
    UPDATE variants v SET stock = j.stock FROM judged j WHERE v.id = j.id AND j.refusal IS NULL
)
SELECT * FROM judged ORDER BY n

-- name: events
-- Pages of what became of each product, the newest first.
SELECT asked.n, e.*
FROM unnest(CAST(:product_ids AS bigint[]), CAST(:befores AS bigint[]), CAST(:limits AS bigint[]))
    WITH ORDINALITY AS asked (product_id, before, most, n)
CROSS JOIN LATERAL (
    SELECT * FROM product_events e
    WHERE e.product_id = asked.product_id AND (asked.before IS NULL OR e.id < asked.before)
    ORDER BY e.id DESC
    LIMIT asked.most
) AS e
ORDER BY asked.n, e.id DESC

-- name: lock_stores
-- The stores that list a product, as whoever writes listings locks them.
SELECT count(*)
FROM (
    SELECT FROM stores
    WHERE id IN (SELECT store_id FROM listings WHERE product_id = :product_id)
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked

-- name: leave_stores
-- The listings of a product that is withdrawn: what they were is kept, and each owner is told once. Nobody finds it any more.
WITH gone AS (
    DELETE FROM listings l USING stores s
    WHERE l.product_id = :product_id AND s.id = l.store_id
    RETURNING l.*, coalesce(l.changed_at, l.listed_at) AS since, s.distributor_id
), kept AS (
    INSERT INTO listing_history (store_id, product_id, since, until, price, position, pitch, pinned, regions, segments,
                                 why, account_id, end_reason, ended_by)
    SELECT store_id, product_id, since, :now, price, position, pitch, pinned, regions, segments, why, account_id,
           'product_withdrawn', :account_id
    FROM gone
    WHERE since < :now
), unfound AS (
    DELETE FROM selectable_products WHERE product_id = :product_id
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT distributor_id, 'product_withdrawn',
           jsonb_build_object('product', CAST(:title AS text), 'stores', count(*), 'reason', CAST(:reason AS text)), :now
    FROM gone
    GROUP BY distributor_id
    ORDER BY distributor_id
)
SELECT count(*) AS stores, count(DISTINCT distributor_id) AS distributors FROM gone
