"""The ranking in SQL equals a ranking by counting, on any small network."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, ranking
from tests import factories
from tests.test_rollups import a_refund, a_sale

START, END = date(2025, 6, 11), date(2025, 6, 21)
BEFORE = date(2025, 6, 1)
PRODUCTS = 3
RATES = ("repeat", "refund", "growth", "sell_through")


@dataclass
class Sale:
    seller: int
    """Sellers and stores are numbered from 0; the store is that of the distributor of its number."""
    store: int
    customer: int
    day: date
    lines: list[tuple[int, int, int]]
    """(product, paid, refunded)."""
    refunded_on: date
    """Not before the day of the sale."""


@dataclass
class Member:
    tier: int
    region: str
    state: str
    joined_on: date


@dataclass
class Network:
    members: list[Member]
    sales: list[Sale]
    listings: dict[tuple[int, int], date]
    """By (store, product): the day it was listed."""


@dataclass
class Numbers:
    """What the oracle finds out about one distributor."""

    key: int
    output: int = 0
    before: int = 0
    paid: int = 0
    refunded: int = 0
    buyers: Counter[int] = field(default_factory=Counter)
    listed: set[int] = field(default_factory=set)
    sold: set[int] = field(default_factory=set)

    @property
    def orders(self) -> int:
        return self.buyers.total()

    def fraction(self, rate: str) -> tuple[int, int]:
        return {
            "repeat": (sum(count > 1 for count in self.buyers.values()), len(self.buyers)),
            "refund": (self.refunded, self.paid),
            "growth": (self.output - self.before, self.before),
            "sell_through": (len(self.sold & self.listed), len(self.listed)),
        }[rate]


days = st.dates(START, END - timedelta(days=1)) | st.dates(BEFORE - timedelta(days=1), END)
amounts = st.integers(0, 5) | st.integers(0, 10**6)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    states = st.sampled_from(["active"] * 6 + ["watch", "suspended", "eliminated"])
    size = draw(st.integers(1, 9))
    someone, product = st.integers(0, size - 1), st.integers(0, PRODUCTS - 1)
    members = st.builds(
        Member,
        st.integers(1, 2),
        st.sampled_from(["东", "西", "南"]),
        states,
        st.dates(date(2025, 6, 10), date(2025, 6, 14)),
    )
    line = st.tuples(product, amounts, st.sampled_from([0, 0, 0, 5000, 10000])).map(
        lambda drawn: (drawn[0], drawn[1], drawn[1] * drawn[2] // 10000)
    )
    sale = st.builds(
        lambda seller, store, customer, day, lines, later: Sale(
            seller, store, customer, day, lines, day + timedelta(days=later)
        ),
        *(someone, someone, st.integers(0, 3), days, st.lists(line, min_size=1, max_size=3), st.integers(0, 12)),
    )
    return Network(
        draw(st.lists(members, min_size=size, max_size=size)),
        draw(st.lists(sale, min_size=size, max_size=20)),
        draw(st.dictionaries(st.tuples(someone, product), days, max_size=8)),
    )


@st.composite
def policies(draw: st.DrawFn) -> dict[str, int]:
    cuts = sorted(draw(st.lists(st.integers(0, 10000), min_size=6, max_size=6)))
    weights = [high - low for low, high in zip([0, *cuts], [*cuts, 10000], strict=True)]
    return {
        **{f"{metric}_weight_bps": weight for metric, weight in zip(models.ranking.METRICS, weights, strict=True)},
        "min_cohort": draw(st.integers(1, 4)),
        "min_orders": draw(st.integers(0, 4)),
        "grace_days": draw(st.integers(0, 10)),
        "tail_bps": draw(st.sampled_from([0, 2500, 5000, 10000])),
    }


def count(network: Network) -> list[Numbers]:
    found = [Numbers(key) for key in range(len(network.members))]
    for sale in network.sales:
        seller, in_period = found[sale.seller], START <= sale.day < END
        paid = sum(paid for _, paid, _ in sale.lines)
        if BEFORE <= sale.day < START:
            seller.before += paid
        if in_period:
            seller.paid += paid
        if in_period and (paid == 0 or any(line_refunded < line_paid for _, line_paid, line_refunded in sale.lines)):
            seller.buyers[sale.customer] += 1
            found[sale.store].sold |= {
                product for product, line_paid, refunded in sale.lines if line_paid == 0 or refunded < line_paid
            }
    for sale in network.sales:
        amount = sum(refunded for _, _, refunded in sale.lines)
        if BEFORE <= sale.refunded_on < START:
            found[sale.seller].before -= amount
        elif START <= sale.refunded_on < END:
            found[sale.seller].refunded += amount
    for (store, product), day in network.listings.items():
        if day < END:
            found[store].listed.add(product)
    for numbers in found:
        numbers.output = numbers.paid - numbers.refunded
    return found


def rate(one: Numbers, group: list[Numbers], name: str, min_orders: int) -> int:
    top, bottom = (sum(values) for values in zip(*(other.fraction(name) for other in group), strict=True))
    mean = top * 10000 // bottom if bottom > 0 else 0
    top, bottom = one.fraction(name)
    own = top * 10000 // bottom if bottom > 0 else mean
    weight = min(one.orders, min_orders)
    return (weight * own + (min_orders - weight) * mean) // min_orders if min_orders else own


def metrics(one: Numbers, group: list[Numbers], min_orders: int) -> dict[str, int]:
    """Of `one` beside `group`; more is better but for refund."""
    counted = {"output": one.output, "orders": one.orders, "customers": len(one.buyers)}
    return counted | {name: rate(one, group, name, min_orders) for name in RATES}


def share(metric: str, own: int, others: list[int]) -> int:
    if not others:
        return 5000
    worse = sum(other > own if metric == "refund" else other < own for other in others)
    return 10000 * (2 * worse + others.count(own)) // (2 * len(others))


def oracle(network: Network, policy: dict[str, int]) -> dict[int, dict[str, object]]:
    """What each ranked distributor's frozen row says, cohort by cohort and one at a time."""
    numbers = {
        one.key: one
        for one, member in zip(count(network), network.members, strict=True)
        if member.state in {"active", "watch"} and (END - member.joined_on).days >= policy["grace_days"]
    }
    regions: dict[tuple[int, str | None], list[int]] = {}
    for key in numbers:
        regions.setdefault((network.members[key].tier, network.members[key].region), []).append(key)
    cohorts: dict[tuple[int, str | None], list[int]] = {}
    for (tier, region), keys in regions.items():
        cohorts.setdefault((tier, region if len(keys) >= policy["min_cohort"] else None), []).extend(keys)
    result: dict[int, dict[str, object]] = {}
    for (tier, region), keys in cohorts.items():
        group = [
            one for key, one in numbers.items() if network.members[key].tier == tier and (key in keys or not region)
        ]
        values = {one.key: metrics(one, group, policy["min_orders"]) for one in group}
        rows: list[tuple[int, int, int]] = []
        for key in keys:
            shares = {
                name: share(name, own, [values[one.key][name] for one in group if one.key != key])
                for name, own in values[key].items()
            }
            score = sum(policy[f"{name}_weight_bps"] * part for name, part in shares.items()) // 10000
            rows.append((-score, -numbers[key].output, key))
            result[key] = {
                "region": region,
                "compared": len(group),
                "members": len(keys),
                "score": score,
                **{
                    name if name in {"output", "orders", "customers"} else f"{name}_bps": values[key][name]
                    for name in values[key]
                },
                **{f"{name}_share_bps": part for name, part in shares.items()},
            }
        tail = len(keys) * policy["tail_bps"] // 10000 if len(group) >= policy["min_cohort"] else 0
        for rank, (_, _, key) in enumerate(sorted(rows), start=1):
            result[key] |= {"rank": rank, "in_tail": rank > len(keys) - tail}
    return result


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


