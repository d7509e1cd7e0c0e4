-- name: control_totals
-- What each kind of payee gets by the statements of a run, and by the transfers of the orders settled in it.
WITH settled AS (
    SELECT DISTINCT l.branch_id, l.order_id
    FROM statements s
    JOIN order_lines l ON l.statement_id = s.id
    WHERE s.run_id = :run_id
), posted AS (
    SELECT t.code, sum(t.amount) AS amount
    FROM settled
    JOIN transfers t ON t.branch_id = settled.branch_id AND t.source_type = 'order' AND t.source_id = settled.order_id
    WHERE t.code IN ('commission', 'supply')
    GROUP BY t.code
)
SELECT kind.payee, count(s.id) AS statements, coalesce(sum(s.lines), 0)::bigint AS lines,
       coalesce(sum(s.gross), 0)::bigint AS gross,
       coalesce((SELECT amount FROM posted WHERE posted.code = kind.code), 0)::bigint AS posted
FROM (VALUES ('distributor', 'commission'), ('brand', 'supply')) AS kind (payee, code)
LEFT JOIN statements s ON s.run_id = :run_id AND (s.brand_id IS NULL) = (kind.payee = 'distributor')
GROUP BY kind.payee, kind.code
ORDER BY kind.payee = 'brand'

-- name: distributor_lines
-- Sorted first and formatted after: what is sorted is smaller than what is written.
SELECT code, name, statement_id, order_no,
       to_char(paid_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(completed_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(matures_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       slug, line_no, title, sku, quantity, paid, position, base_amount, rate_bps, amount, outcome
FROM (
    SELECT d.code, d.name, c.statement_id, o.order_no, o.paid_at, o.completed_at, o.matures_at, store.slug,
           l.line_no, p.title, v.sku, l.quantity, l.paid, c.position, c.base_amount, c.rate_bps, c.amount, c.outcome
    FROM statements s
    JOIN distributors d ON d.id = s.distributor_id
    JOIN commissions c ON c.distributor_id = s.distributor_id AND c.statement_id = s.id
    JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
    JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
    JOIN stores store ON store.id = o.store_id
    JOIN products p ON p.id = l.product_id
    JOIN variants v ON v.id = l.variant_id
    WHERE s.run_id = :run_id
    ORDER BY d.code COLLATE "C", o.order_no COLLATE "C", l.line_no, c.position
) AS line

-- name: brand_lines
SELECT name, name, statement_id, order_no,
       to_char(paid_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(completed_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       to_char(matures_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS'),
       slug, line_no, title, sku, quantity, paid, NULL::bigint, NULL::bigint, NULL::bigint, supply, 'supply'
FROM (
    SELECT b.name, l.statement_id, o.order_no, o.paid_at, o.completed_at, o.matures_at, store.slug,
           l.line_no, p.title, v.sku, l.quantity, l.paid, l.supply
    FROM statements s
    JOIN brands b ON b.id = s.brand_id
    JOIN order_lines l ON l.statement_id = s.id
    JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
    JOIN stores store ON store.id = o.store_id
    JOIN products p ON p.id = l.product_id
    JOIN variants v ON v.id = l.variant_id
    WHERE s.run_id = :run_id
    ORDER BY b.name COLLATE "C", o.order_no COLLATE "C", l.line_no
) AS line
