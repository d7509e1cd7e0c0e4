ALTER TABLE plans ADD COLUMN version BIGINT DEFAULT '1' NOT NULL;
ALTER TABLE plans ADD COLUMN paid_positions BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE plans ADD COLUMN activated_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE plans ADD COLUMN activated_by BIGINT;
ALTER TABLE plans ADD COLUMN max_paid_positions BIGINT;
ALTER TABLE plans ADD COLUMN override_reason TEXT;
UPDATE plans SET paid_positions = coalesce(
    (SELECT max(cardinality(r.level_bps)) FROM rules r WHERE r.plan_id = plans.id), 0
);
UPDATE plans SET activated_at = created_at, max_paid_positions = paid_positions WHERE state = 'active';
ALTER TABLE plans ALTER COLUMN paid_positions DROP DEFAULT;
ALTER TABLE plans DROP CONSTRAINT uq_plans_code;
ALTER TABLE plans ADD CONSTRAINT uq_plans_code_version UNIQUE (code, version);
ALTER TABLE plans ADD CONSTRAINT ck_plans_version CHECK (version >= 1);
ALTER TABLE plans ADD CONSTRAINT ck_plans_activated_at CHECK ((state = 'active') = (activated_at IS NOT NULL));
ALTER TABLE plans
    ADD CONSTRAINT ck_plans_max_paid_positions CHECK ((state = 'active') = (max_paid_positions IS NOT NULL));
ALTER TABLE plans ADD CONSTRAINT ck_plans_override_reason CHECK (
    paid_positions <= max_paid_positions OR max_paid_positions IS NULL OR coalesce(override_reason, '') <> ''
);
ALTER TABLE plans ADD CONSTRAINT fk_plans_activated_by FOREIGN KEY(activated_by) REFERENCES accounts (id);

ALTER TABLE rules ALTER COLUMN level_bps SET DEFAULT '{}';
ALTER TABLE rules ADD COLUMN level_amounts BIGINT[] DEFAULT '{}' NOT NULL;
ALTER TABLE rules ADD COLUMN tier_bps BIGINT[] DEFAULT '{}' NOT NULL;
ALTER TABLE rules ADD COLUMN same_tier_bps BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE rules ADD COLUMN depth BIGINT DEFAULT 0 NOT NULL;
ALTER TABLE rules ADD COLUMN compress BOOLEAN DEFAULT false NOT NULL;
UPDATE rules SET depth = cardinality(level_bps);
ALTER TABLE rules ALTER COLUMN depth DROP DEFAULT;
ALTER TABLE rules DROP CONSTRAINT ck_rules_scheme;
ALTER TABLE rules DROP CONSTRAINT ck_rules_depth;
ALTER TABLE rules ADD CONSTRAINT ck_rules_scheme CHECK (scheme IN ('levels', 'fixed', 'differential', 'spread'));
ALTER TABLE rules ADD CONSTRAINT ck_rules_level_amounts CHECK (
    0 <= ALL (level_amounts) AND 1000000000000 >= ALL (level_amounts) AND array_position(level_amounts, NULL) IS NULL
);
ALTER TABLE rules ADD CONSTRAINT ck_rules_tier_bps CHECK (
    0 <= ALL (tier_bps) AND 10000 >= ALL (tier_bps) AND array_position(tier_bps, NULL) IS NULL
);
ALTER TABLE rules ADD CONSTRAINT ck_rules_same_tier_bps CHECK (same_tier_bps BETWEEN 0 AND 10000);
ALTER TABLE rules ADD CONSTRAINT ck_rules_depth CHECK (
    CASE scheme WHEN 'levels' THEN depth = cardinality(level_bps) AND (depth = 0 OR level_bps[depth] > 0)
                WHEN 'fixed' THEN depth = cardinality(level_amounts) AND (depth = 0 OR level_amounts[depth] > 0)
                ELSE depth BETWEEN 1 AND 100 END
);
ALTER TABLE rules ADD CONSTRAINT ck_rules_numbers CHECK (
    (scheme = 'levels' OR level_bps = '{}') AND (scheme = 'fixed' OR level_amounts = '{}')
    AND (scheme = 'differential' OR (tier_bps = '{}' AND same_tier_bps = 0))
);

