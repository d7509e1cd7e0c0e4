"""Stores of two regions that sell the variants of one brand, of which some is set aside."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue, models, orders
from s2b2c.catalogue import Aside
from s2b2c.network import Policy
from s2b2c.sql import statements
from tests import factories

NOW = datetime(2026, 9, 1, 4, tzinfo=UTC)
WINDOW = Policy("window", 30, 7)
EAST, NORTH = "华东", "华北"
REGIONS = (EAST, EAST, NORTH)
"""Of the stores."""
_tokens = count(1)


class Pools(NamedTuple):
    """Units of one variant: all, and of them what is set aside, by the number of the store or by region."""

    stock: int
    stores: dict[int, int]
    regions: dict[str, int]


class World(NamedTuple):
    brand_id: int
    account_id: int
    variants: Sequence[models.Variant]
    stores: Sequence[models.Store]

    async def cart(self, session: AsyncSession, store: int, *lines: tuple[int, int]) -> orders.Cart:
        """Of a customer of its own; lines are (number of the variant, units)."""
        customer = await factories.a_customer(session)
        address = await factories.an_address(session, customer)
        chosen = [orders.CartLine(self.variants[number].id, quantity) for number, quantity in lines]
        return orders.Cart(customer.id, self.stores[store].id, f"token {next(_tokens)}", chosen, address.id)

    def aside(self, variant: int, whose: int | str, quantity: int) -> Aside:
        """For the store of this number, or for this region."""
        of_store = isinstance(whose, int)
        return Aside(
            self.variants[variant].id,
            self.stores[whose].id if isinstance(whose, int) else None,
            None if of_store else str(whose),
            quantity,
        )

    async def set(self, session: AsyncSession, *wanted: tuple[int, int | str, int], now: datetime = NOW) -> None:
        asides = [self.aside(*it) for it in wanted]
        await catalogue.set_allotments(session, self.brand_id, asides, account_id=self.account_id, now=now)

    async def pools(self, session: AsyncSession, variant: int = 0) -> Pools:
        """As the rows say; what the audit has to say of them it says of none."""
        for check in ("allotted_stock", "allotted_lines"):
            assert (await session.execute(statements("audit")[check])).all() == []
        named = {"id": self.variants[variant].id}
        stock = await session.scalar(text("SELECT stock FROM variants WHERE id = :id"), named)
        rows = await session.execute(
            text("SELECT store_id, region, quantity FROM allotments WHERE variant_id = :id"), named
        )
        numbers = {store.id: number for number, store in enumerate(self.stores)}
        pools = Pools(stock or 0, {}, {})
        for store_id, region, quantity in rows:
            if region is None:
                pools.stores[numbers[store_id]] = quantity
            else:
                pools.regions[region] = quantity
        return pools


async def a_world(session: AsyncSession, *stocks: int, regions: Sequence[str] = REGIONS) -> World:
    """A store in each of these regions, of distributors of one branch; each sells every variant."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    for rank in (1, 2, 3):
        await factories.a_tier(session, rank=rank)
    top = await factories.a_distributor(session, rank=1, region="总部")
    brand = await factories.a_brand(session)
    account = models.Account(role="brand", brand_id=brand.id)
    session.add(account)
    variants = [await factories.a_variant(session, brand=brand, stock=stock) for stock in stocks]
    stores = []
    for region in regions:
        owner = await factories.a_distributor(session, rank=2, parent=top, region=region)
        stores.append(await factories.a_store(session, owner))
        for position, variant in enumerate(variants, start=1):
            await factories.a_listing(session, stores[-1], variant.product_id, position=position)
    return World(brand.id, account.id, variants, stores)


async def place(session: AsyncSession, *carts: orders.Cart) -> list[orders.Placed | int]:
    """Of each cart its order, or how many units are left for its store of what it wants most in vain."""
    outcomes = await orders.place(session, carts, policy=WINDOW, now=NOW)
    return [it if isinstance(it, orders.Placed) else it.lines[0].in_stock for it in outcomes]  # type: ignore[attr-defined]  # all are OutOfStock


async def sources(session: AsyncSession, placed: orders.Placed) -> list[tuple[int, int]]:
    """(line number, units) that came out of allotments, own ones first."""
    rows = await session.execute(
        text(
            "SELECT p.line_no, p.quantity FROM line_allotments p LEFT JOIN allotments a ON a.id = p.allotment_id "
            "WHERE p.branch_id = :branch_id AND p.order_id = :id ORDER BY p.line_no, a.store_id NULLS LAST"
        ),
        {"branch_id": placed.branch_id, "id": placed.id},
    )
    return [(line_no, quantity) for line_no, quantity in rows]
