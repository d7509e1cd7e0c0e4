"""Pages of the selection: the same searches and filters of 10,000 and of 1,000,000 products, through the whole app.

Each page is timed at both sizes in turn, so that what else the machine does hits both; a page may take at most twice as
long of the large catalogue, and three statements. Of both, products of a brand lie together, as they were imported.
"""

import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import catalogue
from s2b2c.api.types.ids import encode
from s2b2c.db import Database, migrate
from tests import factories
from tests.api.client import Api, api_on
from tests.bench.server import fresh_database, owner_of, run_alone, timed
from tests.databases import drop_database

DATABASE = "s2b2c_bench_selecting"
SIZES = (10_000, 1_000_000)
SAMPLE_SIZES = (1_000, 10_000)
BRANDS = 50
ROUNDS = 40
FIRST = 24
MOST_STATEMENTS = 3
MOST_RATIO = 2.0

_KINDS = [
    "猫粮",
    "狗粮",
    "面霜",
    "精华",
    "坚果",
    "绿茶",
    "红茶",
    "毛巾",
    "枕头",
    "煎锅",
    "饭盒",
    "饼干",
    "果干",
    "面膜",
    "洗发水",
    "护手霜",
    "香薰",
    "地垫",
    "茶具",
    "猫砂",
]
_LOOKS = [
    "天然",
    "轻奢",
    "便携",
    "经典",
    "温和",
    "手工",
    "有机",
    "加厚",
    "迷你",
    "家用",
    "儿童",
    "老年",
    "即食",
    "无糖",
    "冻干",
    "烘焙",
    "高山",
    "新疆",
    "江南",
    "深海",
]
_MORE = [
    "礼盒",
    "套装",
    "补充装",
    "试用装",
    "家庭装",
    "旅行装",
    "升级款",
    "限定款",
    "联名款",
    "量贩装",
    "小包装",
    "罐装",
    "袋装",
    "盒装",
    "组合",
    "大号",
    "中号",
    "小号",
]

_CATALOGUE = text("""
    WITH brand AS (
        INSERT INTO brands (name) SELECT '品牌' || n FROM generate_series(0, :brands - 1) AS n RETURNING id, name
    ), numbered AS MATERIALIZED (
        SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM brand
    ), product AS (
        INSERT INTO products (brand_id, code, title, category, tonalities, audiences, state, created_at)
        SELECT numbered.id, 'P' || i,
               (CAST(:looks AS text[]))[1 + i * 7 % :look_count] || (CAST(:kinds AS text[]))[1 + i * 13 / 3 % :kind_count]
               || (CAST(:more AS text[]))[1 + i * 31 / 7 % :more_count] || ' ' || i % 97 || 'g',
               (CAST(:kinds AS text[]))[1 + i * 13 / 3 % :kind_count], ARRAY['调性' || i % 11], ARRAY['人群' || i % 17],
               'listed', CAST('2026-01-01' AS timestamptz) + i * interval '10 seconds'
        FROM generate_series(0, CAST(:products AS bigint) - 1) AS i
        JOIN numbered ON numbered.n = i * :brands / CAST(:products AS bigint)
        ORDER BY i
        RETURNING id, brand_id
    ), variant AS (
        INSERT INTO variants (product_id, brand_id, sku, options, stock)
        SELECT id, brand_id, 'S' || id, '{}', id % 10 FROM product
        RETURNING id
    )
    INSERT INTO prices (variant_id, during, supply_price, suggested_price, min_price, max_price, tier_costs)
    SELECT id, '(,)', price / 2, price, price / 2, price * 2, ARRAY[price * 6 / 10, price * (65 + id % 20) / 100, price * 9 / 10]
    FROM variant CROSS JOIN LATERAL (SELECT 1000 + id * 7919 % 50000 AS price) AS p
""")


