-- name: open_due
CREATE TEMPORARY TABLE IF NOT EXISTS due (branch_id bigint, order_id bigint, batch bigint) ON COMMIT DROP

-- name: find_due
-- An order is settled as a whole, so one with an open line is one with open commissions (`audit` proves it); what left a run
-- with a disputed statement of a distributor is open alone, and found by that distributor. Only a completed order has a time
-- of maturity. Batches follow the ids across branches, as the rows lie on disk. The orders are locked as every step of an
-- order locks them: a refund that came between would take the lines in another order.
INSERT INTO due (branch_id, order_id, batch)
SELECT branch_id, id, (row_number() OVER (ORDER BY id, branch_id) - 1) / :batch_size
FROM (
    SELECT o.branch_id, o.id
    FROM orders o
    WHERE o.matures_at < :cutoff AND (o.branch_id, o.id) IN (
        SELECT branch_id, order_id FROM order_lines WHERE statement_id IS NULL
        UNION ALL
        SELECT l.branch_id, l.order_id
        FROM (SELECT DISTINCT distributor_id FROM disputes WHERE left_at IS NOT NULL) AS d
        JOIN commissions c ON c.distributor_id = d.distributor_id AND c.statement_id IS NULL
        JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
    )
    ORDER BY o.branch_id, o.id
    FOR NO KEY UPDATE OF o
) AS locked

-- name: open_due_refunds
CREATE TEMPORARY TABLE IF NOT EXISTS due_refunds (branch_id bigint, refund_id bigint) ON COMMIT DROP

-- name: find_due_refunds
-- What a refund takes back matures at the later of its order's maturity and the refund, and is settled as a whole, but for
-- what left a run with a disputed statement: with that it is in no run. Locked in the order of the daily totals, which mark
-- refunds too.
INSERT INTO due_refunds (branch_id, refund_id)
SELECT r.branch_id, r.id
FROM refunds r
JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
WHERE r.run_id IS NULL AND r.state = 'applied' AND r.refunded_at < :cutoff AND o.matures_at < :cutoff
  AND (EXISTS (SELECT FROM clawbacks c WHERE c.branch_id = r.branch_id AND c.refund_id = r.id)
       OR EXISTS (SELECT FROM refund_lines l WHERE l.branch_id = r.branch_id AND l.refund_id = r.id AND l.supply <> 0))
ORDER BY r.branch_id, r.id
FOR NO KEY UPDATE OF r

-- name: open_due_adjustments
CREATE TEMPORARY TABLE IF NOT EXISTS due_adjustments (id bigint, distributor_id bigint, brand_id bigint, amount bigint)
ON COMMIT DROP

-- name: find_due_adjustments
INSERT INTO due_adjustments (id, distributor_id, brand_id, amount)
SELECT id, distributor_id, brand_id, amount
FROM adjustments
WHERE statement_id IS NULL AND dated::timestamp AT TIME ZONE 'Asia/Shanghai' < :cutoff
ORDER BY id
FOR NO KEY UPDATE

