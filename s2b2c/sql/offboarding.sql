-- name: lock_members
-- A distributor and everybody below it or below those whom an elimination moved, locked in the order of their ids, as every
-- writer locks distributors.
SELECT count(*)
FROM (
    SELECT FROM distributors
    WHERE ancestors @> ARRAY[CAST(:distributor_id AS bigint)]
       OR ancestors && ARRAY(SELECT distributor_id FROM elimination_moves WHERE elimination_id = :elimination_id)
    ORDER BY id
    FOR NO KEY UPDATE
) AS locked

-- name: lock_stores
SELECT count(*)
FROM (SELECT FROM stores WHERE distributor_id = :distributor_id ORDER BY id FOR NO KEY UPDATE) AS locked

-- name: look
-- A distributor, the nearest one above it that earns, and what it owes. No span of history that is to end began after
-- `at`: clocks of servers differ.
SELECT d.id, d.code, d.name, d.state, d.ancestors, home.id AS home_id, home.name AS home_name,
       coalesce(home.ancestors, '{}') AS above, at.at,
       greatest(0, (SELECT coalesce(sum(debt_added - debt_offset), 0) FROM statements WHERE distributor_id = d.id)
                   - (SELECT coalesce(sum(amount), 0) FROM write_offs
                      WHERE distributor_id = d.id AND approved_at IS NOT NULL))::bigint AS debt
FROM distributors d
LEFT JOIN LATERAL (
    SELECT up.id, up.name, up.ancestors
    FROM unnest(d.ancestors[2:]) WITH ORDINALITY AS above (id, position)
    JOIN distributors up ON up.id = above.id
    WHERE up.state = ANY (CAST(:earning AS text[]))
    ORDER BY above.position
    LIMIT 1
) AS home ON true
CROSS JOIN LATERAL (
    SELECT greatest(CAST(:now AS timestamptz), max(lower(h.during)) + interval '1 microsecond',
                    (SELECT e.at + interval '1 microsecond' FROM eliminations e WHERE e.id = :elimination_id)) AS at
    FROM distributor_history h
    WHERE upper_inf(h.during)
      AND h.distributor_id IN (
          SELECT c.id FROM distributors c WHERE c.ancestors @> ARRAY[d.id] AND (c.id = d.id OR c.parent_id = d.id)
          UNION ALL
          SELECT m.distributor_id FROM elimination_moves m WHERE m.elimination_id = :elimination_id
      )
) AS at
WHERE d.id = :distributor_id

-- name: open
INSERT INTO eliminations (distributor_id, at, reason, account_id, person_id, state_before, home_id, pending, matured, debt)
VALUES (:distributor_id, :at, :reason, :account_id, :person_id, :state_before, :home_id, :pending, :matured, :debt)
RETURNING id

-- name: leave
-- The distributor is eliminated, and whoever stood right below it stands below the new home, or below nobody, with everybody
-- below. Of those only the direct downlines have a new span of history, and are told.
WITH direct AS MATERIALIZED (
    SELECT id FROM distributors
    WHERE ancestors @> ARRAY[CAST(:distributor_id AS bigint)] AND parent_id = :distributor_id
), changed AS (
    UPDATE distributors d
    SET state = CASE WHEN d.id = :distributor_id THEN 'eliminated' ELSE d.state END,
        parent_id = CASE WHEN d.parent_id = :distributor_id THEN CAST(:home_id AS bigint) ELSE d.parent_id END,
        ancestors = CASE WHEN d.id = :distributor_id THEN d.ancestors
                         ELSE d.ancestors[1:array_position(d.ancestors, :distributor_id) - 1] || CAST(:above AS bigint[]) END
    WHERE d.ancestors @> ARRAY[CAST(:distributor_id AS bigint)]
    RETURNING d.id, d.parent_id, d.tier_id, d.state
), ended AS (
    UPDATE distributor_history h SET during = tstzrange(lower(h.during), :at)
    FROM changed
    WHERE h.distributor_id = changed.id AND upper_inf(h.during)
      AND (h.parent_id, h.state) IS DISTINCT FROM (changed.parent_id, changed.state)
    RETURNING changed.*
), begun AS (
    -- From `ended`, so that the old span has its end before the new one is tested against it.
    INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state, account_id, reason)
    SELECT id, tstzrange(:at, NULL), parent_id, tier_id, state, :account_id,
           CASE WHEN id = :distributor_id THEN CAST(:reason AS text) ELSE CAST(:moved_reason AS text) END
    FROM ended
), moved AS (
    INSERT INTO elimination_moves (elimination_id, distributor_id)
    SELECT :elimination_id, id FROM direct
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT id, 'moved', CAST(:facts AS jsonb), :at
    FROM changed JOIN direct USING (id)
    WHERE state NOT IN ('rejected', 'eliminated')
    ORDER BY id
)
SELECT count(*) - 1 AS members, (SELECT count(*) FROM direct) AS downlines FROM changed

