-- Nobody pays or adds up meanwhile.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;

CREATE TABLE orders_to_add (
    branch_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    CONSTRAINT pk_orders_to_add PRIMARY KEY (branch_id, order_id)
);

INSERT INTO orders_to_add (branch_id, order_id)
SELECT branch_id, id FROM orders WHERE NOT rolled_up AND paid_at IS NOT NULL;

ALTER TABLE orders DROP COLUMN rolled_up;

GRANT SELECT, INSERT, DELETE ON orders_to_add TO s2b2c_app;