-- name: open_distributor_statements
-- In this order: what was earned, tax on it, what pays off debt, what was carried here; a debt, a carry or a payout is left.
WITH run AS (
    SELECT * FROM settlement_runs WHERE id = :run_id
), part AS (
    SELECT c.distributor_id, 1 AS line, c.amount AS gross, 0 AS clawback, 0 AS adjustment
    FROM due d
    JOIN order_lines l ON l.branch_id = d.branch_id AND l.order_id = d.order_id
    JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
    WHERE c.statement_id IS NULL
    UNION ALL
    SELECT c.distributor_id, 1, 0, c.amount, 0
    FROM due_refunds d
    JOIN clawbacks c ON c.branch_id = d.branch_id AND c.refund_id = d.refund_id
    WHERE c.statement_id IS NULL
    UNION ALL
    SELECT distributor_id, 0, 0, 0, amount FROM due_adjustments WHERE distributor_id IS NOT NULL
    UNION ALL
    SELECT s.distributor_id, 0, 0, 0, 0
    FROM statements s JOIN distributors d ON d.id = s.distributor_id
    WHERE d.state = 'eliminated'
    GROUP BY s.distributor_id
    HAVING sum(s.carry_out - s.carry_in) > 0
), payee AS MATERIALIZED (
    SELECT part.distributor_id, sum(line) AS lines, sum(gross)::bigint AS gross, sum(clawback)::bigint AS clawbacks,
           sum(adjustment)::bigint AS adjustments, sum(gross - clawback + adjustment)::bigint AS earned
    FROM part
    GROUP BY part.distributor_id
), before AS (
    SELECT s.distributor_id, sum(s.carry_out - s.carry_in)::bigint AS carry, sum(s.debt_added - s.debt_offset)::bigint AS debt
    FROM payee JOIN statements s USING (distributor_id)
    GROUP BY s.distributor_id
), written_off AS (
    SELECT w.distributor_id, sum(w.amount)::bigint AS amount
    FROM payee JOIN write_offs w USING (distributor_id)
    WHERE w.approved_at IS NOT NULL
    GROUP BY w.distributor_id
), policy AS (
    SELECT DISTINCT ON (w.distributor_id) w.distributor_id, w.policy
    FROM run, payee JOIN withholding_policies w USING (distributor_id)
    WHERE w.starts_on <= run.pay_on
    ORDER BY w.distributor_id, w.starts_on DESC, w.id DESC
),
-- include: settlements.taxed
, reckoned AS (
    SELECT payee.*, coalesce(policy.policy, 'none') AS withholding, coalesce(taxed.amount, 0) AS withheld,
           coalesce(before.carry, 0) AS carry_in, coalesce(before.debt, 0) - coalesce(written_off.amount, 0) AS debt_in,
           d.state = 'eliminated' AS is_final, run.minimum_payout, run.debt_offset_bps
    FROM run CROSS JOIN payee
    JOIN distributors d ON d.id = payee.distributor_id
    LEFT JOIN policy USING (distributor_id)
    LEFT JOIN taxed USING (distributor_id)
    LEFT JOIN before USING (distributor_id)
    LEFT JOIN written_off USING (distributor_id)
), offsetting AS (
    SELECT *, least(debt_in, div(gross::numeric * debt_offset_bps, 10000)::bigint, greatest(earned - withheld, 0)) AS debt_offset
    FROM reckoned
), payable AS (
    SELECT *, earned - withheld - debt_offset AS net, earned - withheld - debt_offset + carry_in AS payable FROM offsetting
), opened AS (
    INSERT INTO statements (run_id, distributor_id, lines, gross, clawbacks, adjustments, withheld, debt_in, debt_offset, net,
                            carry_in, payout, carry_out, debt_added, withholding, is_final)
    SELECT :run_id, distributor_id, lines, gross, clawbacks, adjustments, withheld, debt_in, debt_offset, net, carry_in,
           CASE WHEN is_final OR payable >= minimum_payout THEN greatest(payable, 0) ELSE 0 END,
           CASE WHEN is_final OR payable >= minimum_payout THEN 0 ELSE greatest(payable, 0) END,
           greatest(-payable, 0), withholding, is_final
    FROM payable
    ORDER BY distributor_id
    RETURNING lines, gross, clawbacks
)
-- include: settlements.totals

-- name: taxed
-- The tax of those whose policy is `cn_labour_cumulative`: cumulative over the year of the day of payment, as `withholding`
-- in Python tells with its source. A month counts once, whatever statements fall into it.
earlier AS (
    SELECT s.distributor_id, date_trunc('month', r.pay_on)::date AS month, s.gross - s.clawbacks + s.adjustments AS earned,
           s.withheld
    FROM run
    CROSS JOIN policy
    JOIN statements s ON s.distributor_id = policy.distributor_id AND s.withholding = policy.policy
    JOIN settlement_runs r ON r.id = s.run_id
    WHERE policy.policy = 'cn_labour_cumulative' AND r.pay_on >= date_trunc('year', run.pay_on)
      AND r.pay_on < date_trunc('year', run.pay_on) + interval '1 year'
), income AS (
    SELECT distributor_id, month, sum(earned)::bigint AS earned, sum(withheld)::bigint AS withheld
    FROM (
        SELECT * FROM earlier
        UNION ALL
        SELECT distributor_id, date_trunc('month', run.pay_on)::date, payee.earned, 0
        FROM run CROSS JOIN payee JOIN policy USING (distributor_id)
        WHERE policy.policy = 'cn_labour_cumulative'
    ) AS statement
    GROUP BY distributor_id, month
), gap AS (
    -- The last month of the year so far without income: January to the month of payment, each once.
    SELECT payer.distributor_id, max(month.month)::date AS month
    FROM run
    CROSS JOIN (SELECT DISTINCT distributor_id FROM income) AS payer
    CROSS JOIN generate_series(date_trunc('year', run.pay_on), date_trunc('month', run.pay_on), interval '1 month') AS month
    LEFT JOIN income ON income.distributor_id = payer.distributor_id AND income.month = month.month::date
    WHERE coalesce(income.earned, 0) <= 0
    GROUP BY payer.distributor_id
), year AS (
    SELECT income.distributor_id, sum(income.earned)::bigint AS earned, sum(income.withheld)::bigint AS withheld,
           count(*) FILTER (WHERE income.earned > 0 AND (run.months_rule = 'income_months' OR gap.month IS NULL
                                                         OR income.month > gap.month)) AS months,
           bool_or(income.month = date_trunc('month', run.pay_on) AND income.earned > 0) AS has_income
    FROM run CROSS JOIN income LEFT JOIN gap USING (distributor_id)
    GROUP BY income.distributor_id
), taxed AS (
    SELECT year.distributor_id,
           CASE WHEN year.has_income
                THEN least(greatest(labour_tax(year.earned, 500000 * year.months + deduction.amount, run.pay_on)
                                    - year.withheld, 0), greatest(payee.earned, 0))
                ELSE 0 END AS amount
    FROM run
    CROSS JOIN year
    JOIN payee USING (distributor_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.amount), 0)::bigint AS amount
        FROM tax_deductions t
        WHERE t.distributor_id = year.distributor_id AND t.month >= date_trunc('year', run.pay_on) AND t.month <= run.pay_on
    ) AS deduction
)