-- name: come_back
-- The distributor is active, and those of its direct downlines stand below it again that nobody has moved since they were
-- taken from it; none that it stands below itself by now.
WITH back AS MATERIALIZED (
    SELECT d.id
    FROM elimination_moves m JOIN distributors d ON d.id = m.distributor_id
    WHERE m.elimination_id = :elimination_id AND d.parent_id IS NOT DISTINCT FROM CAST(:home_id AS bigint)
      AND d.id <> ALL (CAST(:ancestors AS bigint[]))
      AND NOT EXISTS (
          SELECT FROM distributor_history h
          WHERE h.distributor_id = d.id AND h.during && tstzrange(:eliminated_at, NULL)
            AND h.parent_id IS DISTINCT FROM CAST(:home_id AS bigint)
      )
), changed AS (
    UPDATE distributors d
    SET state = CASE WHEN d.id = :distributor_id THEN 'active' ELSE d.state END,
        parent_id = CASE WHEN d.id = it.id AND it.id <> :distributor_id THEN :distributor_id ELSE d.parent_id END,
        ancestors = CASE WHEN it.id = :distributor_id THEN d.ancestors
                         ELSE d.ancestors[1:array_position(d.ancestors, it.id)] || CAST(:ancestors AS bigint[]) END
    FROM (SELECT id FROM back UNION ALL SELECT CAST(:distributor_id AS bigint)) AS it
    WHERE d.ancestors @> ARRAY[it.id]  -- nobody stands below the eliminated one itself
    RETURNING d.id, d.parent_id, d.tier_id, d.state
), ended AS (
    UPDATE distributor_history h SET during = tstzrange(lower(h.during), :at)
    FROM changed
    WHERE h.distributor_id = changed.id AND upper_inf(h.during)
      AND (h.parent_id, h.state) IS DISTINCT FROM (changed.parent_id, changed.state)
    RETURNING changed.*
), begun AS (
    INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state, account_id, reason)
    SELECT id, tstzrange(:at, NULL), parent_id, tier_id, state, :account_id,
           CASE WHEN id = :distributor_id THEN CAST(:reason AS text) ELSE CAST(:moved_reason AS text) END
    FROM ended
), returned AS (
    UPDATE elimination_moves m SET is_back = true
    FROM back WHERE m.elimination_id = :elimination_id AND m.distributor_id = back.id
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT id, 'moved', CAST(:facts AS jsonb), :at
    FROM changed JOIN back USING (id)
    WHERE state NOT IN ('rejected', 'eliminated')
    ORDER BY id
)
SELECT count(*) FROM back

-- name: close_stores
WITH changed AS (
    SELECT id FROM stores WHERE distributor_id = :distributor_id AND state = 'open'
),
-- include: storefronts.kept
, closed AS (
    UPDATE stores s
    SET state = 'closed', changed_at = greatest(s.changed_at, :now), why = 'eliminated', account_id = :account_id
    FROM changed
    WHERE s.id = changed.id
    RETURNING s.id
), noted AS (
    INSERT INTO elimination_stores (elimination_id, store_id) SELECT :elimination_id, id FROM closed
)
SELECT count(*) FROM closed

-- name: open_stores
-- Those that the elimination closed, and that are its own still.
WITH changed AS (
    SELECT s.id
    FROM elimination_stores c JOIN stores s ON s.id = c.store_id
    WHERE c.elimination_id = :elimination_id AND s.distributor_id = :distributor_id AND s.state = 'closed'
),
-- include: storefronts.kept
, opened AS (
    UPDATE stores s
    SET state = 'open', changed_at = greatest(s.changed_at, :now), why = 'reinstated', account_id = :account_id
    FROM changed
    WHERE s.id = changed.id
    RETURNING s.id
), noted AS (
    UPDATE elimination_stores c SET is_back = true
    FROM opened WHERE c.elimination_id = :elimination_id AND c.store_id = opened.id
)
SELECT count(*) FROM opened

-- name: hand_over
-- The customers of a distributor are those of its new home from now on, under the same policy, for as long and protected for
-- as long as before; free where there is none. As in `bindings.touch`, none begins before the one that it follows. The new
-- ids are drawn first: joining ten thousand rows to what was inserted takes the planner seconds, which knows none of them.
WITH held AS MATERIALIZED (
    SELECT b.customer_id, b.id, b.policy, b.protected_until, it.since, it.until,
           CASE WHEN CAST(:home_id AS bigint) IS NOT NULL AND (it.until IS NULL OR it.since < it.until)
                THEN nextval('bindings_id_seq') END AS begun_id
    FROM bindings b
    CROSS JOIN LATERAL (
        SELECT greatest(CAST(:at AS timestamptz), lower(b.during) + interval '1 microsecond') AS since,
               upper(b.during) AS until
    ) AS it
    WHERE b.distributor_id = :distributor_id AND b.during && tstzrange(:at, NULL)
), ended AS (
    UPDATE bindings b SET during = tstzrange(lower(b.during), h.since)
    FROM held h
    WHERE b.customer_id = h.customer_id AND b.id = h.id
    RETURNING h.*
), begun AS (
    -- From `ended`, so that the old range has its end before the new one is tested against it.
    INSERT INTO bindings (customer_id, id, distributor_id, during, protected_until, policy)
    SELECT customer_id, begun_id, :home_id, tstzrange(since, until), protected_until, policy
    FROM ended
    WHERE begun_id IS NOT NULL
), noted AS (
    INSERT INTO elimination_bindings (elimination_id, ended_id, customer_id, begun_id, until)
    SELECT :elimination_id, id, customer_id, begun_id, until FROM ended
)
SELECT count(*) FROM ended