ALTER TABLE commissions
    DROP CONSTRAINT pk_commissions,
    DROP CONSTRAINT uq_commissions_branch_id_line_id_position,
    ADD CONSTRAINT pk_commissions PRIMARY KEY USING INDEX pk_commissions_by_line;
ALTER TABLE commissions ADD COLUMN below_bps BIGINT;
ALTER TABLE commissions ALTER COLUMN rate_bps DROP NOT NULL;

ALTER TABLE statements ADD COLUMN clawbacks BIGINT DEFAULT '0' NOT NULL;

UPDATE notices SET facts = facts - 'gross_amount' || jsonb_build_object('net_amount', facts -> 'gross_amount')
WHERE kind = 'statement_ready' AND facts ? 'gross_amount';

ALTER TABLE claims DROP CONSTRAINT ck_claims_kind;
ALTER TABLE claims ADD CONSTRAINT ck_claims_kind CHECK (kind IN ('order_no', 'refund')) NOT VALID;
ALTER TABLE claims VALIDATE CONSTRAINT ck_claims_kind;

ALTER TABLE transfers DROP CONSTRAINT ck_transfers_code;
ALTER TABLE transfers ADD CONSTRAINT ck_transfers_code CHECK (
    code IN ('payment', 'supply', 'commission', 'revenue', 'subsidy', 'refund', 'supply_return', 'clawback',
             'revenue_return')
) NOT VALID;
ALTER TABLE transfers VALIDATE CONSTRAINT ck_transfers_code;
ALTER TABLE transfers DROP CONSTRAINT ck_transfers_source_type;
ALTER TABLE transfers
    ADD CONSTRAINT ck_transfers_source_type CHECK (source_type IN ('order', 'refund')) NOT VALID;
ALTER TABLE transfers VALIDATE CONSTRAINT ck_transfers_source_type;

ALTER TABLE daily_sellers DROP CONSTRAINT ck_daily_sellers_not_negative;
ALTER TABLE daily_sellers
    ADD CONSTRAINT ck_daily_sellers_not_negative CHECK (orders >= 0 AND units >= 0 AND paid >= 0) NOT VALID;
ALTER TABLE daily_sellers VALIDATE CONSTRAINT ck_daily_sellers_not_negative;
ALTER TABLE daily_brands DROP CONSTRAINT ck_daily_brands_not_negative;
ALTER TABLE daily_brands
    ADD CONSTRAINT ck_daily_brands_not_negative CHECK (orders >= 0 AND units >= 0 AND paid >= 0) NOT VALID;
ALTER TABLE daily_brands VALIDATE CONSTRAINT ck_daily_brands_not_negative;

CREATE SEQUENCE refunds_id_seq;

CREATE TABLE refunds (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('refunds_id_seq') NOT NULL,
    order_id BIGINT NOT NULL,
    reference TEXT,
    reverses_id BIGINT,
    state TEXT NOT NULL,
    refunded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    rolled_up BOOLEAN DEFAULT false NOT NULL,
    run_id BIGINT,
    CONSTRAINT pk_refunds PRIMARY KEY (id, branch_id),
    CONSTRAINT fk_refunds_branch_id_order_id FOREIGN KEY(branch_id, order_id) REFERENCES orders (branch_id, id),
    CONSTRAINT fk_refunds_branch_id_reverses_id FOREIGN KEY(branch_id, reverses_id) REFERENCES refunds (branch_id, id),
    CONSTRAINT uq_refunds_branch_id_reverses_id UNIQUE (branch_id, reverses_id),
    CONSTRAINT ck_refunds_state CHECK (state IN ('waiting', 'applied')),
    CONSTRAINT ck_refunds_reference CHECK ((reference IS NULL) = (reverses_id IS NOT NULL))
);

