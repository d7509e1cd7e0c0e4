-- name: lines_add_up
-- paid = quantity x unit price - discount, and supply + commission + platform = paid - refunded
SELECT format('order_lines %s/%s', branch_id, id),
       format('paid %s, refunded %s, supply %s, commission %s, platform %s', paid, refunded, supply, commission, platform)
FROM order_lines
WHERE paid <> quantity * unit_price - discount OR supply + commission + platform <> paid - refunded

-- name: line_refunds
-- what a line has refunded, and its supply of quantity x supply price, follow from its refunds
SELECT format('order_lines %s/%s', l.branch_id, l.id),
       format('refunded %s, supply %s of %s x %s; refunds say %s and %s back', l.refunded, l.supply, l.quantity,
              l.supply_price, coalesce(r.amount, 0), coalesce(r.supply, 0))
FROM order_lines l
LEFT JOIN (
    SELECT r.branch_id, r.line_id, sum(r.quantity) AS units, sum(r.amount) AS amount, sum(r.supply) AS supply
    FROM refund_lines r
    JOIN refunds ON refunds.branch_id = r.branch_id AND refunds.id = r.refund_id
    WHERE refunds.state = 'applied'
    GROUP BY r.branch_id, r.line_id
) AS r ON r.branch_id = l.branch_id AND r.line_id = l.id
WHERE l.refunded <> coalesce(r.amount, 0) OR l.supply <> l.quantity * l.supply_price - coalesce(r.supply, 0)
   OR coalesce(r.units, 0) NOT BETWEEN 0 AND l.quantity

-- name: refund_states
-- a refund waits as long as its order is not paid, and takes something back; a reversal is its refund with a minus before it
SELECT format('refunds %s/%s', r.branch_id, r.id), format('%s, order %s is %s', r.state, o.order_no, o.state)
FROM refunds r
JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
WHERE (r.state = 'waiting') <> (o.paid_at IS NULL)
   OR (r.freight = 0 AND NOT EXISTS (SELECT FROM refund_lines l WHERE l.branch_id = r.branch_id AND l.refund_id = r.id))
UNION ALL
SELECT format('refunds %s/%s', r.branch_id, r.id), format('reverses %s', r.reverses_id)
FROM refunds r
JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
LEFT JOIN refund_lines of_refund ON of_refund.branch_id = r.branch_id AND of_refund.refund_id = r.reverses_id
    AND of_refund.line_id = l.line_id
WHERE r.reverses_id IS NOT NULL
  AND (l.quantity, l.amount, l.supply)
      IS DISTINCT FROM (-of_refund.quantity, -of_refund.amount, -of_refund.supply)

-- name: clawbacks
-- what refunds took back of a commission is commission x refunded // paid of its line, and is taken from who earned it
SELECT format('commissions %s/%s', c.branch_id, c.id),
       format('%s of %s taken back, %s of %s refunded', coalesce(b.amount, 0), c.amount, l.refunded, l.paid)
FROM commissions c
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
LEFT JOIN (
    SELECT branch_id, line_id, position, sum(amount) AS amount, min(distributor_id) AS first, max(distributor_id) AS last
    FROM clawbacks GROUP BY branch_id, line_id, position
) AS b ON b.branch_id = c.branch_id AND b.line_id = c.line_id AND b.position = c.position
WHERE coalesce(b.amount, 0) <> clawed(c.amount, l.refunded, l.paid)
   OR b.first <> c.distributor_id OR b.last <> c.distributor_id

-- name: line_commissions
-- the commission of a line is the sum of its commissions less what refunds took back
SELECT format('order_lines %s/%s', l.branch_id, l.id),
       format('commission %s, its rows %s', l.commission, coalesce(c.amount, 0))
FROM order_lines l
LEFT JOIN (
    SELECT branch_id, line_id, sum(amount) AS amount
    FROM (
        SELECT branch_id, line_id, amount FROM commissions
        UNION ALL
        SELECT branch_id, line_id, -amount FROM clawbacks
    ) AS part
    GROUP BY branch_id, line_id
) AS c ON c.branch_id = l.branch_id AND c.line_id = l.id
WHERE l.commission <> coalesce(c.amount, 0)

-- name: margin_floor
-- commissions leave the platform the margin floor of the plan
SELECT format('order_lines %s/%s', l.branch_id, l.id),
       format('paid %s, supply %s, commission %s, floor %s bps', l.paid, l.quantity * l.supply_price, c.amount, p.margin_floor_bps)
FROM (SELECT branch_id, line_id, sum(amount) AS amount FROM commissions GROUP BY branch_id, line_id) AS c
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN plans p ON p.id = o.plan_id
WHERE c.amount > greatest(
    0, l.paid - l.quantity * l.supply_price - div(l.paid::numeric * p.margin_floor_bps + 9999, 10000)
)

-- name: unpaid_commissions
-- an order that was not paid has no commissions
SELECT format('commissions %s/%s', c.branch_id, c.id), format('order %s is %s', o.order_no, o.state)
FROM orders o
JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
WHERE o.paid_at IS NULL

-- name: commission_upline
-- a commission belongs to the member of the upline at its position, and only an active one earns
SELECT format('commissions %s/%s', c.branch_id, c.id),
       format('position %s is distributor %s on tier %s, %s; the row has %s on %s, %s of %s', c.position,
              o.upline[place.n], o.upline_tiers[place.n], o.upline_states[place.n],
              c.distributor_id, c.tier_id, c.outcome, c.amount)
FROM commissions c
JOIN rules r ON r.id = c.rule_id
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.compress AND NOT o.upline_states <@ ARRAY['active', 'watch'] THEN (
        SELECT u.place FROM unnest(o.upline_states) WITH ORDINALITY AS u (state, place)
        WHERE u.place = 1 OR u.state IN ('active', 'watch')
        ORDER BY u.place OFFSET c.position LIMIT 1
    ) ELSE c.position + 1 END AS n
) AS place
WHERE o.paid_at IS NOT NULL
  AND ((c.distributor_id, c.tier_id) IS DISTINCT FROM (o.upline[place.n], o.upline_tiers[place.n])
       OR (c.outcome = 'blocked') IS DISTINCT FROM (o.upline_states[place.n] NOT IN ('active', 'watch'))
       OR (c.outcome = 'blocked' AND c.amount > 0))

-- name: commission_rules
-- the rule of a commission belongs to the plan of its order
SELECT format('commissions %s/%s', c.branch_id, c.id), format('rule %s of plan %s, order of plan %s', r.id, r.plan_id, o.plan_id)
FROM commissions c
JOIN rules r ON r.id = c.rule_id
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
WHERE o.paid_at IS NOT NULL AND r.plan_id IS DISTINCT FROM o.plan_id

-- name: commission_amounts
-- a commission is what its rule gives of what it was reckoned from, and less only where it says why
SELECT format('commissions %s/%s', c.branch_id, c.id),
       format('%s of %s, base %s, rate %s, uncapped %s, amount %s, %s', r.scheme, r.base, c.base_amount, c.rate_bps,
              c.uncapped_amount, c.amount, c.outcome)
FROM commissions c
JOIN rules r ON r.id = c.rule_id
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN tiers t ON t.id = c.tier_id
CROSS JOIN LATERAL (
    SELECT CASE r.base WHEN 'paid' THEN l.paid ELSE greatest(0, l.paid - l.quantity * l.supply_price) END AS base,
           coalesce(r.tier_bps[t.rank], 0) AS tier_bps, coalesce(c.below_bps, 0) AS below_bps,
           l.quantity * l.tier_costs[t.rank] AS cost
) AS given
WHERE NOT CASE r.scheme
    WHEN 'levels' THEN c.base_amount = given.base AND c.rate_bps = r.level_bps[c.position + 1]
    WHEN 'fixed' THEN c.base_amount = r.level_amounts[c.position + 1] AND c.rate_bps IS NULL
    WHEN 'differential' THEN c.base_amount = given.base AND (
        c.rate_bps = greatest(0, given.tier_bps - given.below_bps)
        OR (c.rate_bps = r.same_tier_bps AND c.position > 0 AND given.tier_bps = given.below_bps AND given.tier_bps > 0)
    )
    ELSE (c.base_amount = l.paid OR c.position > 0) AND c.rate_bps IS NULL END
   OR c.uncapped_amount <> CASE r.scheme
    WHEN 'fixed' THEN l.quantity::numeric * c.base_amount
    WHEN 'spread' THEN greatest(0, c.base_amount - given.cost)
    ELSE div(c.base_amount::numeric * c.rate_bps, 10000) END
   OR NOT CASE c.outcome WHEN 'earned' THEN c.amount = c.uncapped_amount AND c.amount > 0
                         WHEN 'zero' THEN c.amount = 0 AND c.uncapped_amount = 0
                         WHEN 'capped' THEN c.amount >= 0 AND c.amount < c.uncapped_amount
                         ELSE c.amount = 0 END

-- name: commission_positions
-- every position up to the depth of the line's one rule has its row, as far as the upline reaches
SELECT format('order_lines %s/%s', l.branch_id, l.id),
       format('%s rows up to position %s, depth %s, upline of %s', c.rows, c.last, r.depth, chain.members)
