-- name: check_brand
SELECT line, 'brand', 'is not yours: you may import your own catalogue alone' FROM staging WHERE brand <> CAST(:brand AS text)

-- name: then_drop_foreign
-- What is wrong with the rows of another brand would tell what that brand has.
DELETE FROM staging WHERE brand <> CAST(:brand AS text)

-- name: check_supply
SELECT line, 'supply_price', 'is above min_price' FROM staging WHERE supply_price > min_price

-- name: check_band_low
SELECT line, 'suggested_price', 'is below min_price' FROM staging WHERE suggested_price < min_price

-- name: check_band_high
SELECT line, 'suggested_price', 'is above max_price' FROM staging WHERE suggested_price > max_price

-- name: check_cost
SELECT s.line, 'tier_cost:' || t.code, 'is below supply_price'
FROM staging s
CROSS JOIN LATERAL unnest(s.tier_costs) WITH ORDINALITY AS c (cost, rank)
JOIN tiers t ON t.rank = c.rank
WHERE c.cost < s.supply_price

-- name: check_cost_order
SELECT s.line, 'tier_cost:' || t.code, format('is below the cost of the higher tier %s', above.code)
FROM staging s
CROSS JOIN LATERAL unnest(s.tier_costs) WITH ORDINALITY AS c (cost, rank)
JOIN tiers t ON t.rank = c.rank
CROSS JOIN LATERAL (
    SELECT a.code FROM unnest(s.tier_costs) WITH ORDINALITY AS higher (cost, rank) JOIN tiers a ON a.rank = higher.rank
    WHERE higher.rank < c.rank AND higher.cost > c.cost
    ORDER BY higher.rank LIMIT 1
) AS above

-- name: check_sku_moved
SELECT s.line, 'sku', format('belongs to product %s', p.code)
FROM staging s
JOIN brands b ON b.name = s.brand
JOIN variants v ON v.brand_id = b.id AND v.sku = s.sku
JOIN products p ON p.id = v.product_id
WHERE p.code <> s.product_code

-- name: check_stock
SELECT s.line, 'stock', format('is below the %s units set aside for regions and stores', v.allotted)
FROM staging s
JOIN brands b ON b.name = s.brand
JOIN variants v ON v.brand_id = b.id AND v.sku = s.sku
WHERE s.stock < v.allotted AND b.catalogue_sha256 IS DISTINCT FROM :sha256

-- name: check_review
SELECT min(s.line), '', format('product %s is in review: take it back first, or leave its words as they are', s.product_code)
FROM staging s
JOIN brands b ON b.name = s.brand
JOIN products p ON p.brand_id = b.id AND p.code = s.product_code
JOIN product_revisions r ON r.product_id = p.id AND r.state = 'in_review'
WHERE CAST(:proposed_by AS bigint) IS NOT NULL AND b.catalogue_sha256 IS DISTINCT FROM :sha256
  AND (p.title, p.category, p.image_url, p.tonalities, p.audiences)
      IS DISTINCT FROM (s.title, s.category, s.image_url,
                        ARRAY(SELECT jsonb_array_elements_text(s.tags::jsonb -> 'tonality')),
                        ARRAY(SELECT jsonb_array_elements_text(s.tags::jsonb -> 'audience')))
GROUP BY s.product_code

-- name: then_pass_over
-- The same file as a brand's last one is old news: it must not bring back stock that was sold since.
DELETE FROM staging s USING brands b WHERE b.name = s.brand AND b.catalogue_sha256 = :sha256

-- name: insert_brands
INSERT INTO brands (name)
SELECT brand FROM staging s
WHERE NOT EXISTS (SELECT FROM brands b WHERE b.name = s.brand)
GROUP BY brand ORDER BY min(line)

-- name: then_remember
UPDATE brands b SET catalogue_sha256 = :sha256
WHERE EXISTS (SELECT FROM staging s WHERE s.brand = b.name)

-- name: then_products
CREATE TEMP TABLE described ON COMMIT DROP AS
SELECT DISTINCT ON (b.id, s.product_code)
       s.line, b.id AS brand_id, s.product_code AS code, s.title, s.category, s.image_url,
       ARRAY(SELECT jsonb_array_elements_text(s.tags::jsonb -> 'tonality')) AS tonalities,
       ARRAY(SELECT jsonb_array_elements_text(s.tags::jsonb -> 'audience')) AS audiences
FROM staging s JOIN brands b ON b.name = s.brand
ORDER BY b.id, s.product_code, s.line

-- name: then_lock_products
-- Whoever chooses one of them now waits for its new prices.
SELECT count(*)
FROM (
    SELECT FROM products p
    WHERE (p.brand_id, p.code) IN (SELECT brand_id, code FROM described)
    ORDER BY p.id
    FOR NO KEY UPDATE
) AS locked

