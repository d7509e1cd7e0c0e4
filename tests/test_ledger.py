"""What is read of the ledger, with numbers worked by hand: an order of 9899 is 5200 supply, 1187 and 296 commission, and
3216 revenue."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from asyncpg.exceptions import InsufficientPrivilegeError
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models, orders
from s2b2c.db import AnyRow, Base
from s2b2c.ledger import TransfersPage
from s2b2c.orders import Refund, RefundedLine
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
DONE_AT = datetime(2026, 9, 6, 5, tzinfo=UTC)


class World(NamedTuple):
    """One order of 9899 completed, one paid, in this order."""

    numbers: list[str]
    seller: models.Distributor
    brand: models.Brand


async def _a_world(session: AsyncSession) -> World:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    parent = await factories.a_distributor(session, rank=1)
    seller = await factories.a_distributor(session, parent=parent, rank=2)
    store, variant = await factories.a_store(session, seller), await factories.a_variant(session, supply_price=2600)
    placed = [await factories.an_order(session, store, (variant, 2, 4990, 81)) for _ in range(2)]
    for order in placed:
        await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
    await orders.complete(session, [(placed[0].branch_id, placed[0].id, DONE_AT)], hold_days=7)
    brand = await session.get_one(models.Brand, variant.brand_id)
    return World([order.order_no for order in placed], seller, brand)


async def _all(session: AsyncSession, kind: str | None = None) -> list[AnyRow]:
    return list(await ledger.accounts(session, kind=kind, after=None, limit=100))


async def _moves(session: AsyncSession, account: Any, after: int | None = None, limit: int = 10) -> list[AnyRow]:
    wanted = TransfersPage(account.id, None if after is None else (after,), limit)
    ((*rows,),) = await ledger.transfers(session, [wanted])
    return rows


async def test_an_empty_ledger(session: AsyncSession) -> None:
    assert await ledger.trial_balance(session) == (0, 0)
    assert await _all(session) == []
    assert await ledger.account(session, 1) is None
    assert await ledger.transfers(session, [TransfersPage(1, None, 5)]) == [[]]


async def test_what_each_account_stands_at(session: AsyncSession) -> None:
    world = await _a_world(session)
    assert await ledger.trial_balance(session) == (3 * 9899, 3 * 9899)
    rows = await _all(session)
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    assert {(row.kind, row.rail, row.owner): (row.debits, row.credits, row.balance) for row in rows} == {
        ("clearing", "import", None): (19798, 0, -19798),
        ("escrow", None, None): (9899, 19798, 9899),
        ("brand_payable", None, world.brand.name): (0, 5200, 5200),
        ("commission_payable", None, world.seller.name): (0, 1187, 1187),
        ("commission_payable", None, f"分销商{world.seller.parent_id}"): (0, 296, 296),
        ("revenue", None, None): (0, 3216, 3216),
    }
    for row in rows:
        assert await ledger.account(session, row.id) == row
        assert await ledger.balance(session, row.id) == row.balance
    assert await ledger.account(session, max(row.id for row in rows) + 1) is None


async def test_an_account_nothing_moved_on(session: AsyncSession) -> None:
    session.add(models.LedgerAccount(kind="escrow"))
    await session.flush()
    ((*escrow,),) = await _all(session)
    assert escrow[1:] == ["escrow", None, None, 0, 0, 0]


async def test_pages_of_accounts(session: AsyncSession) -> None:
    await _a_world(session)
    rows = await _all(session)
    for behind, row in enumerate(rows):
        page = await ledger.accounts(session, kind=None, after=(row.id,), limit=2)
        assert list(page) == rows[behind + 1 : behind + 3]
    for kind in ("clearing", "escrow", "brand_payable", "commission_payable", "revenue"):
        assert await _all(session, kind) == [row for row in rows if row.kind == kind]
    first, second = await _all(session, "commission_payable")
    assert await ledger.accounts(session, kind="commission_payable", after=(first.id,), limit=9) == [second]


async def test_transfers_of_both_sides_newest_first(session: AsyncSession) -> None:
    world = await _a_world(session)
    (escrow,) = await _all(session, "escrow")
    rows = await _moves(session, escrow)
    assert [row.id for row in rows] == sorted((row.id for row in rows), reverse=True)
    assert {(row.code, row.amount, row.posted_at, row.order_no) for row in rows[:4]} == {
        ("supply", 5200, DONE_AT, world.numbers[0]),
        ("commission", 1187, DONE_AT, world.numbers[0]),
        ("commission", 296, DONE_AT, world.numbers[0]),
        ("revenue", 3216, DONE_AT, world.numbers[0]),
    }
    assert [(row.code, row.amount, row.posted_at, row.order_no) for row in rows[4:]] == [
        ("payment", 9899, PAID_AT, world.numbers[1]),
        ("payment", 9899, PAID_AT, world.numbers[0]),
    ]
    (seller,) = (row for row in rows if row.amount == 1187)
    assert tuple(seller.debit_account) == (escrow.id, "escrow", None, None)
    (owed,) = (it for it in await _all(session, "commission_payable") if it.owner == world.seller.name)
    assert tuple(seller.credit_account) == (owed.id, "commission_payable", None, world.seller.name)
    assert await _moves(session, owed) == [seller]


async def test_pages_of_transfers_of_many_accounts_at_once(session: AsyncSession) -> None:
    await _a_world(session)
    accounts = await _all(session)
    moves = {it.id: [row.id for row in await _moves(session, it)] for it in accounts}
    assert sum(map(len, moves.values())) == 2 * len((await session.scalars(select(models.Transfer.id))).all()) == 12
    (escrow,) = await _all(session, "escrow")
    for behind, id_ in enumerate(moves[escrow.id]):
        page = await _moves(session, escrow, id_, 2)
        assert [row.id for row in page] == moves[escrow.id][behind + 1 : behind + 3]
    asked = [TransfersPage(it.id, None, 3) for it in accounts]
    asked.append(TransfersPage(escrow.id, (moves[escrow.id][0],), 3))
    found = await ledger.transfers(session, asked)
    assert [[row.id for row in rows] for rows in found] == [
        *(moves[it.id][:3] for it in accounts),
        moves[escrow.id][1:4],
    ]


# The columns that say how much, whose and why: all but the mark of the statement that pays a row.
_FOR_GOOD: dict[type[Base], set[str]] = {
    models.Commission: {"statement_id"},
    models.Clawback: {"statement_id"},
    models.RefundLine: {"statement_id"},
    models.Transfer: set(),
}


_CHANGES = [
    f"UPDATE {model.__tablename__} SET {column.name} = {column.name}"
    for model, may_change in _FOR_GOOD.items()
    for column in model.__table__.columns
    if column.name not in may_change
]
_CHANGES += [f"{verb} {model.__tablename__}" for model in _FOR_GOOD for verb in ("DELETE FROM", "TRUNCATE")]


@pytest.mark.parametrize("statement", _CHANGES)
async def test_the_database_refuses_to_change_what_was_written(session: AsyncSession, statement: str) -> None:
    """Even to what it is already."""
    world = await _a_world(session)
    order = (await session.scalars(select(models.Order).where(models.Order.order_no == world.numbers[0]))).one()
    refund = Refund(order.branch_id, order.id, "R1", DONE_AT, (RefundedLine(1, quantity=1),))
    assert await orders.refund(session, [refund]) == 1
    before = {table: await _rows(session, table) for table in _FOR_GOOD}
    assert all(before.values())
    with pytest.raises(ProgrammingError) as refused:
        async with session.begin_nested():
            await session.execute(text(statement))
    assert isinstance(refused.value.driver_exception, InsufficientPrivilegeError)
    assert {table: await _rows(session, table) for table in _FOR_GOOD} == before


async def _rows(session: AsyncSession, model: type[Base]) -> list[AnyRow]:
    return list(await session.execute(select(*model.__table__.columns).order_by(*model.__table__.primary_key)))
