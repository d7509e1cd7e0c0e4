ALTER TABLE settlement_runs
    DROP CONSTRAINT ck_settlement_runs_state,
    ADD CONSTRAINT ck_settlement_runs_state
        CHECK (state IN ('draft', 'reviewed', 'approved', 'paying', 'paid', 'discarded')) NOT VALID,
    ADD COLUMN pay_on DATE,
    ADD COLUMN minimum_payout BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN debt_offset_bps BIGINT DEFAULT '5000' NOT NULL,
    ADD COLUMN months_rule TEXT DEFAULT 'income_months' NOT NULL,
    ADD COLUMN created_by BIGINT,
    ADD COLUMN reviewed_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN reviewed_by BIGINT,
    ADD COLUMN approved_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN approved_by BIGINT,
    ADD COLUMN discarded_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN discarded_by BIGINT,
    ADD CONSTRAINT ck_settlement_runs_minimum_payout CHECK (minimum_payout >= 0) NOT VALID,
    ADD CONSTRAINT ck_settlement_runs_debt_offset_bps CHECK (debt_offset_bps BETWEEN 0 AND 10000) NOT VALID,
    ADD CONSTRAINT ck_settlement_runs_months_rule
        CHECK (months_rule IN ('income_months', 'restart_after_gap')) NOT VALID,
    ADD CONSTRAINT ck_settlement_runs_reviewed
        CHECK ((reviewed_at IS NOT NULL) = (state IN ('reviewed', 'approved', 'paying', 'paid')) OR state = 'discarded') NOT VALID,
    ADD CONSTRAINT ck_settlement_runs_approved
        CHECK ((approved_at IS NOT NULL) = (state IN ('approved', 'paying', 'paid'))) NOT VALID,
    ADD CONSTRAINT ck_settlement_runs_discarded CHECK ((discarded_at IS NOT NULL) = (state = 'discarded')) NOT VALID,
    ADD CONSTRAINT ck_settlement_runs_two_people CHECK (approved_by <> created_by) NOT VALID,
    ADD CONSTRAINT fk_settlement_runs_created_by FOREIGN KEY(created_by) REFERENCES people (id) NOT VALID,
    ADD CONSTRAINT fk_settlement_runs_reviewed_by FOREIGN KEY(reviewed_by) REFERENCES people (id) NOT VALID,
    ADD CONSTRAINT fk_settlement_runs_approved_by FOREIGN KEY(approved_by) REFERENCES people (id) NOT VALID,
    ADD CONSTRAINT fk_settlement_runs_discarded_by FOREIGN KEY(discarded_by) REFERENCES people (id) NOT VALID;

UPDATE settlement_runs SET pay_on = (created_at AT TIME ZONE 'Asia/Shanghai')::date;

ALTER TABLE settlement_runs ALTER COLUMN pay_on SET NOT NULL;

ALTER TABLE statements
    DROP CONSTRAINT ck_statements_lines,
    ADD COLUMN adjustments BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN withheld BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN debt_in BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN debt_offset BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN net BIGINT,
    ADD COLUMN carry_in BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN payout BIGINT,
    ADD COLUMN carry_out BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN debt_added BIGINT DEFAULT '0' NOT NULL,
    ADD COLUMN withholding TEXT DEFAULT 'none' NOT NULL,
    ADD COLUMN is_final BOOLEAN DEFAULT 'false' NOT NULL,
    ADD CONSTRAINT ck_statements_lines CHECK (lines >= 0) NOT VALID,
    ADD CONSTRAINT ck_statements_withheld CHECK (withheld >= 0 AND (withheld = 0 OR withholding = 'cn_labour_cumulative')) NOT VALID,
    ADD CONSTRAINT ck_statements_withholding
        CHECK (withholding IN ('none', 'business', 'cn_labour_cumulative')) NOT VALID,
    ADD CONSTRAINT ck_statements_debt_offset CHECK (debt_offset BETWEEN 0 AND debt_in) NOT VALID,
    ADD CONSTRAINT ck_statements_net
        CHECK (net = gross - clawbacks + adjustments - withheld - debt_offset) NOT VALID,
    ADD CONSTRAINT ck_statements_payout CHECK (payout >= 0 AND carry_in + net = payout + carry_out - debt_added) NOT VALID,
    ADD CONSTRAINT ck_statements_carry_out CHECK (carry_out >= 0 OR brand_id IS NOT NULL) NOT VALID,
    ADD CONSTRAINT ck_statements_debt_added
        CHECK (debt_added >= 0 AND (debt_added = 0 OR (payout = 0 AND carry_out = 0 AND brand_id IS NULL))) NOT VALID;

