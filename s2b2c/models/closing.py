"""What the database refuses to change once a settlement run is approved."""

from sqlalchemy import DDL, event

from s2b2c.db import Base

_REFUSE_CLOSED_STATEMENT = """
    CREATE FUNCTION refuse_closed_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM statements s JOIN settlement_runs r ON r.id = s.run_id
               WHERE s.id = OLD.statement_id AND r.state IN ('approved', 'paying', 'paid')) THEN
        RAISE EXCEPTION 'statement %% is closed', OLD.statement_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$
"""
_REFUSE_CLOSED_RUN = """
    CREATE FUNCTION refuse_closed_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM settlement_runs r WHERE r.id = OLD.run_id AND r.state IN ('approved', 'paying', 'paid')) THEN
        RAISE EXCEPTION 'settlement run %% is closed', OLD.run_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$
"""
_REFUSE_REOPENING = """
    CREATE FUNCTION refuse_reopening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'settlement run %% is closed', OLD.id USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""
_STATEMENTS_STAY = """
    CREATE TRIGGER closed BEFORE UPDATE OR DELETE ON statements FOR EACH ROW EXECUTE FUNCTION refuse_closed_run()
"""
_RUNS_GO_FORWARD = """
    CREATE TRIGGER closed BEFORE UPDATE ON settlement_runs FOR EACH ROW
    WHEN (OLD.state IN ('approved', 'paying', 'paid') AND (
        array_position(ARRAY['approved', 'paying', 'paid'], NEW.state) IS NULL
        OR array_position(ARRAY['approved', 'paying', 'paid'], NEW.state)
           < array_position(ARRAY['approved', 'paying', 'paid'], OLD.state)
        OR (NEW.cutoff, NEW.pay_on, NEW.minimum_payout, NEW.debt_offset_bps, NEW.months_rule, NEW.approved_at)
           IS DISTINCT FROM
           (OLD.cutoff, OLD.pay_on, OLD.minimum_payout, OLD.debt_offset_bps, OLD.months_rule, OLD.approved_at)))
    EXECUTE FUNCTION refuse_reopening()
"""
_PARTS_STAY = """
    CREATE TRIGGER closed BEFORE UPDATE OF statement_id ON {table} FOR EACH ROW
    WHEN (OLD.statement_id IS NOT NULL AND NEW.statement_id IS DISTINCT FROM OLD.statement_id)
    EXECUTE FUNCTION refuse_closed_statement()
"""

for statement in (
    _REFUSE_CLOSED_STATEMENT,
    _REFUSE_CLOSED_RUN,
    _REFUSE_REOPENING,
    _STATEMENTS_STAY,
    _RUNS_GO_FORWARD,
    *(
        _PARTS_STAY.format(table=table)
        for table in ("commissions", "clawbacks", "order_lines", "refund_lines", "adjustments")
    ),
):
    event.listen(Base.metadata, "after_create", DDL(statement))  # type: ignore[no-untyped-call]  # DDL carries no types