FROM (
    SELECT branch_id, line_id, count(*) AS rows, max(position) AS last, min(rule_id) AS rule_id,
           min(rule_id) = max(rule_id) AS one_rule
    FROM commissions GROUP BY branch_id, line_id
) AS c
JOIN rules r ON r.id = c.rule_id
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.compress THEN (
        SELECT count(*) FROM unnest(o.upline_states) WITH ORDINALITY AS u (state, place)
        WHERE place = 1 OR state IN ('active', 'watch')
    ) ELSE cardinality(o.upline) END AS members
) AS chain
WHERE o.paid_at IS NOT NULL
  AND (NOT c.one_rule OR c.last <> c.rows - 1 OR c.rows <> least(r.depth, chain.members))

-- name: plan_positions
-- a plan pays as far as the deepest of its rules, and further than was allowed only with a reason
SELECT format('plans %s', p.id),
       format('%s version %s pays %s positions, its rules %s, allowed were %s', p.code, p.version, p.paid_positions,
              coalesce(r.depth, 0), p.max_paid_positions)
FROM plans p
LEFT JOIN (SELECT plan_id, max(depth) AS depth FROM rules GROUP BY plan_id) AS r ON r.plan_id = p.id
WHERE p.paid_positions <> coalesce(r.depth, 0)
   OR (p.paid_positions > p.max_paid_positions AND p.override_reason IS NULL)

-- name: order_states
-- the state of an order agrees with its times, and they follow each other
SELECT format('orders %s/%s', branch_id, id),
       format('%s, placed %s, paid %s, shipped %s, received %s, completed %s, matures %s, cancelled %s', state, placed_at, paid_at,
              shipped_at, received_at, completed_at, matures_at, cancelled_at)
FROM orders
WHERE (paid_at IS NULL) <> (state IN ('placed', 'cancelled')) OR (completed_at IS NULL) <> (state <> 'completed')
   OR (completed_at IS NULL) <> (matures_at IS NULL) OR (cancelled_at IS NULL) <> (state <> 'cancelled')
   OR (shipped_at IS NULL AND state IN ('shipped', 'received')) OR (received_at IS NULL AND state = 'received')
   OR placed_at > paid_at OR paid_at > completed_at OR completed_at > matures_at OR placed_at > cancelled_at
   OR paid_at > shipped_at OR shipped_at > received_at OR received_at > completed_at

-- name: empty_orders
-- every order has a line
SELECT format('orders %s/%s', branch_id, id), format('order %s', order_no)
FROM orders o
WHERE NOT EXISTS (SELECT FROM order_lines l WHERE l.branch_id = o.branch_id AND l.order_id = o.id)

-- name: claims
-- every order and refund has claimed its name, and every claim has its order, refund or payment
SELECT CASE WHEN o.id IS NULL THEN format('claims %s', c.name) ELSE format('orders %s/%s', o.branch_id, o.id) END,
       format('order %s, claim of %s/%s', o.order_no, c.branch_id, c.event_id)
FROM orders o
FULL JOIN (SELECT * FROM claims WHERE kind = 'order_no') AS c
    ON c.name = o.order_no AND c.branch_id = o.branch_id AND c.event_id = o.id
WHERE o.id IS NULL OR c.name IS NULL
UNION ALL
SELECT CASE WHEN r.id IS NULL THEN format('claims %s', c.name) ELSE format('refunds %s/%s', r.branch_id, r.id) END,
       format('refund %s, claim of %s/%s', r.reference, c.branch_id, c.event_id)
FROM (SELECT * FROM refunds WHERE reverses_id IS NULL) AS r
FULL JOIN (SELECT * FROM claims WHERE kind = 'refund') AS c
    ON c.name = r.reference AND c.branch_id = r.branch_id AND c.event_id = r.id
WHERE r.id IS NULL OR c.name IS NULL
UNION ALL
SELECT format('claims %s', c.name), format('%s of %s/%s', c.kind, c.branch_id, c.event_id)
FROM claims c
LEFT JOIN orders o ON c.kind = 'order_token' AND o.branch_id = c.branch_id AND o.id = c.event_id
LEFT JOIN payments p ON c.kind = 'payment_intent' AND p.branch_id = c.branch_id AND p.id = c.event_id AND p.intent_id = c.name
WHERE c.kind IN ('order_token', 'payment_intent') AND o.id IS NULL AND p.id IS NULL

-- name: order_uplines
-- the upline of a paid order begins with the seller, and all its members are distributors
SELECT format('orders %s/%s', o.branch_id, o.id), format('seller %s, upline %s', o.seller_id, o.upline)
FROM orders o
JOIN (
    SELECT o.branch_id, o.id, count(d.id) AS known
    FROM orders o
    CROSS JOIN LATERAL unnest(o.upline) AS member (id)
    LEFT JOIN distributors d ON d.id = member.id
    GROUP BY o.branch_id, o.id
) AS u ON u.branch_id = o.branch_id AND u.id = o.id
WHERE o.upline[1] <> o.seller_id OR u.known <> cardinality(o.upline)
   OR cardinality(o.upline_tiers) <> u.known OR cardinality(o.upline_states) <> u.known

-- name: order_plans
-- the plan of a paid order was active and in force when it was paid
SELECT format('orders %s/%s', o.branch_id, o.id), format('paid %s, plan %s is %s %s', o.paid_at, p.code, p.state, p.during)
FROM orders o
JOIN plans p ON p.id = o.plan_id
WHERE o.paid_at IS NOT NULL AND (p.state <> 'active' OR NOT p.during @> o.paid_at)

-- name: payment_transfers
-- a paid order has one transfer of all that was paid, from clearing to escrow
SELECT format('orders %s/%s', branch_id, id), format('paid %s, posted %s in %s transfers', paid, amount, transfers)
FROM (
    SELECT o.branch_id, o.id, sum(l.paid) AS paid
    FROM orders o JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    WHERE o.paid_at IS NOT NULL
    GROUP BY o.branch_id, o.id HAVING sum(l.paid) > 0
) AS expected
FULL JOIN (
    SELECT t.branch_id, t.source_id AS id, sum(t.amount) AS amount, count(*) AS transfers,
           bool_and(debit.kind = 'clearing' AND credit.kind = 'escrow') AS right_way
    FROM transfers t
    JOIN ledger_accounts debit ON debit.id = t.debit_account_id
    JOIN ledger_accounts credit ON credit.id = t.credit_account_id
    WHERE t.source_type = 'order' AND t.code = 'payment'
    GROUP BY t.branch_id, t.source_id
) AS posted USING (branch_id, id)
WHERE paid IS DISTINCT FROM amount OR transfers > 1 OR NOT right_way

-- name: stripe_payments
-- what an order got from Stripe is a payment that has succeeded, of all the order cost
SELECT format('orders %s/%s', o.branch_id, o.id), format('posted %s, payments %s', posted.amount, payments.amounts)
FROM (
    SELECT t.branch_id, t.source_id, sum(t.amount) AS amount
    FROM transfers t JOIN ledger_accounts a ON a.id = t.debit_account_id AND a.kind = 'clearing' AND a.rail = 'stripe'
    WHERE t.source_type = 'order'
    GROUP BY t.branch_id, t.source_id
) AS posted
JOIN orders o ON o.branch_id = posted.branch_id AND o.id = posted.source_id
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(amount ORDER BY id), '{}') AS amounts FROM payments
    WHERE branch_id = o.branch_id AND order_id = o.id AND state = 'succeeded'
) AS payments
WHERE posted.amount <> ALL (payments.amounts)

-- name: shipped_units
-- no line had more units shipped than were bought, nor by another brand than its own
SELECT format('order_lines %s/%s', l.branch_id, l.id), format('bought %s, shipped %s', l.quantity, sum(c.quantity))
FROM order_lines l
JOIN shipment_lines c ON c.branch_id = l.branch_id AND c.line_id = l.id
JOIN shipments p ON p.branch_id = c.branch_id AND p.id = c.shipment_id
JOIN supply_orders s ON s.branch_id = p.branch_id AND s.id = p.supply_order_id
GROUP BY l.branch_id, l.id
HAVING sum(c.quantity) > l.quantity OR bool_or(s.brand_id <> l.brand_id OR s.order_id <> l.order_id)

-- name: freight_transfers
-- the freight of a paid order, and what an applied refund gave back of it, went between clearing and revenue, each once
SELECT format('%ss %s/%s', source_type, branch_id, id), format('freight %s, posted %s in %s transfers', freight, amount, transfers)
FROM (
    SELECT branch_id, 'order' AS source_type, id, freight FROM orders WHERE paid_at IS NOT NULL AND freight > 0
    UNION ALL
    SELECT branch_id, 'refund', id, -freight FROM refunds WHERE state = 'applied' AND freight <> 0
) AS expected
FULL JOIN (
    SELECT t.branch_id, t.source_type, t.source_id AS id, count(*) AS transfers,
           sum(CASE WHEN debit.kind = 'clearing' AND credit.kind = 'revenue' THEN t.amount
                    WHEN debit.kind = 'revenue' AND credit.kind = 'clearing' THEN -t.amount END) AS amount
    FROM transfers t
    JOIN ledger_accounts debit ON debit.id = t.debit_account_id
    JOIN ledger_accounts credit ON credit.id = t.credit_account_id
    WHERE t.code IN ('freight', 'freight_refund')
    GROUP BY t.branch_id, t.source_type, t.source_id
) AS posted USING (branch_id, source_type, id)
WHERE freight IS DISTINCT FROM amount OR transfers > 1

