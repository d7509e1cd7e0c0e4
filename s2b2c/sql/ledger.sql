-- name: open_accounts
-- The payable accounts of whoever has a part in these orders, made where they are missing.
WITH batch AS (
    SELECT * FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
), brand AS (
    SELECT DISTINCT l.brand_id AS id
    FROM batch
    CROSS JOIN LATERAL (
        SELECT brand_id FROM order_lines WHERE branch_id = batch.branch_id AND order_id = batch.order_id OFFSET 0
    ) AS l
), distributor AS (
    SELECT DISTINCT u.id
    FROM batch
    CROSS JOIN LATERAL (
        SELECT upline FROM orders WHERE branch_id = batch.branch_id AND id = batch.order_id OFFSET 0
    ) AS o
    CROSS JOIN LATERAL unnest(o.upline) AS u (id)
), missing AS (
    SELECT 'brand_payable' AS kind, id AS brand_id, NULL::bigint AS distributor_id FROM brand
    WHERE NOT EXISTS (SELECT FROM ledger_accounts a WHERE a.kind = 'brand_payable' AND a.brand_id = brand.id)
    UNION ALL
    SELECT 'commission_payable', NULL::bigint, id FROM distributor
    WHERE NOT EXISTS (SELECT FROM ledger_accounts a WHERE a.kind = 'commission_payable' AND a.distributor_id = distributor.id)
)
INSERT INTO ledger_accounts (kind, brand_id, distributor_id)
SELECT kind, brand_id, distributor_id FROM missing
ORDER BY kind, brand_id, distributor_id
ON CONFLICT DO NOTHING

-- name: post_payments
-- The whole of `paid` of each order: clearing -> escrow; freight is the platform's at once. Nothing, and no row, while an
-- account that this needs is missing.
WITH account AS MATERIALIZED (
    SELECT clearing.id AS clearing, escrow.id AS escrow, revenue.id AS revenue
    FROM ledger_accounts clearing, ledger_accounts escrow, ledger_accounts revenue
    WHERE clearing.kind = 'clearing' AND clearing.rail = :rail AND escrow.kind = 'escrow' AND revenue.kind = 'revenue'
), posted AS (
    INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
    SELECT batch.branch_id, 'order', batch.order_id, part.code, account.clearing, part.credit_account_id, part.amount,
           o.paid_at
    FROM account
    CROSS JOIN unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    CROSS JOIN LATERAL (
        SELECT paid_at, freight FROM orders WHERE branch_id = batch.branch_id AND id = batch.order_id OFFSET 0
    ) AS o
    CROSS JOIN LATERAL (
        SELECT sum(paid) AS paid FROM order_lines WHERE branch_id = batch.branch_id AND order_id = batch.order_id
    ) AS line
    CROSS JOIN LATERAL (
        VALUES ('payment', account.escrow, line.paid), ('freight', account.revenue, o.freight)
    ) AS part (code, credit_account_id, amount)
    WHERE part.amount > 0
    ORDER BY batch.order_id, part.credit_account_id
)
SELECT clearing FROM account

