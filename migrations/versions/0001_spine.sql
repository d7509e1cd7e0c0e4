CREATE SEQUENCE brands_id_seq;

CREATE TABLE brands (
    id BIGINT DEFAULT nextval('brands_id_seq') NOT NULL,
    name TEXT NOT NULL,
    catalogue_sha256 TEXT,
    CONSTRAINT pk_brands PRIMARY KEY (id),
    CONSTRAINT uq_brands_name UNIQUE (name)
);

CREATE SEQUENCE plans_id_seq;

CREATE TABLE plans (
    id BIGINT DEFAULT nextval('plans_id_seq') NOT NULL,
    code TEXT NOT NULL,
    state TEXT NOT NULL,
    during TSTZRANGE NOT NULL,
    margin_floor_bps BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_plans PRIMARY KEY (id),
    CONSTRAINT ck_plans_state CHECK (state IN ('draft', 'active')),
    CONSTRAINT ck_plans_margin_floor_bps CHECK (margin_floor_bps BETWEEN 0 AND 10000),
    CONSTRAINT ck_plans_during CHECK (NOT isempty(during)),
    CONSTRAINT ex_plans_during EXCLUDE USING gist (during WITH &&) WHERE (state = 'active'),
    CONSTRAINT uq_plans_code UNIQUE (code)
);

CREATE SEQUENCE transfers_id_seq;

CREATE TABLE transfers (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('transfers_id_seq') NOT NULL,
    source_type TEXT NOT NULL,
    source_id BIGINT NOT NULL,
    code TEXT NOT NULL,
    debit_account_id BIGINT NOT NULL,
    credit_account_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    posted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_transfers PRIMARY KEY (id, branch_id),
    CONSTRAINT uq_transfers_branch_id_source_type_source_id_code_debit_6b87 UNIQUE (branch_id, source_type, source_id, code, debit_account_id, credit_account_id),
    CONSTRAINT ck_transfers_code CHECK (code IN ('payment', 'supply', 'commission', 'revenue', 'subsidy')),
    CONSTRAINT ck_transfers_source_type CHECK (source_type IN ('order')),
    CONSTRAINT ck_transfers_amount CHECK (amount > 0),
    CONSTRAINT ck_transfers_accounts CHECK (debit_account_id <> credit_account_id)
);

CREATE SEQUENCE tiers_id_seq;

CREATE TABLE tiers (
    id BIGINT DEFAULT nextval('tiers_id_seq') NOT NULL,
    code TEXT NOT NULL,
    rank BIGINT NOT NULL,
    name TEXT NOT NULL,
    is_leader BOOLEAN NOT NULL,
    CONSTRAINT pk_tiers PRIMARY KEY (id),
    CONSTRAINT ck_tiers_rank CHECK (rank >= 1),
    CONSTRAINT uq_tiers_code UNIQUE (code),
    CONSTRAINT uq_tiers_rank UNIQUE (rank)
);

CREATE SEQUENCE customers_id_seq;

CREATE TABLE customers (
    id BIGINT DEFAULT nextval('customers_id_seq') NOT NULL,
    ref TEXT NOT NULL,
    CONSTRAINT pk_customers PRIMARY KEY (id),
    CONSTRAINT uq_customers_ref UNIQUE (ref)
);

CREATE TABLE claims (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    branch_id BIGINT NOT NULL,
    event_id BIGINT NOT NULL,
    CONSTRAINT pk_claims PRIMARY KEY (kind, name),
    CONSTRAINT ck_claims_kind CHECK (kind IN ('order_no'))
);

CREATE SEQUENCE ranking_policies_id_seq;

