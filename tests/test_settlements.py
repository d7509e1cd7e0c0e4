"""Settling, against the worked numbers of the domain."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models, notices, orders, settlements
from s2b2c.db import AnyRow, Database
from s2b2c.errors import Refused
from s2b2c.settlements import LinesPage, Settled, StatementLine, StatementsPage, Totals, closing
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
    """A run, reviewed and approved."""
    return await factories.a_settlement(session, cutoff=cutoff, now=NOW)


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
    assert settled == Settled(settled.run_id, 1, Totals(2, 2, 1483, 0), Totals(1, 1, 5200, 0))
    run = await session.get_one(models.SettlementRun, settled.run_id)
    assert (run.cutoff, run.state, run.created_at) == (CUTOFF, "approved", NOW)
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
    assert settled.distributors == Totals(2, 2, 0, 0)
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
    monkeypatch.setattr(closing, "_ORDERS_PER_BATCH", 2)
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    variant = await factories.a_variant(session)
    for store in (await _chain(session), await _chain(session)):
        for _ in range(3):
            await _completed(session, store, variant)
    seen: list[tuple[int, int]] = []
    settled = await settlements.settle(
        session, cutoff=CUTOFF, now=NOW, progress=lambda done, total: seen.append((done, total))
    )
    assert settled == Settled(
        settled.run_id if settled else 0, 6, Totals(4, 12, 6 * 1483, 0), Totals(1, 6, 6 * 5200, 0)
    )
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
    find_due = closing._find_due

    async def find_due_then_another_matures(session: AsyncSession, cutoff: datetime) -> tuple[int, int, int]:
        found = await find_due(session, cutoff)
        async with db.write() as other:
            await _completed(other, store, variant)
        return found

    monkeypatch.setattr(closing, "_find_due", find_due_then_another_matures)
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


async def _read_lines(session: AsyncSession, *pages: LinesPage) -> list[list[AnyRow]]:
    return [list(rows) for rows in await settlements.lines(session, pages)]


async def test_lines_say_what_they_pay_and_why(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300], "base": "margin"})
    store, variant = await _chain(session), await factories.a_variant(session)
    order = await _completed(session, store, variant)
    assert await _settle(session)
    product = await session.get_one(models.Product, variant.product_id)
    statement = (await session.scalars(select(models.Statement).order_by(models.Statement.id))).all()
    pages = [LinesPage(it.id, it.distributor_id, None, 2) for it in statement]
    (upline,), (seller,), (brand,) = await _read_lines(session, *pages)
    for line in (upline, seller, brand):
        assert (line.order_no, line.line_no, line.quantity, line.paid) == (order.order_no, 1, 2, 9899)
        assert (line.paid_at, line.completed_at, line.matures_at) == (PAID_AT, COMPLETED_AT, MATURES_AT)
        assert (line.store_id, line.slug, line.title, line.region) == (store.id, store.slug, store.title, store.region)
        assert (line.product_title, line.sku) == (product.title, variant.sku)
    explained = "position", "scheme", "base", "base_amount", "rate_bps", "uncapped_amount", "amount", "outcome"
    assert [tuple(getattr(line, name) for name in explained) for line in (seller, upline, brand)] == [
        (0, "levels", "margin", 4699, 1200, 563, 563, "earned"),
        (1, "levels", "margin", 4699, 300, 140, 140, "earned"),
        (None, None, None, None, None, None, 5200, None),
    ]


async def test_pages_of_lines_of_many_statements_at_once(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    numbers = [(await _completed(session, store, variant)).order_no for _ in range(3)]
    await _completed(session, await _chain(session), variant)
    assert await _settle(session)
    statements = {
        it.distributor_id: it.id
        for it in await session.scalars(select(models.Statement).where(models.Statement.lines > 1))
    }
    seller, brand = statements[store.distributor_id], statements[None]
    (first,) = await _read_lines(session, LinesPage(seller, store.distributor_id, None, 1))
    assert [line.order_no for line in first] == numbers[:1]
    after = (0, first[0].id)
    rest, all_, owed = await _read_lines(
        session,
        LinesPage(seller, store.distributor_id, after, 2),
        LinesPage(seller, store.distributor_id, None, 5),
        LinesPage(brand, None, None, 5),
    )
    assert [line.order_no for line in rest] == numbers[1:]
    assert [line.order_no for line in all_] == numbers
    assert [line.order_no for line in owed][:3] == numbers
    assert len(owed) == 4
    none = await _read_lines(
        session,
        LinesPage(brand, store.distributor_id, None, 5),  # a statement of somebody else
        LinesPage(seller, None, None, 5),
        LinesPage(seller, store.distributor_id, (0, all_[-1].id), 5),
    )
    assert none == [[], [], []]


async def test_runs_and_what_they_add_up_to(session: AsyncSession) -> None:
    assert await settlements.runs(session, after=None, limit=5) == []
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    ids = []
    for orders_ in (1, 2, 3):
        for _ in range(orders_):
            await _completed(session, store, variant)
        settled = await _settle(session)
        assert settled is not None
        ids.append(settled.run_id)
    newest, middle = await settlements.runs(session, after=None, limit=2)
    assert (newest.id, newest.cutoff, newest.state, newest.created_at) == (ids[2], CUTOFF, "approved", NOW)
    for it, distributors, brands in (
        (newest, (2, 6, 4449, 0, 0, 0, 0, 4449, 0, 0), (1, 3, 15600, 0, 0, 0, 0, 15600, 0, 0)),
        (middle, (2, 4, 2966, 0, 0, 0, 0, 2966, 0, 0), (1, 2, 10400, 0, 0, 0, 0, 10400, 0, 0)),
    ):
        assert (tuple(it.distributors), tuple(it.brands)) == (distributors, brands)
    (oldest,) = await settlements.runs(session, after=(middle.id,), limit=2)
    assert oldest == await settlements.run(session, ids[0])
    assert await settlements.run(session, ids[2] + 1) is None


async def test_statements_of_a_run_in_the_middle_of_ties(session: AsyncSession) -> None:
    """Gross 2374 once, 1187 three times, 592 once, 296 three times."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    variant = await factories.a_variant(session)
    stores = [await _chain(session) for _ in range(4)]
    for store in (*stores, stores[2]):
        await _completed(session, store, variant)
    settled = await _settle(session)
    assert settled is not None
    kept = (
        await session.scalars(
            select(models.Statement)
            .where(models.Statement.run_id == settled.run_id, models.Statement.distributor_id.is_not(None))
            .order_by(models.Statement.gross.desc(), models.Statement.id)
        )
    ).all()
    assert [it.gross for it in kept] == [2374, 1187, 1187, 1187, 592, 296, 296, 296]
    for behind in range(8):
        after = (kept[behind].gross, kept[behind].id)
        ((*rows,), (owed,)) = await settlements.statements_of_runs(
            session,
            [
                StatementsPage(settled.run_id, "distributor", after, 3),
                StatementsPage(settled.run_id, "brand", None, 1),
            ],
        )
        assert [row.id for row in rows] == [it.id for it in kept[behind + 1 : behind + 4]]
        assert (owed.payee, owed.lines, owed.gross, owed.run.id) == ("brand", 5, 26000, settled.run_id)