-- name: open_brand_statements
-- What a brand comes to below 0 is carried whole into its next statement.
WITH run AS (
    SELECT * FROM settlement_runs WHERE id = :run_id
), part AS (
    SELECT l.brand_id, 1 AS line, l.quantity * l.supply_price AS gross, 0 AS clawback, 0 AS adjustment
    FROM due d
    JOIN order_lines l ON l.branch_id = d.branch_id AND l.order_id = d.order_id
    WHERE l.statement_id IS NULL
    UNION ALL
    SELECT l.brand_id, 1, 0, r.supply, 0
    FROM due_refunds d
    JOIN refund_lines r ON r.branch_id = d.branch_id AND r.refund_id = d.refund_id
    JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
    WHERE r.supply <> 0 AND r.statement_id IS NULL
    UNION ALL
    SELECT brand_id, 0, 0, 0, amount FROM due_adjustments WHERE brand_id IS NOT NULL
), payee AS (
    SELECT brand_id, sum(line) AS lines, sum(gross)::bigint AS gross, sum(clawback)::bigint AS clawbacks,
           sum(adjustment)::bigint AS adjustments, sum(gross - clawback + adjustment)::bigint AS net
    FROM part
    GROUP BY brand_id
), payable AS (
    SELECT payee.*, before.carry_in, payee.net + before.carry_in AS payable, run.minimum_payout
    FROM run
    CROSS JOIN payee
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(s.carry_out - s.carry_in), 0)::bigint AS carry_in FROM statements s WHERE s.brand_id = payee.brand_id
    ) AS before
), opened AS (
    INSERT INTO statements (run_id, brand_id, lines, gross, clawbacks, adjustments, net, carry_in, payout, carry_out)
    SELECT :run_id, brand_id, lines, gross, clawbacks, adjustments, net, carry_in,
           CASE WHEN payable >= minimum_payout THEN greatest(payable, 0) ELSE 0 END,
           CASE WHEN payable >= minimum_payout THEN least(payable, 0) ELSE payable END
    FROM payable
    ORDER BY brand_id
    RETURNING lines, gross, clawbacks
)
-- include: settlements.totals

-- name: totals
SELECT count(*) AS statements, coalesce(sum(lines), 0)::bigint AS lines, coalesce(sum(gross), 0)::bigint AS gross,
       coalesce(sum(clawbacks), 0)::bigint AS clawbacks
FROM opened

-- name: tell_payees
INSERT INTO notices (distributor_id, brand_id, kind, facts, created_at)
SELECT s.distributor_id, s.brand_id, 'statement_ready',
       jsonb_build_object('cutoff', said.cutoff, 'lines', s.lines, 'net_amount', s.net), r.reviewed_at
FROM settlement_runs r
JOIN statements s ON s.run_id = r.id
-- include: settlements.said
WHERE r.id = :run_id
ORDER BY s.id

