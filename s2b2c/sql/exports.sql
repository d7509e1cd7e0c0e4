-- name: runs_of_period
-- The runs that are closed and were paid in a period.
SELECT id FROM settlement_runs
WHERE pay_on >= :start AND pay_on < :end AND state IN ('approved', 'paying', 'paid')
ORDER BY id

-- name: control_totals
-- What each kind of payee gets by its statements (`statements` to `debt_added`), by what stands in them (`of_`), and by
-- the transfers of just that (`posted_`). What a statement withholds and owes is posted when its run is approved.
WITH wanted AS MATERIALIZED (
    SELECT s.*, CASE WHEN s.brand_id IS NULL THEN 'distributor' ELSE 'brand' END AS payee,
           coalesce(own.id, its.id) AS account_id, r.state IN ('approved', 'paying', 'paid') AS is_closed
    FROM statements s
    JOIN settlement_runs r ON r.id = s.run_id
    LEFT JOIN ledger_accounts own ON own.kind = 'commission_payable' AND own.distributor_id = s.distributor_id
    LEFT JOIN ledger_accounts its ON its.kind = 'brand_payable' AND its.brand_id = s.brand_id
    WHERE s.run_id = ANY(CAST(:run_ids AS bigint[]))
), earned AS (
    -- What stands in the statements, and what was posted of just those orders to just those payees.
    SELECT 'distributor' AS payee, own.lines, own.amount, posted.amount AS posted
    FROM (
        SELECT count(*) AS lines, sum(c.amount)::bigint AS amount
        FROM wanted w
        JOIN commissions c ON c.statement_id = w.id
        WHERE w.brand_id IS NULL
    ) AS own
    CROSS JOIN (
        SELECT sum(t.amount)::bigint AS amount
        FROM transfers t
        WHERE t.code = 'commission' AND t.source_type = 'order' AND (t.branch_id, t.source_id, t.credit_account_id) IN (
            SELECT l.branch_id, l.order_id, w.account_id
            FROM wanted w
            JOIN commissions c ON c.statement_id = w.id
            JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
            WHERE w.brand_id IS NULL
        )
    ) AS posted
    UNION ALL
    SELECT 'brand', own.lines, own.amount, posted.amount
    FROM (
        SELECT count(*) AS lines, sum(l.quantity * l.supply_price)::bigint AS amount
        FROM wanted w
        JOIN order_lines l ON l.statement_id = w.id
        WHERE w.brand_id IS NOT NULL
    ) AS own
    CROSS JOIN (
        SELECT sum(t.amount)::bigint AS amount
        FROM transfers t
        WHERE t.code = 'supply' AND t.source_type = 'order' AND (t.branch_id, t.source_id, t.credit_account_id) IN (
            SELECT l.branch_id, l.order_id, w.account_id
            FROM wanted w
            JOIN order_lines l ON l.statement_id = w.id
            WHERE w.brand_id IS NOT NULL
        )
    ) AS posted
), other AS MATERIALIZED (
    -- The same of refunds and adjustments: what takes from a payee debits its account.
    SELECT own.payee, own.source_type, sum(own.lines)::bigint AS lines, sum(own.amount)::bigint AS amount,
           sum(CASE WHEN (t.credit_account_id = own.account_id) = (own.source_type = 'adjustment') THEN t.amount
                    ELSE -t.amount END)::bigint AS posted
    FROM (
        SELECT 'distributor' AS payee, 'refund' AS source_type, 'clawback' AS code, w.account_id, c.branch_id,
               c.refund_id AS source_id, count(*) AS lines, sum(c.amount)::bigint AS amount
        FROM wanted w
        JOIN clawbacks c ON c.statement_id = w.id
        WHERE w.brand_id IS NULL
        GROUP BY w.account_id, c.branch_id, c.refund_id
        UNION ALL
        SELECT 'brand', 'refund', 'supply_return', w.account_id, l.branch_id, l.refund_id, count(*), sum(l.supply)::bigint
        FROM wanted w
        JOIN refund_lines l ON l.statement_id = w.id
        WHERE w.brand_id IS NOT NULL
        GROUP BY w.account_id, l.branch_id, l.refund_id
        UNION ALL
        SELECT w.payee, 'adjustment', 'adjustment', w.account_id, 0, a.id, 1, a.amount
        FROM wanted w
        JOIN adjustments a ON a.statement_id = w.id
    ) AS own
    LEFT JOIN transfers t ON t.branch_id = own.branch_id AND t.source_type = own.source_type
        AND t.source_id = own.source_id AND t.code = own.code
        AND own.account_id IN (t.debit_account_id, t.credit_account_id)
    GROUP BY own.payee, own.source_type
), closing AS MATERIALIZED (
    SELECT w.payee, t.code, sum(t.amount) AS amount
    FROM wanted w
    JOIN transfers t ON t.branch_id = 0 AND t.source_type = 'statement' AND t.source_id = w.id
    GROUP BY w.payee, t.code
)
SELECT total.*, coalesce(earned.lines, 0) + coalesce(refunded.lines, 0) AS of_lines,
       coalesce(earned.amount, 0) AS of_gross, coalesce(earned.posted, 0) AS posted_gross,
       coalesce(refunded.amount, 0) AS of_clawbacks, coalesce(refunded.posted, 0) AS posted_clawbacks,
       coalesce(adjusted.lines, 0) AS adjustment_lines, coalesce(adjusted.amount, 0) AS of_adjustments,
       coalesce(adjusted.posted, 0) AS posted_adjustments, by_statement.*
