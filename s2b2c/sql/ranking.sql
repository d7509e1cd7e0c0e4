-- name: take
-- The next orders to add up, locked so that no other worker adds them too.
SELECT branch_id, id
FROM orders
WHERE NOT rolled_up AND paid_at IS NOT NULL
ORDER BY branch_id, id
LIMIT :limit
FOR NO KEY UPDATE SKIP LOCKED

-- name: add_sellers
-- Totals are locked in key order too: two workers that share a seller's day wait, and never for each other.
INSERT INTO daily_sellers (branch_id, seller_id, day, orders, units, paid, refunded)
SELECT orders.branch_id, orders.seller_id, (orders.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
       count(DISTINCT orders.id), sum(line.quantity), sum(line.paid), 0
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN orders ON orders.branch_id = batch.branch_id AND orders.id = batch.order_id
JOIN order_lines AS line ON line.branch_id = batch.branch_id AND line.order_id = batch.order_id
GROUP BY orders.branch_id, orders.seller_id, day
ORDER BY orders.branch_id, orders.seller_id, day
ON CONFLICT (branch_id, seller_id, day) DO UPDATE
SET orders = daily_sellers.orders + excluded.orders,
    units = daily_sellers.units + excluded.units,
    paid = daily_sellers.paid + excluded.paid

-- name: add_brands
INSERT INTO daily_brands (branch_id, store_id, brand_id, day, orders, units, paid, refunded)
SELECT orders.branch_id, orders.store_id, line.brand_id, (orders.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
       count(DISTINCT orders.id), sum(line.quantity), sum(line.paid), 0
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
JOIN orders ON orders.branch_id = batch.branch_id AND orders.id = batch.order_id
JOIN order_lines AS line ON line.branch_id = batch.branch_id AND line.order_id = batch.order_id
GROUP BY orders.branch_id, orders.store_id, line.brand_id, day
ORDER BY orders.branch_id, orders.store_id, line.brand_id, day
ON CONFLICT (branch_id, store_id, brand_id, day) DO UPDATE
SET orders = daily_brands.orders + excluded.orders,
    units = daily_brands.units + excluded.units,
    paid = daily_brands.paid + excluded.paid

-- name: take_refunds
-- The next refunds to add up. Whoever finds them taken waits: a reversal must not be added before its refund.
SELECT branch_id, id
FROM refunds
WHERE NOT rolled_up AND state = 'applied'
ORDER BY branch_id, id
LIMIT :limit
FOR NO KEY UPDATE

-- name: refunded
-- What went back on the day its refund succeeded; a reversal takes it from that day again.
refunded AS (
    SELECT o.branch_id, o.seller_id, o.store_id, line.brand_id, l.amount,
           (coalesce(original.refunded_at, r.refunded_at) AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
    JOIN refunds r ON r.branch_id = batch.branch_id AND r.id = batch.refund_id
    LEFT JOIN refunds original ON original.branch_id = r.branch_id AND original.id = r.reverses_id
    JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
    JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
    JOIN order_lines line ON line.branch_id = l.branch_id AND line.id = l.line_id
)

-- name: add_seller_refunds
WITH
-- include: ranking.refunded
INSERT INTO daily_sellers (branch_id, seller_id, day, orders, units, paid, refunded)
SELECT branch_id, seller_id, day, 0, 0, 0, sum(amount)
FROM refunded
GROUP BY branch_id, seller_id, day
ORDER BY branch_id, seller_id, day
ON CONFLICT (branch_id, seller_id, day) DO UPDATE SET refunded = daily_sellers.refunded + excluded.refunded

-- name: add_brand_refunds
WITH
-- include: ranking.refunded
INSERT INTO daily_brands (branch_id, store_id, brand_id, day, orders, units, paid, refunded)
SELECT branch_id, store_id, brand_id, day, 0, 0, 0, sum(amount)
FROM refunded
GROUP BY branch_id, store_id, brand_id, day
ORDER BY branch_id, store_id, brand_id, day
ON CONFLICT (branch_id, store_id, brand_id, day) DO UPDATE SET refunded = daily_brands.refunded + excluded.refunded

-- name: mark_refunds
UPDATE refunds r SET rolled_up = true
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:refund_ids AS bigint[])) AS batch (branch_id, refund_id)
WHERE r.branch_id = batch.branch_id AND r.id = batch.refund_id

-- name: mark
UPDATE orders SET rolled_up = true
FROM unnest(CAST(:branch_ids AS bigint[]), CAST(:order_ids AS bigint[])) AS batch (branch_id, order_id)
WHERE orders.branch_id = batch.branch_id AND orders.id = batch.order_id

-- name: readiness
-- Today in Shanghai, and how many orders and refunds of the period and of the one before no daily total holds yet.
SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date AS today,
       (SELECT count(*) FROM orders
        WHERE NOT rolled_up AND paid_at IS NOT NULL
          AND paid_at >= CAST(:before AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
          AND paid_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai')
       + (SELECT count(*) FROM refunds
          WHERE NOT rolled_up AND state = 'applied'
            AND refunded_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai') AS missing

-- name: score
-- One statement, so one snapshot, from the raw numbers to rank and tail. `//` of the rules is div() on numeric: exact,
-- and of numbers >= 0 but for growth, where one is taken off when the remainder is negative.
INSERT INTO ranking_scores (
    run_id, distributor_id, tier_id, region, members, compared,
    paid, refunded, output, output_before, orders, customers, repeat_customers, listings, listings_sold,
    repeat_bps, refund_bps, growth_bps, sell_through_bps,
    output_share_bps, orders_share_bps, customers_share_bps, repeat_share_bps, refund_share_bps, growth_share_bps,
    sell_through_share_bps, score, rank, in_tail
)
WITH policy AS (
    SELECT * FROM ranking_policies WHERE id = :policy_id
),
sale AS MATERIALIZED (  -- not wholly refunded; and rolled up, so that counts and daily totals are of the same orders
    SELECT orders.seller_id, orders.customer_id, orders.store_id,
           array_agg(line.product_id) FILTER (WHERE line.refunded < line.paid OR line.paid = 0) AS products
    FROM orders
    JOIN order_lines AS line ON line.branch_id = orders.branch_id AND line.order_id = orders.id
    WHERE orders.rolled_up
      AND orders.paid_at >= CAST(:start AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
      AND orders.paid_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
    GROUP BY orders.branch_id, orders.id
    HAVING sum(line.refunded) < sum(line.paid) OR sum(line.paid) = 0
),
buyers AS (
    SELECT seller_id, sum(orders) AS orders, count(*) AS customers,
           count(*) FILTER (WHERE orders >= 2) AS repeat_customers
    FROM (SELECT seller_id, customer_id, count(*) AS orders FROM sale GROUP BY seller_id, customer_id) AS buyer
    GROUP BY seller_id
),
selection AS (
    SELECT stores.distributor_id, count(*) AS listings, count(sold.product_id) AS listings_sold
    FROM listings
    JOIN stores ON stores.id = listings.store_id
    LEFT JOIN (SELECT DISTINCT store_id, unnest(products) AS product_id FROM sale) AS sold
        ON sold.store_id = listings.store_id AND sold.product_id = listings.product_id
    WHERE listings.listed_at < CAST(:end AS date)::timestamp AT TIME ZONE 'Asia/Shanghai'
    GROUP BY stores.distributor_id
),
turnover AS (
    SELECT seller_id,
           sum(paid) FILTER (WHERE day >= :start) AS paid,
           sum(refunded) FILTER (WHERE day >= :start) AS refunded,
           sum(paid - refunded) FILTER (WHERE day < :start) AS output_before
    FROM daily_sellers
    WHERE day >= :before AND day < :end
    GROUP BY seller_id
),
ranked AS (
    SELECT distributors.id, distributors.tier_id, distributors.region,
           count(*) OVER (PARTITION BY tier_id, region) >= policy.min_cohort AS region_is_large,
           coalesce(turnover.paid, 0) AS paid,
           coalesce(turnover.refunded, 0) AS refunded,
           coalesce(turnover.paid, 0) - coalesce(turnover.refunded, 0) AS output,
           coalesce(turnover.output_before, 0) AS output_before,
           coalesce(buyers.orders, 0) AS orders,
           coalesce(buyers.customers, 0) AS customers,
           coalesce(buyers.repeat_customers, 0) AS repeat_customers,
           coalesce(selection.listings, 0) AS listings,
           coalesce(selection.listings_sold, 0) AS listings_sold
    FROM distributors
    CROSS JOIN policy
    LEFT JOIN turnover ON turnover.seller_id = distributors.id
    LEFT JOIN buyers ON buyers.seller_id = distributors.id
    LEFT JOIN selection ON selection.distributor_id = distributors.id
    WHERE distributors.state IN ('active', 'watch')
      AND distributors.joined_on <= CAST(:end AS date) - policy.grace_days::int
      AND NOT EXISTS (
          SELECT FROM distributor_history AS past  -- reinstated: new again
          WHERE past.distributor_id = distributors.id AND past.state = 'eliminated'
            AND upper(past.during)
                > (CAST(:end AS date) - policy.grace_days::int)::timestamp AT TIME ZONE 'Asia/Shanghai'
      )
),
compared AS (  -- cohorts by (tier, cohort_region); the whole tier, region NULL, has those of small regions as members
    SELECT ranked.*, region AS cohort_region, true AS is_member FROM ranked WHERE region_is_large
    UNION ALL
    SELECT ranked.*, NULL, NOT region_is_large FROM ranked
),
pooled AS (
    SELECT compared.*,
           count(*) OVER cohort AS compared,
           count(*) FILTER (WHERE is_member) OVER cohort AS members,
           coalesce(div(10000 * sum(repeat_customers) OVER cohort, nullif(sum(customers) OVER cohort, 0)), 0)
               AS mean_repeat,
           coalesce(div(10000 * sum(refunded) OVER cohort, nullif(sum(paid) OVER cohort, 0)), 0) AS mean_refund,
           10000 * (sum(output) OVER cohort - sum(output_before) OVER cohort) AS grown,
           sum(output_before) OVER cohort AS grown_from,
           coalesce(div(10000 * sum(listings_sold) OVER cohort, nullif(sum(listings) OVER cohort, 0)), 0)
               AS mean_sell_through
    FROM compared
    WINDOW cohort AS (PARTITION BY tier_id, cohort_region)
),
own AS (  -- no denominator, no rate of one's own: the mean
    SELECT pooled.*, mean.growth AS mean_growth,
           coalesce(div(10000 * repeat_customers, nullif(customers, 0)), mean_repeat) AS own_repeat,
           coalesce(div(10000 * refunded, nullif(paid, 0)), mean_refund) AS own_refund,
           CASE WHEN output_before > 0
                THEN div(10000 * (output - output_before), output_before)
                     - (mod(10000 * (output - output_before), output_before) < 0)::int
                ELSE mean.growth END AS own_growth,
           coalesce(div(10000 * listings_sold, nullif(listings, 0)), mean_sell_through) AS own_sell_through,
           CASE WHEN policy.min_orders = 0 THEN 1 ELSE least(orders, policy.min_orders) END AS own_weight,
           greatest(policy.min_orders, 1) AS full_weight
    FROM pooled
    CROSS JOIN policy
    CROSS JOIN LATERAL (
        SELECT CASE WHEN grown_from > 0 THEN div(grown, grown_from) - (mod(grown, grown_from) < 0)::int ELSE 0 END
    ) AS mean (growth)
),
shrunk AS (
    SELECT own.*,
           div(own_weight * own_repeat + (full_weight - own_weight) * mean_repeat, full_weight) AS repeat_bps,
           div(own_weight * own_refund + (full_weight - own_weight) * mean_refund, full_weight) AS refund_bps,
           div(own_weight * own_growth + (full_weight - own_weight) * mean_growth, full_weight)
               - (mod(own_weight * own_growth + (full_weight - own_weight) * mean_growth, full_weight) < 0)::int
               AS growth_bps,
           div(own_weight * own_sell_through + (full_weight - own_weight) * mean_sell_through, full_weight)
               AS sell_through_bps
    FROM own
),
shared AS (  -- rank() - 1 are worse, count(*) - 1 are worse or equal: their sum is 2 * worse + equal
    SELECT shrunk.*,
           coalesce(10000 * (rank() OVER by_output + count(*) OVER by_output - 2) / others, 5000) AS output_share,
           coalesce(10000 * (rank() OVER by_orders + count(*) OVER by_orders - 2) / others, 5000) AS orders_share,
           coalesce(10000 * (rank() OVER by_customers + count(*) OVER by_customers - 2) / others, 5000)
               AS customers_share,
           coalesce(10000 * (rank() OVER by_repeat + count(*) OVER by_repeat - 2) / others, 5000) AS repeat_share,
           coalesce(10000 * (rank() OVER by_refund + count(*) OVER by_refund - 2) / others, 5000) AS refund_share,
           coalesce(10000 * (rank() OVER by_growth + count(*) OVER by_growth - 2) / others, 5000) AS growth_share,
           coalesce(10000 * (rank() OVER by_sell_through + count(*) OVER by_sell_through - 2) / others, 5000)
               AS sell_through_share
    FROM shrunk
    CROSS JOIN LATERAL (SELECT nullif(2 * (compared - 1), 0)) AS twice (others)
    WINDOW cohort AS (PARTITION BY tier_id, cohort_region),
           by_output AS (cohort ORDER BY output),
           by_orders AS (cohort ORDER BY orders),
           by_customers AS (cohort ORDER BY customers),
           by_repeat AS (cohort ORDER BY repeat_bps),
           by_refund AS (cohort ORDER BY refund_bps DESC),
           by_growth AS (cohort ORDER BY growth_bps),
           by_sell_through AS (cohort ORDER BY sell_through_bps)
),
scored AS (
    SELECT shared.*,
           (output_share * output_weight_bps + orders_share * orders_weight_bps + customers_share * customers_weight_bps
            + repeat_share * repeat_weight_bps + refund_share * refund_weight_bps + growth_share * growth_weight_bps
            + sell_through_share * sell_through_weight_bps) / 10000 AS score,
           CASE WHEN compared >= min_cohort THEN members * tail_bps / 10000 ELSE 0 END AS tail
    FROM shared
    CROSS JOIN policy
    WHERE is_member
),
placed AS (
    SELECT scored.*,
           row_number() OVER (PARTITION BY tier_id, cohort_region ORDER BY score DESC, output DESC, id) AS rank
    FROM scored
)
SELECT CAST(:run_id AS bigint), id, tier_id, cohort_region, members, compared,
       paid, refunded, output, output_before, orders, customers, repeat_customers, listings, listings_sold,
       repeat_bps, refund_bps, growth_bps, sell_through_bps,
       output_share, orders_share, customers_share, repeat_share, refund_share, growth_share, sell_through_share,
       score, rank, rank > members - tail
FROM placed
