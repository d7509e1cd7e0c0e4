"""Settling, against the worked numbers of the domain."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders, settlements
from s2b2c.db import Database
from s2b2c.errors import Refused
from s2b2c.settlements import Settled, StatementLine, Totals
from tests import factories

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
COMPLETED_AT = datetime(2026, 9, 4, 5, tzinfo=UTC)
MATURES_AT = datetime(2026, 9, 11, 5, tzinfo=UTC)
CUTOFF = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 10, 2, tzinfo=UTC)


async def _chain(session: AsyncSession, parent_state: str = "active") -> models.Store:
    """The store of a seller with a parent."""
    parent = await factories.a_distributor(session, rank=1, state=parent_state)
    seller = await factories.a_distributor(session, parent=parent, rank=2)
    return await factories.a_store(session, seller)


async def _completed(
    session: AsyncSession, store: models.Store, variant: models.Variant, completed_at: datetime = COMPLETED_AT
) -> models.Order:
    """An order of 9899: quantity 2 at 4990 less 81."""
    order = await factories.an_order(session, store, (variant, 2, 4990, 81))
    await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
    await orders.complete(session, [(order.branch_id, order.id, completed_at)], hold_days=7)
    return order


async def _settle(session: AsyncSession, cutoff: datetime = CUTOFF) -> Settled | None:
    return await settlements.settle(session, cutoff=cutoff, now=NOW)


async def _settled_amounts(session: AsyncSession) -> list[tuple[int, int, int]]:
    """(run, lines, gross) of every statement."""
    rows = await session.execute(
        select(models.Statement.run_id, models.Statement.lines, models.Statement.gross).order_by(models.Statement.id)
    )
    return [(run_id, lines, gross) for run_id, lines, gross in rows]


async def test_the_worked_example(session: AsyncSession) -> None:
    """1187 to the seller, 296 to its parent, 5200 to the brand."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store = await _chain(session)
    variant = await factories.a_variant(session, supply_price=2600)
    order = await _completed(session, store, variant)

    settled = await _settle(session)

    assert settled is not None
    assert settled == Settled(settled.run_id, 1, Totals(2, 2, 1483), Totals(1, 1, 5200))
    run = await session.get_one(models.SettlementRun, settled.run_id)
    assert (run.cutoff, run.state, run.created_at) == (CUTOFF, "draft", NOW)
    (brand,) = await settlements.statement_rows(session, settled.run_id, payee="brand")
    seller, parent = await settlements.statement_rows(session, settled.run_id, payee="distributor")
    assert [(row.payee, row.lines, row.gross) for row in (brand, seller, parent)] == [
        ("brand", 1, 5200),
        ("distributor", 1, 1187),
        ("distributor", 1, 296),
    ]
    assert brand.code == brand.name == (await session.get_one(models.Brand, variant.brand_id)).name
    owner = await session.get_one(models.Distributor, store.distributor_id)
    assert (seller.code, seller.name) == (owner.code, owner.name)
    title = (await session.get_one(models.Product, variant.product_id)).title
    assert await settlements.statement_lines(session, seller.id) == [
        StatementLine(order.order_no, 1, title, 0, 9899, 1200, 1187, "earned")
    ]
    assert await settlements.statement_lines(session, brand.id) == [
        StatementLine(order.order_no, 1, title, None, None, None, 5200, None)
    ]


async def test_zero_and_blocked_commissions_stand_in_a_statement_too(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [0, 300]})
    store = await _chain(session, parent_state="suspended")
    await _completed(session, store, await factories.a_variant(session))
    settled = await _settle(session)
    assert settled is not None
    assert settled.distributors == Totals(2, 2, 0)
    unsettled = select(func.count()).where(models.Commission.statement_id.is_(None))
    assert await session.scalar(unsettled) == 0
    outcomes = [
        line.outcome
        for row in await settlements.statement_rows(session, settled.run_id, payee="distributor")
        for line in await settlements.statement_lines(session, row.id)
    ]
    assert sorted(outcomes, key=str) == ["blocked", "zero"]


