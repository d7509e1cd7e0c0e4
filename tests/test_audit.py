"""A consistent world is clean; each side corrupted in turn is found by its own check alone, row for row."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, text, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import audit, catalogue, models, orders, ranking, settlements
from s2b2c.orders import Parcel, Refund, RefundedLine, ship
from s2b2c.sql import statements
from tests import factories
from tests.corruptions import RECRUITING, ROLLUPS, SETTLEMENT, Corruption, wrong
from tests.ranking_corruptions import RANKING, ranked
from tests.test_offboarding_at_once import CORRUPTIONS as OF_OFFBOARDING
from tests.test_payouts_audit import CORRUPTIONS as OF_PAYOUTS

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
COMPLETED_AT = datetime(2026, 9, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 9, 28, 5, tzinfo=UTC)
CUTOFF = datetime(2026, 10, 1, tzinfo=UTC)
PROMOTED_AT = datetime(2026, 3, 1, tzinfo=UTC)

REFUNDED_AT = {"settled": datetime(2026, 9, 2, 5, tzinfo=UTC), "completed": datetime(2026, 9, 29, 5, tzinfo=UTC)}

ORDERS = ("settled", "completed", "paid", "placed")


async def _a_world(session: AsyncSession) -> dict[str, int | str]:
    """Four orders of 9899 in a chain of three, one settled, one completed, one paid, one placed; and their names.

    One unit of all but the paid one is refunded: of the settled one before its completion, of the placed one too early.
    """
    plan = await factories.a_plan(session, {"level_bps": [1200, 300]})
    top = await factories.a_distributor(session, rank=1)
    parent = await factories.a_distributor(session, parent=top, rank=2)
    seller = await factories.a_distributor(session, parent=parent, rank=3)
    spans = [
        (top, Range(None, None)),
        (parent, Range(None, None)),
        (seller, Range(None, PROMOTED_AT)),
        (seller, Range(PROMOTED_AT, None)),
    ]
    for who, during in spans:
        await session.execute(
            insert(models.DistributorHistory).values(
                distributor_id=who.id, during=during, parent_id=who.parent_id, tier_id=who.tier_id, state=who.state
            )
        )
    store = await factories.a_store(session, seller)
    chosen = await factories.a_variant(session)
    assert await catalogue.index_products(session) == 1
    variant = await factories.a_variant(session, supply_price=2600)
    await factories.a_listing(session, store, variant.product_id)
    names: dict[str, int | str] = {
        "branch": top.id,
        "top": top.id,
        "parent": parent.id,
        "seller": seller.id,
        "store": store.id,
        "brand": variant.brand_id,
        "product": variant.product_id,
        "chosen": chosen.product_id,
        "quiet": (await factories.a_variant(session)).id,
        "day": "2026-09-01",
        "plan": plan.id,
    }
    names["quiet_product"] = (await session.get_one(models.Variant, names["quiet"])).product_id
    for state in ORDERS:
        order = await factories.an_order(session, store, (variant, 2, 4990, 81))
        await session.execute(
            insert(models.Claim).values(
                kind="order_no", name=order.order_no, branch_id=order.branch_id, event_id=order.id
            )
        )
        order.freight = 0 if state == "paid" else 600
        names[state] = order.id
    back = RefundedLine(1, quantity=1, goods_back=True)
    for state, completed_at in {"settled": COMPLETED_AT, "completed": LATER, "paid": None}.items():
        rail = "stripe" if state == "paid" else "import"
        await orders.pay(session, [(top.id, int(names[state]), PAID_AT)], rail=rail)
        if state == "settled":
            await orders.refund(session, [Refund(top.id, int(names[state]), state, REFUNDED_AT[state], [back])])
        if completed_at:
            await orders.complete(session, [(top.id, int(names[state]), completed_at)], hold_days=7)
    completed = [Refund(top.id, int(names["completed"]), "completed", REFUNDED_AT["completed"], [back], freight=50)]
    assert await orders.refund(session, completed) == 1
    await orders.refund(session, [Refund(top.id, int(names["placed"]), "placed", PAID_AT, [back])])
    await _ship_what_stripe_paid(session, top.id, int(names["paid"]), variant.brand_id)
    assert await ranking.roll_up(session) == 5
    settled = await settlements.settle(session, cutoff=CUTOFF, now=CUTOFF)
    assert settled is not None
    names |= {"run": settled.run_id, **await ranked(session, seller.id, top.id, parent.id)}
    accounts = await session.execute(
        text("SELECT CASE rail WHEN 'stripe' THEN rail ELSE kind END, min(id) FROM ledger_accounts GROUP BY 1")
    )
    names |= {f"a_{kind}": account for kind, account in accounts}
    return names | await _keys(session) | await _refund_keys(session)


async def _ship_what_stripe_paid(session: AsyncSession, branch_id: int, order_id: int, brand_id: int) -> None:
    of_order = {"branch_id": branch_id, "order_id": order_id}
    payment = {"method": "intent", "amount": 9899, "state": "succeeded", "intent_id": "pi_1"}
    times = {"created_at": PAID_AT, "succeeded_at": PAID_AT}
    made = await session.scalar(insert(models.Payment).values(of_order | payment | times).returning(models.Payment.id))
    claim = {"kind": "payment_intent", "name": "pi_1", "branch_id": branch_id, "event_id": made}
    await session.execute(insert(models.Claim).values(claim))
    supply_order = insert(models.SupplyOrder).values(of_order | {"brand_id": brand_id}).returning(models.SupplyOrder.id)
    parcel = Parcel(branch_id, await session.scalar(supply_order) or 0, "顺丰", "SF1", {1: 1})
    await ship(session, [parcel], brand_id=brand_id, now=PAID_AT)


async def _refund_keys(session: AsyncSession) -> dict[str, int | str]:
    """`r_<state>` and `rl_<state>`: the refund of an order and its line, `b0_<state>` and `b1_<state>` its clawbacks."""
    found = await session.execute(
        text(
            "SELECT r.reference, r.id, l.id, array_agg(b.id ORDER BY b.id) FROM refunds r JOIN refund_lines l ON l.refund_id = r.id "
            "LEFT JOIN clawbacks b ON b.refund_id = r.id GROUP BY r.reference, r.id, l.id"
        )
    )
    keys: dict[str, int | str] = {}
    for state, refund, line, clawbacks in found:
        keys |= {f"r_{state}": refund, f"rl_{state}": line}
        keys |= {f"b{number}_{state}": key for number, key in enumerate(clawbacks)}
    return keys


async def _keys(session: AsyncSession) -> dict[str, int | str]:
    """`line_<state>`, `c0_<state>` and `c1_<state>`: the line of an order, and its commissions."""
    found = await session.execute(
        text(
            "SELECT CASE WHEN l.statement_id IS NOT NULL THEN 'settled' ELSE o.state END, l.id, "
            "array_agg(c.id ORDER BY c.position) FROM orders o JOIN order_lines l ON l.order_id = o.id "
            "LEFT JOIN commissions c ON c.line_id = l.id GROUP BY 1, 2"
        )
    )
    keys: dict[str, int | str] = {}
    for state, line, commissions in found:
        keys[f"line_{state}"] = line
        keys |= {f"c{position}_{state}": key for position, key in enumerate(commissions)}
    return keys


def _shifted(transfer: str) -> Corruption:
    """One fen moved from a transfer of one order to the same of another: every balance stays."""
    shift = f"UPDATE transfers SET amount = amount {{}} 1 WHERE {transfer} AND source_id = "
    return wrong(
        ("orders {branch}/{settled}", "orders {branch}/{completed}"),
        shift.format("+") + "{settled}",
        shift.format("-") + "{completed}",
    )


# Of all transfers but the last: what a brand gives back of its supply. Not by `ledger.checkpoint`, which would wait for the
# transaction that wrote them, ours.
_CHECKPOINTS = (
    "INSERT INTO ledger_horizon SELECT 1, max(id) - 1, max(id), '{{}}' FROM transfers",
    """INSERT INTO ledger_checkpoints
       SELECT a.id, coalesce(sum(amount) FILTER (WHERE debit_account_id = a.id), 0),
              coalesce(sum(amount) FILTER (WHERE credit_account_id = a.id), 0)
       FROM ledger_accounts a JOIN transfers t ON a.id IN (debit_account_id, credit_account_id)
       WHERE t.id <= (SELECT through_id FROM ledger_horizon) GROUP BY a.id""",
)

CORRUPTIONS = {
    "lines_add_up": wrong(
        "order_lines {branch}/{line_placed}",
        "ALTER TABLE order_lines DROP CONSTRAINT ck_order_lines_paid",
        "UPDATE order_lines SET discount = discount + 1 WHERE id = {line_placed}",
    ),
    "line_refunds": wrong(
        "order_lines {branch}/{line_placed}",
        "UPDATE order_lines SET supply = supply - 1, platform = platform + 1 WHERE id = {line_placed}",
    ),
    "refund_states": wrong(
        ("refunds {branch}/998", "refunds {branch}/999"),
        "INSERT INTO refunds (branch_id, id, order_id, reverses_id, state, refunded_at) "
        "SELECT branch_id, 998, order_id, id, state, refunded_at FROM refunds WHERE id = {r_placed}",
        "INSERT INTO refund_lines (branch_id, refund_id, line_id, quantity, amount, supply) "
        "SELECT branch_id, 998, line_id, -quantity, 1 - amount, -supply FROM refund_lines WHERE id = {rl_placed}",
        "INSERT INTO refunds (branch_id, id, order_id, reference, state, refunded_at) "
        "VALUES ({branch}, 999, {paid}, 'empty', 'applied', '2026-09-02')",
        "INSERT INTO claims VALUES ('refund', 'empty', {branch}, 999)",
    ),
    "clawbacks": wrong(
        ("commissions {branch}/{c0_completed}", "commissions {branch}/{c1_completed}"),
        "ALTER TABLE clawbacks DROP CONSTRAINT pk_clawbacks",
        "UPDATE clawbacks SET position = 1 - position WHERE refund_id = {r_completed}",
    ),
    "line_commissions": wrong(
        "order_lines {branch}/{line_paid}",
        "UPDATE order_lines SET commission = commission + 1, platform = platform - 1 WHERE id = {line_paid}",
    ),
    "margin_floor": wrong(
        (
            "order_lines {branch}/{line_settled}",
            "order_lines {branch}/{line_completed}",
            "order_lines {branch}/{line_paid}",
        ),
        "UPDATE plans SET margin_floor_bps = 3249",
    ),
    "unpaid_commissions": wrong(
        "commissions {branch}/999",
        "INSERT INTO commissions SELECT branch_id, 999, {line_placed}, position, distributor_id, tier_id, rule_id, "
        "base_amount, rate_bps, uncapped_amount, 0, 'blocked', NULL FROM commissions WHERE id = {c0_paid}",
    ),
    "commission_upline": wrong(
        "commissions {branch}/{c0_paid}", "UPDATE commissions SET distributor_id = {parent} WHERE id = {c0_paid}"
    ),
    "commission_rules": wrong(
        ("commissions {branch}/{c0_paid}", "commissions {branch}/{c1_paid}"),
        "INSERT INTO plans (id, code, state, during, margin_floor_bps, paid_positions) VALUES (999, 'draft', 'draft', '(,)', 0, 2)",
        "INSERT INTO rules (id, plan_id, scheme, base, level_bps, depth) SELECT 999, 999, scheme, base, level_bps, depth FROM rules",
        "UPDATE commissions SET rule_id = 999 WHERE line_id = {line_paid}",
    ),
    "commission_amounts": wrong(
        "commissions {branch}/{c1_paid}", "UPDATE commissions SET base_amount = base_amount + 1 WHERE id = {c1_paid}"
    ),
    "commission_positions": wrong(
        "order_lines {branch}/{line_paid}",
        "DELETE FROM commissions WHERE id = {c1_paid}",
        "UPDATE order_lines SET commission = 1187, platform = 3512 WHERE id = {line_paid}",
    ),
    "plan_positions": wrong("plans {plan}", "UPDATE plans SET paid_positions = 1"),
    "order_states": wrong(
        "orders {branch}/{paid}",
        "ALTER TABLE orders DROP CONSTRAINT ck_orders_times",
        "UPDATE orders SET placed_at = paid_at + interval '1 s' WHERE id = {paid}",
    ),
    "empty_orders": wrong(
        "orders {branch}/999",
        "INSERT INTO orders (branch_id, id, order_no, store_id, customer_id, seller_id, state, placed_at) "
        "SELECT branch_id, 999, 'empty', store_id, customer_id, seller_id, state, placed_at FROM orders WHERE id = {placed}",
        "INSERT INTO claims VALUES ('order_no', 'empty', {branch}, 999)",
    ),
    "claims": wrong(
        ("orders {branch}/{placed}", "claims stray"),
        "UPDATE claims SET name = 'stray' WHERE event_id = {placed}",
    ),
    "order_uplines": wrong("orders {branch}/{paid}", "UPDATE orders SET upline[3] = 999 WHERE id = {paid}"),
    "order_plans": wrong(
        ("orders {branch}/{settled}", "orders {branch}/{completed}", "orders {branch}/{paid}"),
        "UPDATE plans SET during = '(,2026-09-01 05:00:00+00)'",
    ),
    "payment_transfers": _shifted("code = 'payment'"),
    "supply_transfers": _shifted("code = 'supply'"),
    "stripe_payments": wrong("orders {branch}/{paid}", "UPDATE payments SET amount = amount + 1"),
    "shipped_units": wrong(
        "order_lines {branch}/{line_paid}", "UPDATE shipment_lines SET quantity = 3 WHERE line_id = {line_paid}"
    ),
    "freight_transfers": _shifted("code = 'freight'"),
    "freight_refunds": wrong(
        "orders {branch}/{completed}",
        *(
            f"UPDATE {table} = CASE {key} WHEN {{settled}} THEN 1151 ELSE 49 END WHERE {which} {key} IN ({{settled}}, {{completed}})"
            for table, key, which in (
                ("orders SET freight", "id", ""),
                ("transfers SET amount", "source_id", "code = 'freight' AND"),
            )
        ),
    ),
    "commission_transfers": _shifted("code = 'commission' AND amount = 1187"),
    "revenue_transfers": _shifted("code = 'revenue'"),
    "transfer_times": wrong(
        "transfers {branch}/999",
        "UPDATE transfers SET id = 999, posted_at = posted_at + interval '1 s' WHERE source_id = {paid}",
    ),
    "refund_transfers": wrong(
        ("refunds {branch}/{r_settled}", "refunds {branch}/{r_completed}"),
        "UPDATE transfers SET amount = amount + 1 WHERE code = 'supply_return' AND source_id = {r_settled}",
        "UPDATE transfers SET amount = amount - 1 WHERE code = 'supply_return' AND source_id = {r_completed}",
    ),
    "account_balances": wrong(
        ("escrow 0", "brand_payable {brand}"),
        "ALTER TABLE transfers DROP CONSTRAINT ck_transfers_source_type",
        "INSERT INTO transfers SELECT branch_id, 999, 'manual', 0, code, debit_account_id, credit_account_id, 1, posted_at "
        "FROM transfers WHERE code = 'supply' LIMIT 1",
    ),
    "ledger_accounts": wrong(
        "ledger_accounts 999999999",
        "ALTER TABLE ledger_accounts DROP CONSTRAINT uq_ledger_accounts_kind_rail_brand_id_distributor_id",
        "INSERT INTO ledger_accounts (id, kind) VALUES (999999999, 'escrow')",
    ),
    "checkpoints": wrong(
        "ledger_checkpoints {a_escrow}",
        *_CHECKPOINTS,
        "UPDATE ledger_checkpoints SET debits = debits + 1, credits = credits + 1 WHERE account_id = {a_escrow}",
    ),
    **SETTLEMENT,
    **RANKING,
    **ROLLUPS,
    "tree": wrong("distributors {seller}", "UPDATE distributors SET ancestors[3] = 999 WHERE id = {seller}"),
    "current_history": wrong(
        "distributors {parent}", "UPDATE distributor_history SET state = 'watch' WHERE distributor_id = {parent}"
    ),
    "history_spans": wrong(
        "distributor_history 999",
        "UPDATE distributor_history SET id = 999, during = tstzrange(lower(during) + interval '1 s', NULL) "
        "WHERE distributor_id = {seller} AND upper_inf(during)",
    ),
    "current_prices": wrong(
        "variants {quiet}", "UPDATE prices SET during = '(,2026-09-01)' WHERE variant_id = {quiet}"
    ),
    "price_spans": wrong(
        "prices 999", "UPDATE prices SET id = 999, during = '[2026-09-01,)' WHERE variant_id = {quiet}"
    ),
    "price_order": wrong(
        "prices 999",
        "ALTER TABLE prices DROP CONSTRAINT ck_prices_supply_price",
        "UPDATE prices SET id = 999, supply_price = min_price + 1 WHERE variant_id = {quiet}",
    ),
    "tier_costs": wrong("prices 999", "UPDATE prices SET id = 999, tier_costs[4] = 5000 WHERE variant_id = {quiet}"),
    "product_reviews": wrong(
        "products {quiet_product}", "UPDATE products SET state = 'in_review' WHERE id = {quiet_product}"
    ),
    "withdrawn_products": wrong(
        ("orders {branch}/{placed}", "products {product}", "products {quiet_product}"),
        "INSERT INTO accounts (role) VALUES ('operator')",
        "INSERT INTO product_events (product_id, at, kind, account_id) SELECT product, now(), kind, id "
        "FROM accounts, (VALUES ({product}, 'listed'), ({product}, 'withdrawn'), ({quiet_product}, 'withdrawn'), "
        "({quiet_product}, 'listed'), ({quiet_product}, 'approved')) AS event (product, kind) WHERE role = 'operator'",
        "UPDATE products SET state = 'delisted' WHERE id = {quiet_product}",
    ),
    "listing_products": wrong(
        "listings {store}/{product}", "UPDATE products SET state = 'delisted' WHERE id = {product}"
    ),
    "listing_prices": wrong("listings {store}/{product}", "UPDATE listings SET price = 4199"),
    "selectable_products": wrong("products {chosen}", "UPDATE selectable_products SET costs = costs[1:2]"),
    "listing_words": wrong(
        "listings {store}/{product}",
        "INSERT INTO brand_rules_history (brand_id, banned_words, disclosure, set_at) VALUES ({brand}, '{{最好}}', '', '{day}')",
        "INSERT INTO brand_rules (brand_id, banned_words, disclosure, updated_at) VALUES ({brand}, '{{最好}}', '', '{day}')",
        "UPDATE listings SET pitch = '最 好'",
    ),
    "listing_spans": wrong(
        "listings {store}/{product}",
        "INSERT INTO listing_history (store_id, product_id, since, until, price, position, pitch, pinned, regions, segments, why) "
        "SELECT store_id, product_id, '2020-01-01', listed_at + interval '1 s', price, 1, '', false, '{{}}', '{{}}', 'selected' "
        "FROM listings",
    ),
    "brand_rules": wrong(
        "brand_rules {brand}",
        "INSERT INTO brand_rules (brand_id, banned_words, disclosure, updated_at) VALUES ({brand}, '{{}}', '', '{day}')",
    ),
    "store_spans": wrong(
        "stores {store}",
        "INSERT INTO store_history (store_id, since, until, distributor_id, title, region, state, blocks, blocks_version, why) "
        "SELECT id, '-infinity', '2026-09-01', distributor_id, title, region, state, blocks, 1, why FROM stores WHERE id = {store}",
    ),
    "allotted_stock": wrong("variants {quiet}", "UPDATE variants SET allotted = 1 WHERE id = {quiet}"),
    "allotted_lines": wrong(
        "order_lines {branch}/{line_placed}",
        "INSERT INTO line_allotments SELECT branch_id, order_id, line_no, n, n FROM order_lines, generate_series(1, 2) AS n "
        "WHERE id = {line_placed}",
    ),
    "daily_sellers": wrong(
        "daily_sellers {branch}/{seller}/{day}", "UPDATE daily_sellers SET paid = paid + 1 WHERE day = '{day}'"
    ),
    "named_rows": wrong(
        "order_lines {branch}/{line_placed}", "UPDATE order_lines SET product_id = 999 WHERE id = {line_placed}"
    ),
    "daily_brands": wrong(
        "daily_brands {branch}/{store}/{brand}/{day}", "UPDATE daily_brands SET units = units - 1 WHERE day = '{day}'"
    ),
}


CHECKS = statements("audit").keys()


def test_every_check_has_a_corruption() -> None:
    """Those of payouts are in `test_payouts_audit`, on a run that is paid; of off-boarding beside its tests."""
    assert CORRUPTIONS.keys() | OF_PAYOUTS.keys() | RECRUITING.keys() | OF_OFFBOARDING.keys() == CHECKS


async def test_a_consistent_world_is_clean(session: AsyncSession) -> None:
    await _a_world(session)
    seen: list[tuple[int, int]] = []
    assert await audit.audit(session, lambda done, total: seen.append((done, total))) == []
    assert seen == [(done, len(CHECKS)) for done in range(1, len(CHECKS) + 1)]


@pytest.mark.parametrize("check", CORRUPTIONS)
async def test_a_corrupted_side_is_named(session: AsyncSession, check: str) -> None:
    names = await _a_world(session)
    await session.execute(text("SET LOCAL ROLE NONE"))
    for statement in CORRUPTIONS[check].statements:
        await session.execute(text(statement.format(**names)))
    found = {breach.check: sorted({key for key, _ in breach.rows}) for breach in await audit.audit(session)}
    assert found == {check: sorted(row.format(**names) for row in CORRUPTIONS[check].rows)}


@pytest.mark.parametrize(
    ("row", "statement"),
    [
        ("orders {branch}/{paid}", "UPDATE orders SET plan_id = 999 WHERE id = {paid}"),
        ("order_lines {branch}/{line_settled}", "UPDATE order_lines SET statement_id = 999 WHERE id = {line_settled}"),
        ("commissions {branch}/{c0_paid}", "UPDATE commissions SET rule_id = 999 WHERE id = {c0_paid}"),
        ("commissions {branch}/{c0_settled}", "UPDATE commissions SET statement_id = 999 WHERE id = {c0_settled}"),
        (
            "transfers {branch}/999",
            "UPDATE transfers SET id = 999, debit_account_id = 999 WHERE branch_id = {branch} AND source_id = {paid}",
        ),
        (
            "transfers {branch}/999",
            "UPDATE transfers SET id = 999, credit_account_id = 999 WHERE branch_id = {branch} AND source_id = {paid}",
        ),
    ],
)
async def test_a_name_of_nothing_is_found(session: AsyncSession, row: str, statement: str) -> None:
    """These are held by no foreign key."""
    names = await _a_world(session)
    await session.execute(text("SET LOCAL ROLE NONE"))
    await session.execute(text(statement.format(**names)))
    (named,) = [breach for breach in await audit.audit(session) if breach.check == "named_rows"]
    assert {key for key, _ in named.rows} == {row.format(**names)}


async def test_a_product_that_cannot_be_found_is(session: AsyncSession) -> None:
    names = await _a_world(session)
    await session.execute(delete(models.SelectableProduct))
    (breach,) = await audit.audit(session)
    assert breach.rows == ((f"products {names['chosen']}", "costs {3500,3900,4200}, found at "),)


async def test_right_checkpoints_are_clean(session: AsyncSession) -> None:
    names = await _a_world(session)
    for statement in _CHECKPOINTS:
        await session.execute(text(statement.format(**names)))
    assert await audit.audit(session) == []


@pytest.mark.parametrize(
    ("rows", "statement"),
    [
        (["a_escrow"], "UPDATE ledger_checkpoints SET credits = credits - 1 WHERE account_id = {a_escrow}"),
        (["a_escrow"], "DELETE FROM ledger_checkpoints WHERE account_id = {a_escrow}"),
        (["unused"], "INSERT INTO ledger_checkpoints VALUES ({unused}, 0, 0)"),
        (["a_stripe", "a_escrow"], "UPDATE transfers SET id = id + 999 WHERE source_id = {paid}"),
        (
            ["a_brand_payable", "a_escrow"],
            "UPDATE transfers SET id = 0 WHERE id > (SELECT through_id FROM ledger_horizon)",
        ),
    ],
)
async def test_a_checkpoint_that_holds_something_else_is_found(
    session: AsyncSession, rows: list[str], statement: str
) -> None:
    """Or that lacks something: the last two are a transfer that it holds and should not, and one that it should."""
    names = await _a_world(session)
    unused = insert(models.LedgerAccount).values(kind="clearing", rail="unused").returning(models.LedgerAccount.id)
    names["unused"] = (await session.scalars(unused)).one()
    await session.execute(text("SET LOCAL ROLE NONE"))
    for each in (*_CHECKPOINTS, statement):
        await session.execute(text(each.format(**names)))
    (found,) = await audit.audit(session)
    assert found.check == "checkpoints"
    assert {key for key, _ in found.rows} == {f"ledger_checkpoints {names[row]}" for row in rows}


async def test_a_breach_tells_the_first_rows_and_how_many(session: AsyncSession) -> None:
    names = await _a_world(session)
    await session.execute(text("SET LOCAL ROLE NONE"))
    await session.execute(
        text(
            "INSERT INTO settlement_runs (id, cutoff, state, created_at, pay_on) "
            "SELECT n, '2026-10-01 00:00+00', 'draft', '2026-10-01 00:00+00', '2026-10-01' FROM generate_series(1001, 1023) n"
        )
    )
    await session.execute(update(models.Listing).values(price=4199))
    runs, listing = sorted(await audit.audit(session), key=lambda breach: -breach.total)
    assert (runs.check, runs.total, len(runs.rows)) == ("settlement_runs", 23, 20)
    assert (
        str(runs).splitlines()[0]
        == "settlement_runs: a run has statements, unless it was discarded or all have left it, and was made after its cutoff"
    )
    assert str(runs).splitlines()[-1] == "  and 3 more"
    sku = await session.scalar(text("SELECT sku FROM variants WHERE product_id = :id"), {"id": names["product"]})
    assert str(listing).splitlines() == [
        (
            "listing_prices: the price of a listing lies in the band of every variant, and not below the owner's tier cost or the "
            "brand's floor"
        ),
        f"  listings {names['store']}/{names['product']}: price 4199, sku {sku} from 2600 to 9980, tier cost 4200",
    ]
