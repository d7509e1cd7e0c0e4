-- name: check_rank_moved
SELECT s.line, 'rank', format('tier %s has rank %s, and prices and plans hold its numbers by rank: it cannot change',
                              s.code, t.rank)
FROM staging s JOIN tiers t ON t.code = s.code
WHERE s.rank <> t.rank AND (EXISTS (SELECT FROM prices) OR EXISTS (SELECT FROM rules WHERE tier_bps <> '{}'))

-- name: check_rank_taken
SELECT s.line, 'rank', format('rank %s belongs to tier %s', s.rank, t.code)
FROM staging s JOIN tiers t ON t.rank = s.rank AND t.code <> s.code
WHERE NOT EXISTS (SELECT FROM staging other WHERE other.code = t.code)

-- name: check_rank_gap
WITH final AS (
    SELECT rank, line FROM staging
    UNION ALL
    SELECT t.rank, NULL FROM tiers t WHERE NOT EXISTS (SELECT FROM staging s WHERE s.code = t.code)
)
SELECT line, 'rank', format('leaves no tier of rank %s: ranks run from 1 without a gap', rank - 1)
FROM final
WHERE rank > 1 AND line IS NOT NULL AND NOT EXISTS (SELECT FROM final above WHERE above.rank = final.rank - 1)

-- name: then_make_room
-- Ranks are unique at every moment, so those that change step aside first.
UPDATE tiers t SET rank = t.rank + 1000
FROM staging s WHERE s.code = t.code AND s.rank <> t.rank

-- name: update_tiers
UPDATE tiers t SET rank = s.rank, name = s.name, is_leader = s.is_leader
FROM staging s
WHERE s.code = t.code AND (t.rank, t.name, t.is_leader) IS DISTINCT FROM (s.rank, s.name, s.is_leader)

-- name: insert_tiers
INSERT INTO tiers (code, rank, name, is_leader)
SELECT code, rank, name, is_leader FROM staging s
WHERE NOT EXISTS (SELECT FROM tiers t WHERE t.code = s.code)
ORDER BY line
