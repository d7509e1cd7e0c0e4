-- name: check_owner
SELECT line, 'owner_code', format('there is no distributor %s', owner_code)
FROM staging s
WHERE owner_code IS NOT NULL AND NOT EXISTS (SELECT FROM distributors d WHERE d.code = s.owner_code)

-- name: update_stores
UPDATE stores t SET distributor_id = d.id, title = s.title, region = s.region
FROM staging s JOIN distributors d ON d.code = s.owner_code
WHERE t.slug = s.slug AND (t.distributor_id, t.title, t.region) IS DISTINCT FROM (d.id, s.title, s.region)

-- name: insert_stores
INSERT INTO stores (slug, distributor_id, title, region)
SELECT s.slug, d.id, s.title, s.region
FROM staging s JOIN distributors d ON d.code = s.owner_code
WHERE NOT EXISTS (SELECT FROM stores t WHERE t.slug = s.slug)
ORDER BY s.line

-- name: then_touched
CREATE TEMP TABLE touched ON COMMIT DROP AS
SELECT DISTINCT l.product_id FROM staging s JOIN stores t ON t.slug = s.slug JOIN listings l ON l.store_id = t.id
