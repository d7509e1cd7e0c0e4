-- name: check_tier
SELECT line, 'tier', format('there is no tier %s', tier)
FROM staging s
WHERE tier IS NOT NULL AND NOT EXISTS (SELECT FROM tiers t WHERE t.code = s.tier)

-- name: check_parent
SELECT line, 'parent_code', format('there is no distributor %s, in this file or before it', parent_code)
FROM staging s
WHERE parent_code IS NOT NULL
  AND NOT EXISTS (SELECT FROM staging p WHERE p.code = s.parent_code)
  AND NOT EXISTS (SELECT FROM distributors d WHERE d.code = s.parent_code)

-- name: check_cycle
WITH RECURSIVE final AS (
    SELECT code, parent_code, line FROM staging
    UNION ALL
    SELECT d.code, p.code, NULL
    FROM distributors d LEFT JOIN distributors p ON p.id = d.parent_id
    WHERE NOT EXISTS (SELECT FROM staging s WHERE s.code = d.code)
), reached AS (
    SELECT code FROM final
    WHERE parent_code IS NULL OR NOT EXISTS (SELECT FROM final p WHERE p.code = final.parent_code)
    UNION
    SELECT final.code FROM reached JOIN final ON final.parent_code = reached.code
)
SELECT line, 'parent_code', 'the chain of parents leads round in a circle'
FROM final
WHERE line IS NOT NULL AND code IS NOT NULL AND NOT EXISTS (SELECT FROM reached WHERE reached.code = final.code)

-- name: check_joined_on
SELECT line, 'joined_on', 'is in the future'
FROM staging WHERE joined_on > (CAST(:now AS timestamptz) AT TIME ZONE 'Asia/Shanghai')::date

-- name: check_state
-- Nobody is eliminated or reinstated by a file.
SELECT line, 'state', format('%s is %s, which cannot become %s', s.code, d.state, s.state)
FROM staging s JOIN distributors d ON d.code = s.code
WHERE s.state <> d.state AND (d.state, s.state) NOT IN (
    ('applied', 'active'), ('applied', 'rejected'), ('active', 'watch'), ('watch', 'active'), ('active', 'suspended'),
    ('watch', 'suspended'), ('suspended', 'active')
)

-- name: check_eliminated
-- Who is eliminated leaves by `offboarding`, with all that follows, and nobody stands below it; so a file that was written
-- before brings nobody back.
SELECT s.line, 'parent_code', format('%s is eliminated: nobody stands below it', s.parent_code)
FROM staging s
LEFT JOIN staging p ON p.code = s.parent_code
LEFT JOIN distributors d ON d.code = s.parent_code
WHERE coalesce(p.state, d.state) = 'eliminated'

-- name: warn_parent_below
SELECT s.line, 'parent_code', format('%s stands on a lower tier than %s', s.parent_code, s.code)
FROM staging s
JOIN tiers t ON t.code = s.tier
LEFT JOIN staging p ON p.code = s.parent_code
LEFT JOIN distributors d ON d.code = s.parent_code
JOIN tiers above ON above.code = p.tier OR (p.code IS NULL AND above.id = d.tier_id)
WHERE above.rank > t.rank

-- name: then_collect
CREATE TEMP TABLE final ON COMMIT DROP AS
(
    SELECT coalesce(d.id, nextval('distributors_id_seq')) AS id, d.id IS NULL AS is_new, s.code, s.name,
           t.id AS tier_id, s.parent_code, s.region, s.joined_on, s.state
    FROM staging s
    JOIN tiers t ON t.code = s.tier
    LEFT JOIN distributors d ON d.code = s.code
    ORDER BY s.line
)
UNION ALL
SELECT d.id, false, d.code, d.name, d.tier_id, p.code, d.region, d.joined_on, d.state
FROM distributors d LEFT JOIN distributors p ON p.id = d.parent_id
WHERE NOT EXISTS (SELECT FROM staging s WHERE s.code = d.code)

-- name: then_climb
CREATE TEMP TABLE climbed ON COMMIT DROP AS
WITH RECURSIVE node AS (
    SELECT final.*, NULL::bigint AS parent_id, ARRAY[id] AS ancestors FROM final WHERE parent_code IS NULL
    UNION ALL
    SELECT child.*, node.id, child.id || node.ancestors FROM node JOIN final child ON child.parent_code = node.code
)
SELECT * FROM node

-- name: then_touched
-- What the stores of those who change their tier list: each tier has costs of its own.
CREATE TEMP TABLE touched ON COMMIT DROP AS
SELECT DISTINCT l.product_id
FROM climbed c
JOIN distributors d ON d.id = c.id AND d.tier_id <> c.tier_id
JOIN stores s ON s.distributor_id = d.id
JOIN listings l ON l.store_id = s.id

-- name: insert_distributors
INSERT INTO distributors (id, code, name, tier_id, parent_id, ancestors, region, joined_on, state)
SELECT id, code, name, tier_id, parent_id, ancestors, region, joined_on, state FROM climbed WHERE is_new ORDER BY id

-- name: update_distributors
-- Also those of no row in the file whose chain of ancestors was changed by one.
UPDATE distributors d
SET name = c.name, tier_id = c.tier_id, parent_id = c.parent_id, ancestors = c.ancestors, region = c.region,
    joined_on = c.joined_on, state = c.state
FROM climbed c
WHERE c.id = d.id
  AND (d.name, d.tier_id, d.parent_id, d.ancestors, d.region, d.joined_on, d.state)
      IS DISTINCT FROM (c.name, c.tier_id, c.parent_id, c.ancestors, c.region, c.joined_on, c.state)

-- name: then_end_spans
UPDATE distributor_history h SET during = tstzrange(lower(h.during), :now)
FROM climbed c
WHERE h.distributor_id = c.id AND upper_inf(h.during)
  AND (h.parent_id, h.tier_id, h.state) IS DISTINCT FROM (c.parent_id, c.tier_id, c.state)

-- name: then_begin_spans
INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state)
SELECT c.id,
       tstzrange(CASE WHEN c.is_new THEN c.joined_on::timestamp AT TIME ZONE 'Asia/Shanghai' ELSE :now END, NULL),
       c.parent_id, c.tier_id, c.state
FROM climbed c
WHERE NOT EXISTS (SELECT FROM distributor_history h WHERE h.distributor_id = c.id AND upper_inf(h.during))
ORDER BY c.id