CREATE INDEX ix_refunds_branch_id_order_id ON refunds (branch_id, order_id);
CREATE INDEX ix_refunds_not_rolled_up ON refunds (branch_id, id) WHERE NOT rolled_up AND state = 'applied';
CREATE INDEX ix_refunds_unsettled ON refunds (branch_id, id) WHERE run_id IS NULL AND state = 'applied';
CREATE INDEX ix_refunds_waiting ON refunds (branch_id, order_id) WHERE state = 'waiting';

CREATE SEQUENCE refund_lines_id_seq;

CREATE TABLE refund_lines (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('refund_lines_id_seq') NOT NULL,
    refund_id BIGINT NOT NULL,
    line_id BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    supply BIGINT NOT NULL,
    statement_id BIGINT,
    CONSTRAINT pk_refund_lines PRIMARY KEY (branch_id, refund_id, line_id),
    CONSTRAINT fk_refund_lines_branch_id_refund_id FOREIGN KEY(branch_id, refund_id) REFERENCES refunds (branch_id, id),
    CONSTRAINT fk_refund_lines_branch_id_line_id FOREIGN KEY(branch_id, line_id) REFERENCES order_lines (branch_id, id),
    CONSTRAINT ck_refund_lines_one_way CHECK (
        (quantity >= 0 AND amount >= 0 AND supply >= 0) OR (quantity <= 0 AND amount <= 0 AND supply <= 0)
    ),
    CONSTRAINT ck_refund_lines_something CHECK (quantity <> 0 OR amount <> 0)
);

CREATE INDEX ix_refund_lines_branch_id_line_id ON refund_lines (branch_id, line_id);
CREATE INDEX ix_refund_lines_statement_id ON refund_lines (statement_id) WHERE statement_id IS NOT NULL;
CREATE INDEX ix_refund_lines_unsettled ON refund_lines (branch_id, refund_id)
    WHERE statement_id IS NULL AND supply <> 0;

CREATE FUNCTION clawed(share bigint, refunded bigint, paid bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN paid = 0 THEN 0 ELSE div(share::numeric * refunded, paid)::bigint END;

CREATE SEQUENCE clawbacks_id_seq;

CREATE TABLE clawbacks (
    branch_id BIGINT NOT NULL,
    id BIGINT DEFAULT nextval('clawbacks_id_seq') NOT NULL,
    refund_id BIGINT NOT NULL,
    line_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    distributor_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    statement_id BIGINT,
    CONSTRAINT pk_clawbacks PRIMARY KEY (branch_id, refund_id, line_id, position),
    CONSTRAINT fk_clawbacks_branch_id_refund_id_line_id FOREIGN KEY(branch_id, refund_id, line_id)
        REFERENCES refund_lines (branch_id, refund_id, line_id),
    CONSTRAINT fk_clawbacks_branch_id_line_id_position FOREIGN KEY(branch_id, line_id, position)
        REFERENCES commissions (branch_id, line_id, position),
    CONSTRAINT ck_clawbacks_amount CHECK (amount <> 0)
);

CREATE INDEX ix_clawbacks_branch_id_line_id ON clawbacks (branch_id, line_id);
CREATE INDEX ix_clawbacks_distributor_id_statement_id ON clawbacks (distributor_id, statement_id);

GRANT USAGE ON SEQUENCE refunds_id_seq, refund_lines_id_seq, clawbacks_id_seq TO s2b2c_app;
GRANT SELECT, INSERT ON refunds, refund_lines, clawbacks TO s2b2c_app;
GRANT UPDATE (state, rolled_up, run_id) ON refunds TO s2b2c_app;
GRANT UPDATE (statement_id) ON refund_lines, clawbacks TO s2b2c_app;
GRANT UPDATE (activated_at, activated_by, max_paid_positions, override_reason) ON plans TO s2b2c_app;