def pages(size: int) -> dict[str, dict[str, Any]]:
    """What is asked for, by the name of the page."""
    last = encode("brand", BRANDS)
    return {
        "newest": {},
        "a word": {"search": "猫粮"},
        "a word, by price": {"search": "猫粮", "sort": "PRICE_UP"},
        "three words": {"search": "天然 猫粮 礼盒"},
        "one character": {"search": "茶"},
        "one product": {"search": f"P{size // 2 + 7}"},
        "a typing error": {"search": "护手双礼盒"},
        "nothing like it": {"search": "挖掘机"},
        "the oldest brand": {"brand": encode("brand", 1)},
        "the newest brand, by price": {"brand": last, "sort": "PRICE_DOWN"},
        "category and tag": {"category": "绿茶", "tags": ["调性3"]},
        "price tier and margin": {"priceTier": "PREMIUM", "marginFromBps": 3400},
        "prices and stock": {"priceFrom": 20_000, "priceTo": 21_000, "inStock": True},
        "a word in a brand": {"search": "坚果", "brand": encode("brand", 2)},
        "best selling": {"sort": "BEST_SELLING"},
    }


async def found(url: str, size: int) -> None:
    """A catalogue of so many products, and a distributor who chooses from it; a twentieth sells in its cohort."""
    await migrate(url)
    db = Database(url)
    with timed(f"{size:,} products"):
        async with db.write() as session:
            await _founded(session, size)
    with timed(f"words of {size:,} products"):
        more = 1
        while more:
            async with db.write() as session:
                more = await catalogue.index_products(session)
    await db.close()
    async with owner_of(url) as owner:
        await owner.execute("VACUUM (ANALYZE)")


async def _founded(session: AsyncSession, size: int) -> None:
    for rank in (1, 2, 3):
        await factories.a_tier(session, rank=rank)
    chooser = await factories.a_distributor(session, rank=2)
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    await session.execute(
        _CATALOGUE,
        {
            "brands": BRANDS,
            "products": size,
            "looks": _LOOKS,
            "look_count": len(_LOOKS),
            "kinds": _KINDS,
            "kind_count": len(_KINDS),
            "more": _MORE,
            "more_count": len(_MORE),
        },
    )
    await session.execute(text("INSERT INTO stale_products SELECT id FROM products ORDER BY id"))
    await session.execute(
        text(
            "INSERT INTO cohort_products SELECT :tier, :region, id, id % 30, id * 7 % 1000 FROM products WHERE id % 20 = 0"
        ),
        {"tier": chooser.tier_id, "region": chooser.region},
    )


async def bench(server_url: str, sample: bool) -> list[str]:  # noqa: FBT001  all benchmarks are called alike
    sizes = SAMPLE_SIZES if sample else SIZES
    async with AsyncExitStack() as stack:
        apis: list[tuple[Api, str]] = []
        for size in sizes:
            name = f"{DATABASE}_{size}"
            url = await fresh_database(server_url, name)
            stack.push_async_callback(drop_database, server_url, name)
            await found(url, size)
            db = Database(url)
            stack.push_async_callback(db.close)
            api = await stack.enter_async_context(api_on(db))
            async with db.read() as session:
                code = (await session.scalars(text("SELECT code FROM distributors"))).one()
            apis.append((api, await api.token("distributor", distributor=code)))
        return await _measured(apis, sizes)


async def _measured(apis: list[tuple[Api, str]], sizes: tuple[int, ...]) -> list[str]:
    broken = []
    table = Table(title=f"A page of {FIRST} of the selection, milliseconds (the median of {ROUNDS})")
    for column in ("", *(f"of {size:,}" for size in sizes), "ratio", "rows", "statements"):
        table.add_column(column, justify="right")
    for name in pages(1):
        took: list[list[float]] = [[] for _ in sizes]
        rows, statements = 0, 0
        for number in range(ROUNDS + 3):
            for place, ((api, token), size) in enumerate(zip(apis, sizes, strict=True)):
                began = time.perf_counter()
                answer = await api.run("partner/Catalogue", token, first=FIRST, **pages(size)[name])
                if number >= 3:
                    took[place].append(time.perf_counter() - began)
                rows = len(answer["data"]["partner"]["catalogue"]["edges"])
                statements = max(statements, len(api.statements))
        small, large = (statistics.median(each) * 1000 for each in took)
        table.add_row(name, f"{small:.1f}", f"{large:.1f}", f"{large / small:.2f}", str(rows), str(statements))
        if large / small > MOST_RATIO:
            broken.append(
                f"{name}: {large / small:.2f} times as long of the large catalogue; {MOST_RATIO} is the limit"
            )
        if statements > MOST_STATEMENTS:
            broken.append(f"{name}: {statements} statements; {MOST_STATEMENTS} is the limit")
    Console().print(table)
    return broken


if __name__ == "__main__":
    run_alone(bench, __doc__)
