-- name: members
-- The tiers and the states of the raw upline of `seller`, as it stands.
CROSS JOIN LATERAL (
    SELECT array_agg(d.tier_id ORDER BY u.position) AS tiers, array_agg(d.state ORDER BY u.position) AS states
    FROM unnest(seller.ancestors) WITH ORDINALITY AS u (id, position)
    CROSS JOIN LATERAL (SELECT tier_id, state FROM distributors WHERE id = u.id OFFSET 0) AS d
) AS member

-- name: rules
-- The rules of the plans in `batch`, each with what its plan says.
rule AS (
    SELECT r.*, p.margin_floor_bps
    FROM rules r JOIN plans p ON p.id = r.plan_id
    WHERE r.plan_id IN (SELECT plan_id FROM batch)
)

-- name: shares
-- The engine. From each `line` (what was sold, or might be, under which plan and upline) and the `rule`s to `share`: one
-- row for each position that the rule of the line pays, also when it gets nothing, with what explains the amount.
-- What a scheme is stands in `reckoned` alone. Rules are found by their scope: `=` of the plans too would let the planner
-- merge by plan alone, and hold every variant against every rule. Basis points are taken of the ten thousands and of what
-- is left over: exactly `amount * bps // 10000`, and no product exceeds a bigint.
newest AS MATERIALIZED (
    SELECT DISTINCT ON (plan_id, variant_id, product_id, category, brand_id)
           id, plan_id, variant_id, product_id, category, brand_id
    FROM rule
    ORDER BY plan_id, variant_id, product_id, category, brand_id, id DESC
), matched AS MATERIALIZED (
    SELECT sold.plan_id, sold.variant_id, sold.product_id, sold.brand_id,
           coalesce(of_variant.id, of_product.id, of_category.id, of_brand.id, of_all.id) AS rule_id
    FROM (SELECT DISTINCT plan_id, variant_id, product_id, brand_id FROM line) AS sold
    LEFT JOIN newest of_variant
        ON of_variant.plan_id IS NOT DISTINCT FROM sold.plan_id AND of_variant.variant_id = sold.variant_id
    LEFT JOIN newest of_product
        ON of_product.plan_id IS NOT DISTINCT FROM sold.plan_id AND of_product.product_id = sold.product_id
    LEFT JOIN newest of_category
        ON of_category.plan_id IS NOT DISTINCT FROM sold.plan_id
       AND of_category.category = CASE WHEN (SELECT bool_or(category IS NOT NULL) FROM newest)
                                       THEN (SELECT category FROM products WHERE id = sold.product_id) END
    LEFT JOIN newest of_brand
        ON of_brand.plan_id IS NOT DISTINCT FROM sold.plan_id AND of_brand.brand_id = sold.brand_id
    LEFT JOIN newest of_all ON of_all.plan_id = sold.plan_id
        AND num_nonnulls(of_all.variant_id, of_all.product_id, of_all.category, of_all.brand_id) = 0
), ruled AS (
    SELECT l.*, r.id AS rule_id, r.scheme, r.level_bps, r.level_amounts, r.tier_bps, r.same_tier_bps, r.depth,
           CASE r.base WHEN 'paid' THEN l.paid ELSE greatest(l.paid - l.supply, 0) END AS base,
           greatest(0, l.paid - l.supply - l.paid / 10000 * r.margin_floor_bps
                       - (l.paid % 10000 * r.margin_floor_bps + 9999) / 10000) AS available,
           CASE WHEN r.compress AND NOT l.upline_states <@ ARRAY['active', 'watch'] THEN ARRAY(
               SELECT place FROM unnest(l.upline_states) WITH ORDINALITY AS member (state, place)
               WHERE place = 1 OR state IN ('active', 'watch')
               ORDER BY place
           ) END AS places
    FROM line l
    JOIN matched USING (plan_id, variant_id, product_id, brand_id)
    JOIN rule r ON r.id = matched.rule_id
    WHERE r.depth > 0
), tier AS MATERIALIZED (
    SELECT id, rank FROM tiers
), placed AS (
    SELECT l.branch_id, l.id AS line_id, k.n - 1 AS position, l.upline[place] AS distributor_id, tier.id AS tier_id,
           l.upline_states[place] NOT IN ('active', 'watch') AS blocked, l.rule_id, l.scheme, l.base, l.available,
           l.quantity, l.paid, l.level_bps[k.n] AS level_bps, l.level_amounts[k.n] AS level_amount, l.same_tier_bps,
           CASE l.scheme WHEN 'differential' THEN coalesce(l.tier_bps[tier.rank], 0) END AS tier_bps,
           CASE l.scheme WHEN 'spread' THEN l.quantity * l.tier_costs[tier.rank] END AS cost
    FROM ruled l
    -- Not generate_series alone: of it the planner expects a thousand rows for each line, and acts accordingly.
    JOIN unnest(ARRAY(SELECT generate_series(1, max(depth)) FROM rule)) AS k (n)
        ON k.n <= least(l.depth, cardinality(coalesce(l.places, l.upline)))
    CROSS JOIN LATERAL (SELECT coalesce(l.places[k.n], k.n)) AS raw (place)
    JOIN tier ON tier.id = l.upline_tiers[place]
    OFFSET 0  -- what is sorted next is this, and not all that it came from
), climbed AS (
    SELECT *, max(tier_bps) OVER below AS below_bps, min(cost) OVER below AS below_cost
    FROM placed
    WINDOW below AS (
        PARTITION BY line_id, branch_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
), levelled AS (
    SELECT *, tier_bps > 0 AND tier_bps = below_bps AND count(*) FILTER (WHERE tier_bps > 0 AND tier_bps = below_bps)
                  OVER up_to = 1 AS is_first_level
    FROM climbed
    WINDOW up_to AS (PARTITION BY line_id, branch_id ORDER BY position ROWS UNBOUNDED PRECEDING)
), reckoned AS (
    SELECT *, CASE scheme WHEN 'fixed' THEN quantity * base_amount
                          WHEN 'spread' THEN greatest(0, base_amount - cost)
                          ELSE base_amount / 10000 * rate_bps + base_amount % 10000 * rate_bps / 10000 END AS uncapped
    FROM levelled
    CROSS JOIN LATERAL (
        SELECT CASE scheme WHEN 'fixed' THEN level_amount
                           WHEN 'spread' THEN coalesce(CASE position WHEN 0 THEN paid ELSE below_cost END, 0)
                           ELSE base END AS base_amount,
               CASE scheme WHEN 'levels' THEN level_bps
                           WHEN 'differential' THEN CASE WHEN is_first_level THEN same_tier_bps
                                                         ELSE greatest(0, tier_bps - coalesce(below_bps, 0)) END
                           END AS rate_bps
    ) AS factors
), totalled AS (
    SELECT *, sum(CASE WHEN blocked THEN 0 ELSE uncapped END) OVER whole AS total
    FROM reckoned
    WINDOW whole AS (
        PARTITION BY line_id, branch_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
), share AS (
    SELECT branch_id, line_id, position, distributor_id, tier_id, rule_id, base_amount, rate_bps, below_bps,
           uncapped AS uncapped_amount,
           CASE WHEN blocked THEN 0 WHEN total > available THEN div(uncapped::numeric * available, total)::bigint
                ELSE uncapped END AS amount,
           CASE WHEN blocked THEN 'blocked' WHEN uncapped = 0 THEN 'zero' WHEN total > available THEN 'capped'
                ELSE 'earned' END AS outcome
    FROM totalled
)

-- name: accrue
-- One row for each position of each line, in the order of the lines, as they are read; and in each line their total, and
-- what is left to the platform.
-- LATERAL with OFFSET 0, here and in the ledger: each is looked up by its key, and the planner expects as many as there are.
-- Of a join of two columns it expects hardly any, and then holds all of them against all in a loop.
WITH batch AS (
    SELECT batch.branch_id, batch.order_id, o.plan_id, o.upline, o.upline_tiers, o.upline_states
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
    CROSS JOIN LATERAL (
        SELECT * FROM orders WHERE branch_id = batch.branch_id AND id = batch.order_id OFFSET 0
    ) AS o
),
-- include: commissions.lines
,
-- include: commissions.rules
,
-- include: commissions.shares
,
written AS (
    INSERT INTO commissions (branch_id, line_id, position, distributor_id, tier_id, rule_id, base_amount, rate_bps,
                             below_bps, uncapped_amount, amount, outcome)
    SELECT branch_id, line_id, position, distributor_id, tier_id, rule_id, base_amount, rate_bps, below_bps,
           uncapped_amount, amount, outcome
    FROM share
    ORDER BY line_id, branch_id, position
    RETURNING branch_id, line_id, amount
), total AS MATERIALIZED (
    SELECT branch_id, line_id, sum(amount) AS commission FROM written GROUP BY branch_id, line_id HAVING sum(amount) > 0
)
UPDATE order_lines l
SET commission = total.commission, platform = l.paid - l.refunded - l.supply - total.commission
FROM total
WHERE l.branch_id = total.branch_id AND l.id = total.line_id

-- name: lines
-- What was sold by the orders in `batch`, as the engine takes it. Supply is what it was at first: refunds lower the line's.
line AS (
    SELECT b.branch_id, l.id, b.plan_id, l.variant_id, l.product_id, l.brand_id, l.quantity, l.paid,
           l.quantity * l.supply_price AS supply, l.tier_costs, b.upline, b.upline_tiers, b.upline_states
    FROM batch b
    CROSS JOIN LATERAL (
        SELECT * FROM order_lines WHERE branch_id = b.branch_id AND order_id = b.order_id OFFSET 0
    ) AS l
)

-- name: claw_back
-- What each refund takes back of each commission of its lines, one refund after the other; below 0 it gives back.
WITH part AS (
    SELECT r.branch_id, r.refund_id, r.line_id, l.paid, (l.refunded + sum(r.amount) OVER so_far)::bigint AS refunded, r.amount
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refund_lines r USING (branch_id, refund_id)
    JOIN order_lines l ON l.branch_id = r.branch_id AND l.id = r.line_id
    WINDOW so_far AS (PARTITION BY r.branch_id, r.line_id ORDER BY r.refund_id)
)
INSERT INTO clawbacks (branch_id, refund_id, line_id, position, distributor_id, amount)
SELECT c.branch_id, part.refund_id, part.line_id, c.position, c.distributor_id, back.amount
FROM part
JOIN commissions c ON c.branch_id = part.branch_id AND c.line_id = part.line_id
CROSS JOIN LATERAL (
    SELECT clawed(c.amount, part.refunded, part.paid) - clawed(c.amount, part.refunded - part.amount, part.paid)
) AS back (amount)
WHERE back.amount <> 0
ORDER BY part.refund_id, part.line_id, c.position

-- name: quote
-- What one seller may sell and would earn: each variant of the products, at the price asked for that product (NULL: the
-- suggested one), under the plan in force. `line` is what an order of one of them would say. It is in stock where one of
-- the seller's stores may sell it: some is free, or set aside for such a store or its region.
WITH batch AS (
    SELECT (SELECT id FROM plans WHERE state = 'active' AND during @> CAST(:now AS timestamptz)) AS plan_id
), offer AS (
    SELECT row_number() OVER (ORDER BY asked.n, v.id) AS id, asked.n, v.id AS variant_id, v.product_id,
           v.brand_id, v.sku, v.options, p.supply_price,
           v.stock > v.allotted OR (v.allotted > 0 AND EXISTS (
               SELECT FROM stores s WHERE s.distributor_id = d.id AND s.state = 'open' AND set_aside(v.id, s.id) > 0
           )) AS in_stock,
           p.tier_costs, p.tier_costs[tiers.rank] AS cost, greatest(p.min_price, p.tier_costs[tiers.rank],
           floor_price(p.suggested_price, r.floor_bps)) AS lowest_price,
           p.max_price AS highest_price, p.suggested_price,
           coalesce(asked.price, band.suggested_price) AS price
    FROM unnest(CAST(:product_ids AS bigint[]), CAST(:prices AS bigint[]))
        WITH ORDINALITY AS asked (product_id, price, n)
    JOIN distributors d ON d.id = :distributor_id
    JOIN tiers ON tiers.id = d.tier_id
    CROSS JOIN LATERAL price_band(asked.product_id, tiers.rank) AS band
    JOIN variants v ON v.product_id = asked.product_id
    JOIN prices p ON p.variant_id = v.id AND upper_inf(p.during)
    LEFT JOIN brand_rules r ON r.brand_id = v.brand_id
), line AS (
    SELECT seller.id AS branch_id, offer.id, batch.plan_id, offer.variant_id, offer.product_id, offer.brand_id,
            1::bigint AS quantity, offer.price AS paid, offer.supply_price AS supply, offer.tier_costs,
           seller.ancestors AS upline, member.tiers AS upline_tiers, member.states AS upline_states
    FROM offer
    CROSS JOIN batch
    JOIN distributors seller ON seller.id = :distributor_id
-- include: commissions.members
),
-- include: commissions.rules
,
-- include: commissions.shares
SELECT offer.n, offer.variant_id AS id, offer.sku, offer.options, offer.in_stock, offer.cost, offer.lowest_price,
       offer.highest_price, offer.suggested_price, offer.price, coalesce(share.amount, 0)::bigint AS earning
FROM offer LEFT JOIN share ON share.line_id = offer.id AND share.position = 0
ORDER BY offer.id

-- name: earnings
-- Where the money of a distributor stands, net of what refunds took back: that matures with the order, at the latest as it
-- is refunded. Statements keep the totals of what is settled.
SELECT coalesce(sum(open.amount) FILTER (WHERE o.matures_at > :now OR o.matures_at IS NULL), 0)::bigint AS pending,
       coalesce(sum(open.amount) FILTER (WHERE o.matures_at <= :now), 0)::bigint AS available,
       coalesce(max(settled.in_statement), 0)::bigint AS in_statement,
       coalesce(max(settled.paid), 0)::bigint AS paid
FROM (
    SELECT sum(s.net - coalesce(p.amount, 0)) AS in_statement, sum(p.amount) AS paid
    FROM statements s LEFT JOIN payouts p ON p.statement_id = s.id AND p.state = 'confirmed'
    WHERE s.distributor_id = :distributor_id
) AS settled
LEFT JOIN (
    SELECT branch_id, line_id, amount FROM commissions WHERE distributor_id = :distributor_id AND statement_id IS NULL
    UNION ALL
    SELECT branch_id, line_id, -amount FROM clawbacks WHERE distributor_id = :distributor_id AND statement_id IS NULL
) AS open ON true
LEFT JOIN order_lines l ON l.branch_id = open.branch_id AND l.id = open.line_id
LEFT JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id

-- name: earnings_by_day
-- What was earned on the orders paid on each day, less what refunds took back since. Nothing paid since the first day is
-- in a run that closed before it.
WITH earned AS (
    SELECT branch_id, line_id, amount FROM commissions WHERE distributor_id = :distributor_id AND statement_id IS NULL
    UNION ALL
    SELECT c.branch_id, c.line_id, c.amount
    FROM statements s
    JOIN settlement_runs r ON r.id = s.run_id
    JOIN commissions c ON c.distributor_id = s.distributor_id AND c.statement_id = s.id
    WHERE s.distributor_id = :distributor_id AND r.cutoff > CAST(:start AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
)
SELECT (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
       sum(e.amount - clawed(e.amount, l.refunded, l.paid))::bigint AS amount, count(DISTINCT (o.branch_id, o.id)) AS orders
FROM earned e
JOIN order_lines l ON l.branch_id = e.branch_id AND l.id = e.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
WHERE o.paid_at >= CAST(:start AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
  AND o.paid_at < least(CAST(:end AS date), CAST(:before AS date))::timestamp AT TIME ZONE 'Asia/Shanghai'
GROUP BY day
ORDER BY day DESC
LIMIT :limit

-- name: earnings_columns
-- The commission `c` as its beneficiary sees it; `place` is its statement, or more than any statement.
SELECT coalesce(c.statement_id, 9223372036854775807) AS place, c.branch_id, c.line_id, c.id, o.order_no, l.line_no, o.paid_at,
       o.matures_at, stores.slug AS store_slug, stores.title AS store_title, p.title AS product_title, v.sku,
       CASE WHEN run.state = 'paid' THEN 'paid' WHEN run.state IS NOT NULL THEN 'in_statement'
            WHEN o.matures_at <= :now THEN 'available' ELSE 'pending' END AS state,

-- name: earnings_sources
JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id
JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id
JOIN stores ON stores.id = o.store_id
JOIN products p ON p.id = l.product_id
JOIN variants v ON v.id = l.variant_id
LEFT JOIN statements s ON s.id = c.statement_id
LEFT JOIN settlement_runs run ON run.id = s.run_id

-- name: earnings_by_line
-- What is in no statement yet first, then one statement after the other, the newest first; within each the newest share
-- first. OFFSET 0: first what is in it, then its newest ids; else the planner may walk all ids there are.
-- include: commissions.earnings_columns
-- include: explanations.columns
FROM (
    (
        SELECT *
        FROM (
            SELECT * FROM commissions
            WHERE distributor_id = :distributor_id AND statement_id IS NULL
              AND (9223372036854775807, id) < (CAST(:place AS bigint), CAST(:id AS bigint))
            OFFSET 0
        ) AS open
        ORDER BY id DESC
        LIMIT :limit
    )
    UNION ALL
    (
        SELECT c.*
        FROM statements s
        CROSS JOIN LATERAL (
            SELECT *
            FROM (
                SELECT * FROM commissions
                WHERE distributor_id = s.distributor_id AND statement_id = s.id
                  AND (s.id, id) < (CAST(:place AS bigint), CAST(:id AS bigint))
                OFFSET 0
            ) AS settled
            ORDER BY id DESC
            LIMIT :limit
        ) AS c
        WHERE s.distributor_id = :distributor_id
        ORDER BY s.id DESC, c.id DESC
        LIMIT :limit
    )
    ORDER BY statement_id DESC NULLS FIRST, id DESC
    LIMIT :limit
) AS c
-- include: commissions.earnings_sources
-- include: explanations.sources
ORDER BY place DESC, c.id DESC

-- name: earnings_of
-- One commission, where it is this distributor's.
-- include: commissions.earnings_columns
-- include: explanations.columns
FROM (
    SELECT * FROM commissions
    WHERE branch_id = :branch_id AND line_id = :line_id AND position = :position AND distributor_id = :distributor_id
) AS c
-- include: commissions.earnings_sources
-- include: explanations.sources