FROM (
    SELECT kind.payee, count(id) AS statements, coalesce(sum(lines), 0)::bigint AS lines,
           coalesce(sum(gross), 0)::bigint AS gross, coalesce(sum(clawbacks), 0)::bigint AS clawbacks,
           coalesce(sum(adjustments), 0)::bigint AS adjustments, coalesce(sum(withheld), 0)::bigint AS withheld,
           coalesce(sum(debt_offset), 0)::bigint AS debt_offset, coalesce(sum(net), 0)::bigint AS net,
           coalesce(sum(carry_in), 0)::bigint AS carry_in, coalesce(sum(payout), 0)::bigint AS payout,
           coalesce(sum(carry_out), 0)::bigint AS carry_out, coalesce(sum(debt_added), 0)::bigint AS debt_added,
           coalesce(sum(withheld) FILTER (WHERE is_closed), 0)::bigint AS due_withholding,
           coalesce(sum(debt_offset) FILTER (WHERE is_closed), 0)::bigint AS due_debt_offset,
           coalesce(sum(debt_added) FILTER (WHERE is_closed), 0)::bigint AS due_debt
    FROM (VALUES ('distributor'), ('brand')) AS kind (payee)
    LEFT JOIN wanted ON wanted.payee = kind.payee
    GROUP BY kind.payee
) AS total
LEFT JOIN earned ON earned.payee = total.payee
LEFT JOIN other AS refunded ON refunded.payee = total.payee AND refunded.source_type = 'refund'
LEFT JOIN other AS adjusted ON adjusted.payee = total.payee AND adjusted.source_type = 'adjustment'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE code = 'withholding'), 0)::bigint AS posted_withholding,
           coalesce(sum(amount) FILTER (WHERE code = 'debt_offset'), 0)::bigint AS posted_debt_offset,
           coalesce(sum(amount) FILTER (WHERE code = 'debt'), 0)::bigint AS posted_debt
    FROM closing WHERE closing.payee = total.payee
) AS by_statement
ORDER BY total.payee = 'brand'

-- name: journal_totals
SELECT code, count(*) AS transfers, sum(amount)::bigint AS amount
FROM transfers
WHERE posted_at >= CAST(:start AS timestamptz) AND posted_at < CAST(:end AS timestamptz)
GROUP BY code
ORDER BY code COLLATE "C"

-- name: income_totals
-- Of those whose tax is told: how many have said who they are.
SELECT p.id IS NOT NULL AS is_told, count(DISTINCT s.distributor_id) AS persons,
       count(DISTINCT (s.distributor_id, s.withholding)) AS rows,
       sum(s.gross - s.clawbacks + s.adjustments)::bigint AS income, sum(s.withheld)::bigint AS withheld
FROM statements s
LEFT JOIN payees p ON p.distributor_id = s.distributor_id
WHERE s.run_id = ANY(CAST(:run_ids AS bigint[])) AND s.distributor_id IS NOT NULL
GROUP BY 1

-- name: batch
-- The attempts that a bank is to make and has not answered: what it has answered is never told to it again.
SELECT t.id, t.key, p.amount, p.statement_id, s.payout, s.run_id, s.distributor_id, s.brand_id,
       coalesce(own.id, its.id) IS NOT NULL AS is_told
