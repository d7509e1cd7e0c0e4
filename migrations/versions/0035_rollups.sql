-- Nobody adds up meanwhile, so that what is marked is what is counted here.
LOCK TABLE daily_sellers, daily_brands IN EXCLUSIVE MODE;

CREATE TABLE daily_products (
    branch_id BIGINT NOT NULL,
    day DATE NOT NULL,
    store_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    brand_id BIGINT NOT NULL,
    orders BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    units BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    CONSTRAINT pk_daily_products PRIMARY KEY (branch_id, day, store_id, product_id),
    CONSTRAINT ck_daily_products_not_negative CHECK (orders >= 0 AND units >= 0 AND paid >= 0),
    CONSTRAINT ck_daily_products_kept CHECK (kept BETWEEN 0 AND orders)
);

CREATE TABLE daily_customers (
    branch_id BIGINT NOT NULL,
    day DATE NOT NULL,
    seller_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    kept BIGINT NOT NULL,
    CONSTRAINT pk_daily_customers PRIMARY KEY (branch_id, day, seller_id, customer_id),
    CONSTRAINT ck_daily_customers_kept CHECK (kept >= 0)
);

-- What was added before its order goes out of the totals, and comes in again after it.
WITH early AS (
    UPDATE refunds r SET rolled_up = false
    FROM orders o
    WHERE o.branch_id = r.branch_id AND o.id = r.order_id AND r.rolled_up AND NOT o.rolled_up
    RETURNING r.branch_id, r.id, r.reverses_id, r.refunded_at, o.seller_id, o.store_id
), line AS (
    SELECT e.branch_id, e.seller_id, e.store_id, line.brand_id, l.amount,
           (coalesce(original.refunded_at, e.refunded_at) AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM early e
    LEFT JOIN refunds original ON original.branch_id = e.branch_id AND original.id = e.reverses_id
    JOIN refund_lines l ON l.branch_id = e.branch_id AND l.refund_id = e.id
    JOIN order_lines line ON line.branch_id = l.branch_id AND line.id = l.line_id
), sellers AS (
    UPDATE daily_sellers d SET refunded = d.refunded - part.amount
    FROM (SELECT branch_id, seller_id, day, sum(amount) AS amount FROM line GROUP BY 1, 2, 3) AS part
    WHERE d.branch_id = part.branch_id AND d.seller_id = part.seller_id AND d.day = part.day
)
UPDATE daily_brands d SET refunded = d.refunded - part.amount
FROM (SELECT branch_id, store_id, brand_id, day, sum(amount) AS amount FROM line GROUP BY 1, 2, 3, 4) AS part
WHERE d.branch_id = part.branch_id AND d.store_id = part.store_id AND d.brand_id = part.brand_id AND d.day = part.day;

CREATE TEMPORARY TABLE added ON COMMIT DROP AS
SELECT o.branch_id, o.id, o.seller_id, o.store_id, o.customer_id, (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
       l.id AS line_id, l.brand_id, l.product_id, l.quantity, l.paid, coalesce(r.amount, 0) AS refunded
FROM orders o
JOIN order_lines l ON l.branch_id = o.branch_id AND l.order_id = o.id
LEFT JOIN (
    SELECT l.branch_id, l.line_id, sum(l.amount) AS amount
    FROM refund_lines l
    JOIN refunds r ON r.branch_id = l.branch_id AND r.id = l.refund_id
    WHERE r.rolled_up
    GROUP BY l.branch_id, l.line_id
) AS r ON r.branch_id = l.branch_id AND r.line_id = l.id
WHERE o.rolled_up;

CREATE TEMPORARY TABLE whole ON COMMIT DROP AS
SELECT branch_id, id, seller_id, store_id, customer_id, day, sum(refunded) < sum(paid) OR sum(paid) = 0 AS is_kept
FROM added
GROUP BY branch_id, id, seller_id, store_id, customer_id, day;

INSERT INTO daily_customers (branch_id, day, seller_id, customer_id, kept)
SELECT branch_id, day, seller_id, customer_id, count(*) FILTER (WHERE is_kept)
FROM whole
GROUP BY branch_id, day, seller_id, customer_id;

INSERT INTO daily_products (branch_id, day, store_id, product_id, brand_id, orders, kept, units, paid, refunded)
SELECT branch_id, day, store_id, product_id, brand_id, count(*), count(*) FILTER (WHERE is_kept), sum(units), sum(paid), 0
FROM (
    SELECT a.branch_id, a.id, a.day, a.store_id, a.product_id, a.brand_id, sum(a.quantity) AS units, sum(a.paid) AS paid,
           w.is_kept AND bool_or(a.refunded < a.paid OR a.paid = 0) AS is_kept
    FROM added a JOIN whole w USING (branch_id, id)
    GROUP BY a.branch_id, a.id, a.day, a.store_id, a.product_id, a.brand_id, w.is_kept
) AS one
GROUP BY branch_id, day, store_id, product_id, brand_id;

INSERT INTO daily_products AS d (branch_id, day, store_id, product_id, brand_id, orders, kept, units, paid, refunded)
SELECT l.branch_id, (coalesce(original.refunded_at, r.refunded_at) AT TIME ZONE 'Asia/Shanghai')::date, o.store_id,
       line.product_id, line.brand_id, 0, 0, 0, 0, sum(l.amount)
FROM refunds r
LEFT JOIN refunds original ON original.branch_id = r.branch_id AND original.id = r.reverses_id
JOIN orders o ON o.branch_id = r.branch_id AND o.id = r.order_id
JOIN refund_lines l ON l.branch_id = r.branch_id AND l.refund_id = r.id
JOIN order_lines line ON line.branch_id = l.branch_id AND line.id = l.line_id
WHERE r.rolled_up
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (branch_id, day, store_id, product_id) DO UPDATE SET refunded = d.refunded + excluded.refunded;

CREATE INDEX ix_daily_products_brand_id_day ON daily_products (brand_id, day);

CREATE INDEX ix_daily_products_day ON daily_products USING brin (day) WITH (autosummarize = on);

CREATE INDEX ix_daily_customers_day ON daily_customers USING brin (day) WITH (autosummarize = on);

ALTER TABLE daily_sellers ADD COLUMN kept BIGINT DEFAULT 0 NOT NULL;

UPDATE daily_sellers d SET kept = w.kept
FROM (SELECT branch_id, seller_id, day, count(*) AS kept FROM whole WHERE is_kept GROUP BY branch_id, seller_id, day) AS w
WHERE d.branch_id = w.branch_id AND d.seller_id = w.seller_id AND d.day = w.day;

ALTER TABLE daily_sellers
    ALTER COLUMN kept DROP DEFAULT,
    ADD CONSTRAINT ck_daily_sellers_kept CHECK (kept BETWEEN 0 AND orders) NOT VALID;

GRANT SELECT, INSERT, UPDATE ON daily_products, daily_customers TO s2b2c_app;