-- name: freight_refunds
-- no order had more freight refunded than it paid
SELECT format('orders %s/%s', o.branch_id, o.id), format('freight %s, refunded %s', o.freight, sum(r.freight))
FROM orders o JOIN refunds r ON r.branch_id = o.branch_id AND r.order_id = o.id
GROUP BY o.branch_id, o.id HAVING sum(r.freight) NOT BETWEEN 0 AND o.freight

-- name: supply_transfers
-- a completed order has posted the supply of each brand from escrow to that brand, and no other order has
SELECT format('orders %s/%s', branch_id, id), format('brand %s, supply %s, posted %s', brand_id, supply, amount)
FROM (
    SELECT o.branch_id, o.id, l.brand_id, sum(l.quantity * l.supply_price) AS supply
    FROM orders o JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    WHERE o.state = 'completed'
    GROUP BY o.branch_id, o.id, l.brand_id HAVING sum(l.quantity * l.supply_price) > 0
) AS expected
FULL JOIN (
    SELECT t.branch_id, t.source_id AS id, CASE debit.kind WHEN 'escrow' THEN credit.brand_id END AS brand_id,
           sum(t.amount) AS amount
    FROM transfers t
    JOIN ledger_accounts debit ON debit.id = t.debit_account_id
    JOIN ledger_accounts credit ON credit.id = t.credit_account_id
    WHERE t.source_type = 'order' AND t.code = 'supply'
    GROUP BY 1, 2, 3
) AS posted USING (branch_id, id, brand_id)
WHERE supply IS DISTINCT FROM amount

-- name: commission_transfers
-- a completed order has posted the commissions of each distributor from escrow to it, and no other order has
SELECT format('orders %s/%s', branch_id, id),
       format('distributor %s, commissions %s, posted %s', distributor_id, commission, amount)
FROM (
    SELECT o.branch_id, o.id, c.distributor_id, sum(c.amount) AS commission
    FROM orders o
    JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
    WHERE o.state = 'completed'
    GROUP BY o.branch_id, o.id, c.distributor_id HAVING sum(c.amount) > 0
) AS expected
FULL JOIN (
    SELECT t.branch_id, t.source_id AS id, CASE debit.kind WHEN 'escrow' THEN credit.distributor_id END AS distributor_id,
           sum(t.amount) AS amount
    FROM transfers t
    JOIN ledger_accounts debit ON debit.id = t.debit_account_id
    JOIN ledger_accounts credit ON credit.id = t.credit_account_id
    WHERE t.source_type = 'order' AND t.code = 'commission'
    GROUP BY 1, 2, 3
) AS posted USING (branch_id, id, distributor_id)
WHERE commission IS DISTINCT FROM amount

-- name: revenue_transfers
-- a completed order has posted the platform's part of what was paid: escrow to revenue, or back as a subsidy below nothing
SELECT format('orders %s/%s', branch_id, id), format('platform %s, posted %s', platform, amount)
FROM (
    SELECT o.branch_id, o.id, sum(l.paid - l.quantity * l.supply_price - coalesce(c.amount, 0)) AS platform
    FROM orders o
    JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    LEFT JOIN (SELECT branch_id, line_id, sum(amount) AS amount FROM commissions GROUP BY branch_id, line_id) AS c
        ON c.branch_id = l.branch_id AND c.line_id = l.id
    WHERE o.state = 'completed'
    GROUP BY o.branch_id, o.id HAVING sum(l.paid - l.quantity * l.supply_price - coalesce(c.amount, 0)) <> 0
) AS expected
FULL JOIN (
    SELECT t.branch_id, t.source_id AS id, sum(CASE t.code WHEN 'revenue' THEN t.amount ELSE -t.amount END) AS amount,
           count(*) AS transfers,
           bool_and(CASE t.code WHEN 'revenue' THEN debit.kind = 'escrow' AND credit.kind = 'revenue'
                                ELSE debit.kind = 'revenue' AND credit.kind = 'escrow' END) AS right_way
    FROM transfers t
    JOIN ledger_accounts debit ON debit.id = t.debit_account_id
    JOIN ledger_accounts credit ON credit.id = t.credit_account_id
    WHERE t.source_type = 'order' AND t.code IN ('revenue', 'subsidy')
    GROUP BY t.branch_id, t.source_id
) AS posted USING (branch_id, id)
WHERE platform IS DISTINCT FROM amount OR transfers > 1 OR NOT right_way

-- name: transfer_times
-- a transfer is dated when its order was paid, completed or refunded
SELECT format('transfers %s/%s', t.branch_id, t.id), format('%s posted %s, order paid %s, completed %s', t.code, t.posted_at,
       o.paid_at, o.completed_at)
FROM transfers t
JOIN orders o ON o.branch_id = t.branch_id AND o.id = t.source_id
WHERE t.source_type = 'order'
  AND t.posted_at <> CASE WHEN t.code IN ('payment', 'freight') THEN o.paid_at ELSE o.completed_at END
UNION ALL
SELECT format('transfers %s/%s', t.branch_id, t.id), format('%s posted %s, refunded %s, order completed %s', t.code, t.posted_at,
       r.refunded_at, o.completed_at)
FROM transfers t
JOIN refunds r ON r.branch_id = t.branch_id AND r.id = t.source_id
JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
WHERE t.source_type = 'refund'
  AND t.posted_at <> CASE WHEN t.code IN ('refund', 'freight_refund') THEN r.refunded_at
                          ELSE greatest(r.refunded_at, o.completed_at) END

-- name: refund_transfers
-- an applied refund has left escrow for clearing; of a completed order escrow has got back each part of it, and no other has
SELECT format('refunds %s/%s', branch_id, id),
       format('%s of account %s: %s, posted %s', code, account_id, coalesce(expected.amount, 0), coalesce(posted.amount, 0))
FROM (
    SELECT r.branch_id, r.id, 'refund' AS code, payment.debit_account_id AS account_id, -sum(l.amount) AS amount
    FROM refunds r
    JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
    LEFT JOIN transfers payment ON payment.branch_id = r.branch_id AND payment.source_type = 'order'
        AND payment.source_id = r.order_id AND payment.code = 'payment'
    WHERE r.state = 'applied'
    GROUP BY r.branch_id, r.id, payment.debit_account_id HAVING sum(l.amount) <> 0
    UNION ALL
    SELECT branch_id, id, code, account_id, amount
    FROM (
        SELECT r.branch_id, r.id, part.code, a.id AS account_id, sum(part.amount) AS amount
        FROM refunds r
        JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
        JOIN (
            SELECT l.branch_id, l.refund_id, 'supply_return' AS code, 'brand_payable' AS kind, line.brand_id, NULL::bigint AS distributor_id, l.supply AS amount
            FROM refund_lines l JOIN order_lines line ON line.branch_id = l.branch_id AND line.id = l.line_id
            UNION ALL
            SELECT branch_id, refund_id, 'clawback', 'commission_payable', NULL, distributor_id, amount FROM clawbacks
            UNION ALL
            SELECT branch_id, refund_id, 'revenue_return', 'revenue', NULL, NULL, amount - supply FROM refund_lines
            UNION ALL
            SELECT branch_id, refund_id, 'revenue_return', 'revenue', NULL, NULL, -amount FROM clawbacks
        ) AS part ON part.branch_id = r.branch_id AND part.refund_id = r.id
        LEFT JOIN ledger_accounts a ON a.kind = part.kind AND a.brand_id IS NOT DISTINCT FROM part.brand_id
            AND a.distributor_id IS NOT DISTINCT FROM part.distributor_id
        WHERE r.state = 'applied' AND o.completed_at IS NOT NULL
        GROUP BY r.branch_id, r.id, part.code, a.id
    ) AS part
    WHERE amount <> 0
) AS expected
FULL JOIN (
    SELECT t.branch_id, t.source_id AS id, t.code, other.id AS account_id,
           sum(CASE WHEN t.debit_account_id = other.id THEN t.amount ELSE -t.amount END) AS amount
    FROM transfers t
    JOIN ledger_accounts escrow ON escrow.id IN (t.debit_account_id, t.credit_account_id) AND escrow.kind = 'escrow'
    JOIN ledger_accounts other ON other.id IN (t.debit_account_id, t.credit_account_id) AND other.kind <> 'escrow'
    WHERE t.source_type = 'refund'
    GROUP BY t.branch_id, t.source_id, t.code, other.id
) AS posted USING (branch_id, id, code, account_id)
WHERE expected.amount IS DISTINCT FROM posted.amount