UPDATE statements
SET net = gross - clawbacks, payout = greatest(gross - clawbacks, 0),
    carry_out = CASE WHEN brand_id IS NULL THEN 0 ELSE least(gross - clawbacks, 0) END,
    debt_added = CASE WHEN brand_id IS NULL THEN greatest(clawbacks - gross, 0) ELSE 0 END;

ALTER TABLE statements ALTER COLUMN net SET NOT NULL, ALTER COLUMN payout SET NOT NULL;

CREATE INDEX ix_statements_distributor_id_id ON statements (distributor_id, id) WHERE distributor_id IS NOT NULL;

CREATE INDEX ix_statements_brand_id_id ON statements (brand_id, id) WHERE brand_id IS NOT NULL;

CREATE SEQUENCE adjustments_id_seq;

CREATE TABLE adjustments (
    id BIGINT DEFAULT nextval('adjustments_id_seq') NOT NULL,
    distributor_id BIGINT,
    brand_id BIGINT,
    amount BIGINT NOT NULL,
    dated DATE NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by BIGINT,
    statement_id BIGINT,
    CONSTRAINT pk_adjustments PRIMARY KEY (id),
    CONSTRAINT ck_adjustments_payee CHECK (num_nonnulls(distributor_id, brand_id) = 1),
    CONSTRAINT ck_adjustments_amount CHECK (amount <> 0),
    CONSTRAINT ck_adjustments_reason CHECK (reason <> ''),
    CONSTRAINT fk_adjustments_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_adjustments_brand_id FOREIGN KEY(brand_id) REFERENCES brands (id),
    CONSTRAINT fk_adjustments_created_by FOREIGN KEY(created_by) REFERENCES people (id),
    CONSTRAINT fk_adjustments_statement_id FOREIGN KEY(statement_id) REFERENCES statements (id)
);

CREATE INDEX ix_adjustments_open ON adjustments (id) WHERE statement_id IS NULL;

CREATE INDEX ix_adjustments_statement_id ON adjustments (statement_id) WHERE statement_id IS NOT NULL;

CREATE SEQUENCE write_offs_id_seq;

