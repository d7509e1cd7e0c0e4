"""A world as large as one likes, written by a few statements: three tiers of distributors, and orders of one line.

Every line is 2 x 4990 - 81 = 9899 fen, with a supply of 5200. Its seller earns 1187, the middle 296, and the top 98.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.orders import OrderEvent
from tests import factories

PLACED_FROM = datetime(2026, 1, 1, tzinfo=UTC)

_CATALOGUE = text("""
    WITH brand AS (
        INSERT INTO brands (name) SELECT 'brand ' || n FROM generate_series(1, CAST(:brands AS bigint)) AS n RETURNING id
    ), product AS (
        INSERT INTO products (brand_id, code, title, category, tonalities, audiences, state)
        SELECT id, 'P' || n, 'Product ' || n, 'category ' || n, '{}', '{}', 'listed'
        FROM brand CROSS JOIN generate_series(1, CAST(:products_each AS bigint)) AS n
        RETURNING id, brand_id
    ), variant AS (
        INSERT INTO variants (product_id, brand_id, sku, options, stock)
        SELECT id, brand_id, 'S' || id, '{}', 0 FROM product
        RETURNING id
    )
    INSERT INTO prices (variant_id, during, supply_price, suggested_price, min_price, max_price, tier_costs)
    SELECT id, '(,)', 2600, 4990, 2600, 9980, '{3500, 3900, 4200}' FROM variant
""")

# Members are numbered from the top down; those of a tier are dealt out evenly, in order, to those of the tier above.
_NETWORK = text("""
    WITH shape AS (
        SELECT CAST(:tops AS bigint) AS tops, CAST(:middles AS bigint) AS middles, CAST(:sellers AS bigint) AS sellers,
               CAST(:region AS text) AS region
    ), member AS MATERIALIZED (
        SELECT n, region, nextval('distributors_id_seq') AS id,
               CASE WHEN n <= tops THEN 1 WHEN n <= tops + middles THEN 2 ELSE 3 END AS rank,
               CASE WHEN n > tops + middles THEN tops + 1 + (n - tops - middles - 1) * middles / sellers
                    WHEN n > tops THEN 1 + (n - tops - 1) * tops / middles END AS parent_n
        FROM shape CROSS JOIN LATERAL generate_series(1, tops + middles + sellers) AS n
    ), distributor AS (
        INSERT INTO distributors (id, code, name, tier_id, parent_id, ancestors, region, joined_on, state)
        SELECT it.id, 'D' || it.id, 'Distributor ' || it.id, tiers.id, parent.id,
               array_remove(ARRAY[it.id, parent.id, top.id], NULL), it.region, '2026-01-01', 'active'
        FROM member it
        JOIN tiers USING (rank)
        LEFT JOIN member parent ON parent.n = it.parent_n
        LEFT JOIN member top ON top.n = parent.parent_n
        RETURNING id, tier_id, parent_id, state
    ), history AS (
        INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state)
        SELECT id, '[2026-01-01,)', parent_id, tier_id, state FROM distributor
    ), customer AS (
        INSERT INTO customers (ref) SELECT 'customer of ' || id FROM member WHERE rank = 3
    )
    INSERT INTO stores (slug, distributor_id, title, region)
    SELECT 'store-' || id, id, 'Store ' || id, region FROM member WHERE rank = 3
""")

_ORDERS = text("""
    WITH seller AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY d.id) - 1 AS n, d.id, d.branch_id, stores.id AS store_id,
               customers.id AS customer_id
        FROM distributors d
        JOIN stores ON stores.distributor_id = d.id
        JOIN customers ON customers.ref = 'customer of ' || d.id
        WHERE d.region = :region
    ), offer AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY v.id) - 1 AS n, v.id AS variant_id, v.product_id, v.brand_id, p.supply_price,
               p.tier_costs
        FROM variants v JOIN prices p ON p.variant_id = v.id
    ), numbered AS MATERIALIZED (
        SELECT id, id * 7919 % (SELECT count(*) FROM seller) AS seller_n, (SELECT count(*) FROM offer) AS offers
        FROM (SELECT nextval('orders_id_seq') AS id FROM generate_series(1, CAST(:number AS bigint))) AS drawn
    ), placed AS (
        INSERT INTO orders (branch_id, id, order_no, store_id, customer_id, seller_id, state, placed_at)
        SELECT branch_id, numbered.id, 'O' || numbered.id, store_id, customer_id, seller.id, 'placed',
               CAST(:placed_from AS timestamptz) + numbered.id * interval '1 second'
        FROM numbered JOIN seller ON seller.n = numbered.seller_n
        ORDER BY numbered.id
        RETURNING branch_id, id, order_no, placed_at
    ), claim AS (
        INSERT INTO claims (kind, name, branch_id, event_id)
        SELECT 'order_no', order_no, branch_id, id FROM placed ORDER BY id
    ), line AS (
        INSERT INTO order_lines (branch_id, order_id, line_no, brand_id, product_id, variant_id, quantity, unit_price,
                                 discount, paid, supply_price, tier_costs, supply, platform)
        SELECT branch_id, placed.id, line_no, brand_id, product_id, variant_id, 2, 4990, 81, 9899, supply_price,
               tier_costs, 2 * supply_price, 9899 - 2 * supply_price
        FROM placed
        JOIN numbered USING (id)
        CROSS JOIN generate_series(1, CAST(:lines AS bigint)) AS line_no
        JOIN offer ON offer.n = (id + line_no) % offers
        ORDER BY placed.id, line_no
    )
    SELECT branch_id, id, placed_at FROM placed ORDER BY id
""")


class Shape(NamedTuple):
    tops: int
    middles: int
    sellers: int


async def found(session: AsyncSession, *, brands: int = 50, products_each: int = 10) -> None:
    """Three tiers, what is sold, and the plan."""
    for rank in (1, 2, 3):
        await factories.a_tier(session, rank=rank)
    await session.execute(_CATALOGUE, {"brands": brands, "products_each": products_each})
    await session.execute(text("INSERT INTO stale_products SELECT id FROM products"))
    await factories.a_plan(session, {"level_bps": [1200, 300, 100]})


async def recruit(session: AsyncSession, shape: Shape, *, region: str = "") -> None:
    """A network of this shape, with a store and a customer for each seller."""
    await session.execute(_NETWORK, {**shape._asdict(), "region": region})


async def place(session: AsyncSession, number: int, *, region: str = "", lines: int = 1) -> list[OrderEvent]:
    """Orders of the sellers of a region, of one after the other; each, and when it can be paid."""
    parameters = {"number": number, "region": region, "lines": lines, "placed_from": PLACED_FROM}
    return [(branch_id, order_id, at) for branch_id, order_id, at in await session.execute(_ORDERS, parameters)]