-- name: account_balances
-- every balance is what orders and statements say: escrow holds the paid and not completed, each payee its parts of the rest
SELECT format('%s %s', kind, owner_id), format('balance %s, orders say %s', coalesce(balance, 0), coalesce(expected, 0))
FROM (
    SELECT a.kind, coalesce(a.brand_id, a.distributor_id, 0) AS owner_id, sum(side.amount) AS balance
    FROM (
        SELECT credit_account_id AS account_id, sum(amount) AS amount FROM transfers GROUP BY credit_account_id
        UNION ALL
        SELECT debit_account_id, -sum(amount) FROM transfers GROUP BY debit_account_id
    ) AS side
    JOIN ledger_accounts a ON a.id = side.account_id
    GROUP BY 1, 2
) AS posted
FULL JOIN (
    SELECT kind, owner_id, sum(amount) AS expected
    FROM (
        SELECT part.kind, part.owner_id, part.amount
        FROM (
            SELECT l.brand_id, o.state = 'completed' AS is_completed, sum(l.paid - l.refunded) AS paid, sum(l.supply) AS supply,
                   sum(l.platform) AS platform
            FROM orders o JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
            WHERE o.paid_at IS NOT NULL
            GROUP BY 1, 2
        ) AS sold
        CROSS JOIN LATERAL (
            VALUES ('clearing', 0, -paid),
                   ('escrow', 0, CASE WHEN is_completed THEN 0 ELSE paid END),
                   ('revenue', 0, CASE WHEN is_completed THEN platform ELSE 0 END),
                   ('brand_payable', brand_id, CASE WHEN is_completed THEN supply ELSE 0 END)
        ) AS part (kind, owner_id, amount)
        UNION ALL
        SELECT part.kind, 0, part.amount
        FROM (
            SELECT sum(freight) AS amount FROM (
                SELECT freight FROM orders WHERE paid_at IS NOT NULL
                UNION ALL
                SELECT -freight FROM refunds WHERE state = 'applied'
            ) AS each
        ) AS freight
        CROSS JOIN LATERAL (VALUES ('clearing', -freight.amount), ('revenue', freight.amount)) AS part (kind, amount)
        UNION ALL
        SELECT 'commission_payable', c.distributor_id, sum(c.amount - clawed(c.amount, l.refunded, l.paid))
        FROM orders o
        JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
        JOIN commissions c ON c.branch_id = l.branch_id AND c.line_id = l.id
        WHERE o.state = 'completed'
        GROUP BY c.distributor_id
        UNION ALL
        SELECT part.kind, part.owner_id, part.amount
        FROM statements s
        JOIN settlement_runs r ON r.id = s.run_id AND r.state IN ('approved', 'paying', 'paid')
        CROSS JOIN LATERAL (
            VALUES ('commission_payable', s.distributor_id, s.debt_added - s.debt_offset - s.withheld),
                   ('debt', s.distributor_id, s.debt_offset - s.debt_added), ('tax_payable', 0, s.withheld)
        ) AS part (kind, owner_id, amount)
        WHERE s.distributor_id IS NOT NULL
        UNION ALL
        SELECT part.kind, part.owner_id, part.amount
        FROM adjustments a
        CROSS JOIN LATERAL (
            VALUES (CASE WHEN a.brand_id IS NULL THEN 'commission_payable' ELSE 'brand_payable' END,
                    coalesce(a.brand_id, a.distributor_id), a.amount), ('revenue', 0, -a.amount)
        ) AS part (kind, owner_id, amount)
        UNION ALL
        SELECT part.kind, part.owner_id, part.amount
        FROM write_offs w
        CROSS JOIN LATERAL (
            VALUES ('debt', w.distributor_id, w.amount), ('write_off', 0, -w.amount)
        ) AS part (kind, owner_id, amount)
        WHERE w.approved_at IS NOT NULL
        UNION ALL
        SELECT part.kind, part.owner_id, part.amount
        FROM payouts p
        CROSS JOIN LATERAL (
            VALUES (CASE WHEN p.brand_id IS NULL THEN 'commission_payable' ELSE 'brand_payable' END,
                    coalesce(p.brand_id, p.distributor_id), -p.amount),
                   (CASE p.state WHEN 'confirmed' THEN 'clearing' ELSE 'in_transit' END, 0, p.amount)
        ) AS part (kind, owner_id, amount)
        WHERE p.state IN ('sending', 'unknown', 'sent', 'confirmed')
    ) AS part
    GROUP BY kind, owner_id
) AS owed USING (kind, owner_id)
WHERE coalesce(balance, 0) <> coalesce(expected, 0)

-- name: ledger_accounts
-- a kind and an owner have one account, with a rail, a brand or a distributor where the kind has one
SELECT format('ledger_accounts %s', id), format('%s, rail %s, brand %s, distributor %s', kind, rail, brand_id, distributor_id)
FROM (
    SELECT *, row_number() OVER (PARTITION BY kind, rail, brand_id, distributor_id ORDER BY id) AS number
    FROM ledger_accounts
) AS a
WHERE number > 1
   OR (kind = 'clearing') <> (rail IS NOT NULL) OR (kind = 'brand_payable') <> (brand_id IS NOT NULL)
   OR (kind IN ('commission_payable', 'debt')) <> (distributor_id IS NOT NULL)

-- name: checkpoints
-- the checkpoint of an account holds its transfers up to the horizon, and nothing else
SELECT format('ledger_checkpoints %s', account_id),
       format('debits %s, credits %s; its transfers %s, %s', c.debits, c.credits, posted.debits, posted.credits)
FROM (
    SELECT side.account_id, sum(side.debits) AS debits, sum(side.credits) AS credits
    FROM transfers t
    CROSS JOIN LATERAL (
        VALUES (t.debit_account_id, t.amount, 0), (t.credit_account_id, 0, t.amount)
    ) AS side (account_id, debits, credits)
    WHERE t.id <= (SELECT through_id FROM ledger_horizon)
    GROUP BY side.account_id
) AS posted
FULL JOIN ledger_checkpoints c USING (account_id)
WHERE (c.debits, c.credits) IS DISTINCT FROM (posted.debits, posted.credits)

-- name: statement_totals
-- lines, gross, clawbacks and adjustments of a statement are the count and the sums of what points to it
SELECT format('statements %s', s.id),
       format('%s lines, gross %s, clawbacks %s, adjustments %s; found %s, %s, %s, %s', s.lines, s.gross, s.clawbacks,
              s.adjustments, part.lines, part.gross, part.clawbacks, part.adjustments)
FROM statements s
LEFT JOIN (
    SELECT statement_id, sum(line) AS lines, sum(amount) AS gross, sum(clawback) AS clawbacks, sum(adjustment) AS adjustments
    FROM (
        SELECT statement_id, 1 AS line, amount, 0 AS clawback, 0 AS adjustment FROM commissions
        UNION ALL
        SELECT statement_id, 1, 0, amount, 0 FROM clawbacks
        UNION ALL
        SELECT statement_id, 1, quantity * supply_price, 0, 0 FROM order_lines
        UNION ALL
        SELECT statement_id, 1, 0, supply, 0 FROM refund_lines
        UNION ALL
        SELECT statement_id, 0, 0, 0, amount FROM adjustments
    ) AS line
    GROUP BY statement_id
) AS part ON part.statement_id = s.id
WHERE (s.lines, s.gross, s.clawbacks, s.adjustments)
      IS DISTINCT FROM (coalesce(part.lines, 0), coalesce(part.gross, 0), coalesce(part.clawbacks, 0), coalesce(part.adjustments, 0))

-- name: statement_chain
-- a statement begins with what the earlier ones of its payee carried forward and owe, less what was written off
SELECT format('statements %s', s.id),
       format('carry in %s, debt in %s; earlier ones leave %s, %s', s.carry_in, s.debt_in, before.carry, before.debt)
FROM statements s
JOIN settlement_runs r ON r.id = s.run_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.carry_out - e.carry_in), 0) AS carry,
           coalesce(sum(e.debt_added - e.debt_offset), 0) - coalesce((
               SELECT sum(w.amount) FROM write_offs w
               WHERE w.distributor_id = s.distributor_id AND w.approved_at <= r.created_at
           ), 0) AS debt
    FROM statements e
    WHERE e.id < s.id AND (e.distributor_id = s.distributor_id OR e.brand_id = s.brand_id)
) AS before
WHERE (s.carry_in, s.debt_in) IS DISTINCT FROM (before.carry, before.debt)

-- name: statement_payees
-- a commission or a clawback stands in a statement of its distributor, an order line or a return in one of its brand
SELECT format('%s %s/%s', part.kind, part.branch_id, part.id),
       format('distributor %s, brand %s; statement %s of distributor %s, brand %s', part.distributor_id, part.brand_id, s.id,
              s.distributor_id, s.brand_id)
FROM (
    SELECT 'commissions' AS kind, branch_id, id, distributor_id, NULL::bigint AS brand_id, statement_id FROM commissions
    UNION ALL
    SELECT 'clawbacks', branch_id, id, distributor_id, NULL, statement_id FROM clawbacks
    UNION ALL
    SELECT 'order_lines', branch_id, id, NULL, brand_id, statement_id FROM order_lines
    UNION ALL
    SELECT 'refund_lines', r.branch_id, r.id, NULL, l.brand_id, r.statement_id
    FROM refund_lines r JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
) AS part
JOIN statements s ON s.id = part.statement_id
WHERE (part.distributor_id, part.brand_id) IS DISTINCT FROM (s.distributor_id, s.brand_id)

-- name: settled_refunds
-- all that a refund takes back is settled in one run, or later where its payee disputed; after the refund and not before its order
SELECT format('refunds %s/%s', r.branch_id, r.id),
       format('refunded %s, in run %s with cutoff %s; parts in runs %s', r.refunded_at, r.run_id, run.cutoff, part.runs)
