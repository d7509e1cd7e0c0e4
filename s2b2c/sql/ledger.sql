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
        SELECT c.distributor_id, c.amount - clawed(c.amount, l.refunded, l.paid) AS amount FROM commissions c
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

-- name: post_refunds
-- What was refunded of each order goes from escrow to where its payment came from. Once the order is completed escrow is
-- empty, and gets back from each account its part. A reversed refund goes the other way.
WITH batch AS MATERIALIZED (
    SELECT r.branch_id, r.id AS refund_id, r.refunded_at, o.completed_at IS NOT NULL AS is_completed,
           payment.debit_account_id AS clearing
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refunds r ON r.branch_id = batch.branch_id AND r.id = batch.refund_id
    JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
    LEFT JOIN transfers payment ON payment.branch_id = o.branch_id AND payment.source_type = 'order'
        AND payment.source_id = o.id AND payment.code = 'payment'
), of_brand AS (
    SELECT r.branch_id, r.refund_id, l.brand_id, sum(r.amount) AS amount, sum(r.supply) AS supply
    FROM batch b
    JOIN refund_lines r ON r.branch_id = b.branch_id AND r.refund_id = b.refund_id
    JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
    GROUP BY r.branch_id, r.refund_id, l.brand_id
), of_distributor AS (
    SELECT branch_id, refund_id, c.distributor_id, sum(c.amount) AS amount
    FROM batch JOIN clawbacks c USING (branch_id, refund_id)
    GROUP BY branch_id, refund_id, c.distributor_id
), of_platform AS (
    SELECT branch_id, refund_id, amount,
           amount - supply - coalesce((SELECT sum(d.amount) FROM of_distributor d
                                       WHERE (d.branch_id, d.refund_id) = (total.branch_id, total.refund_id)), 0) AS revenue
    FROM (
        SELECT branch_id, refund_id, sum(amount) AS amount, sum(supply) AS supply FROM of_brand GROUP BY branch_id, refund_id
    ) AS total
), part AS (
    SELECT branch_id, refund_id, 'refund' AS code, CAST(:escrow AS bigint) AS giver_id, clearing AS taker_id, amount
    FROM batch JOIN of_platform USING (branch_id, refund_id)
    UNION ALL
    SELECT branch_id, refund_id, back.code, back.giver_id, CAST(:escrow AS bigint), back.amount
    FROM batch
    JOIN (
        SELECT branch_id, refund_id, 'supply_return' AS code, a.id AS giver_id, supply AS amount
        FROM of_brand LEFT JOIN ledger_accounts a ON a.kind = 'brand_payable' AND a.brand_id = of_brand.brand_id
        UNION ALL
        SELECT branch_id, refund_id, 'clawback', a.id, amount
        FROM of_distributor d
        LEFT JOIN ledger_accounts a ON a.kind = 'commission_payable' AND a.distributor_id = d.distributor_id
        UNION ALL
        SELECT branch_id, refund_id, 'revenue_return', CAST(:revenue AS bigint), revenue FROM of_platform
    ) AS back USING (branch_id, refund_id)
    WHERE is_completed
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT branch_id, 'refund', refund_id, code, CASE WHEN amount > 0 THEN giver_id ELSE taker_id END,
       CASE WHEN amount > 0 THEN taker_id ELSE giver_id END, abs(amount), refunded_at
FROM part JOIN batch USING (branch_id, refund_id)
WHERE amount <> 0
ORDER BY refund_id, code, giver_id
