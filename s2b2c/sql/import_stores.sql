-- name: check_owner
SELECT line, 'owner_code', format('there is no distributor %s', owner_code)
FROM staging s
WHERE owner_code IS NOT NULL AND NOT EXISTS (SELECT FROM distributors d WHERE d.code = s.owner_code)

-- name: check_eliminated
SELECT line, 'owner_code', format('%s is eliminated: it has no open store', owner_code)
FROM staging s
JOIN distributors d ON d.code = s.owner_code AND d.state = 'eliminated'
WHERE NOT EXISTS (SELECT FROM stores t WHERE t.slug = s.slug AND t.distributor_id = d.id)

-- name: then_lock_stores
-- So that nobody changes them between what is kept of them and the change.
SELECT count(*)
FROM (
    SELECT FROM stores WHERE slug IN (SELECT slug FROM staging) ORDER BY id FOR NO KEY UPDATE
) AS locked

-- name: update_stores
WITH changed AS (
    SELECT t.id, d.id AS distributor_id, s.title, s.region
    FROM staging s JOIN distributors d ON d.code = s.owner_code JOIN stores t ON t.slug = s.slug
    WHERE (t.distributor_id, t.title, t.region) IS DISTINCT FROM (d.id, s.title, s.region)
),
-- include: storefronts.kept
UPDATE stores t
SET distributor_id = changed.distributor_id, title = changed.title, region = changed.region,
    changed_at = greatest(t.changed_at, :now), why = 'imported', account_id = NULL
FROM changed
WHERE t.id = changed.id

-- name: insert_stores
INSERT INTO stores (slug, distributor_id, title, region)
SELECT s.slug, d.id, s.title, s.region
FROM staging s JOIN distributors d ON d.code = s.owner_code
WHERE NOT EXISTS (SELECT FROM stores t WHERE t.slug = s.slug)
ORDER BY s.line

-- name: then_touched
CREATE TEMP TABLE touched ON COMMIT DROP AS
SELECT DISTINCT l.product_id FROM staging s JOIN stores t ON t.slug = s.slug JOIN listings l ON l.store_id = t.id
