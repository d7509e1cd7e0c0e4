-- name: keep_breaks
-- What `breaks` holds, of a report. What is settled stays settled while it is the same difference, whoever shows it again.
INSERT INTO rail_breaks (rail, kind, category, reference, ours, theirs, at, report_id)
SELECT :rail, kind, category, reference, ours, theirs, at, :report_id
FROM breaks
ORDER BY at, category, reference
ON CONFLICT (rail, category, reference) DO UPDATE
SET kind = excluded.kind, ours = excluded.ours, theirs = excluded.theirs, report_id = excluded.report_id,
    at = least(rail_breaks.at, excluded.at), resolved_at = NULL, resolved_by = NULL, reason = NULL, closed_by_report_id = NULL
WHERE rail_breaks.resolved_at IS NULL
    OR (rail_breaks.kind, rail_breaks.ours, rail_breaks.theirs) IS DISTINCT FROM (excluded.kind, excluded.ours, excluded.theirs)

-- name: close_breaks
-- Open ones that Stripe's report speaks of, and of which the two agree now. What a report is silent about stays open.
UPDATE rail_breaks b
SET resolved_at = :now, closed_by_report_id = :report_id
WHERE b.rail = 'stripe' AND b.resolved_at IS NULL
    AND EXISTS (SELECT FROM movements m WHERE m.kind = b.category AND m.key = b.reference AND m.currency = 'cny')
    AND NOT EXISTS (SELECT FROM breaks WHERE breaks.category = b.category AND breaks.reference = b.reference)

-- name: answered
-- What we have of each key of a bank's file: the amount of its payout and the state of the attempt.
SELECT t.key, t.reference, p.amount, t.state, p.run_id
FROM payout_attempts t
JOIN payouts p ON p.id = t.payout_id
WHERE t.rail = 'bank' AND t.key = ANY(CAST(:keys AS text[]))

-- name: unanswered
-- Of the runs that a bank's file is about: what it was told to pay and says nothing of.
INSERT INTO breaks (kind, category, reference, ours, theirs, at)
SELECT 'missing_there', 'payout', t.key, -p.amount, NULL, t.created_at
FROM payouts p
JOIN payout_attempts t ON t.payout_id = p.id AND t.rail = 'bank' AND t.state = 'sending'
WHERE p.run_id = ANY(CAST(:run_ids AS bigint[])) AND t.created_at < :now AND NOT EXISTS (
    SELECT FROM rail_breaks b
    WHERE b.rail = 'bank' AND b.category = 'payout' AND b.reference = t.key AND b.kind <> 'missing_there'
)

-- name: close_answered
UPDATE rail_breaks
SET resolved_at = :now, closed_by_report_id = :report_id
WHERE rail = 'bank' AND resolved_at IS NULL AND category = 'payout' AND reference = ANY(CAST(:keys AS text[]))
    AND report_id <> :report_id