async def test_a_payee_sees_its_own_statements_only(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    other, other_variant = await _chain(session), await factories.a_variant(session)
    runs = []
    for owner, sold in ((store, variant), (other, other_variant), (store, variant)):
        await _completed(session, owner, sold)
        settled = await _settle(session)
        assert settled is not None
        runs.append(settled.run_id)
    seller = store.distributor_id
    newest, oldest = await settlements.statements_of(session, distributor_id=seller, after=None, limit=5)
    assert [(it.run.id, it.payee, it.lines, it.gross) for it in (newest, oldest)] == [
        (runs[2], "distributor", 1, 1187),
        (runs[0], "distributor", 1, 1187),
    ]
    assert await settlements.statements_of(session, distributor_id=seller, after=(runs[2],), limit=5) == [oldest]
    (theirs,) = await settlements.statements_of(session, brand_id=other_variant.brand_id, after=None, limit=5)
    assert (theirs.run.id, theirs.payee, theirs.gross) == (runs[1], "brand", 5200)

    async def seen(row: AnyRow, **payee: int) -> bool:
        return await settlements.statement(session, row.id, **payee) == row

    assert await seen(oldest)
    assert await seen(oldest, distributor_id=seller)
    assert not await seen(oldest, distributor_id=other.distributor_id)
    assert not await seen(oldest, brand_id=variant.brand_id)
    assert await seen(theirs, brand_id=other_variant.brand_id)
    assert not await seen(theirs, brand_id=variant.brand_id)
    assert await settlements.statement(session, 10**9) is None


@pytest.mark.parametrize(
    ("cutoff", "named"),
    [
        (datetime(2026, 9, 30, 16, tzinfo=UTC), "2026-09-30"),
        (datetime(2026, 9, 30, 15, 59, 59, tzinfo=UTC), "2026-09-30 23:59"),
        (CUTOFF, "2026-10-01 08:00"),
    ],
)
async def test_every_payee_is_told(session: AsyncSession, cutoff: datetime, named: str) -> None:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store, variant = await _chain(session), await factories.a_variant(session)
    await _completed(session, store, variant)
    await _completed(session, store, variant)
    assert await _settle(session, cutoff)
    told = (await session.scalars(select(models.Notice).order_by(models.Notice.id))).all()
    seller = await session.get_one(models.Distributor, store.distributor_id)
    assert [(it.distributor_id, it.brand_id, it.facts["net_amount"]) for it in told] == [
        (seller.parent_id, None, 592),
        (seller.id, None, 2374),
        (None, variant.brand_id, 10400),
    ]
    for notice in told:
        assert (notice.kind, notice.created_at, notice.read_at) == ("statement_ready", NOW, None)
        assert notice.facts.keys() == {"cutoff", "lines", "net_amount"}
        assert (notice.facts["cutoff"], notice.facts["lines"]) == (named, 2)
    english = notices.words(told[1].kind, told[1].facts, "en")
    assert english == f"Your statement up to {named} is ready: 2 lines, 23.74 yuan."
    assert await _settle(session, cutoff) is None
    assert await session.scalar(select(func.count()).select_from(models.Notice)) == 3


async def test_what_a_brand_is_owed(session: AsyncSession) -> None:
    """Supply of 2600 a unit: one order in a statement, one completed after the cutoff, one paid, one only placed."""
    store = await factories.a_store(session)
    variant = await factories.a_variant(session)
    other = await factories.a_variant(session, supply_price=700)
    assert await settlements.payable(session, variant.brand_id) == (0, 0, 0, 0)
    lines = [(variant, 1, 4990, 0), (other, 1, 4990, 0)]
    settled = await factories.an_order(session, store, *lines, placed_at=PAID_AT)
    late = await factories.an_order(session, store, (variant, 2, 4990, 0), placed_at=PAID_AT)
    paid = await factories.an_order(session, store, (variant, 4, 4990, 0), (other, 1, 4990, 0), placed_at=PAID_AT)
    await factories.an_order(session, store, (variant, 8, 4990, 0), placed_at=PAID_AT)
    await orders.pay(session, [(it.branch_id, it.id, PAID_AT) for it in (settled, late, paid)], rail="test")
    assert await settlements.payable(session, variant.brand_id) == (0, 0, 0, 18200)

    await orders.complete(session, [(settled.branch_id, settled.id, COMPLETED_AT)], hold_days=0)
    assert await settlements.payable(session, variant.brand_id) == (2600, 0, 2600, 15600)
    assert await _settle(session)
    await orders.complete(session, [(late.branch_id, late.id, COMPLETED_AT)], hold_days=0)
    assert await settlements.payable(session, variant.brand_id) == (7800, 2600, 5200, 10400)
    assert await settlements.payable(session, other.brand_id) == (700, 700, 0, 700)

    await orders.complete(session, [(paid.branch_id, paid.id, COMPLETED_AT)], hold_days=0)
    assert await _settle(session)
    assert await settlements.payable(session, variant.brand_id) == (18200, 18200, 0, 0)
    account = select(models.LedgerAccount.id).where(models.LedgerAccount.brand_id == variant.brand_id)
    assert await ledger.balance(session, (await session.scalars(account)).one()) == 18200