-- name: take_back
-- Customers that nobody has won since: those that the new home holds as the elimination left them, and those that stayed
-- free where there was none. Each for as long as is left.
WITH waiting AS MATERIALIZED (
    SELECT e.customer_id, e.ended_id, e.begun_id, it.*, nextval('bindings_id_seq') AS back_id
    FROM elimination_bindings e
    JOIN customers c ON c.id = e.customer_id AND c.erased_at IS NULL
    JOIN bindings was ON was.customer_id = e.customer_id AND was.id = e.ended_id
    LEFT JOIN bindings held ON held.customer_id = e.customer_id AND held.id = e.begun_id
    CROSS JOIN LATERAL (
        SELECT coalesce(held.policy, was.policy) AS policy,
               coalesce(held.protected_until, was.protected_until) AS protected_until,
               CASE WHEN e.begun_id IS NULL THEN e.until ELSE upper(held.during) END AS until,
               greatest(CAST(:at AS timestamptz), upper(was.during), lower(held.during) + interval '1 microsecond') AS since
    ) AS it
    WHERE e.elimination_id = :elimination_id AND (it.until IS NULL OR it.since < it.until)
      AND NOT EXISTS (
          SELECT FROM bindings later
          WHERE later.customer_id = e.customer_id AND later.id > coalesce(e.begun_id, e.ended_id)
      )
), ended AS (
    UPDATE bindings b SET during = tstzrange(lower(b.during), w.since)
    FROM waiting w
    WHERE b.customer_id = w.customer_id AND b.id = w.begun_id
    RETURNING b.id
), begun AS (
    -- When all of `ended` is done, so that no old range is tested against a new one.
    INSERT INTO bindings (customer_id, id, distributor_id, during, protected_until, policy)
    SELECT customer_id, back_id, :distributor_id, tstzrange(since, until), protected_until, policy
    FROM waiting
    WHERE (SELECT count(*) FROM ended) >= 0
), noted AS (
    UPDATE elimination_bindings e SET back_id = w.back_id
    FROM waiting w
    WHERE e.elimination_id = :elimination_id AND e.ended_id = w.ended_id
)
SELECT count(*) FROM waiting

-- name: end_sessions
-- Those that act as the distributor; a session that acts as something else goes on, and opens this one no more.
WITH ended AS (
    UPDATE sessions s
    SET ended_at = greatest(CAST(:now AS timestamptz), s.started_at), end_reason = 'eliminated'
    WHERE s.ended_at IS NULL AND s.id IN (
        SELECT t.session_id
        FROM accounts a
        JOIN memberships m ON m.account_id = a.id
        JOIN sessions of_person ON of_person.person_id = m.person_id
        JOIN refresh_tokens t ON t.session_id = of_person.id AND t.account_id = a.id AND t.used_at IS NULL
        WHERE a.role = 'distributor' AND a.distributor_id = :distributor_id
    )
    RETURNING s.id
)
SELECT count(*) FROM ended

-- name: tell
INSERT INTO notices (distributor_id, kind, facts, created_at)
SELECT told.distributor_id, told.kind, CAST(told.facts AS jsonb), :at
FROM unnest(CAST(:distributor_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:facts AS text[]))
    WITH ORDINALITY AS told (distributor_id, kind, facts, n)
ORDER BY told.n

-- name: count
UPDATE eliminations
SET members = :members, downlines = :downlines, customers = :customers, stores = :stores, sessions = :sessions
WHERE id = :elimination_id

-- name: undo
UPDATE eliminations
SET reinstated_at = :at, reinstated_by = :account_id, reinstated_person_id = :person_id, reinstate_reason = :reason
WHERE id = :elimination_id

-- name: closed_stores
WITH RECURSIVE asked_store AS (
    SELECT s.id, s.slug, s.title, s.region, s.distributor_id, s.state
    FROM elimination_stores c JOIN stores s ON s.id = c.store_id
    WHERE c.elimination_id = :elimination_id
),
-- include: bindings.led
SELECT s.id, s.slug, s.title, s.region, s.state = 'open' AS is_open, t.slug AS moved_to
FROM asked_store s
LEFT JOIN led ON led.asked_id = s.id AND led.store_id <> s.id
LEFT JOIN stores t ON t.id = led.store_id
ORDER BY s.id