-- name: tell_answered
INSERT INTO notices (distributor_id, brand_id, kind, facts, created_at)
SELECT d.distributor_id, d.brand_id, 'dispute_' || d.outcome,
       jsonb_strip_nulls(jsonb_build_object('cutoff', said.cutoff, 'answer', d.answer, 'adjusted_amount', a.amount)), d.answered_at
FROM disputes d
JOIN settlement_runs r ON r.id = d.run_id
LEFT JOIN adjustments a ON a.id = d.adjustment_id
-- include: settlements.said
WHERE d.id = :dispute_id

-- name: said
-- A statement is named by the last day that is in it, where a day ends with it.
CROSS JOIN LATERAL (SELECT r.cutoff AT TIME ZONE 'Asia/Shanghai' AS at) AS ends
CROSS JOIN LATERAL (
    SELECT CASE WHEN ends.at = date_trunc('day', ends.at) THEN to_char(ends.at - interval '1 day', 'YYYY-MM-DD')
                ELSE to_char(ends.at, 'YYYY-MM-DD HH24:MI') END AS cutoff
) AS said

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

-- name: settle_clawbacks
UPDATE clawbacks c
SET statement_id = s.id
FROM due_refunds d
CROSS JOIN statements s
WHERE s.run_id = :run_id
  AND c.branch_id = d.branch_id AND c.refund_id = d.refund_id AND c.distributor_id = s.distributor_id
  AND c.statement_id IS NULL

-- name: settle_returns
UPDATE refund_lines r
SET statement_id = s.id
FROM (
    SELECT r.branch_id, r.refund_id, r.line_id, l.brand_id
    FROM due_refunds d
    JOIN refund_lines r ON r.branch_id = d.branch_id AND r.refund_id = d.refund_id
    JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
    WHERE r.supply <> 0 AND r.statement_id IS NULL
) AS d
JOIN statements s ON s.brand_id = d.brand_id
WHERE s.run_id = :run_id AND r.branch_id = d.branch_id AND r.refund_id = d.refund_id AND r.line_id = d.line_id

-- name: settle_refunds
UPDATE refunds r SET run_id = :run_id FROM due_refunds d WHERE r.branch_id = d.branch_id AND r.id = d.refund_id

-- name: settle_adjustments
UPDATE adjustments a
SET statement_id = s.id
FROM due_adjustments d JOIN statements s ON s.run_id = :run_id
    AND (s.distributor_id = d.distributor_id OR s.brand_id = d.brand_id)
WHERE a.id = d.id

-- name: open_leaving
CREATE TEMPORARY TABLE IF NOT EXISTS leaving (statement_id bigint, distributor_id bigint) ON COMMIT DROP

-- name: find_leaving
INSERT INTO leaving (statement_id, distributor_id) SELECT id, distributor_id FROM statements WHERE run_id = :run_id

-- name: find_disputed
-- An answer that is being given is waited for: what it rejects stays in the run.
WITH left_out AS (
    UPDATE disputes SET left_at = :now
    WHERE run_id = :run_id AND statement_id IS NOT NULL AND outcome IS DISTINCT FROM 'rejected'
    RETURNING statement_id, distributor_id
)
INSERT INTO leaving (statement_id, distributor_id) SELECT statement_id, distributor_id FROM left_out

-- name: free_commissions
UPDATE commissions c SET statement_id = NULL
FROM leaving s WHERE c.distributor_id = s.distributor_id AND c.statement_id = s.statement_id

-- name: free_clawbacks
UPDATE clawbacks c SET statement_id = NULL
FROM leaving s WHERE c.distributor_id = s.distributor_id AND c.statement_id = s.statement_id

-- name: free_lines
UPDATE order_lines l SET statement_id = NULL
FROM leaving s WHERE s.distributor_id IS NULL AND l.statement_id = s.statement_id

-- name: free_returns
UPDATE refund_lines l SET statement_id = NULL
FROM leaving s WHERE s.distributor_id IS NULL AND l.statement_id = s.statement_id

-- name: free_refunds
-- Those of which something is in no statement now.
UPDATE refunds r SET run_id = NULL
WHERE r.run_id = :run_id AND (
    EXISTS (SELECT FROM clawbacks c WHERE c.branch_id = r.branch_id AND c.refund_id = r.id AND c.statement_id IS NULL)
    OR EXISTS (SELECT FROM refund_lines l
               WHERE l.branch_id = r.branch_id AND l.refund_id = r.id AND l.supply <> 0 AND l.statement_id IS NULL)
)

