-- name: waiting
-- Branches with something to add, by lanes: a branch is always in the same one.
WITH RECURSIVE of_orders (branch_id) AS (
    SELECT min(branch_id) FROM orders_to_add
    UNION ALL
    SELECT (SELECT min(o.branch_id) FROM orders_to_add o WHERE o.branch_id > b.branch_id)
    FROM of_orders b
    WHERE b.branch_id IS NOT NULL
), of_refunds (branch_id) AS (
    SELECT min(branch_id) FROM refunds WHERE NOT rolled_up AND state = 'applied'
    UNION ALL
    SELECT (SELECT min(r.branch_id) FROM refunds r WHERE NOT r.rolled_up AND r.state = 'applied' AND r.branch_id > b.branch_id)
    FROM of_refunds b
    WHERE b.branch_id IS NOT NULL
)
SELECT hashint8(branch_id) & 7 AS lane, array_agg(branch_id) AS branch_ids
FROM (SELECT branch_id FROM of_orders UNION SELECT branch_id FROM of_refunds) AS waiting
WHERE branch_id IS NOT NULL
GROUP BY 1
ORDER BY 1

-- name: take_lane
-- One adds up a lane at a time, so that none waits for another's totals while it holds some that the other wants.
SELECT pg_try_advisory_xact_lock(hashtext('s2b2c.rollups'), :lane)

-- name: wait_for_lane
SELECT pg_advisory_xact_lock(hashtext('s2b2c.rollups'), :lane)

