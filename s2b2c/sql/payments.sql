-- name: in_hand
-- What these orders have not paid yet, and could.
SELECT p.branch_id, p.id
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN payments p ON p.branch_id = batch.branch_id AND p.order_id = batch.order_id AND p.state IN ('opening', 'open')
ORDER BY p.branch_id, p.id

-- name: open
-- A payment to have an order paid, where none is in hand.
INSERT INTO payments (branch_id, order_id, method, amount, state, created_at)
VALUES (:branch_id, :order_id, :method, :amount, 'opening', :now)
ON CONFLICT (branch_id, order_id) WHERE state IN ('opening', 'open') DO NOTHING
RETURNING id

-- name: find
SELECT p.branch_id, p.id, p.order_id, p.method, p.amount, p.state, p.intent_id, p.session_id, p.created_at,
       o.order_no, o.state AS order_state, o.due_at
FROM payments p JOIN orders o ON o.branch_id = p.branch_id AND o.id = p.order_id
WHERE p.branch_id = :branch_id AND p.id = :payment_id

-- name: keep
-- What Stripe has made of a payment; answers the state that it is in now.
WITH kept AS (
    UPDATE payments
    SET state = CASE state WHEN 'opening' THEN 'open' ELSE state END,
        intent_id = coalesce(:intent_id, intent_id), session_id = coalesce(:session_id, session_id)
    WHERE branch_id = :branch_id AND id = :payment_id
    RETURNING *
), claim AS (
    INSERT INTO claims (kind, name, branch_id, event_id)
    SELECT 'payment_intent', intent_id, branch_id, id FROM kept WHERE intent_id IS NOT NULL
    ON CONFLICT (kind, name) DO NOTHING
)
SELECT state FROM kept

-- name: store
INSERT INTO stripe_events (id, type, account, created_at, received_at, payload)
VALUES (:id, :type, :account, :created_at, :now, CAST(CAST(:payload AS text) AS jsonb))
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: waiting
-- Events to work on, as far as nobody else does. What is about a payment is left until the payment is known: a hosted
-- Checkout gets its PaymentIntent late, and its events come in any order. After a day it is somebody else's.
SELECT e.*
FROM stripe_events e
WHERE e.handled_at IS NULL
  AND NOT EXISTS (SELECT FROM pgqueuer WHERE dedupe_key = 'stripe_event-' || e.id)  -- set apart
  AND (
    e.type NOT LIKE ALL (ARRAY['refund.%', 'charge.dispute.%'])
    OR e.payload #>> '{data,object,payment_intent}' IS NULL
    OR e.received_at < CAST(:now AS timestamptz) - interval '1 day'
    OR EXISTS (
        SELECT FROM claims c
        WHERE c.kind = 'payment_intent' AND c.name = e.payload #>> '{data,object,payment_intent}'
    )
)
ORDER BY e.created_at, e.id COLLATE "C"
LIMIT :limit
FOR UPDATE OF e SKIP LOCKED

-- name: match
-- The payments that events are about: by who claims the PaymentIntent, else by what we told Stripe to remember.
SELECT asked.n, p.branch_id, p.id, p.order_id, c.name IS NULL AND asked.intent IS NOT NULL AS is_new
FROM unnest(
    CAST(:ns AS bigint[]), CAST(:intents AS text[]), CAST(:sessions AS text[]), CAST(:branch_ids AS bigint[]),
    CAST(:payment_ids AS bigint[])
) AS asked (n, intent, session, branch_id, payment_id)
LEFT JOIN claims c ON c.kind = 'payment_intent' AND c.name = asked.intent
JOIN payments p ON p.branch_id = coalesce(c.branch_id, asked.branch_id) AND p.id = coalesce(c.event_id, asked.payment_id)
    AND (asked.intent IS NULL OR p.intent_id IS NULL OR p.intent_id = asked.intent)
    AND (asked.session IS NULL OR p.session_id IS NULL OR p.session_id = asked.session)

-- name: learn
-- The PaymentIntents that hosted Checkouts have made.
WITH told AS (
    SELECT DISTINCT ON (branch_id, id) branch_id, id, intent
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:intents AS text[]))
        AS told (branch_id, id, intent)
    ORDER BY branch_id, id, intent COLLATE "C"
), known AS (
    UPDATE payments p SET intent_id = told.intent FROM told
    WHERE p.branch_id = told.branch_id AND p.id = told.id AND coalesce(p.intent_id, told.intent) = told.intent
    RETURNING p.intent_id, p.branch_id, p.id
)
INSERT INTO claims (kind, name, branch_id, event_id)
SELECT 'payment_intent', intent_id, branch_id, id FROM known ORDER BY intent_id COLLATE "C"
ON CONFLICT (kind, name) DO NOTHING