-- name: post_completions
-- The split of what was paid for each order: escrow -> brands, distributors and revenue; a negative platform part is paid
-- in by revenue. What was refunded before comes back by `post_returns`.
WITH batch AS (
    SELECT batch.branch_id, batch.order_id, o.completed_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    CROSS JOIN LATERAL (
        SELECT completed_at FROM orders WHERE branch_id = batch.branch_id AND id = batch.order_id OFFSET 0
    ) AS o
), line AS MATERIALIZED (
    SELECT b.branch_id, b.order_id, b.completed_at, l.id, l.brand_id, l.paid, l.quantity * l.supply_price AS supply
    FROM batch b
    CROSS JOIN LATERAL (
        SELECT * FROM order_lines WHERE branch_id = b.branch_id AND order_id = b.order_id OFFSET 0
    ) AS l
), of_brand AS MATERIALIZED (
    SELECT branch_id, order_id, completed_at, brand_id, sum(supply) AS supply, sum(paid) - sum(supply) AS rest
    FROM line
    GROUP BY branch_id, order_id, completed_at, brand_id
), of_distributor AS MATERIALIZED (
    SELECT l.branch_id, l.order_id, l.completed_at, c.distributor_id, sum(c.amount) AS commission
    FROM line l
    CROSS JOIN LATERAL (
        SELECT distributor_id, amount FROM commissions WHERE branch_id = l.branch_id AND line_id = l.id AND amount > 0 OFFSET 0
    ) AS c
    GROUP BY l.branch_id, l.order_id, l.completed_at, c.distributor_id
), of_platform AS (
    SELECT branch_id, order_id, completed_at, sum(rest) AS rest
    FROM (
        SELECT branch_id, order_id, completed_at, rest FROM of_brand
        UNION ALL
        SELECT branch_id, order_id, completed_at, -commission FROM of_distributor
    ) AS rest
    GROUP BY branch_id, order_id, completed_at
), part AS (
    SELECT branch_id, order_id, completed_at, 'supply' AS code,
           CAST(:escrow AS bigint) AS debit_account_id, a.id AS credit_account_id, supply AS amount
    FROM of_brand LEFT JOIN ledger_accounts a ON a.kind = 'brand_payable' AND a.brand_id = of_brand.brand_id
    UNION ALL
    SELECT branch_id, order_id, completed_at, 'commission', CAST(:escrow AS bigint), a.id, commission
    FROM of_distributor d
    LEFT JOIN ledger_accounts a ON a.kind = 'commission_payable' AND a.distributor_id = d.distributor_id
    UNION ALL
    SELECT branch_id, order_id, completed_at, CASE WHEN rest < 0 THEN 'subsidy' ELSE 'revenue' END,
           CASE WHEN rest < 0 THEN CAST(:revenue AS bigint) ELSE CAST(:escrow AS bigint) END,
           CASE WHEN rest < 0 THEN CAST(:escrow AS bigint) ELSE CAST(:revenue AS bigint) END, abs(rest)
    FROM of_platform
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT branch_id, 'order', order_id, code, debit_account_id, credit_account_id, amount, completed_at
FROM part
WHERE amount > 0
ORDER BY order_id, code, credit_account_id

-- name: post_refunds
-- What was refunded goes from escrow, and its freight from revenue, to where its payment came from; a reversed refund goes
-- the other way.
WITH part AS (
    SELECT r.branch_id, r.id, r.refunded_at, payment.clearing, part.*
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refunds r ON r.branch_id = batch.branch_id AND r.id = batch.refund_id
    LEFT JOIN LATERAL (
        SELECT debit_account_id AS clearing FROM transfers
        WHERE branch_id = r.branch_id AND source_type = 'order' AND source_id = r.order_id AND code IN ('payment', 'freight')
        LIMIT 1
    ) AS payment ON true
    CROSS JOIN LATERAL (
        SELECT sum(amount) AS amount FROM refund_lines WHERE branch_id = r.branch_id AND refund_id = r.id
    ) AS line
    CROSS JOIN LATERAL (
        VALUES ('refund', CAST(:escrow AS bigint), line.amount), ('freight_refund', CAST(:revenue AS bigint), r.freight)
    ) AS part (code, account_id, amount)
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT branch_id, 'refund', id, code, CASE WHEN amount > 0 THEN account_id ELSE clearing END,
       CASE WHEN amount > 0 THEN clearing ELSE account_id END, abs(amount), refunded_at
FROM part
WHERE amount <> 0
ORDER BY id, account_id

-- name: post_returns
-- What brands, distributors and the platform give back to escrow, now that they have got their parts of the order.
WITH batch AS MATERIALIZED (
    SELECT r.branch_id, r.id, greatest(r.refunded_at, o.completed_at) AS posted_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refunds r ON r.branch_id = batch.branch_id AND r.id = batch.refund_id
    JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
    WHERE o.completed_at IS NOT NULL
), returned AS (
    SELECT b.branch_id, b.id, 'supply_return' AS code, a.id AS account_id, sum(r.supply) AS amount, sum(r.amount) AS total
    FROM batch b
    JOIN refund_lines r ON r.branch_id = b.branch_id AND r.refund_id = b.id
    JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
    LEFT JOIN ledger_accounts a ON a.kind = 'brand_payable' AND a.brand_id = l.brand_id
    GROUP BY b.branch_id, b.id, a.id
    UNION ALL
    SELECT b.branch_id, b.id, 'clawback', a.id, sum(c.amount), 0
    FROM batch b
    JOIN clawbacks c ON c.branch_id = b.branch_id AND c.refund_id = b.id
    LEFT JOIN ledger_accounts a ON a.kind = 'commission_payable' AND a.distributor_id = c.distributor_id
    GROUP BY b.branch_id, b.id, a.id
), part AS (
    SELECT branch_id, id, code, account_id, amount FROM returned
    UNION ALL
    SELECT branch_id, id, 'revenue_return', CAST(:revenue AS bigint), sum(total - amount)
    FROM returned GROUP BY branch_id, id
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT branch_id, 'refund', id, code, CASE WHEN amount > 0 THEN account_id ELSE :escrow END,
       CASE WHEN amount > 0 THEN :escrow ELSE account_id END, abs(amount), posted_at
FROM part JOIN batch USING (branch_id, id)
WHERE amount <> 0
ORDER BY id, code, account_id

-- name: open_statement_accounts
-- The debt accounts of those whose statements add to a debt, and the one of tax, made where they are missing and needed; all
-- others are there.
INSERT INTO ledger_accounts (kind, distributor_id)
SELECT 'debt', s.distributor_id
FROM statements s
WHERE s.run_id = :run_id AND s.debt_added > 0
  AND NOT EXISTS (SELECT FROM ledger_accounts a WHERE a.kind = 'debt' AND a.distributor_id = s.distributor_id)
UNION ALL
SELECT 'tax_payable', NULL WHERE EXISTS (SELECT FROM statements WHERE run_id = :run_id AND withheld > 0)
ORDER BY 1, 2
ON CONFLICT DO NOTHING

-- name: post_statements
-- Tax: payable -> tax payable. What a statement comes to below 0 is owed by its payee: debt -> payable. What pays a debt
-- off: payable -> debt.
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT 0, 'statement', s.id, part.code, part.debit_account_id, part.credit_account_id, part.amount, :at
FROM statements s
LEFT JOIN ledger_accounts payable ON payable.kind = 'commission_payable' AND payable.distributor_id = s.distributor_id
LEFT JOIN ledger_accounts debt ON debt.kind = 'debt' AND debt.distributor_id = s.distributor_id
LEFT JOIN ledger_accounts tax ON tax.kind = 'tax_payable'
CROSS JOIN LATERAL (
    VALUES ('withholding', payable.id, tax.id, s.withheld),
           ('debt', debt.id, payable.id, s.debt_added),
           ('debt_offset', payable.id, debt.id, s.debt_offset)
) AS part (code, debit_account_id, credit_account_id, amount)
WHERE s.run_id = :run_id AND s.distributor_id IS NOT NULL AND part.amount > 0
ORDER BY s.id, part.code

-- name: post_payouts
-- What attempts to pay out move: the payable account of the payee, what is in transit, and the clearing account of a rail.
WITH part AS (
    SELECT t.id, p.amount,
           CASE CAST(:debit AS text) WHEN 'payable' THEN payable.id ELSE CAST(:account_id AS bigint) END AS debit_account_id,
           CASE CAST(:credit AS text) WHEN 'payable' THEN payable.id ELSE CAST(:other_account_id AS bigint) END AS credit_account_id
    FROM payout_attempts t
    JOIN payouts p ON p.id = t.payout_id
    LEFT JOIN ledger_accounts payable
        ON payable.kind = CASE WHEN p.brand_id IS NULL THEN 'commission_payable' ELSE 'brand_payable' END
       AND payable.brand_id IS NOT DISTINCT FROM p.brand_id AND payable.distributor_id IS NOT DISTINCT FROM p.distributor_id
    WHERE t.id = ANY(CAST(:attempt_ids AS bigint[]))
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT 0, 'payout', id, :code, debit_account_id, credit_account_id, amount, :at
FROM part
ORDER BY id
