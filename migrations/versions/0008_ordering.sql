ALTER TABLE customers ADD COLUMN created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

ALTER TABLE accounts ADD COLUMN customer_id BIGINT;
ALTER TABLE accounts DROP CONSTRAINT ck_accounts_role;
ALTER TABLE accounts DROP CONSTRAINT uq_accounts_role_brand_id_distributor_id;
ALTER TABLE accounts ADD CONSTRAINT ck_accounts_role
    CHECK (role IN ('customer', 'distributor', 'brand', 'finance', 'operator'));
ALTER TABLE accounts ADD CONSTRAINT ck_accounts_customer CHECK ((role = 'customer') = (customer_id IS NOT NULL));
ALTER TABLE accounts ADD CONSTRAINT uq_accounts_role_brand_id_distributor_id_customer_id
    UNIQUE NULLS NOT DISTINCT (role, brand_id, distributor_id, customer_id);
ALTER TABLE accounts ADD CONSTRAINT fk_accounts_customer_id FOREIGN KEY(customer_id) REFERENCES customers (id);

CREATE SEQUENCE addresses_id_seq;

CREATE TABLE addresses (
    id BIGINT DEFAULT nextval('addresses_id_seq') NOT NULL,
    customer_id BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    phone TEXT NOT NULL,
    region TEXT NOT NULL,
    street TEXT NOT NULL,
    is_default BOOLEAN DEFAULT false NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_addresses PRIMARY KEY (id),
    CONSTRAINT ck_addresses_default CHECK (NOT is_default OR removed_at IS NULL),
    CONSTRAINT fk_addresses_customer_id FOREIGN KEY(customer_id) REFERENCES customers (id)
);

CREATE INDEX ix_addresses_customer_id ON addresses (customer_id);
CREATE UNIQUE INDEX uq_addresses_default ON addresses (customer_id) WHERE is_default;

CREATE SEQUENCE share_links_id_seq;