FROM refunds r
LEFT JOIN settlement_runs run ON run.id = r.run_id
LEFT JOIN (
    SELECT line.branch_id, line.refund_id, array_agg(DISTINCT s.run_id) AS runs, min(s.run_id) AS first_run,
           CASE WHEN count(*) = count(s.run_id) THEN max(s.run_id) END AS last_run
    FROM (
        SELECT branch_id, refund_id, statement_id FROM clawbacks
        UNION ALL
        SELECT branch_id, refund_id, statement_id FROM refund_lines WHERE supply <> 0
    ) AS line
    LEFT JOIN statements s ON s.id = line.statement_id
    GROUP BY line.branch_id, line.refund_id
) AS part ON part.branch_id = r.branch_id AND part.refund_id = r.id
WHERE r.run_id IS DISTINCT FROM part.last_run
   OR r.refunded_at >= run.cutoff
   OR (cardinality(part.runs) > 1 AND EXISTS (
       SELECT FROM (
           SELECT c.distributor_id, NULL::bigint AS brand_id, c.statement_id FROM clawbacks c
           WHERE c.branch_id = r.branch_id AND c.refund_id = r.id
           UNION ALL
           SELECT NULL, l.brand_id, b.statement_id
           FROM refund_lines b JOIN order_lines l ON l.branch_id = b.branch_id AND l.id = b.line_id
           WHERE b.branch_id = r.branch_id AND b.refund_id = r.id AND b.supply <> 0
       ) AS line
       LEFT JOIN statements s ON s.id = line.statement_id
       WHERE s.run_id IS DISTINCT FROM part.first_run AND NOT EXISTS (
           SELECT FROM disputes d
           WHERE d.run_id = part.first_run AND d.left_at IS NOT NULL
             AND (d.distributor_id, d.brand_id) IS NOT DISTINCT FROM (line.distributor_id, line.brand_id)
       )
   ))
   OR (r.run_id IS NOT NULL AND EXISTS (
       SELECT FROM order_lines l
       WHERE l.branch_id = r.branch_id AND l.order_id = r.order_id AND l.statement_id IS NULL
         AND NOT EXISTS (SELECT FROM disputes d WHERE d.brand_id = l.brand_id AND d.left_at IS NOT NULL)
   ))

-- name: settled_early
-- what stands in a statement had matured before the cutoff of its run
SELECT format('order_lines %s/%s', l.branch_id, l.id), format('matures %s, cutoff %s of run %s', o.matures_at, r.cutoff, r.id)
FROM order_lines l
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN statements s ON s.id = l.statement_id
JOIN settlement_runs r ON r.id = s.run_id
WHERE o.matures_at IS NULL OR o.matures_at >= r.cutoff

-- name: half_settled
-- the lines of an order and all their commissions are settled in one run, or later where their payee disputed
SELECT format('%s %s/%s', part.kind, part.branch_id, part.id),
       format('%s in run %s, %s in run %s', part.name, part.run_id, part.other_name, part.other_run_id)
FROM (
    SELECT 'order_lines' AS kind, l.branch_id, l.id, 'order line' AS name, of_line.run_id, NULL::bigint AS distributor_id,
           l.brand_id, 'order' AS other_name, of_order.run_id AS other_run_id, first.brand_id AS other_brand_id
    FROM order_lines l
    LEFT JOIN statements of_line ON of_line.id = l.statement_id
    JOIN order_lines first ON first.branch_id = l.branch_id AND first.order_id = l.order_id AND first.line_no = 1
    LEFT JOIN statements of_order ON of_order.id = first.statement_id
    WHERE of_line.run_id IS DISTINCT FROM of_order.run_id
    UNION ALL
    SELECT 'commissions', c.branch_id, c.id, 'commission', of_commission.run_id, c.distributor_id, NULL, 'order line',
           of_line.run_id, l.brand_id
    FROM commissions c
    LEFT JOIN statements of_commission ON of_commission.id = c.statement_id
    JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
    LEFT JOIN statements of_line ON of_line.id = l.statement_id
    WHERE of_commission.run_id IS DISTINCT FROM of_line.run_id
) AS part
-- What is in the later run, or in none yet, had left the earlier one.
WHERE NOT EXISTS (
    SELECT FROM disputes d
    WHERE d.left_at IS NOT NULL AND (d.run_id, d.distributor_id, d.brand_id) IS NOT DISTINCT FROM (
        least(part.run_id, part.other_run_id),
        CASE WHEN part.run_id IS NULL OR part.run_id > part.other_run_id THEN part.distributor_id END,
        CASE WHEN part.run_id IS NULL OR part.run_id > part.other_run_id THEN part.brand_id ELSE part.other_brand_id END
    )
)

-- name: settlement_runs
-- a run has statements, unless it was discarded or all have left it, and was made after its cutoff
SELECT format('settlement_runs %s', id), format('cutoff %s, made %s', cutoff, created_at)
FROM settlement_runs r
WHERE cutoff > created_at OR CASE WHEN state = 'discarded' THEN EXISTS (SELECT FROM statements s WHERE s.run_id = r.id)
    ELSE NOT EXISTS (SELECT FROM statements s WHERE s.run_id = r.id)
         AND NOT EXISTS (SELECT FROM disputes d WHERE d.run_id = r.id AND d.left_at IS NOT NULL) END

-- name: disputes
-- a disputed statement is of its payee and its run; one that has left its run is gone, and the adjustment is of its payee
SELECT format('disputes %s', d.id),
       format('run %s %s, statement %s of run %s, left at %s, adjustment %s', d.run_id, r.state, s.id, s.run_id, d.left_at, a.id)
FROM disputes d
JOIN settlement_runs r ON r.id = d.run_id
LEFT JOIN statements s ON s.id = d.statement_id
LEFT JOIN adjustments a ON a.id = d.adjustment_id
WHERE (s.id IS NOT NULL AND (s.run_id, s.distributor_id, s.brand_id) IS DISTINCT FROM (d.run_id, d.distributor_id, d.brand_id))
   OR (a.id IS NOT NULL AND (a.distributor_id, a.brand_id) IS DISTINCT FROM (d.distributor_id, d.brand_id))
   OR (s.id IS NULL) = (d.left_at IS NULL AND r.state <> 'discarded')
   OR (r.state IN ('approved', 'paying', 'paid') AND d.left_at IS NULL AND d.outcome IS DISTINCT FROM 'rejected')

-- name: tree
-- the ancestors of a distributor are itself and the ancestors of its parent
SELECT format('distributors %s', d.id), format('ancestors %s, parent %s with %s', d.ancestors, d.parent_id, p.ancestors)
FROM distributors d
LEFT JOIN distributors p ON p.id = d.parent_id
WHERE d.ancestors IS DISTINCT FROM d.id || coalesce(p.ancestors, '{}')
   OR (d.parent_id IS NOT NULL AND p.id IS NULL) OR d.id = ANY (p.ancestors)

-- name: current_history
-- the open span of a distributor's history has its parent, tier and state
SELECT format('distributors %s', d.id),
       format('parent %s, tier %s, %s; history %s, %s, %s', d.parent_id, d.tier_id, d.state, h.parent_id, h.tier_id, h.state)
FROM distributors d
LEFT JOIN distributor_history h ON h.distributor_id = d.id AND upper_inf(h.during)
WHERE h.id IS NULL OR (d.parent_id, d.tier_id, d.state) IS DISTINCT FROM (h.parent_id, h.tier_id, h.state)

-- name: history_spans
-- the spans of a distributor's history follow each other without a gap
SELECT format('distributor_history %s', id), format('%s after %s', during, before)
FROM (
    SELECT *, lag(during) OVER (PARTITION BY distributor_id ORDER BY during) AS before FROM distributor_history
) AS span
WHERE lower(during) IS DISTINCT FROM upper(before) AND before IS NOT NULL

-- name: current_prices
-- every variant has one price now
SELECT format('variants %s', v.id), format('%s current prices', count(p.id))
FROM variants v
LEFT JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
GROUP BY v.id
HAVING count(p.id) <> 1

-- name: price_spans
-- the prices of a variant begin without a beginning and follow each other without a gap
SELECT format('prices %s', id), format('%s after %s', during, before)
FROM (SELECT *, lag(during) OVER (PARTITION BY variant_id ORDER BY during) AS before FROM prices) AS span
WHERE lower(during) IS DISTINCT FROM upper(before)

-- name: price_order
-- supply <= minimum <= suggested <= maximum price, and no tier costs less than supply or than a higher tier
SELECT format('prices %s', id),
       format('supply %s, band %s to %s to %s, tiers %s', supply_price, min_price, suggested_price, max_price, tier_costs)
FROM prices
WHERE supply_price < 0 OR supply_price > min_price OR min_price > suggested_price OR suggested_price > max_price
   OR NOT costs_in_order(supply_price, tier_costs)

-- name: tier_costs
-- a price has a cost for tiers that exist only
SELECT format('prices %s', p.id), format('cost %s for rank %s', c.cost, c.rank)
FROM prices p
CROSS JOIN LATERAL unnest(p.tier_costs) WITH ORDINALITY AS c (cost, rank)
WHERE c.cost IS NOT NULL AND c.rank NOT IN (SELECT rank FROM tiers)

