"""Pages while rows come and go between them: what stays is seen exactly once, in order, and nothing is seen twice."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, text, update

from s2b2c import catalogue, models, output, settlements, stores
from s2b2c.api.connections import Page
from s2b2c.catalogue import Sort, Wanted
from s2b2c.db import Database
from tests import factories

DAY = date(2026, 9, 1)
NOW = datetime(2026, 9, 1, tzinfo=UTC)

values = st.integers(1, 4)
"""Few, so that there are ties."""


class Change(NamedTuple):
    """Between two pages: these come, and of those that are there the ones at these places (modulo their number) go."""

    added: list[int]
    removed: list[int]


changes = st.builds(Change, st.lists(values, max_size=3), st.lists(st.integers(0, 50), max_size=3))

Read = Callable[[Page], Awaitable[Sequence[Any]]]
Write = Callable[[int], Awaitable[int]]
Remove = Callable[[int], Awaitable[None]]
Key = Callable[[Any], tuple[int, ...]]


async def _walk(
    read: Read,
    add: Write,
    remove: Remove | None,
    *,
    name: Callable[[Any], int],
    key: Key,
    key_length: int,
    first: int,
    start: list[int],
    between: list[Change],
) -> None:
    """Add the rows, read page by page with a change after each, and check what was seen."""
    there = {await add(value) for value in start}
    stayed = set(there)
    seen: list[int] = []
    keys: list[tuple[int, ...]] = []
    after = None
    waiting = iter(between)
    while True:
        page = Page("walk", first, after, key_length=key_length)
        rows = await read(page)
        connection = page.connection(rows, key)
        assert len(connection.edges) == min(first, len(rows))
        seen += [name(edge.node) for edge in connection.edges]
        keys += [key(edge.node) for edge in connection.edges]
        if not connection.page_info.has_next_page:
            break
        after = connection.page_info.end_cursor
        change = next(waiting, None)
        if change is not None:
            for place in change.removed:
                if there and remove is not None:
                    gone = sorted(there)[place % len(there)]
                    await remove(gone)
                    there.discard(gone)
                    stayed.discard(gone)
            there |= {await add(value) for value in change.added}
    assert len(set(seen)) == len(seen)
    assert stayed <= set(seen)
    assert len(set(keys)) == len(keys)


@given(first=st.integers(1, 4), start=st.lists(values, max_size=9), between=st.lists(changes, max_size=6))
async def test_a_storefront(shared_db: Database, first: int, start: list[int], between: list[Change]) -> None:
    """The value says whether a listing is pinned; it comes behind all others that ever were."""
    async with shared_db.write() as session:
        store = await factories.a_store(session)
        positions = iter(range(1, 1000))

        async def add(value: int) -> int:
            variant = await factories.a_variant(session)
            listing = await factories.a_listing(session, store, variant.product_id, position=next(positions))
            listing.pinned = value == 1
            await session.flush()
            return variant.product_id

        async def remove(product_id: int) -> None:
            await session.execute(delete(models.Listing).where(models.Listing.product_id == product_id))

        async def read(page: Page) -> Sequence[Any]:
            rows = await stores.listings(
                session, store.id, stores.Shopper(None, None, NOW), after=page.after, limit=page.limit
            )
            assert [*rows] == sorted(rows, key=stores.shelf_key)
            return rows

        await _walk(
            read,
            add,
            remove,
            name=lambda row: int(row.product_id),
            key=stores.shelf_key,
            key_length=2,
            first=first,
            start=start,
            between=between,
        )
        await session.rollback()


@given(
    first=st.integers(1, 4),
    start=st.lists(values, max_size=9),
    between=st.lists(changes, max_size=6),
    sort=st.sampled_from(["newest", "price up", "price down"]),
    matched=st.sampled_from(["all", "brand", "words", "margin", "step", "near"]),
)
async def test_the_catalogue(
    shared_db: Database, first: int, start: list[int], between: list[Change], sort: Sort, matched: str
) -> None:
    """The value is the price; what goes is no longer on offer."""
    async with shared_db.write() as session:
        viewer = await factories.a_distributor(session)
        await session.execute(text("DELETE FROM selectable_products"))  # others' come back as this is rolled back
        brand = await factories.a_brand(session)
        wanted = {
            "all": Wanted(),
            "brand": Wanted(brand_id=brand.id),
            "words": Wanted("商品"),
            "margin": Wanted(margin_from_bps=0),
            "step": Wanted(price_from=5, price_to=40),
            "near": Wanted("商品零售"),
        }[matched]

        async def add(value: int) -> int:
            variant = await factories.a_variant(
                session, brand=brand, category="售", supply_price=1, price=10 * value, tier_costs=(10 * value,)
            )
            await catalogue.index_products(session)
            return variant.product_id

        async def remove(product_id: int) -> None:
            await session.execute(
                update(models.Product).where(models.Product.id == product_id).values(state="delisted")
            )
            session.add(models.StaleProduct(product_id=product_id))
            await session.flush()
            await catalogue.index_products(session)

        async def read(page: Page) -> Sequence[Any]:
            rows = await catalogue.on_offer(
                session, viewer.id, wanted, now=NOW, sort=sort, after=page.after, limit=page.limit
            )
            assert [*rows] == _sorted(rows, sort)
            return rows

        await _walk(
            read,
            add,
            remove,
            name=lambda row: int(row.id),
            key=lambda row: row.key,
            key_length=2,
            first=first,
            start=start,
            between=between,
        )
        await session.rollback()


@given(first=st.integers(1, 4), start=st.lists(values, max_size=6), between=st.lists(changes, max_size=5))
async def test_a_team(shared_db: Database, first: int, start: list[int], between: list[Change]) -> None:
    """The value is the output of a branch; what goes was rejected after all."""
    async with shared_db.write() as session:
        top = await factories.a_distributor(session)

        async def add(value: int) -> int:
            child = await factories.a_distributor(session, parent=top)
            sold = {"orders": 1, "units": 1, "paid": value, "refunded": 0}
            session.add(models.DailySeller(branch_id=top.id, seller_id=child.id, day=DAY, kept=0, **sold))
            await session.flush()
            return child.id

        async def remove(child_id: int) -> None:
            await session.execute(
                update(models.Distributor).where(models.Distributor.id == child_id).values(state="rejected")
            )

        async def read(page: Page) -> Sequence[Any]:
            rows = await output.by_branch(
                session, top.id, start=DAY, end=DAY + timedelta(days=1), after=page.after, limit=page.limit
            )
            assert [*rows] == sorted(rows, key=lambda row: (-row.output, row.distributor.id))
            return rows

        await _walk(
            read,
            add,
            remove,
            name=lambda row: int(row.distributor.id),
            key=lambda row: (row.output, row.distributor.id),
            key_length=2,
            first=first,
            start=start,
            between=between,
        )
        await session.rollback()


@given(first=st.integers(1, 4), start=st.lists(values, max_size=6), between=st.lists(changes, max_size=5))
async def test_the_statements_of_a_run(
    shared_db: Database, first: int, start: list[int], between: list[Change]
) -> None:
    """The value is the gross; nothing ever goes."""
    async with shared_db.write() as session:
        run = models.SettlementRun(cutoff=NOW, state="draft", pay_on=NOW.date())
        session.add(run)
        await session.flush()

        async def add(value: int) -> int:
            payee = await factories.a_distributor(session)
            statement = models.Statement(
                run_id=run.id, distributor_id=payee.id, lines=1, gross=value, net=value, payout=value
            )
            session.add(statement)
            await session.flush()
            return statement.id

        async def read(page: Page) -> Sequence[Any]:
            wanted = settlements.StatementsPage(run.id, "distributor", page.after, page.limit)
            (rows,) = await settlements.statements_of_runs(session, [wanted])
            assert [*rows] == sorted(rows, key=lambda row: (-row.gross, row.id))
            return rows

        await _walk(
            read,
            add,
            None,
            name=lambda row: int(row.id),
            key=lambda row: (row.gross, row.id),
            key_length=2,
            first=first,
            start=start,
            between=between,
        )
        await session.rollback()


def _sorted(rows: Sequence[Any], sort: Sort) -> list[Any]:
    match sort:
        case "newest":
            return sorted(rows, key=lambda row: -row.id)
        case "price up":
            return sorted(rows, key=lambda row: (row.suggested_price, row.id))
        case "price down":
            return sorted(rows, key=lambda row: (-row.suggested_price, -row.id))
        case "best selling":
            return sorted(rows, key=lambda row: (-row.units_like_mine, -row.id))