CREATE TABLE write_offs (
    id BIGINT DEFAULT nextval('write_offs_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_by BIGINT,
    approved_at TIMESTAMP WITH TIME ZONE,
    approved_by BIGINT,
    CONSTRAINT pk_write_offs PRIMARY KEY (id),
    CONSTRAINT ck_write_offs_amount CHECK (amount > 0),
    CONSTRAINT ck_write_offs_reason CHECK (reason <> ''),
    CONSTRAINT ck_write_offs_approved CHECK ((approved_at IS NULL) = (approved_by IS NULL)),
    CONSTRAINT ck_write_offs_two_people CHECK (approved_by <> created_by),
    CONSTRAINT fk_write_offs_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_write_offs_created_by FOREIGN KEY(created_by) REFERENCES people (id),
    CONSTRAINT fk_write_offs_approved_by FOREIGN KEY(approved_by) REFERENCES people (id)
);

CREATE INDEX ix_write_offs_distributor_id ON write_offs (distributor_id);

CREATE SEQUENCE withholding_policies_id_seq;

CREATE TABLE withholding_policies (
    id BIGINT DEFAULT nextval('withholding_policies_id_seq') NOT NULL,
    distributor_id BIGINT NOT NULL,
    policy TEXT NOT NULL,
    starts_on DATE NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    set_by BIGINT,
    CONSTRAINT pk_withholding_policies PRIMARY KEY (id),
    CONSTRAINT ck_withholding_policies_policy CHECK (policy IN ('none', 'business', 'cn_labour_cumulative')),
    CONSTRAINT fk_withholding_policies_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_withholding_policies_set_by FOREIGN KEY(set_by) REFERENCES people (id)
);

CREATE INDEX ix_withholding_policies_distributor_id_starts_on_id ON withholding_policies (distributor_id, starts_on, id);

CREATE TABLE tax_deductions (
    distributor_id BIGINT NOT NULL,
    month DATE NOT NULL,
    amount BIGINT NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    set_by BIGINT,
    CONSTRAINT pk_tax_deductions PRIMARY KEY (distributor_id, month),
    CONSTRAINT ck_tax_deductions_month CHECK (extract(day FROM month) = 1),
    CONSTRAINT ck_tax_deductions_amount CHECK (amount >= 0),
    CONSTRAINT fk_tax_deductions_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_tax_deductions_set_by FOREIGN KEY(set_by) REFERENCES people (id)
);

CREATE TABLE tax_brackets (
    starts_on DATE NOT NULL,
    above BIGINT NOT NULL,
    rate_bps BIGINT NOT NULL,
    quick_deduction BIGINT NOT NULL,
    CONSTRAINT pk_tax_brackets PRIMARY KEY (starts_on, above),
    CONSTRAINT ck_tax_brackets_above CHECK (above >= 0),
    CONSTRAINT ck_tax_brackets_rate_bps CHECK (rate_bps BETWEEN 0 AND 10000),
    CONSTRAINT ck_tax_brackets_quick_deduction CHECK (quick_deduction >= 0)
);

INSERT INTO tax_brackets (starts_on, above, rate_bps, quick_deduction) VALUES
    ('2019-01-01', 0, 300, 0),
    ('2019-01-01', 3600000, 1000, 252000),
    ('2019-01-01', 14400000, 2000, 1692000),
    ('2019-01-01', 30000000, 2500, 3192000),
    ('2019-01-01', 42000000, 3000, 5292000),
    ('2019-01-01', 66000000, 3500, 8592000),
    ('2019-01-01', 96000000, 4500, 18192000);

CREATE FUNCTION labour_tax(income bigint, deductions bigint, on_day date) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((
    SELECT div((4 * income::numeric - 5 * deductions) * b.rate_bps - 50000 * b.quick_deduction::numeric + 25000, 50000)
    FROM tax_brackets b
    WHERE b.starts_on = (SELECT max(starts_on) FROM tax_brackets WHERE starts_on <= on_day)
      AND 4 * income::numeric - 5 * deductions > 5 * b.above::numeric
    ORDER BY b.above DESC
    LIMIT 1
), 0)::bigint;

ALTER TABLE ledger_accounts
    DROP CONSTRAINT ck_ledger_accounts_kind,
    DROP CONSTRAINT ck_ledger_accounts_distributor,
    ADD CONSTRAINT ck_ledger_accounts_kind CHECK (kind IN ('clearing', 'escrow', 'revenue', 'brand_payable', 'commission_payable',
        'tax_payable', 'in_transit', 'debt', 'write_off')) NOT VALID,
    ADD CONSTRAINT ck_ledger_accounts_distributor
        CHECK ((kind IN ('commission_payable', 'debt')) = (distributor_id IS NOT NULL)) NOT VALID;

ALTER TABLE transfers
    DROP CONSTRAINT ck_transfers_code,
    DROP CONSTRAINT ck_transfers_source_type,
    ADD CONSTRAINT ck_transfers_code CHECK (code IN ('payment', 'freight', 'supply', 'commission', 'revenue', 'subsidy', 'refund',
        'freight_refund', 'supply_return', 'clawback', 'revenue_return', 'adjustment', 'withholding', 'debt', 'debt_offset',
        'write_off', 'payout', 'payout_sent', 'payout_returned')) NOT VALID,
    ADD CONSTRAINT ck_transfers_source_type
        CHECK (source_type IN ('order', 'refund', 'adjustment', 'statement', 'write_off', 'payout')) NOT VALID;

CREATE FUNCTION refuse_closed_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM statements s JOIN settlement_runs r ON r.id = s.run_id
               WHERE s.id = OLD.statement_id AND r.state IN ('approved', 'paying', 'paid')) THEN
        RAISE EXCEPTION 'statement % is closed', OLD.statement_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER closed BEFORE UPDATE OF statement_id ON commissions FOR EACH ROW