-- name: product_reviews
-- a product that was never live is in review exactly while a revision of it is
SELECT format('products %s', p.id), format('%s, revision in review: %s', p.state, r.id)
FROM products p
LEFT JOIN product_revisions r ON r.product_id = p.id AND r.state = 'in_review'
WHERE p.state IN ('draft', 'in_review') AND (p.state = 'in_review') <> (r.id IS NOT NULL)

-- name: withdrawn_products
-- a product is delisted where it was withdrawn last, listed where it was listed last; no order waits to be paid for it then
WITH last AS (
    SELECT DISTINCT ON (product_id) product_id, kind FROM product_events
    WHERE kind IN ('listed', 'withdrawn')
    ORDER BY product_id, id DESC
)
SELECT format('products %s', p.id), format('%s, but was %s last', p.state, last.kind)
FROM last
JOIN products p ON p.id = last.product_id
WHERE p.state <> CASE last.kind WHEN 'withdrawn' THEN 'delisted' ELSE 'listed' END
UNION ALL
SELECT format('orders %s/%s', o.branch_id, o.id), format('is placed, product %s is withdrawn', l.product_id)
FROM orders o
JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
JOIN last ON last.product_id = l.product_id AND last.kind = 'withdrawn'
WHERE o.state = 'placed'

-- name: listing_products
-- a store shows listed products only
SELECT format('listings %s/%s', l.store_id, l.product_id), format('product %s is %s', p.code, p.state)
FROM listings l
JOIN products p ON p.id = l.product_id
WHERE p.state <> 'listed'

-- name: listing_prices
-- the price of a listing lies in the band of every variant, and not below the owner's tier cost or the brand's floor
SELECT format('listings %s/%s', l.store_id, l.product_id),
       format('price %s, sku %s from %s to %s, tier cost %s', l.price, v.sku, p.min_price, p.max_price, p.tier_costs[t.rank])
       || CASE WHEN r.floor_bps IS NULL THEN '' ELSE format(', floor %s bps of %s', r.floor_bps, p.suggested_price) END
FROM listings l
JOIN stores s ON s.id = l.store_id
JOIN distributors d ON d.id = s.distributor_id
JOIN tiers t ON t.id = d.tier_id
JOIN variants v ON v.product_id = l.product_id
JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
LEFT JOIN brand_rules r ON r.brand_id = v.brand_id
WHERE l.price NOT BETWEEN p.min_price AND p.max_price OR p.tier_costs[t.rank] IS NULL OR l.price < p.tier_costs[t.rank]
   OR l.price::numeric * 10000 < p.suggested_price::numeric * r.floor_bps

-- name: listing_words
-- own words keep the rules of the brand
SELECT format('listings %s/%s', l.store_id, l.product_id),
       coalesce('holds ' || banned_word(l.pitch, r.banned_words), 'lacks ' || r.disclosure)
FROM listings l
JOIN products p ON p.id = l.product_id
JOIN brand_rules r ON r.brand_id = p.brand_id
WHERE l.pitch <> '' AND (banned_word(l.pitch, r.banned_words) IS NOT NULL OR strpos(l.pitch, r.disclosure) = 0)

-- name: listing_spans
-- what a listing was and what it is follow one another: no two spans of it overlap
SELECT format('listings %s/%s', store_id, product_id), format('%s up to %s, next from %s', since, until, next)
FROM (
    SELECT *, lead(since) OVER (PARTITION BY store_id, product_id ORDER BY since) AS next
    FROM (
        SELECT store_id, product_id, since, until FROM listing_history
        UNION ALL
        SELECT store_id, product_id, coalesce(changed_at, listed_at), NULL FROM listings
    ) AS span
) AS spans
WHERE next < coalesce(until, 'infinity')

-- name: brand_rules
-- the rules of a brand are those that it set last
SELECT format('brand_rules %s', r.brand_id), format('floor %s, set last: %s', r.floor_bps, h.floor_bps)
FROM brand_rules r
LEFT JOIN LATERAL (
    SELECT * FROM brand_rules_history WHERE brand_id = r.brand_id ORDER BY id DESC LIMIT 1
) AS h ON true
WHERE (r.banned_words, r.floor_bps, r.disclosure, r.updated_at)
      IS DISTINCT FROM (h.banned_words, h.floor_bps, h.disclosure, h.set_at)

-- name: selectable_products
-- a listed product can be found by the tiers that some price fits, at what its dearest variant costs them, or is stale
SELECT format('products %s', p.id), format('costs %s, found at %s', it.costs, s.costs)
FROM products p
CROSS JOIN LATERAL (
    SELECT array_agg(dearest.cost ORDER BY k.rank) AS costs
    FROM generate_series(1, (SELECT max(rank) FROM tiers)) AS k (rank)
    LEFT JOIN LATERAL price_band(p.id, k.rank) AS band ON true
    LEFT JOIN LATERAL (
        SELECT max(x.tier_costs[k.rank]) AS cost
        FROM variants v JOIN prices x ON x.variant_id = v.id AND upper_inf(x.during)
        WHERE v.product_id = p.id AND band.lowest_price IS NOT NULL
    ) AS dearest ON true
) AS it
LEFT JOIN selectable_products s ON s.product_id = p.id
WHERE p.state = 'listed' AND coalesce(s.costs, '{}') IS DISTINCT FROM CASE
        WHEN EXISTS (SELECT FROM unnest(it.costs) AS cost WHERE cost IS NOT NULL) THEN it.costs ELSE '{}' END
  AND NOT EXISTS (SELECT FROM stale_products WHERE product_id = p.id)

-- name: store_spans
-- the spans of what a store was follow one another, and the last ends where the store as it is begins, unless it was created then
SELECT format('stores %s', coalesce(h.store_id, s.id)),
       format('from %s up to %s, then from %s', h.since, h.until, coalesce(h.following, s.changed_at))
FROM (
    SELECT store_id, since, until, lead(since) OVER (PARTITION BY store_id ORDER BY since) AS following FROM store_history
) AS h
FULL JOIN stores s ON s.id = h.store_id AND h.following IS NULL
WHERE h.until IS DISTINCT FROM coalesce(h.following, s.changed_at)
  AND (h.store_id IS NOT NULL OR s.why <> 'created' OR s.changed_at IS NULL)

-- name: allotted_stock
-- what is set aside of the stock of a variant is what its allotments add up to
SELECT format('variants %s', v.id), format('%s of %s set aside, its allotments %s', v.allotted, v.stock, coalesce(a.quantity, 0))
FROM variants v
LEFT JOIN (SELECT variant_id, sum(quantity) AS quantity FROM allotments GROUP BY variant_id) AS a ON a.variant_id = v.id
WHERE v.allotted <> coalesce(a.quantity, 0)

-- name: allotted_lines
-- no more units of a line came out of allotments than it has
SELECT format('order_lines %s/%s', l.branch_id, l.id), format('%s of %s units came out of allotments', a.quantity, l.quantity)
FROM (
    SELECT branch_id, order_id, line_no, sum(quantity) AS quantity FROM line_allotments GROUP BY branch_id, order_id, line_no
) AS a
JOIN order_lines l ON l.branch_id = a.branch_id AND l.order_id = a.order_id AND l.line_no = a.line_no
WHERE a.quantity > l.quantity

-- name: daily_sellers
-- the daily totals of a seller are those of the orders and refunds that were added up
WITH
-- include: ranking.added
SELECT format('daily_sellers %s/%s/%s', branch_id, seller_id, day),
       format('%s orders, %s kept, %s units, %s paid, %s refunded; orders and refunds say %s, %s, %s, %s, %s', d.orders, d.kept,
              d.units, d.paid, d.refunded, o.orders, o.kept, o.units, o.paid, o.refunded)
FROM daily_sellers d
FULL JOIN (
    SELECT branch_id, seller_id, day, sum(orders) AS orders, sum(kept) AS kept, sum(units) AS units, sum(paid) AS paid,
           sum(refunded) AS refunded
    FROM (
        SELECT branch_id, seller_id, day, 1 AS orders, is_kept::int AS kept, units, paid, 0 AS refunded FROM whole
        UNION ALL
        SELECT b.branch_id, o.seller_id, b.day, 0, 0, 0, 0, b.amount
        FROM back b JOIN orders o ON o.branch_id = b.branch_id AND o.id = b.order_id
    ) AS part
    GROUP BY 1, 2, 3
) AS o USING (branch_id, seller_id, day)
WHERE (d.orders, d.kept, d.units, d.paid, d.refunded) IS DISTINCT FROM (o.orders, o.kept, o.units, o.paid, o.refunded)

-- name: daily_customers
-- the kept orders of a customer with a seller on a day are those that were added up and not wholly refunded since
WITH
-- include: ranking.added
SELECT format('daily_customers %s/%s/%s/%s', branch_id, day, seller_id, customer_id),
       format('%s kept; orders and refunds say %s', d.kept, o.kept)
FROM daily_customers d
FULL JOIN (
    SELECT branch_id, day, seller_id, customer_id, count(*) FILTER (WHERE is_kept) AS kept FROM whole GROUP BY 1, 2, 3, 4
) AS o USING (branch_id, day, seller_id, customer_id)
WHERE d.kept IS DISTINCT FROM o.kept