CREATE TABLE ranking_policies (
    id BIGINT DEFAULT nextval('ranking_policies_id_seq') NOT NULL,
    code TEXT NOT NULL,
    output_weight_bps BIGINT NOT NULL,
    orders_weight_bps BIGINT NOT NULL,
    customers_weight_bps BIGINT NOT NULL,
    repeat_weight_bps BIGINT NOT NULL,
    refund_weight_bps BIGINT NOT NULL,
    growth_weight_bps BIGINT NOT NULL,
    sell_through_weight_bps BIGINT NOT NULL,
    min_cohort BIGINT NOT NULL,
    min_orders BIGINT NOT NULL,
    grace_days BIGINT NOT NULL,
    tail_bps BIGINT NOT NULL,
    CONSTRAINT pk_ranking_policies PRIMARY KEY (id),
    CONSTRAINT ck_ranking_policies_weights CHECK (output_weight_bps + orders_weight_bps + customers_weight_bps + repeat_weight_bps + refund_weight_bps + growth_weight_bps + sell_through_weight_bps = 10000),
    CONSTRAINT ck_ranking_policies_weights_not_negative CHECK (output_weight_bps >= 0 AND orders_weight_bps >= 0 AND customers_weight_bps >= 0 AND repeat_weight_bps >= 0 AND refund_weight_bps >= 0 AND growth_weight_bps >= 0 AND sell_through_weight_bps >= 0),
    CONSTRAINT ck_ranking_policies_fairness CHECK (min_cohort >= 1 AND min_orders >= 0 AND grace_days BETWEEN 0 AND 36500),
    CONSTRAINT ck_ranking_policies_tail_bps CHECK (tail_bps BETWEEN 0 AND 10000),
    CONSTRAINT uq_ranking_policies_code UNIQUE (code)
);

CREATE TABLE daily_sellers (
    branch_id BIGINT NOT NULL,
    seller_id BIGINT NOT NULL,
    day DATE NOT NULL,
    orders BIGINT NOT NULL,
    units BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    CONSTRAINT pk_daily_sellers PRIMARY KEY (branch_id, seller_id, day),
    CONSTRAINT ck_daily_sellers_not_negative CHECK (orders >= 0 AND units >= 0 AND paid >= 0 AND refunded >= 0)
);

CREATE INDEX ix_daily_sellers_day ON daily_sellers (day);

CREATE TABLE daily_brands (
    branch_id BIGINT NOT NULL,
    store_id BIGINT NOT NULL,
    brand_id BIGINT NOT NULL,
    day DATE NOT NULL,
    orders BIGINT NOT NULL,
    units BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    CONSTRAINT pk_daily_brands PRIMARY KEY (branch_id, store_id, brand_id, day),
    CONSTRAINT ck_daily_brands_not_negative CHECK (orders >= 0 AND units >= 0 AND paid >= 0 AND refunded >= 0)
);

CREATE INDEX ix_daily_brands_brand_id_day ON daily_brands (brand_id, day);

CREATE SEQUENCE settlement_runs_id_seq;

CREATE TABLE settlement_runs (
    id BIGINT DEFAULT nextval('settlement_runs_id_seq') NOT NULL,
    cutoff TIMESTAMP WITH TIME ZONE NOT NULL,
    state TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_settlement_runs PRIMARY KEY (id),
    CONSTRAINT ck_settlement_runs_state CHECK (state IN ('draft'))
);

CREATE SEQUENCE products_id_seq;

CREATE TABLE products (
    id BIGINT DEFAULT nextval('products_id_seq') NOT NULL,
    brand_id BIGINT NOT NULL,
    code TEXT NOT NULL,
    title TEXT NOT NULL,
    category TEXT NOT NULL,
    tonalities TEXT[] NOT NULL,
    audiences TEXT[] NOT NULL,
    image_url TEXT,
    state TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_products PRIMARY KEY (id),
    CONSTRAINT uq_products_brand_id_code UNIQUE (brand_id, code),
    CONSTRAINT uq_products_id_brand_id UNIQUE (id, brand_id),
    CONSTRAINT ck_products_state CHECK (state IN ('draft', 'in_review', 'listed', 'delisted')),
    CONSTRAINT fk_products_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id)
);

CREATE SEQUENCE distributors_id_seq;