-- name: succeed
-- The payments that have succeeded now; one that we took for cancelled was paid all the same.
-- Stripe counts in whole seconds, so its moment may lie before ours.
UPDATE payments p
SET state = 'succeeded', intent_id = told.intent, succeeded_at = greatest(told.at, p.created_at)
FROM unnest(
    CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:intents AS text[]), CAST(:amounts AS bigint[]),
    CAST(:times AS timestamptz[])
) AS told (branch_id, id, intent, amount, at)
WHERE p.branch_id = told.branch_id AND p.id = told.id AND p.state <> 'succeeded' AND p.amount = told.amount
RETURNING p.branch_id, p.order_id, p.succeeded_at, p.id

-- name: cancel
UPDATE payments p
SET state = 'cancelled'
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[])) AS told (branch_id, id)
WHERE p.branch_id = told.branch_id AND p.id = told.id AND p.state IN ('opening', 'open')
RETURNING p.branch_id, p.order_id, p.id

-- name: not_returned
-- Money that could not go back after all.
UPDATE payments p
SET returned_at = NULL
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[])) AS told (branch_id, id)
WHERE p.branch_id = told.branch_id AND p.id = told.id
RETURNING p.branch_id, p.order_id, p.id

-- name: known_refunds
-- What we know of money that went back: what was asked for, and whether the order has counted it.
SELECT asked.reference, r.id AS refund_id, r.state, r.lines, c.name IS NOT NULL AS is_counted
FROM unnest(
    CAST(:references AS text[]), CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[]),
    CAST(:payment_ids AS bigint[])
) AS asked (reference, branch_id, refund_id, payment_id)
LEFT JOIN refund_requests r
    ON r.branch_id = asked.branch_id AND r.id = asked.refund_id AND r.payment_id = asked.payment_id
LEFT JOIN claims c ON c.kind = 'refund' AND c.name = asked.reference

-- name: undone_before
-- When money that went back was taken back again, of what came in the wrong order and was handled: what still waits
-- will tell by itself. Rare, so no index serves it.
SELECT e.payload #>> '{data,object,id}' AS reference, min(e.created_at) AS at
FROM stripe_events e
WHERE e.handled_at IS NOT NULL AND (
    e.type IN ('refund.failed', 'charge.dispute.funds_reinstated')
    OR (e.type = 'refund.updated' AND e.payload #>> '{data,object,status}' = 'canceled')
) AND e.payload #>> '{data,object,id}' = ANY (CAST(:references AS text[]))
GROUP BY 1

-- name: refund_states
-- A request never goes back to what it was.
UPDATE refund_requests r
SET state = told.state, reference = told.reference
FROM unnest(
    CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:references AS text[])
) AS told (branch_id, id, state, reference)
WHERE r.branch_id = told.branch_id AND r.id = told.id
    AND array_position(ARRAY['sending', 'sent', 'succeeded', 'failed'], r.state)
        < array_position(ARRAY['sending', 'sent', 'succeeded', 'failed'], told.state)

-- name: account_states
-- The newest that Stripe said wins; of two in one second the one that is further on.
WITH told AS (
    SELECT DISTINCT ON (id) *, array_position(ARRAY['inactive', 'pending', 'active'], transfers) AS rank
    FROM unnest(
        CAST(:ids AS text[]), CAST(:transfers AS text[]), CAST(:payouts AS boolean[]), CAST(:details AS boolean[]),
        CAST(:times AS timestamptz[])
    ) AS told (id, transfers, payouts, details, at)
    ORDER BY id, at DESC, rank DESC, payouts DESC, details DESC
)
UPDATE stripe_accounts a
SET transfers = told.transfers, payouts_enabled = told.payouts, details_submitted = told.details, changed_at = told.at
FROM told
WHERE a.id = told.id
    AND (told.at, told.rank, told.payouts, told.details)
        > (a.changed_at, array_position(ARRAY['inactive', 'pending', 'active'], a.transfers), a.payouts_enabled,
           a.details_submitted)
RETURNING a.id

-- name: still_open
SELECT DISTINCT p.branch_id, p.order_id, p.id
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:ids AS bigint[])) AS told (branch_id, id)
JOIN payments p ON p.branch_id = told.branch_id AND p.id = told.id AND p.state = 'open'

