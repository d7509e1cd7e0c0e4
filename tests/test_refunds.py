"""What refunds take back, against the worked numbers of the domain, in every state of an order and in any order."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models, orders
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.orders import Refund, RefundedLine
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
REFUNDED_AT = datetime(2026, 9, 3, 5, tzinfo=UTC)
DONE_AT = datetime(2026, 9, 6, 5, tzinfo=UTC)


async def _order_of_9899(session: AsyncSession) -> models.Order:
    """2 x 4990 - 81 = 9899, supply 5200, shares of 1187 and 296, 3216 to the platform."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    top = await factories.a_distributor(session, rank=1)
    seller = await factories.a_distributor(session, parent=top, rank=2)
    variant = await factories.a_variant(session, supply_price=2600)
    return await factories.an_order(session, await factories.a_store(session, seller), (variant, 2, 4990, 81))


async def _pay(session: AsyncSession, order: models.Order) -> None:
    assert await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import") == 1


async def _complete(session: AsyncSession, order: models.Order) -> None:
    assert await orders.complete(session, [(order.branch_id, order.id, DONE_AT)], hold_days=7) == 1


def _of(order: models.Order, reference: str, *lines: RefundedLine) -> Refund:
    return Refund(order.branch_id, order.id, reference, REFUNDED_AT, lines)


async def _refund(session: AsyncSession, order: models.Order, reference: str, *lines: RefundedLine) -> int:
    return await orders.refund(session, [_of(order, reference, *lines)])


def _amount(amount: int, brand_amount: int = 0) -> RefundedLine:
    return RefundedLine(1, amount=amount, brand_amount=brand_amount)


async def _taken(session: AsyncSession) -> list[tuple[str, int, int]]:
    """(reference, position, amount) of each clawback; of a reversal its refund's with a minus before it."""
    rows = await session.execute(
        text(
            "SELECT coalesce(r.reference, '-' || (SELECT reference FROM refunds o WHERE o.id = r.reverses_id)), b.position, b.amount "
            "FROM clawbacks b JOIN refunds r ON r.id = b.refund_id ORDER BY r.id, b.position"
        )
    )
    return [(reference, position, amount) for reference, position, amount in rows]


async def _line(session: AsyncSession) -> tuple[int, int, int, int]:
    """(refunded, supply, commission, platform)"""
    rows = await session.scalars(select(models.OrderLine).execution_options(populate_existing=True))
    line = rows.one()
    return line.refunded, line.supply, line.commission, line.platform


async def _balances(session: AsyncSession) -> dict[str, int]:
    totals: dict[str, int] = {}
    for account in (await session.scalars(select(models.LedgerAccount))).all():
        totals[account.kind] = totals.get(account.kind, 0) + await ledger.balance(session, account.id)
    return {kind: balance for kind, balance in totals.items() if balance}


PAID = {"clearing": -9899, "escrow": 9899}
COMPLETED = {"clearing": -9899, "brand_payable": 5200, "commission_payable": 1483, "revenue": 3216}


async def test_three_amounts_take_back_every_fen(session: AsyncSession) -> None:
    """1187 * 3300 // 9899 = 395, then to 791, then all; 296 in 98, 99, 99."""
    order = await _order_of_9899(session)
    await _pay(session, order)
    assert await _refund(session, order, "a", _amount(3300)) == 1
    assert await _line(session) == (3300, 5200, 990, 409)
    assert await _refund(session, order, "b", _amount(3300)) == 1
    assert await _refund(session, order, "c", _amount(3299)) == 1
    assert await _taken(session) == [
        ("a", 0, 395),
        ("a", 1, 98),
        ("b", 0, 396),
        ("b", 1, 99),
        ("c", 0, 396),
        ("c", 1, 99),
    ]
    assert await _line(session) == (9899, 5200, 0, -5200)
    assert await _balances(session) == {}
    await _complete(session, order)
    assert await _balances(session) == {"brand_payable": 5200, "revenue": -5200}


@pytest.mark.parametrize("completed", [False, True])
async def test_unit_by_unit(session: AsyncSession, *, completed: bool) -> None:
    """4949 and 4950; the goods come back, so the brand gives back 2600 each time."""
    order = await _order_of_9899(session)
    await _pay(session, order)
    if completed:
        await _complete(session, order)
    assert await _refund(session, order, "a", RefundedLine(1, quantity=1, goods_back=True)) == 1
    assert await _taken(session) == [("a", 0, 593), ("a", 1, 147)]
    assert await _line(session) == (4949, 2600, 743, 1607)
    assert await _balances(session) == (
        {"clearing": -4950, "brand_payable": 2600, "commission_payable": 743, "revenue": 1607}
        if completed
        else {"clearing": -4950, "escrow": 4950}
    )
    assert await _refund(session, order, "b", RefundedLine(1, quantity=1, goods_back=True)) == 1
    assert await _line(session) == (9899, 0, 0, 0)
    assert await _balances(session) == {}