CREATE TABLE distributors (
    id BIGINT DEFAULT nextval('distributors_id_seq') NOT NULL,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    tier_id BIGINT NOT NULL,
    parent_id BIGINT,
    ancestors BIGINT[] NOT NULL,
    branch_id BIGINT GENERATED ALWAYS AS (ancestors[cardinality(ancestors)]) STORED NOT NULL,
    region TEXT NOT NULL,
    joined_on DATE NOT NULL,
    state TEXT NOT NULL,
    CONSTRAINT pk_distributors PRIMARY KEY (id),
    CONSTRAINT ck_distributors_state CHECK (state IN ('applied', 'rejected', 'active', 'watch', 'suspended', 'eliminated')),
    CONSTRAINT ck_distributors_ancestors CHECK (ancestors[1] = id AND ancestors[2] IS NOT DISTINCT FROM parent_id),
    CONSTRAINT ck_distributors_no_cycle CHECK (id <> ALL (ancestors[2:])),
    CONSTRAINT uq_distributors_code UNIQUE (code),
    CONSTRAINT fk_distributors_tier_id FOREIGN KEY(tier_id) REFERENCES tiers (id),
    CONSTRAINT fk_distributors_parent_id FOREIGN KEY(parent_id) REFERENCES distributors (id)
);

CREATE INDEX ix_distributors_ancestors ON distributors USING gin (ancestors);

CREATE SEQUENCE ranking_runs_id_seq;

CREATE TABLE ranking_runs (
    id BIGINT DEFAULT nextval('ranking_runs_id_seq') NOT NULL,
    policy_id BIGINT NOT NULL,
    period DATERANGE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_ranking_runs PRIMARY KEY (id),
    CONSTRAINT ck_ranking_runs_period CHECK (NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)),
    CONSTRAINT fk_ranking_runs_policy_id FOREIGN KEY(policy_id) REFERENCES ranking_policies (id),
    CONSTRAINT uq_ranking_runs_period UNIQUE (period)
);

CREATE SEQUENCE accounts_id_seq;