CREATE TABLE share_links (
    id BIGINT DEFAULT nextval('share_links_id_seq') NOT NULL,
    code TEXT NOT NULL,
    store_id BIGINT NOT NULL,
    product_id BIGINT,
    distributor_id BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_share_links PRIMARY KEY (id),
    CONSTRAINT uq_share_links_code UNIQUE (code),
    CONSTRAINT uq_share_links_store_id_product_id_distributor_id UNIQUE NULLS NOT DISTINCT (store_id, product_id, distributor_id),
    CONSTRAINT fk_share_links_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_share_links_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_share_links_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

CREATE SEQUENCE bindings_id_seq;

CREATE TABLE bindings (
    customer_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('bindings_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    during TSTZRANGE NOT NULL,
    protected_until TIMESTAMP WITH TIME ZONE,
    policy TEXT NOT NULL,
    share_link_id BIGINT,
    CONSTRAINT pk_bindings PRIMARY KEY (id, customer_id),
    CONSTRAINT ck_bindings_policy CHECK (policy IN ('first_touch', 'last_touch', 'window')),
    CONSTRAINT ck_bindings_during CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    CONSTRAINT ck_bindings_protected_until CHECK ((policy = 'window') = (protected_until IS NOT NULL)),
    CONSTRAINT ex_bindings_during EXCLUDE USING gist (customer_id WITH =, during WITH &&),
    CONSTRAINT fk_bindings_customer_id FOREIGN KEY(customer_id) REFERENCES customers (id),
    CONSTRAINT fk_bindings_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_bindings_share_link_id FOREIGN KEY(share_link_id) REFERENCES share_links (id)
);

CREATE INDEX ix_bindings_distributor_id_id ON bindings (distributor_id, id);

CREATE SEQUENCE refused_touches_id_seq;

CREATE TABLE refused_touches (
    customer_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('refused_touches_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    binding_id BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    protected_until TIMESTAMP WITH TIME ZONE,
    store_id BIGINT NOT NULL,
    product_id BIGINT,
    share_link_id BIGINT,
    CONSTRAINT pk_refused_touches PRIMARY KEY (id, customer_id),
    CONSTRAINT ck_refused_touches_protected_until CHECK (at < protected_until),
    CONSTRAINT fk_refused_touches_binding_id_customer_id FOREIGN KEY(binding_id, customer_id) REFERENCES bindings (id, customer_id),
    CONSTRAINT fk_refused_touches_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_refused_touches_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_refused_touches_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_refused_touches_share_link_id FOREIGN KEY(share_link_id) REFERENCES share_links (id)
);

CREATE INDEX ix_refused_touches_distributor_id_id ON refused_touches (distributor_id, id);
CREATE INDEX ix_refused_touches_binding_id_customer_id ON refused_touches (binding_id, customer_id);

ALTER TABLE claims DROP CONSTRAINT ck_claims_kind;
ALTER TABLE claims ADD CONSTRAINT ck_claims_kind
    CHECK (kind IN ('order_no', 'order_token', 'refund', 'payment_intent')) NOT VALID;

ALTER TABLE orders ADD COLUMN freight BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE refunds ADD COLUMN freight BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE transfers DROP CONSTRAINT ck_transfers_code;
ALTER TABLE transfers ADD CONSTRAINT ck_transfers_code CHECK (
    code IN ('payment', 'freight', 'supply', 'commission', 'revenue', 'subsidy', 'refund', 'freight_refund', 'supply_return',
             'clawback', 'revenue_return')
) NOT VALID;
ALTER TABLE orders ADD COLUMN shipped_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE orders ADD COLUMN received_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE orders ADD COLUMN cancelled_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE orders ADD COLUMN due_at TIMESTAMP WITH TIME ZONE;
UPDATE orders SET cancelled_at = placed_at WHERE state = 'cancelled';
UPDATE orders SET shipped_at = paid_at WHERE state IN ('shipped', 'received');
UPDATE orders SET received_at = paid_at WHERE state = 'received';
ALTER TABLE orders ADD CONSTRAINT ck_orders_freight CHECK (freight >= 0) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT ck_orders_cancelled_at CHECK ((cancelled_at IS NULL) = (state <> 'cancelled')) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT ck_orders_shipped_at CHECK (
    CASE WHEN state IN ('shipped', 'received') THEN shipped_at IS NOT NULL ELSE shipped_at IS NULL OR state = 'completed' END
) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT ck_orders_received_at CHECK (
    CASE state WHEN 'received' THEN received_at IS NOT NULL WHEN 'completed' THEN (received_at IS NULL) = (shipped_at IS NULL)
               ELSE received_at IS NULL END
) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT ck_orders_times_between CHECK (
    placed_at <= cancelled_at AND paid_at <= shipped_at AND shipped_at <= received_at AND received_at <= completed_at
) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT ck_orders_due_at CHECK (due_at IS NULL OR state IN ('placed', 'shipped', 'received')) NOT VALID;

CREATE TABLE order_addresses (
    branch_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    phone TEXT NOT NULL,
    region TEXT NOT NULL,
    street TEXT NOT NULL,
    CONSTRAINT pk_order_addresses PRIMARY KEY (branch_id, order_id),
    CONSTRAINT fk_order_addresses_branch_id_order_id FOREIGN KEY(branch_id, order_id) REFERENCES orders (branch_id, id)
);

CREATE SEQUENCE supply_orders_id_seq;

CREATE TABLE supply_orders (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('supply_orders_id_seq') NOT NULL,
    order_id BIGINT NOT NULL,
    brand_id BIGINT NOT NULL,
    shipped_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_supply_orders PRIMARY KEY (id, branch_id),
    CONSTRAINT uq_supply_orders_branch_id_order_id_brand_id UNIQUE (branch_id, order_id, brand_id),
    CONSTRAINT fk_supply_orders_branch_id_order_id FOREIGN KEY(branch_id, order_id) REFERENCES orders (branch_id, id)
);

CREATE INDEX ix_supply_orders_brand_id ON supply_orders (brand_id, id);

CREATE SEQUENCE shipments_id_seq;

CREATE TABLE shipments (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('shipments_id_seq') NOT NULL,
    supply_order_id BIGINT NOT NULL,
    carrier TEXT NOT NULL,
    tracking_no TEXT NOT NULL,
    shipped_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_shipments PRIMARY KEY (id, branch_id),
    CONSTRAINT uq_shipments_branch_id_supply_order_id_carrier_tracking_no UNIQUE (branch_id, supply_order_id, carrier, tracking_no),
    CONSTRAINT fk_shipments_branch_id_supply_order_id FOREIGN KEY(branch_id, supply_order_id) REFERENCES supply_orders (branch_id, id)
);

CREATE TABLE shipment_lines (
    branch_id BIGINT NOT NULL,
    shipment_id BIGINT NOT NULL,
    line_id BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    CONSTRAINT pk_shipment_lines PRIMARY KEY (branch_id, shipment_id, line_id),
    CONSTRAINT ck_shipment_lines_quantity CHECK (quantity >= 1),
    CONSTRAINT fk_shipment_lines_branch_id_shipment_id FOREIGN KEY(branch_id, shipment_id) REFERENCES shipments (branch_id, id),
    CONSTRAINT fk_shipment_lines_branch_id_line_id FOREIGN KEY(branch_id, line_id) REFERENCES order_lines (branch_id, id)
);

CREATE INDEX ix_shipment_lines_branch_id_line_id ON shipment_lines (branch_id, line_id);

CREATE SEQUENCE payments_id_seq;

CREATE TABLE payments (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('payments_id_seq') NOT NULL,
    order_id BIGINT NOT NULL,
    method TEXT NOT NULL,
    amount BIGINT NOT NULL,
    state TEXT NOT NULL,
    intent_id TEXT,
    session_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    succeeded_at TIMESTAMP WITH TIME ZONE,
    returned_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_payments PRIMARY KEY (id, branch_id),
    CONSTRAINT ck_payments_method CHECK (method IN ('intent', 'checkout')),
    CONSTRAINT ck_payments_state CHECK (state IN ('opening', 'open', 'succeeded', 'cancelled')),
    CONSTRAINT ck_payments_amount CHECK (amount > 0),
    CONSTRAINT ck_payments_intent_id CHECK (state NOT IN ('open', 'succeeded') OR num_nonnulls(intent_id, session_id) > 0),
    CONSTRAINT ck_payments_succeeded_at CHECK ((succeeded_at IS NULL) = (state <> 'succeeded')),
    CONSTRAINT ck_payments_returned_at CHECK (succeeded_at <= returned_at OR returned_at IS NULL),
    CONSTRAINT uq_payments_branch_id_intent_id UNIQUE (branch_id, intent_id),
    CONSTRAINT fk_payments_branch_id_order_id FOREIGN KEY(branch_id, order_id) REFERENCES orders (branch_id, id)
);

CREATE UNIQUE INDEX uq_payments_in_hand ON payments (branch_id, order_id) WHERE state IN ('opening', 'open');
CREATE INDEX ix_payments_branch_id_order_id ON payments (branch_id, order_id);

CREATE SEQUENCE refund_requests_id_seq;

CREATE TABLE refund_requests (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('refund_requests_id_seq') NOT NULL,
    order_id BIGINT NOT NULL,
    payment_id BIGINT NOT NULL,
    lines JSONB NOT NULL,
    amount BIGINT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    reference TEXT,
    account_id BIGINT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_refund_requests PRIMARY KEY (id, branch_id),
    CONSTRAINT ck_refund_requests_amount CHECK (amount > 0),
    CONSTRAINT ck_refund_requests_state CHECK (state IN ('sending', 'sent', 'succeeded', 'failed')),
    CONSTRAINT fk_refund_requests_branch_id_order_id FOREIGN KEY(branch_id, order_id) REFERENCES orders (branch_id, id),
    CONSTRAINT fk_refund_requests_branch_id_payment_id FOREIGN KEY(branch_id, payment_id) REFERENCES payments (branch_id, id)
);

CREATE UNIQUE INDEX uq_refund_requests_in_hand ON refund_requests (branch_id, order_id) WHERE state IN ('sending', 'sent');
CREATE INDEX ix_refund_requests_branch_id_order_id ON refund_requests (branch_id, order_id);

CREATE TABLE stripe_events (
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    account TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    handled_at TIMESTAMP WITH TIME ZONE,
    payload JSONB NOT NULL,
    CONSTRAINT pk_stripe_events PRIMARY KEY (id)
);

CREATE INDEX ix_stripe_events_waiting ON stripe_events (received_at) WHERE handled_at IS NULL;

CREATE TABLE stripe_accounts (
    id TEXT NOT NULL,
    brand_id BIGINT,
    distributor_id BIGINT,
    transfers TEXT NOT NULL,
    payouts_enabled BOOLEAN NOT NULL,
    details_submitted BOOLEAN NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_stripe_accounts PRIMARY KEY (id),
    CONSTRAINT ck_stripe_accounts_owner CHECK (num_nonnulls(brand_id, distributor_id) = 1),
    CONSTRAINT ck_stripe_accounts_transfers CHECK (transfers IN ('inactive', 'pending', 'active')),
    CONSTRAINT uq_stripe_accounts_brand_id UNIQUE (brand_id),
    CONSTRAINT uq_stripe_accounts_distributor_id UNIQUE (distributor_id),
    CONSTRAINT fk_stripe_accounts_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_stripe_accounts_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

GRANT UPDATE ON customers TO s2b2c_app;
GRANT SELECT, INSERT ON share_links, refused_touches, order_addresses, shipments, shipment_lines TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE ON addresses, payments, refund_requests, stripe_events, stripe_accounts TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE (during, protected_until) ON bindings TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE (shipped_at) ON supply_orders TO s2b2c_app;
GRANT USAGE ON SEQUENCE addresses_id_seq, share_links_id_seq, bindings_id_seq, refused_touches_id_seq, supply_orders_id_seq,
    shipments_id_seq, payments_id_seq, refund_requests_id_seq TO s2b2c_app