FROM payouts p
JOIN payout_attempts t ON t.payout_id = p.id
JOIN statements s ON s.id = p.statement_id
LEFT JOIN payees own ON own.distributor_id = p.distributor_id
LEFT JOIN payees its ON its.brand_id = p.brand_id
WHERE p.run_id = ANY(CAST(:run_ids AS bigint[])) AND t.rail = 'bank' AND t.state = 'sending'

-- name: batch_totals
-- What attempts come to, what their statements pay out, and what the ledger has on its way.
SELECT batch.is_told, count(*) AS payouts, sum(batch.amount)::bigint AS payout, sum(batch.payout)::bigint AS of_payout,
       coalesce(sum(t.amount), 0)::bigint AS posted_payout
FROM (
-- include: exports.batch
) AS batch
LEFT JOIN transfers t ON t.branch_id = 0 AND t.source_type = 'payout' AND t.source_id = batch.id AND t.code = 'payout'
GROUP BY batch.is_told

-- name: record_reads
-- Whose details a document holds, written down by who reads them.
INSERT INTO personal_reads (at, account_id, reader_id, purpose, kinds, distributor_id, brand_id)
SELECT :at, :account_id, :reader_id, 'payout', '{bank_account,identity_number,legal_name}', p.distributor_id, p.brand_id
FROM payees p
WHERE CASE
    WHEN :document = 'bank_batch' THEN EXISTS (
        SELECT FROM (
-- include: exports.batch
        ) AS batch
        WHERE batch.distributor_id = p.distributor_id OR batch.brand_id = p.brand_id
    )
    ELSE EXISTS (
        SELECT FROM statements s
        WHERE s.run_id = ANY(CAST(:run_ids AS bigint[])) AND s.distributor_id = p.distributor_id
    ) OR :document <> 'withholding_report' AND EXISTS (
        SELECT FROM statements s
        WHERE s.run_id = ANY(CAST(:run_ids AS bigint[])) AND s.brand_id = p.brand_id
    )
END
ORDER BY p.id

