-- name: open_due
CREATE TEMPORARY TABLE IF NOT EXISTS due (branch_id bigint, order_id bigint, batch bigint) ON COMMIT DROP

-- name: find_due
-- An order is settled as a whole, so one with an open line is one with open commissions (`audit` proves it). Only a
-- completed order has a time of maturity. Batches follow the ids across branches, as the rows lie on disk.
INSERT INTO due (branch_id, order_id, batch)
SELECT branch_id, id, (row_number() OVER (ORDER BY id, branch_id) - 1) / :batch_size
FROM orders o
WHERE o.matures_at < :cutoff
  AND EXISTS (SELECT FROM order_lines l WHERE l.branch_id = o.branch_id AND l.order_id = o.id AND l.statement_id IS NULL)

-- name: open_distributor_statements
WITH opened AS (
    INSERT INTO statements (run_id, distributor_id, lines, gross)
    SELECT :run_id, c.distributor_id, count(*), sum(c.amount)
    FROM due d
    JOIN order_lines l ON l.branch_id = d.branch_id AND l.order_id = d.order_id
    JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
    WHERE c.statement_id IS NULL
    GROUP BY c.distributor_id
    ORDER BY c.distributor_id
    RETURNING lines, gross
)
SELECT count(*) AS statements, coalesce(sum(lines), 0)::bigint AS lines, coalesce(sum(gross), 0)::bigint AS gross
FROM opened

-- name: open_brand_statements
WITH opened AS (
    INSERT INTO statements (run_id, brand_id, lines, gross)
    SELECT :run_id, l.brand_id, count(*), sum(l.supply)
    FROM due d
    JOIN order_lines l ON l.branch_id = d.branch_id AND l.order_id = d.order_id
    WHERE l.statement_id IS NULL
    GROUP BY l.brand_id
    ORDER BY l.brand_id
    RETURNING lines, gross
)
SELECT count(*) AS statements, coalesce(sum(lines), 0)::bigint AS lines, coalesce(sum(gross), 0)::bigint AS gross
FROM opened

-- name: tell_payees
-- A statement is named by the last day that is in it, where a day ends with it.
INSERT INTO notices (distributor_id, brand_id, kind, facts, created_at)
SELECT s.distributor_id, s.brand_id, 'statement_ready',
       jsonb_build_object('cutoff', CASE
           WHEN ends.at = date_trunc('day', ends.at) THEN to_char(ends.at - interval '1 day', 'YYYY-MM-DD')
           ELSE to_char(ends.at, 'YYYY-MM-DD HH24:MI')
       END, 'lines', s.lines, 'gross_amount', s.gross),
       r.created_at
FROM settlement_runs r
CROSS JOIN LATERAL (SELECT r.cutoff AT TIME ZONE 'Asia/Shanghai' AS at) AS ends
JOIN statements s ON s.run_id = r.id
WHERE r.id = :run_id
ORDER BY s.id

-- name: settle_commissions
UPDATE commissions c
SET statement_id = s.id
FROM due d
JOIN order_lines l ON l.branch_id = d.branch_id AND l.order_id = d.order_id
CROSS JOIN statements s
WHERE d.batch = :batch AND s.run_id = :run_id
  AND c.branch_id = l.branch_id AND c.line_id = l.id AND c.distributor_id = s.distributor_id AND c.statement_id IS NULL

-- name: settle_lines
UPDATE order_lines l
SET statement_id = s.id
FROM due d
CROSS JOIN statements s
WHERE d.batch = :batch AND s.run_id = :run_id
  AND l.branch_id = d.branch_id AND l.order_id = d.order_id AND l.brand_id = s.brand_id AND l.statement_id IS NULL

-- name: statement_lines
SELECT o.order_no, l.line_no, p.title, part.position, part.base_amount, part.rate_bps, part.amount, part.outcome
FROM (
    SELECT branch_id, line_id, position, base_amount, rate_bps, amount, outcome
    FROM commissions
    WHERE distributor_id = (SELECT distributor_id FROM statements WHERE id = :statement_id)
      AND statement_id = :statement_id
    UNION ALL
    SELECT branch_id, id, NULL, NULL, NULL, supply, NULL FROM order_lines WHERE statement_id = :statement_id
) AS part
JOIN order_lines l ON l.branch_id = part.branch_id AND l.id = part.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN products p ON p.id = l.product_id
ORDER BY o.order_no COLLATE "C", l.line_no, part.position
LIMIT :limit