async def a_network(session: AsyncSession, network: Network) -> list[models.Distributor]:
    """The rows of `network`, rolled up and with its refunds added; distributors in the order of their numbers."""
    members = [
        await factories.a_distributor(
            session,
            rank=member.tier,
            region=member.region,
            state=member.state,
            joined_on=member.joined_on,
            with_history=True,
        )
        for member in network.members
    ]
    stores = [await factories.a_store(session, member) for member in members]
    variants = [await factories.a_variant(session) for _ in range(PRODUCTS)]
    customers = [await factories.a_customer(session) for _ in range(4)]
    for position, ((store, product), day) in enumerate(network.listings.items(), start=1):
        listing = await factories.a_listing(session, stores[store], variants[product].product_id, position=position)
        listing.listed_at = noon(day)
    for sale in network.sales:
        order = await a_sale(
            session,
            stores[sale.store],
            *((variants[product], 1, paid, 0) for product, paid, _ in sale.lines),
            seller=members[sale.seller],
            customer=customers[sale.customer],
            paid_at=noon(sale.day),
        )
        back = {line_no: refunded for line_no, (_, _, refunded) in enumerate(sale.lines, start=1) if refunded}
        if back:
            await a_refund(session, order, back, noon(sale.refunded_on))
    while await ranking.roll_up(session, limit=7):
        pass
    return members


@given(network=networks(), terms=policies())
async def test_equals_counting(session: AsyncSession, network: Network, terms: dict[str, int]) -> None:
    async with session.begin_nested() as example:
        members = await a_network(session, network)
        policy = (
            await session.scalars(
                insert(models.RankingPolicy).values(code="drawn", **terms).returning(models.RankingPolicy)
            )
        ).one()
        run = await ranking.rank(session, start=START, end=END, policy=policy)
        found = await session.scalars(select(models.RankingScore).where(models.RankingScore.run_id == run.run_id))
        scores = {score.distributor_id: score for score in found}
        expected = {members[key].id: row for key, row in oracle(network, terms).items()}
        assert scores.keys() == expected.keys()
        for key, row in expected.items():
            assert {name: getattr(scores[key], name) for name in row} == row
        await example.rollback()
