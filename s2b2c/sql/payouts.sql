-- name: open_payouts
-- One for each statement that pays out; one that is there already stays as it is.
INSERT INTO payouts (run_id, statement_id, distributor_id, brand_id, amount, rail, state, needs_approval, created_at, created_by)
SELECT run_id, id, distributor_id, brand_id, payout, :rail, 'pending', payout > :most, :now, :by
FROM statements
WHERE run_id = :run_id AND payout > 0
ORDER BY id
ON CONFLICT (statement_id) DO NOTHING

-- name: holding
-- What holds a payout `p` back, as its payee is now.
SELECT CASE
           WHEN d.state = 'suspended' THEN 'suspended'
           WHEN p.rail = 'stripe' AND a.id IS NULL OR p.rail = 'bank' AND b.id IS NULL THEN 'no_account'
       END AS hold, a.id AS destination
FROM (VALUES (p.distributor_id, p.brand_id)) AS payee (distributor_id, brand_id)
LEFT JOIN distributors d ON d.id = payee.distributor_id
LEFT JOIN stripe_accounts a
    ON (a.distributor_id = payee.distributor_id OR a.brand_id = payee.brand_id) AND a.transfers = 'active' AND p.rail = 'stripe'
LEFT JOIN payees b ON (b.distributor_id = payee.distributor_id OR b.brand_id = payee.brand_id) AND p.rail = 'bank'

-- name: free
-- What held these payouts is gone; what a person holds, a person releases.
UPDATE payouts SET hold = NULL
FROM (
    SELECT p.id
    FROM payouts p
    CROSS JOIN LATERAL (
-- include: payouts.holding
    ) AS holding
    WHERE p.state = 'pending' AND p.hold IN ('suspended', 'no_account') AND holding.hold IS NULL
    ORDER BY p.id
    FOR NO KEY UPDATE OF p SKIP LOCKED
) AS free
WHERE payouts.id = free.id

-- name: begin
-- A new attempt, under a key of its own, for each payout that nothing holds; what its payee lacks holds it from now on.
WITH waiting AS (
    SELECT p.id, holding.hold, holding.destination
    FROM payouts p
    CROSS JOIN LATERAL (
-- include: payouts.holding
    ) AS holding
    WHERE p.state = 'pending' AND p.hold IS NULL AND p.rail <> 'outside' AND (NOT p.needs_approval OR p.approved_at IS NOT NULL)
    ORDER BY p.id
    LIMIT :limit
    FOR NO KEY UPDATE OF p SKIP LOCKED
), moved AS (
    UPDATE payouts p
    SET hold = waiting.hold, state = CASE WHEN waiting.hold IS NULL THEN 'sending' ELSE p.state END
    FROM waiting
    WHERE p.id = waiting.id
    RETURNING p.id, p.rail, p.state, waiting.destination
), begun AS (
    INSERT INTO payout_attempts (payout_id, number, key, rail, state, destination, next_step, due_at, created_at)
    SELECT m.id, n.number, format('s2b2c-payout-%s-%s', m.id, n.number), m.rail, 'sending', m.destination,
           CASE m.rail WHEN 'stripe' THEN 'send' END, CASE m.rail WHEN 'stripe' THEN CAST(:now AS timestamptz) END, :now
    FROM moved m
    CROSS JOIN LATERAL (
        SELECT coalesce(max(t.number), 0) + 1 AS number FROM payout_attempts t WHERE t.payout_id = m.id
    ) AS n
    WHERE m.state = 'sending'
    ORDER BY m.id
    RETURNING id
)
SELECT (SELECT count(*) FROM moved) AS seen, coalesce((SELECT array_agg(id) FROM begun), '{}') AS begun

-- name: finish_runs
-- A run is paid when nothing of it is on its way any more.
UPDATE settlement_runs r SET state = 'paid'
WHERE r.state = 'paying' AND NOT EXISTS (
    SELECT FROM payouts p WHERE p.run_id = r.id AND p.state NOT IN ('confirmed', 'reversed')
)

-- name: claim
-- The attempt that has waited longest. What it asks next, should nobody tell how this ended, is how it ended.
UPDATE payout_attempts t
SET due_at = :again_at, calls = t.calls + 1, next_step = 'look_up'
FROM (
    SELECT id, next_step FROM payout_attempts WHERE due_at <= :now ORDER BY due_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
) AS due
JOIN payout_attempts a ON a.id = due.id
JOIN payouts p ON p.id = a.payout_id
WHERE t.id = due.id
RETURNING t.id, due.next_step AS step, t.key, t.destination, t.reference, t.calls, t.is_spent, p.id AS payout_id, p.amount,
          p.statement_id