-- name: daily_products
-- the daily totals of a product in a store are those of the orders and refunds that were added up
WITH
-- include: ranking.added
SELECT format('daily_products %s/%s/%s/%s', branch_id, day, store_id, product_id),
       format('%s orders, %s kept, %s units, %s paid, %s refunded; orders and refunds say %s, %s, %s, %s, %s', d.orders, d.kept,
              d.units, d.paid, d.refunded, o.orders, o.kept, o.units, o.paid, o.refunded)
FROM daily_products d
FULL JOIN (
    SELECT branch_id, day, store_id, product_id, brand_id, sum(orders) AS orders, sum(kept) AS kept, sum(units) AS units,
           sum(paid) AS paid, sum(refunded) AS refunded
    FROM (
        SELECT a.branch_id, a.day, a.store_id, a.product_id, a.brand_id, 1 AS orders,
               (w.is_kept AND bool_or(a.refunded < a.paid OR a.paid = 0))::int AS kept, sum(a.quantity) AS units,
               sum(a.paid) AS paid, 0 AS refunded
        FROM added a JOIN whole w USING (branch_id, id)
        GROUP BY a.branch_id, a.id, a.day, a.store_id, a.product_id, a.brand_id, w.is_kept
        UNION ALL
        SELECT branch_id, b.day, o.store_id, l.product_id, l.brand_id, 0, 0, 0, 0, b.amount
        FROM back b
        JOIN orders o USING (branch_id)
        JOIN order_lines l USING (branch_id)
        WHERE o.id = b.order_id AND l.id = b.line_id
    ) AS part
    GROUP BY 1, 2, 3, 4, 5
) AS o USING (branch_id, day, store_id, product_id)
WHERE (d.orders, d.kept, d.units, d.paid, d.refunded, d.brand_id)
      IS DISTINCT FROM (o.orders, o.kept, o.units, o.paid, o.refunded, o.brand_id)

-- name: daily_brands
-- the daily totals of a brand in a store are those of the orders and refunds that were added up
SELECT format('daily_brands %s/%s/%s/%s', branch_id, store_id, brand_id, day),
       format('%s orders, %s units, %s paid, %s refunded; orders and refunds say %s, %s, %s, %s', d.orders, d.units, d.paid,
              d.refunded, o.orders, o.units, o.paid, o.refunded)
FROM daily_brands d
FULL JOIN (
    SELECT branch_id, store_id, brand_id, day, sum(orders) AS orders, sum(units) AS units, sum(paid) AS paid,
           sum(refunded) AS refunded
    FROM (
        SELECT o.branch_id, o.store_id, l.brand_id, o.day, 1 AS orders, l.units, l.paid, 0 AS refunded
        FROM (
            SELECT branch_id, id, store_id, (paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day FROM orders o
            WHERE paid_at IS NOT NULL
              AND NOT EXISTS (SELECT FROM orders_to_add w WHERE w.branch_id = o.branch_id AND w.order_id = o.id)
        ) AS o
        JOIN (
            SELECT branch_id, order_id, brand_id, sum(quantity) AS units, sum(paid) AS paid
            FROM order_lines GROUP BY branch_id, order_id, brand_id
        ) AS l ON l.branch_id = o.branch_id AND l.order_id = o.id
        UNION ALL
        SELECT o.branch_id, o.store_id, line.brand_id,
               (coalesce(original.refunded_at, r.refunded_at) AT TIME ZONE 'Asia/Shanghai')::date, 0, 0, 0, l.amount
        FROM refunds r
        LEFT JOIN refunds original ON original.branch_id = r.branch_id AND original.id = r.reverses_id
        JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
        JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
        JOIN order_lines line ON line.branch_id = l.branch_id AND line.id = l.line_id
        WHERE r.rolled_up
    ) AS part
    GROUP BY 1, 2, 3, 4
) AS o USING (branch_id, store_id, brand_id, day)
WHERE (d.orders, d.units, d.paid, d.refunded) IS DISTINCT FROM (o.orders, o.units, o.paid, o.refunded)

-- name: named_rows
-- the plan, variant, rule, account and statement that an event names are there
SELECT format('orders %s/%s', branch_id, id), format('plan %s', plan_id)
FROM orders o WHERE plan_id IS NOT NULL AND NOT EXISTS (SELECT FROM plans p WHERE p.id = o.plan_id)
UNION ALL
SELECT format('order_lines %s/%s', branch_id, id), format('variant %s of product %s of brand %s', variant_id, product_id, brand_id)
FROM order_lines l
WHERE NOT EXISTS (
    SELECT FROM variants v WHERE (v.id, v.product_id, v.brand_id) = (l.variant_id, l.product_id, l.brand_id)
)
UNION ALL
SELECT format('order_lines %s/%s', branch_id, id), format('statement %s', statement_id)
FROM order_lines l WHERE statement_id IS NOT NULL AND NOT EXISTS (SELECT FROM statements s WHERE s.id = l.statement_id)
UNION ALL
SELECT format('commissions %s/%s', branch_id, id), format('rule %s', rule_id)
FROM commissions c WHERE NOT EXISTS (SELECT FROM rules r WHERE r.id = c.rule_id)
UNION ALL
SELECT format('commissions %s/%s', branch_id, id), format('statement %s', statement_id)
FROM commissions c WHERE statement_id IS NOT NULL AND NOT EXISTS (SELECT FROM statements s WHERE s.id = c.statement_id)
UNION ALL
SELECT format('%s %s/%s', kind, branch_id, id), format('statement %s', statement_id)
FROM (
    SELECT 'clawbacks' AS kind, branch_id, id, statement_id FROM clawbacks
    UNION ALL
    SELECT 'refund_lines', branch_id, id, statement_id FROM refund_lines
) AS back
WHERE statement_id IS NOT NULL AND NOT EXISTS (SELECT FROM statements s WHERE s.id = back.statement_id)
UNION ALL
SELECT format('transfers %s/%s', branch_id, id), format('from %s to %s', debit_account_id, credit_account_id)
FROM transfers t
WHERE NOT EXISTS (SELECT FROM ledger_accounts a WHERE a.id = t.debit_account_id)
   OR NOT EXISTS (SELECT FROM ledger_accounts a WHERE a.id = t.credit_account_id)

-- name: payouts
-- a run that is paying or paid has one payout for each statement that pays out, equal to it, and no other run has any
SELECT format('statements %s', coalesce(s.id, p.statement_id)),
       format('pays out %s to %s/%s; payout %s of %s to %s/%s', s.payout, s.distributor_id, s.brand_id, p.id, p.amount,
              p.distributor_id, p.brand_id)
FROM (
    SELECT s.* FROM statements s JOIN settlement_runs r ON r.id = s.run_id AND r.state IN ('paying', 'paid') WHERE s.payout > 0
) AS s
FULL JOIN payouts p ON p.statement_id = s.id
WHERE (s.run_id, s.payout, s.distributor_id, s.brand_id) IS DISTINCT FROM (p.run_id, p.amount, p.distributor_id, p.brand_id)

-- name: payout_attempts
-- a payout is where its attempt that has not failed is, and waits or has failed where there is none
SELECT format('payouts %s', p.id), format('%s by %s; its attempt is %s by %s', p.state, p.rail, t.state, t.rail)
FROM payouts p
LEFT JOIN payout_attempts t ON t.payout_id = p.id AND t.state <> 'failed'
WHERE CASE WHEN t.id IS NULL THEN p.state NOT IN ('pending', 'failed')
           ELSE (p.state, p.rail, p.sent_at, p.confirmed_at, p.reversed_at)
                IS DISTINCT FROM (t.state, t.rail, t.sent_at, t.confirmed_at, t.reversed_at) END

-- name: payout_transfers
-- an attempt has moved its amount as far as its state says: out of the payable account, out of transit, or back
SELECT format('payout_attempts %s', coalesce(owed.id, posted.id)), format('%s; state says %s', posted.moves, owed.moves)
FROM (
    SELECT t.id, array_agg(format('%s %s>%s %s', move.code, move.debit, move.credit, p.amount) ORDER BY move.code, move.debit)
               AS moves
    FROM payout_attempts t
    JOIN payouts p ON p.id = t.payout_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p.brand_id IS NULL THEN 'commission_payable' ELSE 'brand_payable' END AS payable
    ) AS account
    CROSS JOIN LATERAL (
        VALUES ('payout', account.payable, 'in_transit', true),
               ('payout_sent', 'in_transit', 'clearing ' || t.rail, t.confirmed_at IS NOT NULL),
               ('payout_returned', 'in_transit', account.payable, t.state = 'failed'),
               ('payout_returned', 'clearing ' || t.rail, account.payable, t.state = 'reversed')
    ) AS move (code, debit, credit, is_due)
    WHERE move.is_due
    GROUP BY t.id
) AS owed
FULL JOIN (
    SELECT x.source_id AS id,
           array_agg(format('%s %s>%s %s', x.code, concat_ws(' ', debit.kind, debit.rail), concat_ws(' ', credit.kind, credit.rail),
                            x.amount) ORDER BY x.code, concat_ws(' ', debit.kind, debit.rail)) AS moves
    FROM transfers x
    JOIN ledger_accounts debit ON debit.id = x.debit_account_id
    JOIN ledger_accounts credit ON credit.id = x.credit_account_id
    WHERE x.source_type = 'payout'
    GROUP BY x.source_id
) AS posted ON posted.id = owed.id
WHERE posted.moves IS DISTINCT FROM owed.moves