-- name: free_adjustments
UPDATE adjustments a SET statement_id = NULL FROM leaving s WHERE a.statement_id = s.statement_id

-- name: free_statements
DELETE FROM statements s USING leaving l WHERE s.id = l.statement_id

-- name: tell_postponed
-- Whose statement has left a run: it comes with the next.
INSERT INTO notices (distributor_id, brand_id, kind, facts, created_at)
SELECT s.distributor_id, s.brand_id, 'statement_postponed', jsonb_build_object('cutoff', said.cutoff, 'net_amount', s.net), :now
FROM leaving l
JOIN statements s ON s.id = l.statement_id
JOIN settlement_runs r ON r.id = s.run_id
-- include: settlements.said
ORDER BY s.id

-- name: tell_discarded
-- Those who were shown their statements: they stand no more.
INSERT INTO notices (distributor_id, brand_id, kind, facts, created_at)
SELECT s.distributor_id, s.brand_id, 'statement_discarded', jsonb_build_object('cutoff', said.cutoff), :now
FROM leaving l
JOIN statements s ON s.id = l.statement_id
JOIN settlement_runs r ON r.id = s.run_id AND r.reviewed_at IS NOT NULL
-- include: settlements.said
ORDER BY s.id

-- name: debts
-- Whoever ever owed has an account; their number bounds what is read.
SELECT d.id, d.code, d.name, owed.amount
FROM ledger_accounts a
JOIN distributors d ON d.id = a.distributor_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(s.debt_added - s.debt_offset), 0)::bigint - coalesce((
        SELECT sum(w.amount)::bigint FROM write_offs w WHERE w.distributor_id = d.id AND w.approved_at IS NOT NULL
    ), 0) AS amount
    FROM statements s JOIN settlement_runs r ON r.id = s.run_id AND r.state IN ('approved', 'paying', 'paid')
    WHERE s.distributor_id = d.id
) AS owed
WHERE a.kind = 'debt' AND a.distributor_id > :after AND owed.amount > 0
ORDER BY d.id
LIMIT :limit

-- name: income_of_quarter
-- The first persons of each run have all of the first persons of the quarter among them, with all their statements.
SELECT d.id, d.code, d.name, of_quarter.withholding, of_quarter.income, of_quarter.withheld
FROM (
    SELECT s.distributor_id, (array_agg(s.withholding ORDER BY s.id DESC))[1] AS withholding,
           sum(s.gross - s.clawbacks + s.adjustments)::bigint AS income, sum(s.withheld)::bigint AS withheld
    FROM settlement_runs r
    CROSS JOIN LATERAL (
        SELECT * FROM statements
        WHERE run_id = r.id AND distributor_id > :after
        ORDER BY distributor_id
        LIMIT :limit
    ) AS s
    WHERE r.state IN ('approved', 'paying', 'paid') AND r.pay_on >= :first AND r.pay_on < :until
    GROUP BY s.distributor_id
    ORDER BY s.distributor_id
    LIMIT :limit
) AS of_quarter
JOIN distributors d ON d.id = of_quarter.distributor_id
ORDER BY d.id

-- name: income_of_year
SELECT month, income, withheld, sum(income) OVER (ORDER BY month)::bigint, sum(withheld) OVER (ORDER BY month)::bigint
FROM (
    SELECT date_trunc('month', r.pay_on)::date AS month, sum(s.gross - s.clawbacks + s.adjustments)::bigint AS income,
           sum(s.withheld)::bigint AS withheld
    FROM statements s
    JOIN settlement_runs r ON r.id = s.run_id AND r.state IN ('approved', 'paying', 'paid')
    WHERE s.distributor_id = :distributor_id AND r.pay_on >= :first AND r.pay_on < :until
    GROUP BY 1
) AS of_month
ORDER BY month