WHEN (OLD.statement_id IS NOT NULL AND NEW.statement_id IS DISTINCT FROM OLD.statement_id)
EXECUTE FUNCTION refuse_closed_statement();

CREATE TRIGGER closed BEFORE UPDATE OF statement_id ON clawbacks FOR EACH ROW
WHEN (OLD.statement_id IS NOT NULL AND NEW.statement_id IS DISTINCT FROM OLD.statement_id)
EXECUTE FUNCTION refuse_closed_statement();

CREATE TRIGGER closed BEFORE UPDATE OF statement_id ON order_lines FOR EACH ROW
WHEN (OLD.statement_id IS NOT NULL AND NEW.statement_id IS DISTINCT FROM OLD.statement_id)
EXECUTE FUNCTION refuse_closed_statement();

CREATE TRIGGER closed BEFORE UPDATE OF statement_id ON refund_lines FOR EACH ROW
WHEN (OLD.statement_id IS NOT NULL AND NEW.statement_id IS DISTINCT FROM OLD.statement_id)
EXECUTE FUNCTION refuse_closed_statement();

CREATE TRIGGER closed BEFORE UPDATE OF statement_id ON adjustments FOR EACH ROW
WHEN (OLD.statement_id IS NOT NULL AND NEW.statement_id IS DISTINCT FROM OLD.statement_id)
EXECUTE FUNCTION refuse_closed_statement();

CREATE FUNCTION refuse_closed_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM settlement_runs r WHERE r.id = OLD.run_id AND r.state IN ('approved', 'paying', 'paid')) THEN
        RAISE EXCEPTION 'settlement run % is closed', OLD.run_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE TRIGGER closed BEFORE UPDATE OR DELETE ON statements FOR EACH ROW EXECUTE FUNCTION refuse_closed_run();

CREATE FUNCTION refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'settlement run % is closed', OLD.id USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER closed BEFORE UPDATE ON settlement_runs FOR EACH ROW
WHEN (OLD.state IN ('approved', 'paying', 'paid') AND (
    array_position(ARRAY['approved', 'paying', 'paid'], NEW.state) IS NULL
    OR array_position(ARRAY['approved', 'paying', 'paid'], NEW.state)
       < array_position(ARRAY['approved', 'paying', 'paid'], OLD.state)
    OR (NEW.cutoff, NEW.pay_on, NEW.minimum_payout, NEW.debt_offset_bps, NEW.months_rule, NEW.approved_at)
       IS DISTINCT FROM (OLD.cutoff, OLD.pay_on, OLD.minimum_payout, OLD.debt_offset_bps, OLD.months_rule, OLD.approved_at)))
EXECUTE FUNCTION refuse_reopening();

GRANT USAGE ON SEQUENCE adjustments_id_seq, write_offs_id_seq, withholding_policies_id_seq TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (statement_id) ON adjustments TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE (approved_at, approved_by) ON write_offs TO s2b2c_app;

GRANT SELECT, INSERT ON withholding_policies TO s2b2c_app;

GRANT SELECT, INSERT, UPDATE ON tax_deductions TO s2b2c_app;

GRANT SELECT ON tax_brackets TO s2b2c_app;

GRANT UPDATE (state, reviewed_at, reviewed_by, approved_at, approved_by, discarded_at, discarded_by) ON settlement_runs TO s2b2c_app;

GRANT DELETE ON statements TO s2b2c_app;