async def test_a_unit_takes_at_most_what_is_left(session: AsyncSession) -> None:
    """1000 first, then 4949 and 3950."""
    order = await _order_of_9899(session)
    await _pay(session, order)
    for reference, line in {
        "a": _amount(1000),
        "b": RefundedLine(1, quantity=1),
        "c": RefundedLine(1, quantity=1),
    }.items():
        assert await _refund(session, order, reference, line) == 1
    amounts = (await session.scalars(select(models.RefundLine.amount).order_by(models.RefundLine.refund_id))).all()
    assert list(amounts) == [1000, 4949, 3950]
    assert await _line(session) == (9899, 5200, 0, -5200)


async def test_a_capped_share_gives_back_of_what_it_got(session: AsyncSession) -> None:
    """Floor 4000: shares 591 and 147; 3300 takes 197 of the first, the rest 394."""
    await factories.a_plan(session, {"level_bps": [1200, 300]}, margin_floor_bps=4000)
    top = await factories.a_distributor(session)
    seller = await factories.a_distributor(session, parent=top)
    variant = await factories.a_variant(session, supply_price=2600)
    order = await factories.an_order(session, await factories.a_store(session, seller), (variant, 2, 4990, 81))
    await _pay(session, order)
    await _refund(session, order, "a", _amount(3300))
    await _refund(session, order, "b", RefundedLine(1))
    assert await _taken(session) == [("a", 0, 197), ("a", 1, 49), ("b", 0, 394), ("b", 1, 98)]