CREATE TABLE accounts (
    id BIGINT DEFAULT nextval('accounts_id_seq') NOT NULL,
    role TEXT NOT NULL,
    brand_id BIGINT,
    distributor_id BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT ck_accounts_role CHECK (role IN ('distributor', 'brand', 'finance', 'operator')),
    CONSTRAINT ck_accounts_brand CHECK ((role = 'brand') = (brand_id IS NOT NULL)),
    CONSTRAINT ck_accounts_distributor CHECK ((role = 'distributor') = (distributor_id IS NOT NULL)),
    CONSTRAINT uq_accounts_role_brand_id_distributor_id UNIQUE NULLS NOT DISTINCT (role, brand_id, distributor_id),
    CONSTRAINT fk_accounts_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_accounts_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

CREATE SEQUENCE variants_id_seq;

CREATE TABLE variants (
    id BIGINT DEFAULT nextval('variants_id_seq') NOT NULL,
    product_id BIGINT NOT NULL,
    brand_id BIGINT NOT NULL,
    sku TEXT NOT NULL,
    options JSONB NOT NULL,
    stock BIGINT NOT NULL,
    CONSTRAINT pk_variants PRIMARY KEY (id),
    CONSTRAINT fk_variants_product_id_brand_id FOREIGN KEY(product_id, brand_id) REFERENCES products (id, brand_id),
    CONSTRAINT uq_variants_brand_id_sku UNIQUE (brand_id, sku),
    CONSTRAINT ck_variants_stock CHECK (stock >= 0)
);

CREATE INDEX ix_variants_product_id ON variants (product_id);

CREATE SEQUENCE ledger_accounts_id_seq;

CREATE TABLE ledger_accounts (
    id BIGINT DEFAULT nextval('ledger_accounts_id_seq') NOT NULL,
    kind TEXT NOT NULL,
    rail TEXT,
    brand_id BIGINT,
    distributor_id BIGINT,
    CONSTRAINT pk_ledger_accounts PRIMARY KEY (id),
    CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('clearing', 'escrow', 'revenue', 'brand_payable', 'commission_payable')),
    CONSTRAINT ck_ledger_accounts_rail CHECK ((kind = 'clearing') = (rail IS NOT NULL)),
    CONSTRAINT ck_ledger_accounts_brand CHECK ((kind = 'brand_payable') = (brand_id IS NOT NULL)),
    CONSTRAINT ck_ledger_accounts_distributor CHECK ((kind = 'commission_payable') = (distributor_id IS NOT NULL)),
    CONSTRAINT uq_ledger_accounts_kind_rail_brand_id_distributor_id UNIQUE NULLS NOT DISTINCT (kind, rail, brand_id, distributor_id),
    CONSTRAINT fk_ledger_accounts_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_ledger_accounts_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

CREATE SEQUENCE distributor_history_id_seq;

CREATE TABLE distributor_history (
    id BIGINT DEFAULT nextval('distributor_history_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    during TSTZRANGE NOT NULL,
    parent_id BIGINT,
    tier_id BIGINT NOT NULL,
    state TEXT NOT NULL,
    CONSTRAINT pk_distributor_history PRIMARY KEY (id),
    CONSTRAINT ck_distributor_history_state CHECK (state IN ('applied', 'rejected', 'active', 'watch', 'suspended', 'eliminated')),
    CONSTRAINT ck_distributor_history_during CHECK (NOT isempty(during)),
    CONSTRAINT ex_distributor_history_during EXCLUDE USING gist (distributor_id WITH =, during WITH &&),
    CONSTRAINT fk_distributor_history_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_distributor_history_parent_id FOREIGN KEY(parent_id) REFERENCES distributors (id),
    CONSTRAINT fk_distributor_history_tier_id FOREIGN KEY(tier_id) REFERENCES tiers (id)
);

CREATE UNIQUE INDEX uq_distributor_history_current ON distributor_history (distributor_id) WHERE upper_inf(during);

CREATE TABLE ranking_scores (
    run_id BIGINT NOT NULL,
    distributor_id BIGINT NOT NULL,
    tier_id BIGINT NOT NULL,
    region TEXT,
    members BIGINT NOT NULL,
    compared BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    refunded BIGINT NOT NULL,
    output BIGINT NOT NULL,
    output_before BIGINT NOT NULL,
    orders BIGINT NOT NULL,
    customers BIGINT NOT NULL,
    repeat_customers BIGINT NOT NULL,
    listings BIGINT NOT NULL,
    listings_sold BIGINT NOT NULL,
    repeat_bps BIGINT NOT NULL,
    refund_bps BIGINT NOT NULL,
    growth_bps BIGINT NOT NULL,
    sell_through_bps BIGINT NOT NULL,
    output_share_bps BIGINT NOT NULL,
    orders_share_bps BIGINT NOT NULL,
    customers_share_bps BIGINT NOT NULL,
    repeat_share_bps BIGINT NOT NULL,
    refund_share_bps BIGINT NOT NULL,
    growth_share_bps BIGINT NOT NULL,
    sell_through_share_bps BIGINT NOT NULL,
    score BIGINT NOT NULL,
    rank BIGINT NOT NULL,
    in_tail BOOLEAN NOT NULL,
    CONSTRAINT pk_ranking_scores PRIMARY KEY (run_id, distributor_id),
    CONSTRAINT uq_ranking_scores_run_id_tier_id_region_rank UNIQUE NULLS NOT DISTINCT (run_id, tier_id, region, rank),
    CONSTRAINT ck_ranking_scores_rank CHECK (rank BETWEEN 1 AND members AND members <= compared),
    CONSTRAINT ck_ranking_scores_output CHECK (output = paid - refunded),
    CONSTRAINT ck_ranking_scores_customers CHECK (repeat_customers <= customers AND customers <= orders),
    CONSTRAINT ck_ranking_scores_listings CHECK (listings_sold <= listings),
    CONSTRAINT ck_ranking_scores_shares CHECK (output_share_bps BETWEEN 0 AND 10000 AND orders_share_bps BETWEEN 0 AND 10000 AND customers_share_bps BETWEEN 0 AND 10000 AND repeat_share_bps BETWEEN 0 AND 10000 AND refund_share_bps BETWEEN 0 AND 10000 AND growth_share_bps BETWEEN 0 AND 10000 AND sell_through_share_bps BETWEEN 0 AND 10000),
    CONSTRAINT ck_ranking_scores_score CHECK (score BETWEEN 0 AND 10000),
    CONSTRAINT fk_ranking_scores_run_id FOREIGN KEY(run_id) REFERENCES ranking_runs (id),
    CONSTRAINT fk_ranking_scores_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_ranking_scores_tier_id FOREIGN KEY(tier_id) REFERENCES tiers (id)
);

CREATE SEQUENCE statements_id_seq;

CREATE TABLE statements (
    id BIGINT DEFAULT nextval('statements_id_seq') NOT NULL,
    run_id BIGINT NOT NULL,
    distributor_id BIGINT,
    brand_id BIGINT,
    lines BIGINT NOT NULL,
    gross BIGINT NOT NULL,
    CONSTRAINT pk_statements PRIMARY KEY (id),
    CONSTRAINT ck_statements_payee CHECK (num_nonnulls(distributor_id, brand_id) = 1),
    CONSTRAINT uq_statements_run_id_distributor_id_brand_id UNIQUE NULLS NOT DISTINCT (run_id, distributor_id, brand_id),
    CONSTRAINT ck_statements_lines CHECK (lines >= 1),
    CONSTRAINT fk_statements_run_id FOREIGN KEY(run_id) REFERENCES settlement_runs (id),
    CONSTRAINT fk_statements_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_statements_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id)
);

CREATE SEQUENCE stores_id_seq;

CREATE TABLE stores (
    id BIGINT DEFAULT nextval('stores_id_seq') NOT NULL,
    slug TEXT NOT NULL,
    distributor_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    CONSTRAINT pk_stores PRIMARY KEY (id),
    CONSTRAINT ck_stores_state CHECK (state IN ('open', 'closed')),
    CONSTRAINT uq_stores_slug UNIQUE (slug),
    CONSTRAINT fk_stores_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id)
);