-- name: statement_detail
-- Sorted first and formatted after: what is sorted is smaller than what is written.
SELECT CAST(:words AS jsonb) ->> payee, safe_cell(code, :guarded), safe_cell(name, :guarded), statement_id,
       safe_cell(order_no, :guarded), to_char(paid_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(completed_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(matures_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       safe_cell(slug, :guarded), line_no, safe_cell(title, :guarded), safe_cell(sku, :guarded), quantity, yuan(paid),
       position, yuan(base_amount), rate_bps, yuan(amount), amount,
       (CAST(:words AS jsonb) ->> outcome) || coalesce(CAST(:words AS jsonb) ->> 'colon' || reason, '')
FROM (
    SELECT 1 AS part, 'distributor' AS payee, d.code, d.name, part.statement_id, o.order_no, o.paid_at, o.completed_at,
           greatest(o.matures_at, part.refunded_at) AS matures_at, store.slug, l.line_no, p.title, v.sku, l.quantity, l.paid,
           part.position, part.base_amount, part.rate_bps, part.amount, part.outcome, NULL::text AS reason,
           coalesce(part.refund_id, 0) AS source_id
    FROM statements s
    JOIN distributors d ON d.id = s.distributor_id
    JOIN (
        SELECT branch_id, line_id, distributor_id, statement_id, position, base_amount, rate_bps, amount, outcome,
               NULL::bigint AS refund_id, NULL::timestamptz AS refunded_at
        FROM commissions
        UNION ALL
        SELECT b.branch_id, b.line_id, b.distributor_id, b.statement_id, c.position, NULL, NULL, -b.amount, 'clawback',
               r.id, r.refunded_at
        FROM clawbacks b
        JOIN commissions c ON c.branch_id = b.branch_id AND c.line_id = b.line_id AND c.position = b.position
        JOIN refunds r ON r.branch_id = b.branch_id AND r.id = b.refund_id
    ) AS part ON part.distributor_id = s.distributor_id AND part.statement_id = s.id
    JOIN order_lines l ON l.branch_id = part.branch_id AND l.id = part.line_id
    JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
    JOIN stores store ON store.id = o.store_id
    JOIN products p ON p.id = l.product_id
    JOIN variants v ON v.id = l.variant_id
    WHERE s.run_id = ANY(CAST(:run_ids AS bigint[]))
    UNION ALL
    SELECT 2, 'brand', b.name, b.name, part.statement_id, o.order_no, o.paid_at, o.completed_at,
           greatest(o.matures_at, part.refunded_at), store.slug, l.line_no, p.title, v.sku, l.quantity, l.paid,
           NULL, NULL, NULL, part.amount, part.kind, NULL, coalesce(part.refund_id, 0)
    FROM statements s
    JOIN brands b ON b.id = s.brand_id
    JOIN (
        SELECT branch_id, id AS line_id, statement_id, quantity * supply_price AS amount, 'supply' AS kind,
               NULL::bigint AS refund_id, NULL::timestamptz AS refunded_at
        FROM order_lines
        UNION ALL
        SELECT l.branch_id, l.line_id, l.statement_id, -l.supply, 'return', r.id, r.refunded_at
        FROM refund_lines l
        JOIN refunds r ON r.branch_id = l.branch_id AND r.id = l.refund_id
    ) AS part ON part.statement_id = s.id
    JOIN order_lines l ON l.branch_id = part.branch_id AND l.id = part.line_id
    JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
    JOIN stores store ON store.id = o.store_id
    JOIN products p ON p.id = l.product_id
    JOIN variants v ON v.id = l.variant_id
    WHERE s.run_id = ANY(CAST(:run_ids AS bigint[]))
    UNION ALL
    SELECT CASE WHEN s.brand_id IS NULL THEN 1 ELSE 2 END, CASE WHEN s.brand_id IS NULL THEN 'distributor' ELSE 'brand' END,
           coalesce(d.code, b.name), coalesce(d.name, b.name), s.id, NULL, NULL, NULL,
           a.dated::timestamp AT TIME ZONE 'Asia/Shanghai', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, a.amount,
           'adjustment', a.reason, a.id
    FROM statements s
    JOIN adjustments a ON a.statement_id = s.id
    LEFT JOIN distributors d ON d.id = s.distributor_id
    LEFT JOIN brands b ON b.id = s.brand_id
    WHERE s.run_id = ANY(CAST(:run_ids AS bigint[]))
) AS line
ORDER BY part, code COLLATE "C", order_no COLLATE "C" NULLS LAST, line_no, position, statement_id, source_id

-- name: statement_summary
SELECT CAST(:words AS jsonb) ->> CASE WHEN s.brand_id IS NULL THEN 'distributor' ELSE 'brand' END,
       safe_cell(coalesce(d.code, b.name), :guarded), safe_cell(coalesce(d.name, b.name), :guarded), s.id, s.run_id,
       to_char(r.cutoff AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'), to_char(r.pay_on, 'YYYY-MM-DD'),
       s.lines, yuan(s.gross), yuan(s.clawbacks), yuan(s.adjustments), CAST(:words AS jsonb) ->> s.withholding,
       yuan(s.withheld), yuan(s.debt_in), yuan(s.debt_offset), yuan(s.net), yuan(s.carry_in), yuan(s.payout),
       yuan(s.carry_out), yuan(s.debt_added), s.payout
FROM statements s
JOIN settlement_runs r ON r.id = s.run_id
LEFT JOIN distributors d ON d.id = s.distributor_id
LEFT JOIN brands b ON b.id = s.brand_id
WHERE s.run_id = ANY(CAST(:run_ids AS bigint[]))
ORDER BY s.brand_id IS NOT NULL, coalesce(d.code, b.name) COLLATE "C", s.id

-- name: bank_batch
SELECT CAST(:words AS jsonb) ->> CASE WHEN batch.brand_id IS NULL THEN 'distributor' ELSE 'brand' END,
       safe_cell(coalesce(d.code, b.name), :guarded), safe_cell(coalesce(d.name, b.name), :guarded), batch.statement_id,
       to_char(r.pay_on, 'YYYY-MM-DD'), batch.key, yuan(batch.amount), batch.amount
FROM (
-- include: exports.batch
) AS batch
JOIN settlement_runs r ON r.id = batch.run_id
LEFT JOIN distributors d ON d.id = batch.distributor_id
LEFT JOIN brands b ON b.id = batch.brand_id
WHERE batch.is_told
ORDER BY batch.brand_id IS NOT NULL, coalesce(d.code, b.name) COLLATE "C", batch.id

-- name: brand_payable
SELECT safe_cell(b.name, :guarded), safe_cell(b.name, :guarded), s.run_id, s.id,
       to_char(r.cutoff AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'), to_char(r.pay_on, 'YYYY-MM-DD'),
       coalesce(sold.orders, 0), coalesce(sold.units, 0), yuan(s.gross), yuan(s.clawbacks), yuan(s.adjustments), yuan(s.net),
       yuan(s.carry_in), yuan(s.payout), yuan(s.carry_out), s.payout
FROM statements s
JOIN settlement_runs r ON r.id = s.run_id
JOIN brands b ON b.id = s.brand_id
LEFT JOIN (
    SELECT l.statement_id, count(DISTINCT (l.branch_id, l.order_id)) AS orders, sum(l.quantity)::bigint AS units
    FROM statements s
    JOIN order_lines l ON l.statement_id = s.id
    WHERE s.run_id = ANY(CAST(:run_ids AS bigint[])) AND s.brand_id IS NOT NULL
    GROUP BY l.statement_id
) AS sold ON sold.statement_id = s.id
WHERE s.run_id = ANY(CAST(:run_ids AS bigint[]))
ORDER BY b.name COLLATE "C", s.id

-- name: withholding_report
-- One row per person and policy. A policy may change within a quarter.
SELECT safe_cell(d.code, :guarded), safe_cell(d.name, :guarded), :period, s.statement_id, s.statements,
       CAST(:words AS jsonb) ->> s.withholding, yuan(s.gross), yuan(s.clawbacks), yuan(s.adjustments), yuan(s.income),
       yuan(s.withheld), s.income, s.withheld
FROM (
    SELECT distributor_id, withholding, max(id) AS statement_id, count(*) AS statements, sum(gross)::bigint AS gross,
           sum(clawbacks)::bigint AS clawbacks, sum(adjustments)::bigint AS adjustments,
           sum(gross - clawbacks + adjustments)::bigint AS income, sum(withheld)::bigint AS withheld
    FROM statements
    WHERE run_id = ANY(CAST(:run_ids AS bigint[])) AND distributor_id IS NOT NULL
    GROUP BY distributor_id, withholding
) AS s
JOIN distributors d ON d.id = s.distributor_id
ORDER BY d.code COLLATE "C", s.withholding COLLATE "C"

-- name: ledger_journal
SELECT to_char(posted_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'), branch_id, id,
       CAST(:words AS jsonb) ->> ('code ' || code), CAST(:words AS jsonb) ->> ('source ' || source_type),
       safe_cell(coalesce(order_no, source_id::text), :guarded),
       (CAST(:words AS jsonb) ->> ('account ' || debit_kind)) || coalesce(' ' || debit_rail, ''),
       safe_cell(debit_owner, :guarded),
       (CAST(:words AS jsonb) ->> ('account ' || credit_kind)) || coalesce(' ' || credit_rail, ''),
       safe_cell(credit_owner, :guarded), yuan(amount), amount
FROM (
    SELECT t.posted_at, t.branch_id, t.id, t.code, t.source_type, t.source_id, o.order_no, t.amount,
           debit.kind AS debit_kind, debit.rail AS debit_rail, debit.owner AS debit_owner,
           credit.kind AS credit_kind, credit.rail AS credit_rail, credit.owner AS credit_owner
    FROM transfers t
    JOIN (
-- include: exports.named_accounts
    ) AS debit ON debit.id = t.debit_account_id
    JOIN (
-- include: exports.named_accounts
    ) AS credit ON credit.id = t.credit_account_id
    LEFT JOIN refunds r ON t.source_type = 'refund' AND r.branch_id = t.branch_id AND r.id = t.source_id
    LEFT JOIN orders o ON o.branch_id = t.branch_id
        AND o.id = CASE t.source_type WHEN 'order' THEN t.source_id WHEN 'refund' THEN r.order_id END
    WHERE t.posted_at >= CAST(:start AS timestamptz) AND t.posted_at < CAST(:end AS timestamptz)
) AS entry
ORDER BY entry.posted_at, branch_id, id

-- name: named_accounts
SELECT a.id, a.kind, a.rail, coalesce(d.code || ' ' || d.name, b.name) AS owner
FROM ledger_accounts a
LEFT JOIN distributors d ON d.id = a.distributor_id
LEFT JOIN brands b ON b.id = a.brand_id

-- name: catalogue
-- What a brand supplies, at the prices of today: a row for each variant, those of a product together.
SELECT p.code, p.title, p.category, p.tonalities, p.audiences, p.image_url, v.sku, v.options, v.stock,
       price.supply_price, price.suggested_price, price.min_price, price.max_price, price.tier_costs
FROM products p
JOIN variants v ON v.product_id = p.id
JOIN prices price ON price.variant_id = v.id AND upper_inf(price.during)
WHERE p.brand_id = :brand_id
ORDER BY p.id, v.id