-- name: update_revisions
-- What a brand's file says of a product that is or was live waits for the platform's review, in its open revision.
INSERT INTO product_revisions AS r (product_id, content, state, created_at, created_by)
SELECT p.id, change.content, 'draft', :now, :proposed_by
FROM described d
JOIN products p ON p.brand_id = d.brand_id AND p.code = d.code
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(name, said), '{}') AS content
    FROM (VALUES
        ('title', to_jsonb(d.title), to_jsonb(p.title)),
        ('category', to_jsonb(d.category), to_jsonb(p.category)),
        ('tonalities', to_jsonb(d.tonalities), to_jsonb(p.tonalities)),
        ('audiences', to_jsonb(d.audiences), to_jsonb(p.audiences)),
        ('images', to_jsonb(CASE WHEN d.image_url IS NULL THEN '{}'
                                 ELSE d.image_url || array_remove(p.more_images, d.image_url) END),
                   to_jsonb(array_remove(p.image_url || p.more_images, NULL)))
    ) AS field (name, said, live)
    WHERE said <> live
) AS change
WHERE CAST(:proposed_by AS bigint) IS NOT NULL AND change.content <> '{}'
  AND (p.state <> 'draft' OR EXISTS (SELECT FROM product_revisions o WHERE o.product_id = p.id AND o.state = 'draft'))
ORDER BY p.id
ON CONFLICT (product_id) WHERE state IN ('draft', 'in_review') DO UPDATE SET content = r.content || excluded.content
WHERE r.content <> r.content || excluded.content

-- name: update_products
-- A file knows the first picture alone; without it there is none.
UPDATE products p
SET title = d.title, category = d.category, image_url = d.image_url, tonalities = d.tonalities, audiences = d.audiences,
    more_images = CASE WHEN d.image_url IS NULL THEN '{}' ELSE array_remove(p.more_images, d.image_url) END
FROM described d
WHERE p.brand_id = d.brand_id AND p.code = d.code AND (CAST(:proposed_by AS bigint) IS NULL OR p.state = 'draft')
  AND (p.title, p.category, p.image_url, p.tonalities, p.audiences)
      IS DISTINCT FROM (d.title, d.category, d.image_url, d.tonalities, d.audiences)

-- name: insert_products
INSERT INTO products (brand_id, code, title, category, image_url, tonalities, audiences, state)
SELECT brand_id, code, title, category, image_url, tonalities, audiences,
       CASE WHEN CAST(:proposed_by AS bigint) IS NULL THEN 'listed' ELSE 'draft' END
FROM described d
WHERE NOT EXISTS (SELECT FROM products p WHERE p.brand_id = d.brand_id AND p.code = d.code)
ORDER BY line

-- name: update_variants
-- What an order gives back after the check stays set aside.
UPDATE variants v
SET options = coalesce(s.options::jsonb, '{}'), stock = greatest(coalesce(s.stock, v.stock), v.allotted)
FROM staging s JOIN brands b ON b.name = s.brand
WHERE v.brand_id = b.id AND v.sku = s.sku
  AND (v.options, v.stock)
      IS DISTINCT FROM (coalesce(s.options::jsonb, '{}'), greatest(coalesce(s.stock, v.stock), v.allotted))

-- name: insert_variants
INSERT INTO variants (product_id, brand_id, sku, options, stock)
SELECT p.id, b.id, s.sku, coalesce(s.options::jsonb, '{}'), coalesce(s.stock, 0)
FROM staging s
JOIN brands b ON b.name = s.brand
JOIN products p ON p.brand_id = b.id AND p.code = s.product_code
WHERE NOT EXISTS (SELECT FROM variants v WHERE v.brand_id = b.id AND v.sku = s.sku)
ORDER BY s.line

-- name: then_priced
-- A price from before there was the lowest tier has no cost for it: no change.
CREATE TEMP TABLE priced ON COMMIT DROP AS
SELECT s.line, v.id AS variant_id, v.product_id, s.supply_price, s.suggested_price, s.min_price, s.max_price, s.tier_costs
FROM staging s
JOIN brands b ON b.name = s.brand
JOIN variants v ON v.brand_id = b.id AND v.sku = s.sku
WHERE NOT EXISTS (
    SELECT FROM prices p
    WHERE p.variant_id = v.id AND upper_inf(p.during)
      AND (p.supply_price, p.suggested_price, p.min_price, p.max_price,
           p.tier_costs || array_fill(NULL::bigint, ARRAY[greatest(cardinality(s.tier_costs) - cardinality(p.tier_costs), 0)]))
          IS NOT DISTINCT FROM (s.supply_price, s.suggested_price, s.min_price, s.max_price, s.tier_costs)
)

-- name: update_prices
-- include: catalogue.close_prices

-- name: then_prices
-- include: catalogue.open_prices

-- name: then_stale
INSERT INTO stale_products
SELECT p.id FROM described d JOIN products p ON p.brand_id = d.brand_id AND p.code = d.code
ORDER BY p.id
ON CONFLICT DO NOTHING

-- name: then_touched
-- include: catalogue.touch
