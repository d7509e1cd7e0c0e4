-- name: open_accounts
-- The payable accounts of whoever has a part in these orders, made where they are missing.
WITH batch AS (
    SELECT * FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
), owner AS (
    SELECT DISTINCT 'brand_payable' AS kind, l.brand_id, NULL::bigint AS distributor_id
    FROM batch JOIN order_lines l USING (branch_id, order_id)
    UNION ALL
    SELECT DISTINCT 'commission_payable', NULL::bigint, u.distributor_id
    FROM batch
    JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
    CROSS JOIN LATERAL unnest(o.upline) AS u (distributor_id)
)
INSERT INTO ledger_accounts (kind, brand_id, distributor_id)
SELECT kind, brand_id, distributor_id FROM owner
WHERE NOT EXISTS (
    SELECT FROM ledger_accounts a
    WHERE a.kind = owner.kind
      AND a.brand_id IS NOT DISTINCT FROM owner.brand_id AND a.distributor_id IS NOT DISTINCT FROM owner.distributor_id
)
ORDER BY kind, brand_id, distributor_id
ON CONFLICT DO NOTHING

-- name: post_payments
-- The whole of `paid` of each order: clearing -> escrow.
WITH batch AS (
    SELECT * FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT o.branch_id, 'order', o.id, 'payment', :clearing, :escrow, sum(l.paid), o.paid_at
FROM batch
JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
GROUP BY o.branch_id, o.id
HAVING sum(l.paid) > 0
ORDER BY o.id

-- name: post_completions
-- The split of each order: escrow -> brands, distributors and revenue; a negative platform part is paid in by revenue.
WITH batch AS (
    SELECT o.branch_id, o.id AS order_id, o.completed_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
), of_brand AS MATERIALIZED (
    SELECT branch_id, order_id, completed_at, l.brand_id, sum(l.supply) AS supply, sum(l.platform) AS platform
    FROM batch JOIN order_lines l USING (branch_id, order_id)
    GROUP BY branch_id, order_id, completed_at, l.brand_id
), part AS (
    SELECT branch_id, order_id, completed_at, 'supply' AS code,
           CAST(:escrow AS bigint) AS debit_account_id, a.id AS credit_account_id, supply AS amount
    FROM of_brand LEFT JOIN ledger_accounts a ON a.kind = 'brand_payable' AND a.brand_id = of_brand.brand_id
    UNION ALL
    SELECT l.branch_id, order_id, completed_at, 'commission', CAST(:escrow AS bigint), a.id, sum(c.amount)
    FROM batch JOIN order_lines l USING (branch_id, order_id)
    CROSS JOIN LATERAL (  -- line by line: the planner may know nothing yet of what was written a moment ago
        SELECT c.distributor_id, c.amount FROM commissions c
        WHERE c.branch_id = l.branch_id AND c.line_id = l.id AND c.amount > 0
        OFFSET 0
    ) AS c
    LEFT JOIN ledger_accounts a ON a.kind = 'commission_payable' AND a.distributor_id = c.distributor_id
    GROUP BY l.branch_id, order_id, completed_at, a.id
    UNION ALL
    SELECT branch_id, order_id, completed_at, CASE WHEN sum(platform) < 0 THEN 'subsidy' ELSE 'revenue' END,
           CASE WHEN sum(platform) < 0 THEN CAST(:revenue AS bigint) ELSE CAST(:escrow AS bigint) END,
           CASE WHEN sum(platform) < 0 THEN CAST(:escrow AS bigint) ELSE CAST(:revenue AS bigint) END,
           abs(sum(platform))
    FROM of_brand
    GROUP BY branch_id, order_id, completed_at
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT branch_id, 'order', order_id, code, debit_account_id, credit_account_id, amount, completed_at
FROM part
WHERE amount > 0
ORDER BY order_id, code, credit_account_id