-- name: staged_once
DELETE FROM movements a USING movements b WHERE a.id = b.id AND a.ctid > b.ctid

-- name: staged_returns
-- What went back since no order could take it: we know whose payment it was, not what Stripe calls it.
UPDATE movements m
SET kind = 'return', key = m.intent_id
FROM claims c, payments p
WHERE m.kind = 'refund' AND c.kind = 'payment_intent' AND c.name = m.intent_id
    AND p.branch_id = c.branch_id AND p.id = c.event_id AND p.returned_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM refund_requests r WHERE r.reference = m.key)
    AND NOT EXISTS (SELECT FROM claims known WHERE known.kind = 'refund' AND known.name = m.key)

-- name: compare
-- What Stripe says has moved and what we say, by kind and key. Either may know of it a little earlier, so each is looked
-- for in a wider period than is reported. Amounts in another currency than ours cannot be compared.
INSERT INTO breaks (kind, category, reference, ours, theirs, at)
WITH theirs AS (
    SELECT kind, key, sum(amount)::bigint AS amount, bool_and(currency = 'cny') AS is_comparable,
           to_timestamp(min(created)) AS at
    FROM movements GROUP BY kind, key
), back AS (
    SELECT r.reference, r.refunded_at, NULL::timestamptz AS reversed_at, r.branch_id, r.id FROM refunds r
    WHERE r.reverses_id IS NULL
    UNION ALL
    SELECT r.reference, NULL, reversal.refunded_at, r.branch_id, r.id FROM refunds r
    JOIN refunds reversal ON reversal.branch_id = r.branch_id AND reversal.reverses_id = r.id
), ours AS (
    SELECT 'charge' AS kind, p.intent_id AS key, p.amount, p.succeeded_at AS at
    FROM payments p WHERE p.state = 'succeeded'
    UNION ALL
    SELECT 'return', p.intent_id, coalesce(sum(r.amount), 0)::bigint - p.amount, p.returned_at
    FROM payments p
    LEFT JOIN refund_requests r ON r.branch_id = p.branch_id AND r.payment_id = p.id AND r.state <> 'failed'
    WHERE p.returned_at IS NOT NULL
    GROUP BY p.branch_id, p.id
    UNION ALL
    SELECT 'refund', r.reference, -r.amount, r.requested_at
    FROM refund_requests r WHERE r.reference IS NOT NULL
    UNION ALL
    SELECT 'refund_failure', r.reference, r.amount, NULL
    FROM refund_requests r WHERE r.reference IS NOT NULL AND r.state = 'failed'
    UNION ALL
    SELECT 'transfer', t.reference, -p.amount, t.sent_at
    FROM payout_attempts t
    JOIN payouts p ON p.id = t.payout_id
    WHERE t.rail = 'stripe' AND t.reference IS NOT NULL
    UNION ALL
    SELECT CASE WHEN back.reference ~ '^d[up]_'
                THEN CASE WHEN back.reversed_at IS NULL THEN 'dispute' ELSE 'dispute_reversal' END
                ELSE CASE WHEN back.reversed_at IS NULL THEN 'refund' ELSE 'refund_failure' END END,
           back.reference, CASE WHEN back.reversed_at IS NULL THEN -lines.amount ELSE lines.amount END,
           coalesce(back.reversed_at, back.refunded_at)
    FROM back
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.amount), 0)::bigint AS amount
        FROM refund_lines l WHERE l.branch_id = back.branch_id AND l.refund_id = back.id
    ) AS lines
    WHERE back.reference ~ '^(re|pyr|du|dp)_'
        AND NOT EXISTS (SELECT FROM refund_requests r WHERE r.reference = back.reference)
)
SELECT CASE WHEN ours.key IS NULL THEN 'missing_here' WHEN theirs.key IS NULL THEN 'missing_there'
            ELSE 'amount_differs' END,
       coalesce(theirs.kind, ours.kind), coalesce(theirs.key, ours.key), ours.amount, theirs.amount,
       coalesce(theirs.at, ours.at)
FROM theirs FULL JOIN ours ON ours.kind = theirs.kind AND ours.key = theirs.key
WHERE (ours.key IS NULL OR theirs.key IS NULL OR (theirs.is_comparable AND ours.amount <> theirs.amount))
    AND coalesce(theirs.at, ours.at) >= :start AND coalesce(theirs.at, ours.at) < :end