CREATE INDEX ix_stores_distributor_id ON stores (distributor_id);

CREATE FUNCTION costs_in_order(supply bigint, costs bigint[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(bool_and(cost >= supply AND cost >= coalesce(above, supply)), true)
            FROM (SELECT cost, max(cost) OVER (ORDER BY rank ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS above
                  FROM unnest(costs) WITH ORDINALITY AS tier (cost, rank)) AS ranked);

CREATE SEQUENCE prices_id_seq;

CREATE TABLE prices (
    id BIGINT DEFAULT nextval('prices_id_seq') NOT NULL,
    variant_id BIGINT NOT NULL,
    during TSTZRANGE NOT NULL,
    supply_price BIGINT NOT NULL,
    suggested_price BIGINT NOT NULL,
    min_price BIGINT NOT NULL,
    max_price BIGINT NOT NULL,
    tier_costs BIGINT[] NOT NULL,
    CONSTRAINT pk_prices PRIMARY KEY (id),
    CONSTRAINT ck_prices_supply_price CHECK (0 <= supply_price AND supply_price <= min_price),
    CONSTRAINT ck_prices_band CHECK (min_price <= suggested_price AND suggested_price <= max_price),
    CONSTRAINT ck_prices_tier_costs CHECK (costs_in_order(supply_price, tier_costs)),
    CONSTRAINT ck_prices_during CHECK (NOT isempty(during)),
    CONSTRAINT ex_prices_during EXCLUDE USING gist (variant_id WITH =, during WITH &&),
    CONSTRAINT fk_prices_variant_id FOREIGN KEY(variant_id) REFERENCES variants (id)
);

CREATE UNIQUE INDEX uq_prices_current ON prices (variant_id) WHERE upper_inf(during);

CREATE SEQUENCE rules_id_seq;

CREATE TABLE rules (
    id BIGINT DEFAULT nextval('rules_id_seq') NOT NULL,
    plan_id BIGINT NOT NULL,
    variant_id BIGINT,
    product_id BIGINT,
    category TEXT,
    brand_id BIGINT,
    scheme TEXT NOT NULL,
    base TEXT NOT NULL,
    level_bps BIGINT[] NOT NULL,
    CONSTRAINT pk_rules PRIMARY KEY (id),
    CONSTRAINT ck_rules_scheme CHECK (scheme IN ('levels')),
    CONSTRAINT ck_rules_base CHECK (base IN ('paid', 'margin')),
    CONSTRAINT ck_rules_scope CHECK (num_nonnulls(variant_id, product_id, category, brand_id) <= 1),
    CONSTRAINT ck_rules_level_bps CHECK (0 <= ALL (level_bps) AND 10000 >= ALL (level_bps) AND array_position(level_bps, NULL) IS NULL),
    CONSTRAINT ck_rules_depth CHECK (level_bps = '{}' OR level_bps[cardinality(level_bps)] > 0),
    CONSTRAINT fk_rules_plan_id FOREIGN KEY(plan_id) REFERENCES plans (id),
    CONSTRAINT fk_rules_variant_id FOREIGN KEY(variant_id) REFERENCES variants (id),
    CONSTRAINT fk_rules_product_id FOREIGN KEY(product_id) REFERENCES products (id),
    CONSTRAINT fk_rules_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id)
);

CREATE INDEX ix_rules_plan_id ON rules (plan_id);

CREATE SEQUENCE orders_id_seq;

CREATE TABLE orders (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('orders_id_seq') NOT NULL,
    order_no TEXT NOT NULL,
    store_id BIGINT NOT NULL,
    customer_id BIGINT NOT NULL,
    seller_id BIGINT NOT NULL,
    state TEXT NOT NULL,
    placed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    paid_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    matures_at TIMESTAMP WITH TIME ZONE,
    upline BIGINT[],
    upline_tiers BIGINT[],
    upline_states TEXT[],
    plan_id BIGINT,
    rolled_up BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (id, branch_id),
    CONSTRAINT ck_orders_state CHECK (state IN ('placed', 'paid', 'shipped', 'received', 'completed', 'cancelled')),
    CONSTRAINT ck_orders_paid_at CHECK ((paid_at IS NULL) = (state IN ('placed', 'cancelled'))),
    CONSTRAINT ck_orders_completed_at CHECK ((completed_at IS NULL) = (state <> 'completed')),
    CONSTRAINT ck_orders_matures_at CHECK ((completed_at IS NULL) = (matures_at IS NULL)),
    CONSTRAINT ck_orders_times CHECK (placed_at <= paid_at AND paid_at <= completed_at AND completed_at <= matures_at),
    CONSTRAINT ck_orders_upline CHECK (CASE WHEN paid_at IS NULL THEN num_nonnulls(upline, upline_tiers, upline_states, plan_id) = 0 ELSE num_nulls(upline, upline_tiers, upline_states) = 0 AND upline[1] = seller_id AND cardinality(upline_tiers) = cardinality(upline) AND cardinality(upline_states) = cardinality(upline) END),
    CONSTRAINT fk_orders_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_orders_customer_id FOREIGN KEY(customer_id) REFERENCES customers (id),
    CONSTRAINT fk_orders_seller_id FOREIGN KEY(seller_id) REFERENCES distributors (id)
)
 WITH (fillfactor = 80);

CREATE INDEX ix_orders_paid_at ON orders (paid_at);

CREATE INDEX ix_orders_not_rolled_up ON orders (branch_id, id) WHERE NOT rolled_up AND paid_at IS NOT NULL;

CREATE TABLE listings (
    store_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    price BIGINT NOT NULL,
    position BIGINT NOT NULL,
    pitch TEXT NOT NULL,
    listed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_listings PRIMARY KEY (store_id, product_id),
    CONSTRAINT uq_listings_store_id_position UNIQUE (store_id, position) DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT ck_listings_price CHECK (price >= 0),
    CONSTRAINT ck_listings_position CHECK (position >= 1),
    CONSTRAINT fk_listings_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_listings_product_id FOREIGN KEY(product_id) REFERENCES products (id)
);

CREATE INDEX ix_listings_product_id ON listings (product_id);

CREATE SEQUENCE order_lines_id_seq;

CREATE TABLE order_lines (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('order_lines_id_seq') NOT NULL,
    order_id BIGINT NOT NULL,
    line_no BIGINT NOT NULL,
    brand_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    variant_id BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    unit_price BIGINT NOT NULL,
    discount BIGINT NOT NULL,
    paid BIGINT NOT NULL,
    refunded BIGINT DEFAULT '0' NOT NULL,
    supply_price BIGINT NOT NULL,
    tier_costs BIGINT[] NOT NULL,
    supply BIGINT NOT NULL,
    commission BIGINT DEFAULT '0' NOT NULL,
    platform BIGINT NOT NULL,
    statement_id BIGINT,
    CONSTRAINT pk_order_lines PRIMARY KEY (id, branch_id),
    CONSTRAINT fk_order_lines_branch_id_order_id FOREIGN KEY(branch_id, order_id) REFERENCES orders (branch_id, id),
    CONSTRAINT uq_order_lines_branch_id_order_id_line_no UNIQUE (branch_id, order_id, line_no),
    CONSTRAINT ck_order_lines_line_no CHECK (line_no >= 1),
    CONSTRAINT ck_order_lines_quantity CHECK (quantity >= 1),
    CONSTRAINT ck_order_lines_unit_price CHECK (unit_price >= 0),
    CONSTRAINT ck_order_lines_discount CHECK (discount >= 0),
    CONSTRAINT ck_order_lines_paid CHECK (paid = quantity * unit_price - discount AND paid >= 0),
    CONSTRAINT ck_order_lines_supply CHECK (supply >= 0 AND supply <= quantity * supply_price),
    CONSTRAINT ck_order_lines_refunded CHECK (refunded BETWEEN 0 AND paid),
    CONSTRAINT ck_order_lines_commission CHECK (commission >= 0),
    CONSTRAINT ck_order_lines_adds_up CHECK (supply + commission + platform = paid - refunded)
)
 WITH (fillfactor = 80);

CREATE INDEX ix_order_lines_statement_id ON order_lines (statement_id) WHERE statement_id IS NOT NULL;

CREATE INDEX ix_order_lines_unsettled ON order_lines (branch_id, order_id) WHERE statement_id IS NULL;

CREATE SEQUENCE commissions_id_seq;

CREATE TABLE commissions (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('commissions_id_seq') NOT NULL,
    line_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    distributor_id BIGINT NOT NULL,
    tier_id BIGINT NOT NULL,
    rule_id BIGINT NOT NULL,
    base_amount BIGINT NOT NULL,
    rate_bps BIGINT NOT NULL,
    uncapped_amount BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    statement_id BIGINT,
    CONSTRAINT pk_commissions PRIMARY KEY (id, branch_id),
    CONSTRAINT fk_commissions_branch_id_line_id FOREIGN KEY(branch_id, line_id) REFERENCES order_lines (branch_id, id),
    CONSTRAINT uq_commissions_branch_id_line_id_position UNIQUE (branch_id, line_id, position),
    CONSTRAINT ck_commissions_outcome CHECK (outcome IN ('earned', 'zero', 'capped', 'blocked')),
    CONSTRAINT ck_commissions_position CHECK (position >= 0),
    CONSTRAINT ck_commissions_amount CHECK (uncapped_amount >= 0 AND amount BETWEEN 0 AND uncapped_amount),
    CONSTRAINT ck_commissions_explained CHECK (CASE outcome WHEN 'earned' THEN amount = uncapped_amount AND amount > 0 WHEN 'zero' THEN uncapped_amount = 0 WHEN 'capped' THEN amount < uncapped_amount ELSE amount = 0 END)
)
 WITH (fillfactor = 80);

CREATE INDEX ix_commissions_statement_id ON commissions (statement_id) WHERE statement_id IS NOT NULL;

GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO s2b2c_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO s2b2c_app;
GRANT INSERT ON accounts, brands, claims, commissions, customers, daily_brands, daily_sellers, distributor_history,
    distributors, ledger_accounts, listings, order_lines, orders, plans, prices, products, ranking_policies, ranking_runs,
    ranking_scores, rules, settlement_runs, statements, stores, tiers, transfers, variants TO s2b2c_app;
GRANT UPDATE ON brands, daily_brands, daily_sellers, distributors, listings, orders, products, stores, tiers, variants
    TO s2b2c_app;
GRANT UPDATE (refunded, supply, commission, platform, statement_id) ON order_lines TO s2b2c_app;
GRANT UPDATE (statement_id) ON commissions TO s2b2c_app;
GRANT UPDATE (during) ON prices, distributor_history TO s2b2c_app;
GRANT UPDATE (state, during) ON plans TO s2b2c_app;
GRANT DELETE ON listings, ranking_runs, ranking_scores TO s2b2c_app;