-- name: lines
-- Some lines of each statement asked for: commissions, then clawbacks; of a brand order lines, then returns. OFFSET 0: first
-- what is in the statement, then its first ids; else the planner may walk all ids there are.
WITH part AS (
    SELECT asked.n, line.*
    FROM unnest(
        CAST(:statement_ids AS bigint[]), CAST(:distributor_ids AS bigint[]), CAST(:parts AS bigint[]),
        CAST(:ids AS bigint[])
    ) WITH ORDINALITY AS asked (statement_id, distributor_id, after_part, after_id, n)
    CROSS JOIN LATERAL (
        (
            SELECT 0 AS part, 'commission' AS kind, c.id, c.branch_id, c.line_id, c.amount, c.position,
                   NULL::bigint AS refund_id
            FROM (
                SELECT * FROM commissions
                WHERE distributor_id = asked.distributor_id AND statement_id = asked.statement_id
                  AND (0, id) > (after_part, after_id)
                OFFSET 0
            ) AS c
            ORDER BY c.id
            LIMIT :limit
        )
        UNION ALL
        (
            SELECT 1, 'clawback', c.id, c.branch_id, c.line_id, -c.amount, c.position, c.refund_id
            FROM (
                SELECT * FROM clawbacks
                WHERE distributor_id = asked.distributor_id AND statement_id = asked.statement_id
                  AND (1, id) > (after_part, after_id)
                OFFSET 0
            ) AS c
            ORDER BY c.id
            LIMIT :limit
        )
        UNION ALL
        (
            SELECT 0, 'supply', l.id, l.branch_id, l.id, l.quantity * l.supply_price, NULL, NULL
            FROM (
                SELECT * FROM order_lines
                WHERE asked.distributor_id IS NULL AND statement_id = asked.statement_id
                  AND (0, id) > (after_part, after_id)
                OFFSET 0
            ) AS l
            ORDER BY l.id
            LIMIT :limit
        )
        UNION ALL
        (
            SELECT 1, 'return', r.id, r.branch_id, r.line_id, -r.supply, NULL, r.refund_id
            FROM (
                SELECT * FROM refund_lines
                WHERE asked.distributor_id IS NULL AND statement_id = asked.statement_id
                  AND (1, id) > (after_part, after_id)
                OFFSET 0
            ) AS r
            ORDER BY r.id
            LIMIT :limit
        )
        ORDER BY part, id
        LIMIT :limit
    ) AS line
)
SELECT part.n, part.part, part.kind, part.id, part.branch_id, part.line_id, o.order_no, l.line_no, o.paid_at,
       o.completed_at, o.matures_at, refunds.refunded_at, stores.id AS store_id, stores.slug, stores.title,
       stores.region, products.title AS product_title, v.sku, l.quantity, l.paid, part.amount, c.position, rules.scheme, rules.base,
       c.base_amount, c.rate_bps, c.uncapped_amount, CASE part.kind WHEN 'commission' THEN c.outcome END AS outcome
FROM part
JOIN order_lines l ON l.branch_id = part.branch_id AND l.id = part.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN stores ON stores.id = o.store_id
JOIN products ON products.id = l.product_id
JOIN variants v ON v.id = l.variant_id
LEFT JOIN refunds ON refunds.branch_id = part.branch_id AND refunds.id = part.refund_id
LEFT JOIN commissions c ON c.branch_id = part.branch_id AND c.line_id = part.line_id AND c.position = part.position
LEFT JOIN rules ON rules.id = c.rule_id
ORDER BY part.n, part.part, part.id

-- name: statement_lines
SELECT o.order_no, l.line_no, p.title, part.position, part.base_amount, part.rate_bps, part.amount, part.outcome
FROM (
    SELECT branch_id, line_id, position, base_amount, rate_bps, amount, outcome, 0 AS refund_id
    FROM commissions
    WHERE distributor_id = (SELECT distributor_id FROM statements WHERE id = :statement_id)
      AND statement_id = :statement_id
    UNION ALL
    SELECT b.branch_id, b.line_id, c.position, NULL, NULL, -b.amount, 'clawback', b.refund_id
    FROM clawbacks b
    JOIN commissions c ON c.branch_id = b.branch_id AND c.line_id = b.line_id AND c.position = b.position
    WHERE b.distributor_id = (SELECT distributor_id FROM statements WHERE id = :statement_id)
      AND b.statement_id = :statement_id
    UNION ALL
    SELECT branch_id, id, NULL, NULL, NULL, quantity * supply_price, NULL, 0
    FROM order_lines WHERE statement_id = :statement_id
    UNION ALL
    SELECT branch_id, line_id, NULL, NULL, NULL, -supply, 'return', refund_id
    FROM refund_lines WHERE statement_id = :statement_id
) AS part
JOIN order_lines l ON l.branch_id = part.branch_id AND l.id = part.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN products p ON p.id = l.product_id
ORDER BY o.order_no COLLATE "C", l.line_no, part.position, part.refund_id
LIMIT :limit
