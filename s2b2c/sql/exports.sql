-- name: control_totals
-- What each kind of payee gets by the statements of a run, and by the transfers of the orders and refunds settled in it.
WITH settled AS (
    SELECT DISTINCT l.branch_id, 'order' AS source_type, l.order_id AS source_id
    FROM statements s
    JOIN order_lines l ON l.statement_id = s.id
    WHERE s.run_id = :run_id
    UNION ALL
    SELECT branch_id, 'refund', id FROM refunds WHERE run_id = :run_id
), posted AS (
    SELECT kind.payee,
           sum(t.amount * CASE WHEN a.kind IN ('commission_payable', 'brand_payable') THEN 1 ELSE -1 END) AS amount
    FROM settled
    JOIN transfers t ON t.branch_id = settled.branch_id AND t.source_type = settled.source_type
        AND t.source_id = settled.source_id
    JOIN ledger_accounts a ON a.id = t.credit_account_id
    JOIN (VALUES ('distributor', 'commission'), ('distributor', 'clawback'), ('brand', 'supply'),
                 ('brand', 'supply_return')) AS kind (payee, code) ON kind.code = t.code
    GROUP BY kind.payee
)
SELECT kind.payee, count(s.id) AS statements, coalesce(sum(s.lines), 0)::bigint AS lines,
       coalesce(sum(s.gross), 0)::bigint AS gross, coalesce(sum(s.clawbacks), 0)::bigint AS clawbacks,
       coalesce((SELECT amount FROM posted WHERE posted.payee = kind.payee), 0)::bigint AS posted
FROM (VALUES ('distributor'), ('brand')) AS kind (payee)
LEFT JOIN statements s ON s.run_id = :run_id AND (s.brand_id IS NULL) = (kind.payee = 'distributor')
GROUP BY kind.payee
ORDER BY kind.payee = 'brand'

-- name: distributor_lines
-- Sorted first and formatted after: what is sorted is smaller than what is written.
SELECT code, name, statement_id, order_no,
       to_char(paid_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(completed_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(greatest(matures_at, refunded_at) AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       slug, line_no, title, sku, quantity, paid, position, base_amount, rate_bps, amount, outcome
FROM (
    SELECT d.code, d.name, part.statement_id, o.order_no, o.paid_at, o.completed_at, o.matures_at, part.refunded_at,
           store.slug, l.line_no, p.title, v.sku, l.quantity, l.paid, part.position, part.base_amount, part.rate_bps,
           part.amount, part.outcome
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
    WHERE s.run_id = :run_id
    ORDER BY d.code COLLATE "C", o.order_no COLLATE "C", l.line_no, part.position, part.refund_id NULLS FIRST
) AS line

-- name: brand_lines
SELECT name, name, statement_id, order_no,
       to_char(paid_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(completed_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(greatest(matures_at, refunded_at) AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       slug, line_no, title, sku, quantity, paid, NULL::bigint, NULL::bigint, NULL::bigint, amount, kind
FROM (
    SELECT b.name, part.statement_id, o.order_no, o.paid_at, o.completed_at, o.matures_at, part.refunded_at, store.slug,
           l.line_no, p.title, v.sku, l.quantity, l.paid, part.amount, part.kind
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
    WHERE s.run_id = :run_id
    ORDER BY b.name COLLATE "C", o.order_no COLLATE "C", l.line_no, part.refund_id NULLS FIRST
) AS line

-- name: catalogue
-- What a brand supplies, at the prices of today: a row for each variant, those of a product together.
SELECT p.code, p.title, p.category, p.tonalities, p.audiences, p.image_url, v.sku, v.options, v.stock,
       price.supply_price, price.suggested_price, price.min_price, price.max_price, price.tier_costs
FROM products p
JOIN variants v ON v.product_id = p.id
JOIN prices price ON price.variant_id = v.id AND upper_inf(price.during)
WHERE p.brand_id = :brand_id
ORDER BY p.id, v.id