async def test_what_matures_at_the_cutoff_waits(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    await _completed(session, await _chain(session), await factories.a_variant(session))
    assert await _settle(session, MATURES_AT) is None
    assert await _settled_amounts(session) == []
    assert await session.scalar(select(func.count()).select_from(models.SettlementRun)) == 0
    assert await _settle(session, MATURES_AT + timedelta(microseconds=1)) is not None


async def test_an_order_that_is_only_paid_waits(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200]})
    order = await factories.an_order(session, await _chain(session), (await factories.a_variant(session), 1, 4990, 0))
    await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
    assert await _settle(session) is None


async def test_a_cutoff_in_the_future_is_refused(session: AsyncSession) -> None:
    with pytest.raises(Refused, match=r"^The cutoff 2026-10-02T00:00:01\+00:00 lies in the future"):
        await _settle(session, NOW + timedelta(seconds=1))
    assert await _settle(session, NOW) is None


async def test_the_next_run_takes_only_what_is_new(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    await _completed(session, store, variant)
    first = await _settle(session)
    await _completed(session, store, variant, COMPLETED_AT - timedelta(days=1))
    await _completed(session, store, variant, COMPLETED_AT)
    second = await _settle(session)
    assert first is not None
    assert second is not None
    assert await _settle(session) is None
    assert await _settled_amounts(session) == [
        *((first.run_id, 1, gross) for gross in (296, 1187, 5200)),
        *((second.run_id, 2, gross) for gross in (592, 2374, 10400)),
    ]


async def test_batches_cover_everything(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlements, "_ORDERS_PER_BATCH", 2)
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    variant = await factories.a_variant(session)
    for store in (await _chain(session), await _chain(session)):
        for _ in range(3):
            await _completed(session, store, variant)
    seen: list[tuple[int, int]] = []
    settled = await settlements.settle(
        session, cutoff=CUTOFF, now=NOW, progress=lambda done, total: seen.append((done, total))
    )
    assert settled == Settled(settled.run_id if settled else 0, 6, Totals(4, 12, 6 * 1483), Totals(1, 6, 6 * 5200))
    assert seen == [(2, 6), (4, 6), (6, 6)]
    stored = await session.execute(
        text(
            "SELECT count(DISTINCT c.id), sum(c.amount)::bigint FROM commissions c JOIN statements s "
            "ON s.id = c.statement_id AND s.distributor_id = c.distributor_id"
        )
    )
    assert stored.one() == (12, 6 * 1483)


async def _a_world(db: Database) -> tuple[models.Store, models.Variant]:
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        store, variant = await _chain(session), await factories.a_variant(session)
        await _completed(session, store, variant)
        return store, variant


async def test_two_runs_at_the_same_time(db: Database) -> None:
    await _a_world(db)

    async def run() -> Settled | None:
        async with db.write() as session:
            settled = await _settle(session)
            await asyncio.sleep(0.1)  # the other one waits for this commit
            return settled

    results = await asyncio.gather(*(run() for _ in range(4)))
    assert sum(result is not None for result in results) == 1
    async with db.read() as session:
        assert [gross for _, _, gross in await _settled_amounts(session)] == [296, 1187, 5200]


async def test_an_order_that_comes_in_meanwhile_waits_for_the_next_run(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, variant = await _a_world(db)
    find_due = settlements._find_due

    async def find_due_then_another_matures(session: AsyncSession, cutoff: datetime) -> int:
        found = await find_due(session, cutoff)
        async with db.write() as other:
            await _completed(other, store, variant)
        return found

    monkeypatch.setattr(settlements, "_find_due", find_due_then_another_matures)
    async with db.write() as session:
        settled = await _settle(session)
    assert settled is not None
    assert (settled.orders, settled.distributors.gross, settled.brands.gross) == (1, 1483, 5200)
    monkeypatch.undo()
    async with db.write() as session:
        settled = await _settle(session)
    assert settled is not None
    assert (settled.orders, settled.distributors.gross, settled.brands.gross) == (1, 1483, 5200)


async def test_a_run_that_is_cut_off_leaves_nothing(db: Database) -> None:
    await _a_world(db)

    def cut(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with db.write() as session:
            await settlements.settle(session, cutoff=CUTOFF, now=NOW, progress=cut)
    async with db.write() as session:
        assert await _settled_amounts(session) == []
        settled = await _settle(session)
    assert settled is not None
    assert settled.orders == 1