async def test_before_its_payment_it_waits_and_ends_the_same(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    assert await _refund(session, order, "a", RefundedLine(1, quantity=1, goods_back=True)) == 1
    assert await _refund(session, order, "b", _amount(1000, brand_amount=500)) == 1
    assert await _line(session) == (0, 5200, 0, 4699)
    assert await _balances(session) == {}
    await _pay(session, order)
    assert await _taken(session) == [("a", 0, 593), ("a", 1, 147), ("b", 0, 120), ("b", 1, 30)]
    assert await _line(session) == (5949, 2100, 593, 1257)
    assert await _balances(session) == {"clearing": -3950, "escrow": 3950}


async def test_a_reversed_refund_never_was(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    await _pay(session, order)
    await _complete(session, order)
    await _refund(session, order, "a", RefundedLine(1, quantity=1, goods_back=True))
    await _refund(session, order, "b", _amount(3300))
    assert [
        await orders.reverse_refunds(session, [("a", DONE_AT)]),
        await orders.reverse_refunds(session, [("a", DONE_AT)]),
    ] == [1, 0]
    assert await _line(session) == (3300, 5200, 990, 409)
    assert (await _taken(session))[-2:] == [("-a", 0, -594), ("-a", 1, -148)]
    await orders.reverse_refunds(session, [("b", DONE_AT)])
    assert await _line(session) == (0, 5200, 1483, 3216)
    assert await _balances(session) == COMPLETED


async def test_a_reversal_of_a_refund_that_waits(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    await _refund(session, order, "a", RefundedLine(1))
    assert await orders.reverse_refunds(session, [("a", REFUNDED_AT)]) == 1
    await _pay(session, order)
    assert await _line(session) == (0, 5200, 1483, 3216)
    assert await _balances(session) == PAID


async def test_the_same_reference_again_changes_nothing(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    await _pay(session, order)
    twice = [_of(order, "a", _amount(3300)), _of(order, "a", _amount(3300))]
    assert [await orders.refund(session, twice), await orders.refund(session, twice)] == [1, 0]
    assert await _line(session) == (3300, 5200, 990, 409)


async def test_many_at_once_are_the_same_as_one_by_one(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    await _pay(session, order)
    lines = {
        "a": _amount(3300),
        "b": RefundedLine(1, quantity=1, goods_back=True),
        "c": RefundedLine(1, goods_back=True),
    }
    assert await orders.refund(session, [_of(order, reference, line) for reference, line in lines.items()]) == 3
    found = await session.execute(text("SELECT quantity, amount, supply FROM refund_lines ORDER BY refund_id"))
    assert [tuple(row) for row in found] == [(0, 3300, 0), (1, 4949, 2600), (1, 1650, 2600)]
    assert await _taken(session) == [
        ("a", 0, 395),
        ("a", 1, 98),
        ("b", 0, 594),
        ("b", 1, 148),
        ("c", 0, 198),
        ("c", 1, 50),
    ]
    assert await _line(session) == (9899, 0, 0, 0)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ([], BadArgument),
        ([RefundedLine(1), RefundedLine(1)], BadArgument),
        ([RefundedLine(1, quantity=1, amount=1)], BadArgument),
        ([RefundedLine(1, quantity=0)], BadArgument),
        ([RefundedLine(1, amount=-1)], BadArgument),
        ([RefundedLine(1, amount=1, brand_amount=-1)], BadArgument),
        ([RefundedLine(1, quantity=1, brand_amount=1)], BadArgument),
        ([RefundedLine(2)], NotFound),
        ([RefundedLine(1, quantity=3)], WrongState),
        ([RefundedLine(1, amount=9900)], WrongState),
        ([RefundedLine(1, amount=1, brand_amount=5201)], WrongState),
    ],
)
async def test_what_cannot_be_refunded_changes_nothing(
    session: AsyncSession, lines: list[RefundedLine], kind: type[Refusal]
) -> None:
    order = await _order_of_9899(session)
    await _pay(session, order)
    with pytest.raises(Refused) as refused:
        async with session.begin_nested():
            await _refund(session, order, "a", *lines)
    assert type(refused.value.refusal) is kind
    assert "a" in refused.value.refusal.message.split()[1]
    assert await _line(session) == (0, 5200, 1483, 3216)
    for table in ("refunds", "refund_lines", "clawbacks", "claims"):
        assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0


async def test_nothing_is_left_after_the_whole(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    await _pay(session, order)
    await _refund(session, order, "a", RefundedLine(1))
    for line in (RefundedLine(1), RefundedLine(1, quantity=1), _amount(1)):
        with pytest.raises(Refused, match=r"Refund b, line 1: more than is left. Before this call: 0 units, 0 fen"):
            async with session.begin_nested():
                await _refund(session, order, "b", line)


async def test_of_another_order_or_none(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    store = await session.get_one(models.Store, order.store_id)
    variant = (await session.scalars(select(models.Variant))).one()
    other = await factories.an_order(session, store, (variant, 1, 4990, 0))
    cancelled = await factories.an_order(session, store, (variant, 1, 4990, 0))
    await orders.cancel(session, [(cancelled.branch_id, cancelled.id, cancelled.placed_at)])
    await session.flush()
    await _refund(session, order, "a", _amount(1))
    with pytest.raises(Refused, match="The reference a is of a refund of another order"):
        async with session.begin_nested():
            await _refund(session, other, "a", _amount(1))
    with pytest.raises(Refused, match="The order of refund b was cancelled"):
        await _refund(session, cancelled, "b", _amount(1))
    with pytest.raises(Refused, match="There is no order for refund b"):
        await orders.refund(session, [Refund(order.branch_id, 999_999, "b", REFUNDED_AT, [_amount(1)])])
    with pytest.raises(Refused, match="There is no refund b") as refused:
        await orders.reverse_refunds(session, [("b", REFUNDED_AT)])
    assert type(refused.value.refusal) is NotFound
    with pytest.raises(Refused) as taken:
        await orders.refund(session, [_of(order, "c", _amount(1)), _of(other, "c", _amount(1))])
    assert type(taken.value.refusal) is AlreadyTaken


async def test_a_free_line_has_nothing_to_give_back(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200]})
    variant = await factories.a_variant(session, supply_price=2600)
    order = await factories.an_order(session, await factories.a_store(session), (variant, 1, 100, 100))
    await _pay(session, order)
    await _complete(session, order)
    assert await _balances(session) == {"brand_payable": 2600, "revenue": -2600}
    await _refund(session, order, "a", RefundedLine(1, goods_back=True))
    assert await _taken(session) == []
    assert await _line(session) == (0, 0, 0, 0)
    assert await _balances(session) == {}


async def test_the_ledger_names_the_order_of_each_transfer_of_a_refund(session: AsyncSession) -> None:
    order = await _order_of_9899(session)
    await _pay(session, order)
    await _complete(session, order)
    await _refund(session, order, "a", RefundedLine(1, quantity=1, goods_back=True))
    escrow = (await session.scalars(select(models.LedgerAccount).where(models.LedgerAccount.kind == "escrow"))).one()
    ((*moves,),) = await ledger.transfers(session, [ledger.TransfersPage(escrow.id, None, 20)])
    assert {move.order_no for move in moves} == {order.order_no}
    assert [(move.code, move.amount, move.debit_account.kind, move.credit_account.kind) for move in moves][:5] == [
        ("supply_return", 2600, "brand_payable", "escrow"),
        ("revenue_return", 1609, "revenue", "escrow"),
        ("clawback", 593, "commission_payable", "escrow"),
        ("clawback", 147, "commission_payable", "escrow"),
        ("refund", 4949, "escrow", "clearing"),
    ]
