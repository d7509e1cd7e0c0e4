"""What somebody has earned before it is eliminated: matured, pending, carried; all of it is settled and paid, to the fen."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import commissions, offboarding, orders
from s2b2c.audit import audit
from s2b2c.settlements import Terms
from tests import factories
from tests.test_closing import adjusted, closed
from tests.test_offboarding import DAY, GONE, INSTANT, TOUCHED, a_world, eliminated, rows_of


async def test_every_fen_it_earned_is_paid(session: AsyncSession) -> None:
    """Matured: 1187. Pending: 1187 completed and 1187 paid, less what a later refund of one unit takes: 593."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    world = await a_world(session)
    variant = await factories.a_variant(session)
    made = [await factories.an_order(session, world.stores["x"], (variant, 2, 4990, 81)) for _ in range(4)]
    keys = [(it.branch_id, it.id) for it in made]
    paid_at = TOUCHED + INSTANT
    await session.execute(text("UPDATE distributors SET state = 'active' WHERE code IN ('X', 'MID')"))
    await orders.pay(session, [(*key, paid_at) for key in keys[:3]], rail="test")
    await session.execute(text("UPDATE distributors SET state = 'suspended' WHERE code IN ('X', 'MID')"))
    await orders.complete(session, [(*keys[0], TOUCHED + DAY)], hold_days=7)
    await orders.complete(session, [(*keys[1], TOUCHED + 2 * DAY)], hold_days=30)
    before = await rows_of(session, "transfers", "commissions", "orders", "order_lines", "ledger_checkpoints")
    gone = await eliminated(session, world)
    assert (gone.matured, gone.pending, gone.debt) == (1187, 2 * 1187, 0)
    assert await rows_of(session, "transfers", "commissions", "orders", "order_lines", "ledger_checkpoints") == before

    terms = Terms(minimum_payout=1_000_000)
    of_x = {it.distributor_id: it for it in await closed(session, GONE + DAY, terms)}[world.ids["x"]]
    assert (of_x.gross, of_x.net, of_x.payout, of_x.carry_out, of_x.is_final) == (1187, 1187, 1187, 0, True)
    # What was placed before is paid after: its seller is blocked, and its upline earns nothing either, being suspended.
    await orders.pay(session, [(*keys[3], GONE + DAY)], rail="test")
    rows = await session.execute(
        text(
            "SELECT c.position, c.amount, c.outcome FROM commissions c JOIN order_lines l ON l.id = c.line_id "
            "WHERE l.order_id = :id ORDER BY 1"
        ),
        {"id": keys[3][1]},
    )
    assert [tuple(row) for row in rows] == [(0, 0, "blocked"), (1, 0, "blocked")]
    refund = orders.Refund(*keys[2], "r", GONE + 2 * DAY, [orders.RefundedLine(1, quantity=1, goods_back=True)])
    await orders.refund(session, [refund])
    await orders.complete(session, [(*keys[2], GONE + 2 * DAY)], hold_days=7)
    later = TOUCHED + 40 * DAY
    assert await commissions.earnings(session, world.ids["x"], later) == (0, 2 * 1187 - 593, 1187, 0)
    of_x = {it.distributor_id: it for it in await closed(session, later, terms)}[world.ids["x"]]
    assert (of_x.gross, of_x.clawbacks, of_x.payout, of_x.is_final) == (2374, 593, 1781, True)
    said = await offboarding.document(session, gone.id, later)
    assert [(it.net, it.payout, it.is_final) for it in said.statements] == [(1187, 1187, True), (1781, 1781, True)]
    assert said.open == (0, 0, 2968, 0)
    assert {it.check for it in await audit(session)} == {"claims"}  # orders of the factories claim no numbers


async def test_a_carry_is_paid_although_nothing_more_is_earned(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    world, variant = await a_world(session), await factories.a_variant(session)
    order = await factories.an_order(session, world.stores["x"], (variant, 2, 4990, 81))
    await session.execute(text("UPDATE distributors SET state = 'active' WHERE code = 'X'"))
    await orders.pay(session, [(order.branch_id, order.id, TOUCHED)], rail="test")
    await session.execute(text("UPDATE distributors SET state = 'suspended' WHERE code = 'X'"))
    await orders.complete(session, [(order.branch_id, order.id, TOUCHED)], hold_days=0)
    terms = Terms(minimum_payout=1_000_000)
    (first,) = [it for it in await closed(session, GONE - DAY, terms) if it.distributor_id == world.ids["x"]]
    assert (first.payout, first.carry_out) == (0, 1187)
    await eliminated(session, world)
    other = await factories.a_distributor(session)
    await adjusted(session, other, 1, GONE.date())
    (last,) = [it for it in await closed(session, GONE + DAY, terms) if it.distributor_id == world.ids["x"]]
    assert (last.lines, last.carry_in, last.payout, last.carry_out) == (0, 1187, 1187, 0)
