"""Ways to break an invariant, and the rows that the audit then names; those of settlement."""

from typing import NamedTuple


class Corruption(NamedTuple):
    """Statements the owner of the schema runs, and the keys of the rows that are wrong after it."""

    statements: tuple[str, ...]
    rows: tuple[str, ...]


def wrong(row: str | tuple[str, ...], *statements: str) -> Corruption:
    return Corruption(statements, (row,) if isinstance(row, str) else row)


SETTLEMENT = {
    "statement_totals": wrong(
        "statements 999",
        "INSERT INTO statements (id, run_id, distributor_id, lines, gross, net, payout) "
        "VALUES (999, {run}, {top}, 1, 1187, 1187, 1187)",
    ),
    "statement_chain": wrong(
        "statements 999",
        "INSERT INTO statements (id, run_id, distributor_id, lines, gross, net, carry_in, payout) "
        "VALUES (999, {run}, {top}, 0, 0, 0, 1, 1)",
    ),
    "statement_payees": wrong(
        ("commissions {branch}/{c0_settled}", "clawbacks {branch}/{b0_settled}"),
        "UPDATE statements SET distributor_id = {top} WHERE distributor_id = {seller}",
    ),
    "settled_refunds": wrong("refunds {branch}/{r_settled}", "UPDATE refunds SET run_id = NULL WHERE id = {r_settled}"),
    "settled_early": wrong(
        "order_lines {branch}/{line_settled}", "UPDATE settlement_runs SET cutoff = '2026-09-11 05:00:00+00'"
    ),
    "half_settled": wrong(
        "commissions {branch}/{c1_settled}",
        "UPDATE commissions SET statement_id = NULL WHERE id = {c1_settled}",
        "UPDATE statements SET lines = 1, gross = 0, net = -clawbacks, payout = 0, debt_added = clawbacks "
        "WHERE distributor_id = {parent}",
    ),
    "settlement_runs": wrong(
        "settlement_runs 999",
        "INSERT INTO settlement_runs (id, cutoff, state, pay_on) VALUES (999, '2026-10-01', 'draft', '2026-10-01')",
    ),
    "disputes": wrong(
        "disputes 999",
        """INSERT INTO disputes (id, run_id, distributor_id, reason, opened_at)
           VALUES (999, {run}, {seller}, '少算', '2026-10-02 00:00:00+00')""",
    ),
}
RECRUITING = {
    "seat_places": wrong("seats {seat}", "UPDATE seats SET taken = 2 WHERE id = {seat}"),
    "approved_applications": wrong(
        "seat_applications {approved}",
        "DELETE FROM memberships WHERE person_id = {person} AND role = 'distributor'",
    ),
    "application_events": wrong(
        ("seat_applications {rejected}", "seat_applications {waiting}"),
        "DELETE FROM seat_application_events WHERE application_id = {rejected} AND kind = 'rejected'",
        "UPDATE seat_applications SET state = 'withdrawn', decided_at = submitted_at WHERE id = {waiting}",
    ),
}

ROLLUPS = {
    "daily_customers": wrong(
        "daily_customers {branch}/2001-01-01/{seller}/999",
        "INSERT INTO daily_customers (branch_id, day, seller_id, customer_id, kept) VALUES ({branch}, '2001-01-01', {seller}, 999, 1)",
    ),
    "daily_products": wrong(
        "daily_products {branch}/2001-01-01/{store}/999",
        "INSERT INTO daily_products (branch_id, day, store_id, product_id, brand_id, orders, kept, units, paid, refunded) "
        "VALUES ({branch}, '2001-01-01', {store}, 999, {brand}, 0, 0, 0, 0, 0)",
    ),
}
