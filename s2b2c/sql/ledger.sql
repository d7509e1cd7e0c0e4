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
-- The split of what was paid for each order: escrow -> brands, distributors and revenue; a negative platform part is paid
-- in by revenue. What was refunded before comes back by `post_returns`.
WITH batch AS (
    SELECT o.branch_id, o.id AS order_id, o.completed_at
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    JOIN orders o ON o.branch_id = batch.branch_id AND o.id = batch.order_id
), of_brand AS MATERIALIZED (
    SELECT branch_id, order_id, completed_at, l.brand_id, sum(l.quantity * l.supply_price) AS supply,
           sum(l.paid - l.quantity * l.supply_price - CASE l.refunded WHEN 0 THEN l.commission ELSE (
               SELECT coalesce(sum(c.amount), 0) FROM commissions c WHERE c.branch_id = l.branch_id AND c.line_id = l.id
           ) END) AS platform
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

-- name: post_refunds
-- What was refunded goes from escrow to where its payment came from; a reversed refund goes the other way.
WITH part AS (
    SELECT r.branch_id, r.id, r.refunded_at, payment.debit_account_id AS clearing, sum(l.amount) AS amount
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refunds r ON r.branch_id = batch.branch_id AND r.id = batch.refund_id
    JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
    LEFT JOIN transfers payment ON payment.branch_id = r.branch_id AND payment.source_type = 'order'
        AND payment.source_id = r.order_id AND payment.code = 'payment'
    GROUP BY r.branch_id, r.id, r.refunded_at, payment.debit_account_id
)
INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at)
SELECT branch_id, 'refund', id, 'refund', CASE WHEN amount > 0 THEN :escrow ELSE clearing END,
       CASE WHEN amount > 0 THEN clearing ELSE :escrow END, abs(amount), refunded_at
FROM part
WHERE amount <> 0
ORDER BY id

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