-- name: add_orders
-- The next orders, added to all totals by the statement that lets them wait no more. Their refunds wait for them, so all are
-- kept. Rows are gone to one by one: a join would read all that waits, and all orders, for every batch.
WITH gone AS (
    DELETE FROM orders_to_add
    WHERE ctid = ANY(ARRAY(
        SELECT ctid
        FROM orders_to_add
        WHERE branch_id = ANY(CAST(:branch_ids AS bigint[]))
        ORDER BY branch_id, order_id
        LIMIT :limit
    ))
    RETURNING branch_id, order_id
), taken AS MATERIALIZED (
    SELECT o.branch_id, o.id, o.seller_id, o.store_id, o.customer_id,
           (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM gone
    CROSS JOIN LATERAL (
        SELECT * FROM orders o WHERE o.branch_id = gone.branch_id AND o.id = gone.order_id OFFSET 0
    ) AS o
), line AS MATERIALIZED (
    SELECT taken.*, l.brand_id, l.product_id, l.quantity, l.paid
    FROM taken
    JOIN order_lines l ON l.branch_id = taken.branch_id AND l.order_id = taken.id
), sellers AS (
    INSERT INTO daily_sellers (branch_id, seller_id, day, orders, units, paid, refunded, kept)
    SELECT branch_id, seller_id, day, count(DISTINCT id), sum(quantity), sum(paid), 0, count(DISTINCT id)
    FROM line
    GROUP BY branch_id, seller_id, day
    ON CONFLICT (branch_id, day, seller_id) DO UPDATE
    SET orders = daily_sellers.orders + excluded.orders,
        units = daily_sellers.units + excluded.units,
        paid = daily_sellers.paid + excluded.paid,
        kept = daily_sellers.kept + excluded.kept
), customers AS (
    INSERT INTO daily_customers (branch_id, day, seller_id, customer_id, kept)
    SELECT branch_id, day, seller_id, customer_id, count(*)
    FROM taken
    GROUP BY branch_id, day, seller_id, customer_id
    ON CONFLICT (branch_id, day, seller_id, customer_id) DO UPDATE SET kept = daily_customers.kept + excluded.kept
), brands AS (
    INSERT INTO daily_brands (branch_id, store_id, brand_id, day, orders, units, paid, refunded)
    SELECT branch_id, store_id, brand_id, day, count(DISTINCT id), sum(quantity), sum(paid), 0
    FROM line
    GROUP BY branch_id, store_id, brand_id, day
    ON CONFLICT (brand_id, day, store_id, branch_id) DO UPDATE
    SET orders = daily_brands.orders + excluded.orders,
        units = daily_brands.units + excluded.units,
        paid = daily_brands.paid + excluded.paid
), products AS (
    INSERT INTO daily_products (branch_id, day, store_id, product_id, brand_id, orders, kept, units, paid, refunded)
    SELECT branch_id, day, store_id, product_id, brand_id, count(DISTINCT id), count(DISTINCT id), sum(quantity),
           sum(paid), 0
    FROM line
    GROUP BY branch_id, day, store_id, product_id, brand_id
    ON CONFLICT (brand_id, day, store_id, product_id, branch_id) DO UPDATE
    SET orders = daily_products.orders + excluded.orders,
        kept = daily_products.kept + excluded.kept,
        units = daily_products.units + excluded.units,
        paid = daily_products.paid + excluded.paid
)
SELECT count(*) FROM taken

-- name: take_refunds
-- The next refunds of orders that were added.
SELECT r.branch_id, r.id
FROM refunds r
WHERE NOT r.rolled_up AND r.state = 'applied' AND r.branch_id = ANY(CAST(:branch_ids AS bigint[]))
  AND NOT EXISTS (SELECT FROM orders_to_add w WHERE w.branch_id = r.branch_id AND w.order_id = r.order_id)
ORDER BY r.branch_id, r.id
LIMIT :limit
FOR NO KEY UPDATE OF r

-- name: gone
-- What goes back, on the day its refund succeeded; a reversal takes it from that day again.
gone AS MATERIALIZED (
    SELECT l.branch_id, l.line_id, r.order_id, l.amount,
           (coalesce(original.refunded_at, r.refunded_at) AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refunds r ON r.branch_id = batch.branch_id AND r.id = batch.refund_id
    LEFT JOIN refunds original ON original.branch_id = r.branch_id AND original.id = r.reverses_id
    JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
)

-- name: keep
-- Before these refunds are marked: which of their orders are not kept any more, or kept again, on the day of the order.
WITH
-- include: ranking.gone
, line AS MATERIALIZED (
    -- All lines of these orders, with what went back of each before and now.
    SELECT o.branch_id, o.id, o.seller_id, o.store_id, o.customer_id,
           (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day, l.brand_id, l.product_id, l.paid,
           coalesce(before.amount, 0) AS before, coalesce(before.amount, 0) + coalesce(now.amount, 0) AS after
    FROM (SELECT DISTINCT branch_id, order_id FROM gone) AS touched
    JOIN orders o ON o.branch_id = touched.branch_id AND o.id = touched.order_id
    JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    LEFT JOIN LATERAL (
        SELECT sum(p.amount) AS amount
        FROM refund_lines p
        JOIN refunds r ON r.branch_id = p.branch_id AND r.id = p.refund_id
        WHERE p.branch_id = l.branch_id AND p.line_id = l.id AND r.rolled_up
    ) AS before ON true
    LEFT JOIN (SELECT branch_id, line_id, sum(amount) AS amount FROM gone GROUP BY branch_id, line_id) AS now
        ON now.branch_id = l.branch_id AND now.line_id = l.id
), whole AS MATERIALIZED (
    SELECT branch_id, id, seller_id, store_id, customer_id, day,
           sum(before) < sum(paid) OR sum(paid) = 0 AS was_kept, sum(after) < sum(paid) OR sum(paid) = 0 AS is_kept
    FROM line
    GROUP BY branch_id, id, seller_id, store_id, customer_id, day
), sellers AS (
    UPDATE daily_sellers d SET kept = d.kept + part.kept
    FROM (
        SELECT branch_id, seller_id, day, sum(is_kept::int - was_kept::int) AS kept
        FROM whole
        WHERE is_kept <> was_kept
        GROUP BY branch_id, seller_id, day
    ) AS part
    WHERE d.branch_id = part.branch_id AND d.seller_id = part.seller_id AND d.day = part.day
), customers AS (
    UPDATE daily_customers d SET kept = d.kept + part.kept
    FROM (
        SELECT branch_id, day, seller_id, customer_id, sum(is_kept::int - was_kept::int) AS kept
        FROM whole
        WHERE is_kept <> was_kept
        GROUP BY branch_id, day, seller_id, customer_id
    ) AS part
    WHERE d.branch_id = part.branch_id AND d.day = part.day AND d.seller_id = part.seller_id
      AND d.customer_id = part.customer_id
)
UPDATE daily_products d SET kept = d.kept + part.kept
FROM (
    SELECT branch_id, day, store_id, brand_id, product_id, sum(is_kept::int - was_kept::int) AS kept
    FROM (
        SELECT branch_id, day, store_id, brand_id, product_id, was_kept AND bool_or(before < paid OR paid = 0) AS was_kept,
               is_kept AND bool_or(after < paid OR paid = 0) AS is_kept
        FROM line JOIN whole USING (branch_id, id, store_id, day)
        GROUP BY branch_id, id, day, store_id, brand_id, product_id, was_kept, is_kept
    ) AS one
    WHERE is_kept <> was_kept
    GROUP BY branch_id, day, store_id, brand_id, product_id
) AS part
WHERE d.brand_id = part.brand_id AND d.day = part.day AND d.store_id = part.store_id AND d.product_id = part.product_id
  AND d.branch_id = part.branch_id

-- name: add_refunds
-- The money, and the marks.
WITH
-- include: ranking.gone
, line AS MATERIALIZED (
    SELECT branch_id, gone.day, o.seller_id, o.store_id, l.brand_id, l.product_id, gone.amount
    FROM gone
    JOIN orders o USING (branch_id)
    JOIN order_lines l USING (branch_id)
    WHERE o.id = gone.order_id AND l.id = gone.line_id
), sellers AS (
    INSERT INTO daily_sellers AS d (branch_id, seller_id, day, orders, units, paid, refunded, kept)
    SELECT branch_id, seller_id, day, 0, 0, 0, sum(amount), 0 FROM line GROUP BY branch_id, seller_id, day
    ON CONFLICT (branch_id, day, seller_id) DO UPDATE SET refunded = d.refunded + excluded.refunded
), brands AS (
    INSERT INTO daily_brands AS d (branch_id, store_id, brand_id, day, orders, units, paid, refunded)
    SELECT branch_id, store_id, brand_id, day, 0, 0, 0, sum(amount) FROM line GROUP BY branch_id, store_id, brand_id, day
    ON CONFLICT (brand_id, day, store_id, branch_id) DO UPDATE SET refunded = d.refunded + excluded.refunded
), products AS (
    INSERT INTO daily_products AS d (branch_id, day, store_id, product_id, brand_id, orders, kept, units, paid, refunded)
    SELECT branch_id, day, store_id, product_id, brand_id, 0, 0, 0, 0, sum(amount)
    FROM line
    GROUP BY branch_id, day, store_id, product_id, brand_id
    ON CONFLICT (brand_id, day, store_id, product_id, branch_id) DO UPDATE SET refunded = d.refunded + excluded.refunded
)
UPDATE refunds r SET rolled_up = true
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
WHERE r.branch_id = batch.branch_id AND r.id = batch.refund_id

-- name: added
-- What stands in the daily totals, line by line, with what went back of it by refunds that stand there too.
back AS MATERIALIZED (
    SELECT l.branch_id, l.line_id, r.order_id, l.amount,
           (coalesce(original.refunded_at, r.refunded_at) AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM refunds r
    LEFT JOIN refunds original ON original.branch_id = r.branch_id AND original.id = r.reverses_id
    JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
    WHERE r.rolled_up
), added AS MATERIALIZED (
    SELECT o.branch_id, o.id, o.seller_id, o.store_id, o.customer_id, (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
           l.id AS line_id, l.brand_id, l.product_id, l.quantity, l.paid, coalesce(b.amount, 0) AS refunded
    FROM orders o
    JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
    LEFT JOIN (SELECT branch_id, line_id, sum(amount) AS amount FROM back GROUP BY branch_id, line_id) AS b
        ON b.branch_id = l.branch_id AND b.line_id = l.id
    WHERE o.paid_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM orders_to_add w WHERE w.branch_id = o.branch_id AND w.order_id = o.id)
), whole AS MATERIALIZED (
    SELECT branch_id, id, seller_id, customer_id, day, sum(quantity) AS units, sum(paid) AS paid,
           sum(refunded) < sum(paid) OR sum(paid) = 0 AS is_kept
    FROM added
    GROUP BY branch_id, id, seller_id, customer_id, day
)

-- name: readiness
-- Today in Shanghai, and how many orders and refunds of the period and of the one before no daily total holds yet.
SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date AS today,
       (SELECT count(*)
        FROM orders_to_add w JOIN orders o ON o.branch_id = w.branch_id AND o.id = w.order_id
        WHERE paid_at >= CAST(:before AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
          AND paid_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai')
       + (SELECT count(*) FROM refunds
          WHERE NOT rolled_up AND state = 'applied'
            AND refunded_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai') AS missing

-- name: measure
-- The raw numbers of whoever is ranked over the days [:start, :end), one row each: one statement, so one snapshot, and one
-- that PostgreSQL does with several processes.
CREATE TEMPORARY TABLE measured ON COMMIT DROP AS
WITH turnover AS (
    SELECT seller_id,
           sum(paid) FILTER (WHERE day >= :start) AS paid,
           sum(refunded) FILTER (WHERE day >= :start) AS refunded,
           sum(paid - refunded) FILTER (WHERE day < :start) AS output_before
    FROM daily_sellers
    WHERE day >= :before AND day < :end
    GROUP BY seller_id
),
buyers AS (
    SELECT seller_id, sum(kept) AS orders, count(*) AS customers, count(*) FILTER (WHERE kept >= 2) AS repeat_customers
    FROM (
        SELECT seller_id, customer_id, sum(kept::int) AS kept
        FROM daily_customers
        WHERE day >= :start AND day < :end AND kept > 0
        GROUP BY seller_id, customer_id
    ) AS buyer
    GROUP BY seller_id
),
gone AS MATERIALIZED (  -- stood in a store on a day of the period, and does so no more
    SELECT DISTINCT store_id, product_id
    FROM listing_history gone
    WHERE since < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
      AND until > CAST(:start AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
      AND NOT EXISTS (
          SELECT FROM listings l
          WHERE l.store_id = gone.store_id AND l.product_id = gone.product_id
            AND l.listed_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
      )
),
sold AS NOT MATERIALIZED (
    SELECT store_id, product_id FROM daily_products WHERE day >= :start AND day < :end AND kept > 0
),
selection AS (
    SELECT stores.distributor_id, sum(live.listings)::bigint AS listings, sum(live.sold)::bigint AS sold
    FROM (
        SELECT store_id, count(*) AS listings, 0 AS sold
        FROM listings
        WHERE listed_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
        GROUP BY store_id
        UNION ALL
        SELECT store_id, 0, count(*)
        FROM listings
        WHERE listed_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
          AND (store_id, product_id) IN (SELECT * FROM sold)
        GROUP BY store_id
        UNION ALL
        SELECT store_id, count(*), count(*) FILTER (WHERE (store_id, product_id) IN (SELECT * FROM sold))
        FROM gone
        GROUP BY store_id
    ) AS live
    JOIN stores ON stores.id = live.store_id
    GROUP BY stores.distributor_id
)
SELECT d.id, standing.tier_id, d.region,
       coalesce(turnover.paid, 0)::bigint AS paid,
       coalesce(turnover.refunded, 0)::bigint AS refunded,
       (coalesce(turnover.paid, 0) - coalesce(turnover.refunded, 0))::bigint AS output,
       coalesce(turnover.output_before, 0)::bigint AS output_before,
       coalesce(buyers.orders, 0)::bigint AS orders,
       coalesce(buyers.customers, 0) AS customers,
       coalesce(buyers.repeat_customers, 0) AS repeat_customers,
       coalesce(selection.listings, 0) AS listings,
       coalesce(selection.sold, 0) AS listings_sold,
       exemption.id AS exemption_id
FROM distributors d
CROSS JOIN (SELECT grace_days FROM ranking_policies WHERE id = :policy_id) AS policy
JOIN distributor_history standing  -- as it was when the period ended
    ON standing.distributor_id = d.id AND standing.state IN ('active', 'watch')
    AND standing.during @> CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
LEFT JOIN turnover ON turnover.seller_id = d.id
LEFT JOIN buyers ON buyers.seller_id = d.id
LEFT JOIN selection ON selection.distributor_id = d.id
LEFT JOIN (
    SELECT distributor_id, min(id) AS id FROM ranking_exemptions
    WHERE during && daterange(CAST(:start AS date), CAST(:end AS date)) GROUP BY distributor_id
) AS exemption ON exemption.distributor_id = d.id
WHERE d.joined_on <= CAST(:end AS date) - policy.grace_days::int
  AND NOT EXISTS (
      SELECT FROM distributor_history AS past  -- reinstated: new again
      WHERE past.distributor_id = d.id AND past.state = 'eliminated'
        AND upper(past.during)
            > (CAST(:end AS date) - policy.grace_days::int)::timestamp AT TIME ZONE 'Asia/Shanghai'
        AND upper(past.during) <= CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
  )

-- name: measure_frozen
-- The same of a run that was made, as they were then.
CREATE TEMPORARY TABLE measured ON COMMIT DROP AS
SELECT distributor_id AS id, tier_id, home_region AS region, paid, refunded, output, output_before, orders, customers,
       repeat_customers, listings, listings_sold, exemption_id
FROM ranking_scores
WHERE run_id = :run_id

-- name: forget
DROP TABLE IF EXISTS pg_temp.measured

-- name: scored
-- From raw numbers to rank and outcome. `//` of the rules is div() on numeric where the amounts of many are multiplied, and
-- exact; of numbers >= 0 but for growth, where one is taken off when the remainder is negative. What is sorted is narrow.
policy AS (
    SELECT * FROM ranking_policies WHERE id = :policy_id
),
homes AS MATERIALIZED (
    SELECT tier_id, region, row_number() OVER () AS no, policy.cohort = 'tier_region' AND count(*) >= min_cohort AS is_large
    FROM measured CROSS JOIN policy
    GROUP BY tier_id, region, policy.cohort, min_cohort
),
compared AS (  -- a large region is a cohort; the whole tier, below 0, has those of small regions as members
    SELECT measured.*, no AS cohort, true AS is_member FROM measured JOIN homes USING (tier_id, region) WHERE is_large
    UNION ALL
    SELECT measured.*, -tier_id, NOT is_large
    FROM measured JOIN homes USING (tier_id, region)
    WHERE tier_id IN (SELECT tier_id FROM homes WHERE NOT is_large)
),
pooled AS MATERIALIZED (
    SELECT cohort, count(*) AS compared, count(*) FILTER (WHERE is_member) AS members,
           coalesce(div(10000 * sum(repeat_customers), nullif(sum(customers), 0)), 0)::bigint AS repeat_mean,
           coalesce(div(10000 * sum(refunded), nullif(sum(paid), 0)), 0)::bigint AS refund_mean,
           CASE WHEN sum(output_before) > 0
                THEN (div(10000 * sum(output - output_before), sum(output_before))
                      - (mod(10000 * sum(output - output_before), sum(output_before)) < 0)::int)::bigint
                ELSE 0 END AS growth_mean,
           coalesce(div(10000 * sum(listings_sold), nullif(sum(listings), 0)), 0)::bigint AS sell_through_mean
    FROM compared
    GROUP BY cohort
),
shrunk AS MATERIALIZED (  -- no denominator, no rate of one's own: the mean; few orders, little weight of one's own
    SELECT id, cohort, is_member, compared, output, orders, customers,
           (weight * own_repeat + rest * repeat_mean) / whole AS repeat,
           (weight * own_refund + rest * refund_mean) / whole AS refund,
           (weight * own_growth + rest * growth_mean) / whole
               - ((weight * own_growth + rest * growth_mean) % whole < 0)::int AS growth,
           (weight * own_sell_through + rest * sell_through_mean) / whole AS sell_through
    FROM compared
    JOIN pooled USING (cohort)
    CROSS JOIN (SELECT min_orders FROM policy) AS policy
    CROSS JOIN LATERAL (
        SELECT CASE WHEN min_orders = 0 THEN 1 ELSE least(orders, min_orders) END AS weight,
               greatest(min_orders, 1) AS whole,
               coalesce(10000 * repeat_customers / nullif(customers, 0), repeat_mean) AS own_repeat,
               coalesce(div(10000::numeric * refunded, nullif(paid, 0)), refund_mean)::bigint AS own_refund,
               CASE WHEN output_before > 0
                    THEN (div(10000::numeric * (output - output_before), output_before)
                          - (mod(10000::numeric * (output - output_before), output_before) < 0)::int)::bigint
                    ELSE growth_mean END AS own_growth,
               coalesce(10000 * listings_sold / nullif(listings, 0), sell_through_mean) AS own_sell_through
    ) AS own
    CROSS JOIN LATERAL (SELECT whole - weight AS rest) AS other
),
stood AS (  -- rank() - 1 are worse, count(*) - 1 are worse or equal: their sum is 2 * worse + equal
    SELECT shrunk.*,
           rank() OVER by_output AS output_worse, count(*) OVER by_output AS output_beaten,
           rank() OVER by_orders AS orders_worse, count(*) OVER by_orders AS orders_beaten,
           rank() OVER by_customers AS customers_worse, count(*) OVER by_customers AS customers_beaten,
           rank() OVER by_repeat AS repeat_worse, count(*) OVER by_repeat AS repeat_beaten,
           rank() OVER by_refund AS refund_worse, count(*) OVER by_refund AS refund_beaten,
           rank() OVER by_growth AS growth_worse, count(*) OVER by_growth AS growth_beaten,
           rank() OVER by_sell_through AS sell_through_worse, count(*) OVER by_sell_through AS sell_through_beaten
    FROM shrunk
    WINDOW by_output AS (PARTITION BY cohort ORDER BY output),
           by_orders AS (PARTITION BY cohort ORDER BY orders),
           by_customers AS (PARTITION BY cohort ORDER BY customers),
           by_repeat AS (PARTITION BY cohort ORDER BY repeat),
           by_refund AS (PARTITION BY cohort ORDER BY refund DESC),
           by_growth AS (PARTITION BY cohort ORDER BY growth),
           by_sell_through AS (PARTITION BY cohort ORDER BY sell_through)
),
shared AS (
    SELECT stood.*,
           coalesce(10000 * (output_worse + output_beaten - 2) / others, 5000) AS output_share,
           coalesce(10000 * (orders_worse + orders_beaten - 2) / others, 5000) AS orders_share,
           coalesce(10000 * (customers_worse + customers_beaten - 2) / others, 5000) AS customers_share,
           coalesce(10000 * (repeat_worse + repeat_beaten - 2) / others, 5000) AS repeat_share,
           coalesce(10000 * (refund_worse + refund_beaten - 2) / others, 5000) AS refund_share,
           coalesce(10000 * (growth_worse + growth_beaten - 2) / others, 5000) AS growth_share,
           coalesce(10000 * (sell_through_worse + sell_through_beaten - 2) / others, 5000) AS sell_through_share
    FROM stood
    CROSS JOIN LATERAL (SELECT nullif(2 * (compared - 1), 0)) AS twice (others)
    WHERE is_member
),
placed AS (
    SELECT shared.*, row_number() OVER (PARTITION BY cohort ORDER BY shared.score DESC, output DESC, id) AS rank
    FROM (
        SELECT shared.*,
               (output_share * output_weight_bps + orders_share * orders_weight_bps + customers_share * customers_weight_bps
                + repeat_share * repeat_weight_bps + refund_share * refund_weight_bps + growth_share * growth_weight_bps
                + sell_through_share * sell_through_weight_bps) / 10000 AS score
        FROM shared CROSS JOIN policy
    ) AS shared
),
scored_row AS (
    SELECT id, tier_id, CASE WHEN cohort > 0 THEN region END, members, pooled.compared,
           paid, refunded, placed.output, output_before, placed.orders, placed.customers, repeat_customers, listings,
           listings_sold, repeat, refund, growth, sell_through,
           output_share, orders_share, customers_share, repeat_share, refund_share, growth_share, sell_through_share,
           score, rank, region, repeat_mean, refund_mean, growth_mean, sell_through_mean,
           pooled.compared - output_beaten + 1, pooled.compared - orders_beaten + 1,
           pooled.compared - customers_beaten + 1, pooled.compared - repeat_beaten + 1,
           pooled.compared - refund_beaten + 1, pooled.compared - growth_beaten + 1,
           pooled.compared - sell_through_beaten + 1,
           outcome, CASE outcome WHEN 'let_off' THEN exemption_id END AS exemption_id
    FROM placed
    JOIN measured USING (id)
    JOIN pooled USING (cohort)
    CROSS JOIN (SELECT min_cohort, tail_bps FROM policy) AS policy
    CROSS JOIN LATERAL (
        SELECT CASE WHEN pooled.compared < min_cohort THEN 'no_tail'
                    WHEN rank <= members - members * tail_bps / 10000 THEN 'clear'
                    WHEN exemption_id IS NULL THEN 'tail'
                    ELSE 'let_off' END AS outcome
    ) AS judged
)

-- name: columns
    distributor_id, tier_id, region, members, compared,
    paid, refunded, output, output_before, orders, customers, repeat_customers, listings, listings_sold,
    repeat_bps, refund_bps, growth_bps, sell_through_bps,
    output_share_bps, orders_share_bps, customers_share_bps, repeat_share_bps, refund_share_bps, growth_share_bps,
    sell_through_share_bps, score, rank, home_region,
    repeat_mean_bps, refund_mean_bps, growth_mean_bps, sell_through_mean_bps,
    output_place, orders_place, customers_place, repeat_place, refund_place, growth_place, sell_through_place,
    outcome, exemption_id

-- name: score
INSERT INTO ranking_scores (
    run_id,
-- include: ranking.columns
)
WITH
-- include: ranking.scored
SELECT CAST(:run_id AS bigint), scored_row.* FROM scored_row

-- name: memory
-- Until the end of the transaction: a ranking sorts and hashes a few hundred bytes of each distributor.
SELECT set_config('work_mem', '64MB', true)

-- name: count
UPDATE ranking_runs r SET ranked = n.ranked, in_tail = n.in_tail
FROM (SELECT count(*) AS ranked, count(*) FILTER (WHERE outcome = 'tail') AS in_tail FROM ranking_scores WHERE run_id = :run_id) AS n
WHERE r.id = :run_id
RETURNING r.ranked, r.in_tail

-- name: dry_scores
CREATE TEMP TABLE IF NOT EXISTS dry_scores (LIKE ranking_scores) ON COMMIT DROP

-- name: dry_scores_emptied
DELETE FROM pg_temp.dry_scores

-- name: foresee
INSERT INTO pg_temp.dry_scores (
    run_id,
-- include: ranking.columns
)
WITH
-- include: ranking.scored
SELECT CAST(:run_id AS bigint), scored_row.* FROM scored_row

-- name: differs
-- How many rows of a run do not follow from its raw numbers and its policy.
WITH
-- include: ranking.scored
, kept AS (
    SELECT
-- include: ranking.columns
    FROM ranking_scores WHERE run_id = :run_id
)
SELECT count(*) FROM (
    (SELECT * FROM kept EXCEPT ALL SELECT * FROM scored_row)
    UNION ALL
    (SELECT * FROM scored_row EXCEPT ALL SELECT * FROM kept)
) AS row

-- name: digested
-- SHA-256 over the rows of the run r, in the order of their distributors.
SELECT sha256(coalesce(string_agg(sha256(convert_to(row::text, 'UTF8')), '' ORDER BY row.distributor_id), '')) AS digest
FROM (
    SELECT
-- include: ranking.columns
    FROM ranking_scores WHERE run_id = r.id
) AS row

-- name: digest
SELECT digested.digest
FROM (SELECT CAST(:run_id AS bigint) AS id) AS r
CROSS JOIN LATERAL (
-- include: ranking.digested
) AS digested
