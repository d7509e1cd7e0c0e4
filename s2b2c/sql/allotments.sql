-- name: set
-- What shall be set aside, judged against the stock: all of it or nothing. The variants are locked by a statement before
-- this one. An allotment that gets another number gets another id.
WITH asked AS MATERIALIZED (
    SELECT a.*, v.id IS NOT NULL AS is_own, v.sku, v.stock, v.allotted, old.id AS old_id,
           a.quantity - coalesce(old.quantity, 0) AS more
    FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:store_ids AS bigint[]), CAST(:regions AS text[]),
                CAST(:quantities AS bigint[]))
        WITH ORDINALITY AS a (variant_id, store_id, region, quantity, n)
    LEFT JOIN variants v ON v.id = a.variant_id AND v.brand_id = :brand_id
    LEFT JOIN allotments old
        ON old.variant_id = v.id AND old.store_id IS NOT DISTINCT FROM a.store_id
       AND old.region IS NOT DISTINCT FROM a.region
), total AS (
    SELECT variant_id, max(allotted) + sum(more)::bigint AS allotted FROM asked WHERE is_own GROUP BY variant_id
), judged AS MATERIALIZED (
    SELECT asked.*, total.allotted AS wanted,
           CASE WHEN NOT is_own THEN 'no variant'
                WHEN quantity = 0 AND old_id IS NOT NULL THEN NULL
                WHEN NOT EXISTS (SELECT FROM stores s WHERE s.id = asked.store_id AND s.state = 'open'
                                 UNION ALL
                                 SELECT FROM stores s WHERE s.region = asked.region
                                 UNION ALL
                                 SELECT FROM distributors d WHERE d.region = asked.region)
                THEN CASE WHEN region IS NULL THEN 'no store' ELSE 'no region' END
                WHEN total.allotted > stock AND more > 0 THEN 'too many' END AS refusal
    FROM asked LEFT JOIN total ON total.variant_id = asked.variant_id AND is_own
), fine AS MATERIALIZED (
    SELECT * FROM judged WHERE NOT EXISTS (SELECT FROM judged WHERE refusal IS NOT NULL)
), removed AS (
    DELETE FROM allotments a USING fine WHERE a.id = fine.old_id AND fine.quantity = 0
), changed AS (
    UPDATE allotments a
    SET id = nextval('allotments_id_seq'), quantity = fine.quantity, updated_at = :now, updated_by = :account_id
    FROM fine
    WHERE a.id = fine.old_id AND fine.quantity > 0 AND fine.more <> 0
), added AS (
    INSERT INTO allotments (variant_id, store_id, region, quantity, updated_at, updated_by)
    SELECT variant_id, store_id, region, quantity, :now, :account_id
    FROM fine WHERE old_id IS NULL AND quantity > 0
    ORDER BY n
), totalled AS (
    UPDATE variants v SET allotted = total.allotted
    FROM total
    WHERE v.id = total.variant_id AND v.allotted <> total.allotted AND EXISTS (SELECT FROM fine)
)
SELECT n, sku, stock, wanted, refusal FROM judged WHERE refusal IS NOT NULL ORDER BY n

-- name: of_variants
-- What is set aside of each variant, in the order in which it was: a page for each.
SELECT asked.n, a.id, a.region, a.quantity, a.updated_at, a.store_id, s.slug, s.title, s.region AS store_region
FROM unnest(CAST(:variant_ids AS bigint[]), CAST(:afters AS bigint[]), CAST(:limits AS bigint[]))
    WITH ORDINALITY AS asked (variant_id, after, most, n)
CROSS JOIN LATERAL (
    SELECT * FROM allotments WHERE variant_id = asked.variant_id AND id > asked.after ORDER BY id LIMIT asked.most
) AS a
LEFT JOIN stores s ON s.id = a.store_id
ORDER BY asked.n, a.id
