"""What refunds take back, in the statements of distributors and brands."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders, settlements
from s2b2c.orders import Refund, RefundedLine
from s2b2c.settlements import LinesPage, Settled, Totals
from tests import factories
from tests.test_settlements import COMPLETED_AT, MATURES_AT, NOW, PAID_AT, _chain, _completed, _read_lines, _settle

REFUNDED_AT = datetime(2026, 9, 20, 5, tzinfo=UTC)
NEXT = datetime(2026, 11, 1, tzinfo=UTC)


async def _refund(session: AsyncSession, order: models.Order, reference: str, at: datetime = REFUNDED_AT) -> None:
    """One of the two units, which comes back: 4949 to the customer, 593 and 147 of the shares, 2600 of the supply."""
    line = RefundedLine(1, quantity=1, goods_back=True)
    assert await orders.refund(session, [Refund(order.branch_id, order.id, reference, at, [line])]) == 1


async def _settled_nets(session: AsyncSession) -> list[tuple[int, str, int, int, int]]:
    """(run, payee, lines, gross, clawbacks) of every statement, in the order they were written."""
    rows = await session.execute(
        text(
            "SELECT run_id, CASE WHEN brand_id IS NULL THEN d.code ELSE 'brand' END, lines, gross, clawbacks "
            "FROM statements s LEFT JOIN distributors d ON d.id = s.distributor_id ORDER BY s.id"
        )
    )
    return [(run_id, payee, lines, gross, back) for run_id, payee, lines, gross, back in rows]


async def test_a_refund_is_settled_with_its_order(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    order = await _completed(session, store, variant)
    await _refund(session, order, "a", COMPLETED_AT)
    settled = await _settle(session)
    assert settled is not None
    assert settled == Settled(settled.run_id, 1, Totals(2, 4, 1483, 740), Totals(1, 2, 5200, 2600))
    parent, seller, _ = await _settled_nets(session)
    assert (parent[2:], seller[2:]) == ((2, 296, 147), (2, 1187, 593))
    assert await _settle(session, NOW) is None
    shown = (await session.scalars(select(models.Statement).order_by(models.Statement.id))).all()
    pages = [LinesPage(it.id, it.distributor_id, None, 5) for it in shown]
    found = await _read_lines(session, *pages)
    assert [[(it.kind, it.amount, it.position, it.outcome, it.refunded_at) for it in rows] for rows in found] == [
        [("commission", 296, 1, "earned", None), ("clawback", -147, 1, None, COMPLETED_AT)],
        [("commission", 1187, 0, "earned", None), ("clawback", -593, 0, None, COMPLETED_AT)],
        [("supply", 5200, None, None, None), ("return", -2600, None, None, COMPLETED_AT)],
    ]
    first = found[1][0]
    (rest,) = await _read_lines(session, LinesPage(shown[1].id, shown[1].distributor_id, (first.part, first.id), 5))
    assert [it.kind for it in rest] == ["clawback"]
    printed = await settlements.statement_lines(session, shown[1].id)
    assert [(it.amount, it.outcome) for it in printed] == [(1187, "earned"), (-593, "clawback")]


async def test_a_refund_after_its_order_was_settled_makes_a_statement_below_nothing(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    order = await _completed(session, store, variant)
    first = await _settle(session, MATURES_AT + timedelta(seconds=1))
    await _refund(session, order, "a")
    assert await _settle(session, REFUNDED_AT) is None
    second = await _settle(session)
    assert first is not None
    assert second is not None
    assert second == Settled(second.run_id, 0, Totals(2, 2, 0, 740), Totals(1, 1, 0, 2600))
    assert [it[2:] for it in await _settled_nets(session) if it[0] == second.run_id] == [
        (1, 0, 147),
        (1, 0, 593),
        (1, 0, 2600),
    ]
    owed = await settlements.payable(session, variant.brand_id)
    assert owed == settlements.Payable(balance=2600, in_statements=2600, not_in_statement=0, pending=0)
    await orders.reverse_refunds(session, [("a", NOW)])
    assert (await settlements.payable(session, variant.brand_id)).not_in_statement == 2600
    third = await factories.a_settlement(session, cutoff=NEXT, now=NEXT)
    assert third is not None
    assert (third.distributors, third.brands) == (Totals(2, 2, 0, -740), Totals(1, 1, 0, -2600))


async def test_a_refund_waits_for_the_maturity_of_its_order(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    order = await factories.an_order(session, store, (variant, 2, 4990, 81))
    await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
    await _refund(session, order, "a", COMPLETED_AT)
    assert await _settle(session) is None
    owed = await settlements.payable(session, variant.brand_id)
    assert owed == settlements.Payable(balance=0, in_statements=0, not_in_statement=0, pending=2600)
    await orders.complete(session, [(order.branch_id, order.id, COMPLETED_AT)], hold_days=7)
    assert await _settle(session, MATURES_AT) is None
    owed = await settlements.payable(session, variant.brand_id)
    assert owed == settlements.Payable(balance=2600, in_statements=0, not_in_statement=2600, pending=0)
    settled = await _settle(session)
    assert settled is not None
    assert settled.distributors == Totals(2, 4, 1483, 740)


async def test_a_refund_that_takes_nothing_back_makes_no_run(session: AsyncSession) -> None:
    store, variant = await _chain(session), await factories.a_variant(session)
    order = await _completed(session, store, variant)
    assert await _settle(session)
    line = RefundedLine(1, amount=100)
    await orders.refund(session, [Refund(order.branch_id, order.id, "a", REFUNDED_AT, [line])])
    assert await _settle(session) is None