-- name: paid_runs
-- a run is paid when all of its payouts are confirmed, or came back after that
SELECT format('settlement_runs %s', r.id), format('is paid; %s payouts are not', count(*))
FROM settlement_runs r JOIN payouts p ON p.run_id = r.id
WHERE r.state = 'paid' AND p.state NOT IN ('confirmed', 'reversed')
GROUP BY r.id

-- name: seat_places
-- a seat has as many places taken as applications of it were approved, and never more than there are
SELECT format('seats %s', s.id), format('%s of %s taken, %s approved', s.taken, s.places, coalesce(a.approved, 0))
FROM seats s
LEFT JOIN (
    SELECT seat_id, count(*) AS approved FROM seat_applications WHERE state = 'approved' GROUP BY seat_id
) AS a ON a.seat_id = s.id
WHERE s.taken <> coalesce(a.approved, 0) OR s.taken > s.places

-- name: approved_applications
-- whoever was approved acts for the distributor that was made of it, unless the person was erased or taken off it
SELECT format('seat_applications %s', a.id), format('person %s, distributor %s', a.person_id, a.distributor_id)
FROM seat_applications a
LEFT JOIN accounts ON accounts.role = 'distributor' AND accounts.distributor_id = a.distributor_id
WHERE a.state = 'approved'
  AND (accounts.id IS NULL
       OR NOT EXISTS (SELECT FROM memberships m WHERE m.person_id = a.person_id AND m.account_id = accounts.id)
          AND a.legal_name IS NOT NULL
          AND NOT EXISTS (SELECT FROM seat_application_events e
                          WHERE e.application_id = a.id AND e.kind = 'member_removed'))

-- name: application_events
-- an application has been submitted once, and decided as its last decision says
SELECT format('seat_applications %s', a.id), format('%s, decided %s times, submitted %s times', a.state, e.decided, e.submitted)
FROM seat_applications a
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE kind IN ('withdrawn', 'approved', 'rejected')) AS decided,
           count(*) FILTER (WHERE kind = 'submitted') AS submitted,
           min(kind) FILTER (WHERE kind IN ('withdrawn', 'approved', 'rejected')) AS decision
    FROM seat_application_events WHERE application_id = a.id
) AS e ON true
WHERE e.submitted <> 1 OR e.decided <> CASE a.state WHEN 'submitted' THEN 0 ELSE 1 END
   OR coalesce(e.decision, 'submitted') <> a.state
-- name: eliminated
-- nobody stands below a distributor that was eliminated, no customer is bound to it, and none of its stores is open
WITH gone AS (
    SELECT e.distributor_id, e.at FROM eliminations e WHERE e.reinstated_at IS NULL
)
SELECT format('distributors %s', g.distributor_id), format('parent of %s', c.id)
FROM gone g JOIN distributors c ON c.parent_id = g.distributor_id
UNION ALL
SELECT format('distributors %s', g.distributor_id), format('owns the open store %s', s.id)
FROM gone g JOIN stores s ON s.distributor_id = g.distributor_id AND s.state = 'open'
UNION ALL
SELECT format('distributors %s', g.distributor_id), format('holds customer %s by binding %s', b.customer_id, b.id)
FROM gone g JOIN bindings b ON b.distributor_id = g.distributor_id
WHERE upper_inf(b.during) OR upper(b.during) > greatest(g.at, lower(b.during) + interval '1 microsecond')

-- name: eliminated_sessions
-- no session that began before its distributor was eliminated goes on; who signed in in that minute may come right after it
SELECT format('sessions %s', s.id), format('acts for distributor %s', a.distributor_id)
FROM eliminations e
JOIN accounts a ON a.role = 'distributor' AND a.distributor_id = e.distributor_id
JOIN refresh_tokens t ON t.account_id = a.id AND t.used_at IS NULL
JOIN sessions s ON s.id = t.session_id AND s.ended_at IS NULL
WHERE e.reinstated_at IS NULL AND s.started_at < e.at - interval '1 minute'

-- name: eliminations
-- who is eliminated and by what, one elimination that stands for each; what was moved by it is counted in it
SELECT format('eliminations %s', e.id), format('stands, but distributor %s is %s', d.id, d.state)
FROM eliminations e JOIN distributors d ON d.id = e.distributor_id
WHERE e.reinstated_at IS NULL AND d.state <> 'eliminated'
UNION ALL
SELECT format('eliminations %s', e.id),
       format('%s downlines, %s customers, %s stores; its rows say %s, %s, %s', e.downlines, e.customers, e.stores,
              moves.count, bindings.count, stores.count)
FROM eliminations e
CROSS JOIN LATERAL (SELECT count(*) FROM elimination_moves m WHERE m.elimination_id = e.id) AS moves
CROSS JOIN LATERAL (SELECT count(*) FROM elimination_bindings b WHERE b.elimination_id = e.id) AS bindings
CROSS JOIN LATERAL (SELECT count(*) FROM elimination_stores s WHERE s.elimination_id = e.id) AS stores
WHERE (e.downlines, e.customers, e.stores) <> (moves.count, bindings.count, stores.count)
-- name: ranking_digests
-- a ranking run counts its rows, and one that was acted on has kept the digest of them
SELECT format('ranking_runs %s', r.id),
       format('%s ranked, %s in the tail, digest %s; its rows say %s, %s, %s', r.ranked, r.in_tail, encode(r.digest, 'hex'),
              counted.ranked, counted.in_tail, encode(digested.digest, 'hex'))
FROM ranking_runs r
CROSS JOIN LATERAL (
    SELECT count(*) AS ranked, count(*) FILTER (WHERE outcome = 'tail') AS in_tail FROM ranking_scores s WHERE s.run_id = r.id
) AS counted
LEFT JOIN LATERAL (
-- include: ranking.digested
) AS digested ON r.acted_at IS NOT NULL
WHERE (r.ranked, r.in_tail, r.digest) IS DISTINCT FROM (counted.ranked, counted.in_tail, digested.digest)

-- name: ranking_names
-- a score names a run, a distributor and a tier that are there
SELECT format('ranking_scores %s/%s', s.run_id, s.distributor_id), format('tier %s', s.tier_id)
FROM ranking_scores s
WHERE NOT EXISTS (SELECT FROM ranking_runs r WHERE r.id = s.run_id)
   OR NOT EXISTS (SELECT FROM distributors d WHERE d.id = s.distributor_id)
   OR NOT EXISTS (SELECT FROM tiers t WHERE t.id = s.tier_id)

-- name: tail_cases
-- a case of the tail is what its steps made of it; each strike is of another run, as that was acted on
SELECT format('tail_cases %s', c.id),
       format('%s, %s strikes, runs %s to %s, opened %s, noticed %s, closed %s; its steps say %s, %s (the last %s), runs %s to %s, '
              'opened %s, noticed %s, closed %s', c.state, c.strikes, c.opened_run_id, c.last_run_id, c.opened_at, c.noticed_at,
              c.closed_at, s.state, s.strikes, s.last_strikes, s.opened_run_id, s.last_run_id, s.opened_at, s.noticed_at, s.closed_at)
FROM tail_cases c
LEFT JOIN (
    SELECT step.case_id,
           CASE (array_agg(step.kind ORDER BY step.id DESC) FILTER (WHERE step.kind NOT IN ('planned', 'struck')))[1]
               WHEN 'watched' THEN 'watch'
               WHEN 'appeal_upheld' THEN 'upheld'
               WHEN 'appeal_rejected' THEN 'rejected'
               ELSE (array_agg(step.kind ORDER BY step.id DESC) FILTER (WHERE step.kind NOT IN ('planned', 'struck')))[1]
           END AS state,
           count(*) FILTER (WHERE is_strike) AS strikes,
           count(DISTINCT step.run_id) FILTER (WHERE is_strike AND step.at = run.acted_at) AS runs,
           (array_agg(step.strikes ORDER BY step.id DESC))[1] AS last_strikes,
           (array_agg(step.run_id ORDER BY step.id) FILTER (WHERE is_strike))[1] AS opened_run_id,
           (array_agg(step.run_id ORDER BY step.id DESC) FILTER (WHERE is_strike))[1] AS last_run_id,
           (array_agg(step.at ORDER BY step.id))[1] AS opened_at,
           min(step.at) FILTER (WHERE step.kind = 'noticed') AS noticed_at,
           min(step.at) FILTER (WHERE step.kind IN ('appeal_upheld', 'spared', 'cleared', 'eliminated')) AS closed_at
    FROM tail_steps step
    CROSS JOIN LATERAL (SELECT step.kind IN ('watched', 'struck', 'noticed') AS is_strike) AS it
    LEFT JOIN ranking_runs run ON run.id = step.run_id
    GROUP BY step.case_id
) AS s ON s.case_id = c.id
WHERE (c.state, c.strikes, c.strikes, c.opened_run_id, c.last_run_id, c.opened_at, c.noticed_at, c.closed_at)
      IS DISTINCT FROM (s.state, s.strikes, s.runs, s.opened_run_id, s.last_run_id, s.opened_at, s.noticed_at, s.closed_at)
   OR s.last_strikes <> CASE WHEN c.state IN ('upheld', 'spared', 'cleared') THEN 0 ELSE c.strikes END
