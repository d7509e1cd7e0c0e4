-- name: recorded
-- What became of the one distributor among those `changed`: its span ends, the next begins, and it is told.
ended AS (
    UPDATE distributor_history h SET during = tstzrange(lower(h.during), :now)
    FROM changed
    WHERE changed.id = :distributor_id AND h.distributor_id = changed.id AND upper_inf(h.during)
    RETURNING changed.id, changed.parent_id, changed.tier_id, changed.state
), begun AS (
    -- From `ended`, so that the old span has its end before the new one is tested against it.
    INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state, account_id, reason)
    SELECT id, tstzrange(:now, NULL), parent_id, tier_id, state, :account_id, :reason FROM ended
)
INSERT INTO notices (distributor_id, kind, facts, created_at)
SELECT id, :kind, CAST(:facts AS jsonb), :now FROM ended

-- name: change_state
WITH changed AS (
    UPDATE distributors SET state = :state, joined_on = :joined_on
    WHERE id = :distributor_id
    RETURNING id, parent_id, tier_id, state
),
-- include: network.recorded

-- name: move
-- Whoever stands at or below the mover keeps the part of its ancestors up to the mover, and gets the new ones above.
WITH changed AS (
    UPDATE distributors d
    SET parent_id = CASE WHEN d.id = :distributor_id THEN :parent_id ELSE d.parent_id END,
        ancestors = d.ancestors[1:array_position(d.ancestors, :distributor_id)] || CAST(:above AS bigint[])
    WHERE d.ancestors @> ARRAY[CAST(:distributor_id AS bigint)]
    RETURNING d.id, d.parent_id, d.tier_id, d.state
),
-- include: network.recorded

-- name: apply
WITH next AS MATERIALIZED (
    SELECT nextval('distributors_id_seq') AS id
), added AS (
    INSERT INTO distributors (id, code, name, tier_id, parent_id, ancestors, region, joined_on, state)
    SELECT id, :code, :name, :tier_id, :parent_id, id || CAST(:above AS bigint[]), :region, :joined_on, 'applied'
    FROM next
    RETURNING id, parent_id, tier_id, state
), begun AS (
    INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state, account_id)
    SELECT id, tstzrange(:now, NULL), parent_id, tier_id, state, :account_id FROM added
)
SELECT id FROM added

-- name: below
WITH member AS (
    SELECT id, state FROM distributors WHERE ancestors @> ARRAY[CAST(:distributor_id AS bigint)]
)
SELECT count(*), count(*) FILTER (WHERE state IN ('active', 'watch')),
       (SELECT count(*) FROM stores s WHERE s.distributor_id IN (SELECT id FROM member)),
       (SELECT count(*) FROM orders o WHERE o.state = 'placed' AND o.seller_id IN (SELECT id FROM member))
FROM member

-- name: uplines_at
-- A server whose clock is behind may have moved somebody "before" a later change: a chain that leads round ends there.
WITH RECURSIVE above AS (
    SELECT asked.distributor_id AS asked_id, asked.at, 0 AS position, h.distributor_id, h.parent_id, h.tier_id, h.state
    FROM unnest(CAST(:distributor_ids AS bigint[]), CAST(:times AS timestamptz[])) AS asked (distributor_id, at)
    JOIN distributor_history h ON h.distributor_id = asked.distributor_id AND h.during @> asked.at
    UNION ALL
    SELECT above.asked_id, above.at, above.position + 1, h.distributor_id, h.parent_id, h.tier_id, h.state
    FROM above
    JOIN distributor_history h ON h.distributor_id = above.parent_id AND h.during @> above.at
) CYCLE asked_id, at, distributor_id SET comes_round USING path
SELECT asked_id, at, position, distributor_id, tier_id, state FROM above WHERE NOT comes_round

-- name: restated
-- Those `becoming` (id, state, why) come to this state: their spans end, the next begin. A clock that is behind the last
-- change makes a span of one microsecond.
restated AS (
    UPDATE distributors d SET state = b.state
    FROM becoming b
    WHERE d.id = b.id AND d.state <> b.state
    RETURNING d.id, d.parent_id, d.tier_id, d.state, b.why
), span_ended AS (
    UPDATE distributor_history h
    SET during = tstzrange(lower(h.during), greatest(:now, lower(h.during) + interval '1 microsecond'))
    FROM restated r
    WHERE h.distributor_id = r.id AND upper_inf(h.during)
    RETURNING r.id, r.parent_id, r.tier_id, r.state, r.why, upper(h.during) AS at
), span_begun AS (
    -- From `span_ended`, so that the old span has its end before the new one is tested against it.
    INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state, account_id, reason)
    SELECT id, tstzrange(at, NULL), parent_id, tier_id, state, :account_id, why FROM span_ended
)
