"""What another plan would have paid, against worked numbers, and that looking writes nothing."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.commissions import simulation
from s2b2c.commissions.simulation import Outcome, Simulation, rules_of, simulate
from s2b2c.db import Base, Database
from s2b2c.errors import Refused
from s2b2c.orders import Refund, RefundedLine
from tests import factories
from tests.commands import cli
from tests.imports import load_world
from tests.snapshot import snapshot

DAY = date(2026, 9, 1)
AFTER = date(2026, 9, 2)
MIDNIGHT = datetime(2026, 8, 31, 16, tzinfo=UTC)
"""The beginning of DAY in Shanghai."""
MOMENT = timedelta(microseconds=1)


def _rule(scheme: str = "levels", **numbers: Any) -> dict[str, Any]:
    """A rule for everything, as a resolved document has it."""
    lists: dict[str, Any] = {"level_bps": [], "level_amounts": [], "tier_bps": []}
    scope = dict.fromkeys(("variant_id", "product_id", "category", "brand_id"))
    depth = len(numbers.get("level_bps") or numbers.get("level_amounts") or ())
    rest = {"scheme": scheme, "base": "paid", "same_tier_bps": 0, "depth": depth, "compress": False}
    return {"id": 1, "plan_id": 0, **scope, **lists, **rest, **numbers}


class Chain:
    """A top with a parent below it, and below that the seller, who has a store."""

    def __init__(self, top: models.Distributor, parent: models.Distributor, seller: models.Distributor) -> None:
        self.top, self.parent, self.seller = top, parent, seller
        self.variant: models.Variant
        self.store: models.Store

    @classmethod
    async def made(cls, session: AsyncSession, *, parent_state: str = "active") -> "Chain":
        top = await factories.a_distributor(session, rank=1)
        parent = await factories.a_distributor(session, parent=top, rank=2, state=parent_state)
        chain = cls(top, parent, await factories.a_distributor(session, parent=parent, rank=3))
        chain.variant = await factories.a_variant(session, supply_price=2600)
        chain.store = await factories.a_store(session, chain.seller)
        return chain

    async def sells(self, session: AsyncSession, paid_at: datetime = MIDNIGHT) -> models.Order:
        """2 x 4990 - 81 = 9899; supply 5200."""
        order = await factories.an_order(
            session, self.store, (self.variant, 2, 4990, 81), placed_at=MIDNIGHT - timedelta(days=9)
        )
        assert await orders.pay(session, [(order.branch_id, order.id, paid_at)], rail="import") == 1
        return order


async def _refund(session: AsyncSession, order: models.Order, reference: str, amount: int) -> None:
    line = RefundedLine(1, amount=amount)
    at = MIDNIGHT + timedelta(days=3)
    assert await orders.refund(session, [Refund(order.branch_id, order.id, reference, at, [line])]) == 1


async def _simulate(session: AsyncSession, *rules: dict[str, Any], **more: Any) -> Simulation:
    return await simulate(session, list(rules), more.pop("floor", 0), **{"start": DAY, "end": AFTER, **more})


def _changed(found: list[simulation.DistributorOutcome]) -> list[tuple[int, int, int, int]]:
    """(id, actual, simulated, difference)"""
    return [(it.id, it.commission.actual, it.commission.simulated, it.commission.difference) for it in found]


def _by_tier(found: Simulation) -> list[tuple[int, int, int, int]]:
    """(rank, distributors, actual, simulated)"""
    return [(it.tier.rank, it.distributors, it.commission.actual, it.commission.simulated) for it in found.tiers]


async def test_the_worked_example(session: AsyncSession) -> None:
    """Under `levels` 1200, 300: 1187 and 296. Under `spread` 1499, 600 and 800, which leaves 1800 of 9899 - 5200."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    chain = await Chain.made(session)
    await chain.sells(session)
    found = await _simulate(session, _rule("spread", depth=3))
    assert (found.orders, found.lines, found.paid, found.refunded, found.supply) == (1, 1, 9899, 0, 5200)
    assert found.commission == Outcome(1483, 2899)
    assert found.commission.difference == 1416
    assert (found.platform, found.platform.difference) == (Outcome(3216, 1800), -1416)
    assert _changed(found.winners) == [
        (chain.top.id, 0, 800, 800),
        (chain.seller.id, 1187, 1499, 312),
        (chain.parent.id, 296, 600, 304),
    ]
    assert [(it.code, it.name, it.tier.rank) for it in found.winners][1] == (chain.seller.code, chain.seller.name, 3)
    assert found.losers == []
    assert (found.gaining, found.losing, found.unchanged) == (3, 0, 0)
    assert _by_tier(found) == [(1, 1, 0, 800), (2, 1, 296, 600), (3, 1, 1187, 1499)]


@pytest.mark.parametrize(
    ("rule", "floor", "shares"),
    [
        (_rule(base="margin", level_bps=[1200, 300]), 0, [563, 140]),
        (_rule("fixed", level_amounts=[500, 0, 7]), 0, [1000, 0, 14]),
        (_rule("differential", tier_bps=[1500, 1200, 800], same_tier_bps=50, depth=3), 0, [791, 395, 296]),
        (_rule("differential", tier_bps=[1500, 1200, 1200], same_tier_bps=50, depth=3), 0, [1187, 49, 296]),
        (_rule(level_bps=[1200, 300]), 4000, [591, 147]),
        (_rule(level_bps=[]), 0, []),
    ],
)
async def test_every_scheme(session: AsyncSession, rule: dict[str, Any], floor: int, shares: list[int]) -> None:
    """What no plan paid counts as well: the platform kept the whole margin of 4699."""
    chain = await Chain.made(session)
    await chain.sells(session)
    found = await _simulate(session, rule, floor=floor)
    got = {it.id: it.commission.simulated for it in found.winners}
    people = (chain.seller, chain.parent, chain.top)
    assert [got.get(person.id, 0) for person in people][: len(shares)] == shares
    assert found.commission == Outcome(0, sum(shares))
    assert found.platform == Outcome(4699, 4699 - sum(shares))


async def test_what_refunds_took_back_is_taken_back_here_too(session: AsyncSession) -> None:
    """3300 of 9899: of 1187 and 296 they took 395 and 98, of 1979 they would have taken 1979 * 3300 // 9899 = 659."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    chain = await Chain.made(session)
    order = await chain.sells(session)
    await _refund(session, order, "a", 3300)
    found = await _simulate(session, _rule(level_bps=[2000]))
    assert (found.paid, found.refunded, found.supply) == (9899, 3300, 5200)
    assert found.commission == Outcome(792 + 198, 1320)
    assert found.platform == Outcome(9899 - 3300 - 5200 - 990, 9899 - 3300 - 5200 - 1320)
    assert _changed(found.winners) == [(chain.seller.id, 792, 1320, 528)]
    assert _changed(found.losers) == [(chain.parent.id, 198, 0, -198)]
    await _refund(session, order, "b", 6599)
    found = await _simulate(session, _rule(level_bps=[2000]))
    assert (found.commission, found.platform) == (Outcome(0, 0), Outcome(-5200, -5200))
    assert (found.gaining, found.losing, found.unchanged) == (0, 0, 2)


async def test_chains_and_states_are_those_of_the_payment(session: AsyncSession) -> None:
    """The parent was suspended then, moved and reinstated since: its place is empty, compressed it goes to the top."""
    chain = await Chain.made(session, parent_state="suspended")
    await chain.sells(session)
    chain.parent.state = "active"
    chain.seller.parent_id, chain.seller.ancestors, chain.seller.tier_id = None, [chain.seller.id], chain.top.tier_id
    await session.flush()
    assert _changed((await _simulate(session, _rule(level_bps=[1200, 300, 100]))).winners) == [
        (chain.seller.id, 0, 1187, 1187),
        (chain.top.id, 0, 98, 98),
    ]
    found = await _simulate(session, _rule(level_bps=[1200, 300, 100], compress=True))
    assert _changed(found.winners) == [(chain.seller.id, 0, 1187, 1187), (chain.top.id, 0, 296, 296)]
    assert _by_tier(found) == [(1, 1, 0, 296), (3, 1, 0, 1187)]
    assert found.winners[0].tier.rank == 1  # where the seller stands now


async def test_the_most_specific_then_the_newest_rule(session: AsyncSession) -> None:
    chain = await Chain.made(session)
    await chain.sells(session)
    variant = chain.variant
    rules = [
        _rule(id=9, level_bps=[9000]),
        _rule(id=4, level_bps=[400], brand_id=variant.brand_id),
        _rule(id=5, level_bps=[500], brand_id=variant.brand_id),
        _rule(id=6, level_bps=[600], brand_id=0),
    ]
    assert (await _simulate(session, *rules)).commission.simulated == 494
    rules.append(_rule(id=2, level_bps=[700], category="零食"))
    assert (await _simulate(session, *rules)).commission.simulated == 692
    rules.append(_rule(id=3, level_bps=[800], product_id=variant.product_id))
    assert (await _simulate(session, *rules)).commission.simulated == 791
    rules.append(_rule(id=1, level_bps=[], variant_id=variant.id))
    assert (await _simulate(session, *rules)).commission.simulated == 0


async def test_a_day_is_one_of_shanghai(session: AsyncSession) -> None:
    chain = await Chain.made(session)
    for paid_at in (MIDNIGHT - MOMENT, MIDNIGHT, MIDNIGHT + timedelta(days=1) - MOMENT, MIDNIGHT + timedelta(days=1)):
        await chain.sells(session, paid_at)
    await factories.an_order(session, chain.store, (chain.variant, 1, 4990, 0))  # never paid
    rule = _rule(level_bps=[1200])
    assert (await _simulate(session, rule)).orders == 2
    assert (await _simulate(session, rule, start=date(2026, 8, 31), end=date(2026, 9, 3))).orders == 4
    assert (await _simulate(session, rule, start=date(2026, 9, 3), end=date(2026, 9, 4))) == (
        *(0, 0, 0, 0, 0, Outcome(0, 0), [], 0, 0, 0, [], []),
    )


async def test_the_largest_first_and_ties_by_id(session: AsyncSession) -> None:
    await factories.a_plan(session, {"level_bps": [1000]}, during=Range(None, MIDNIGHT + timedelta(hours=1)))
    first, second, third, loser, same = [await Chain.made(session) for _ in range(5)]
    later = MIDNIGHT + timedelta(hours=1)
    for chain in (loser, loser, third, first, second):
        await chain.sells(session)
    for chain in (third, third, first, second):
        await chain.sells(session, later)
    rules = [
        _rule(id=1, level_bps=[1000]),
        _rule(id=2, level_bps=[100], variant_id=loser.variant.id),
        _rule(id=3, level_bps=[], variant_id=same.variant.id),
    ]
    found = await _simulate(session, *rules)
    gains = [(third.seller.id, 989, 2967, 1978), (first.seller.id, 989, 1978, 989), (second.seller.id, 989, 1978, 989)]
    assert _changed(found.winners) == gains
    assert _changed(found.losers) == [(loser.seller.id, 1978, 196, -1782)]
    assert (found.gaining, found.losing, found.unchanged) == (3, 1, 0)
    cut = await _simulate(session, *rules, top=2)
    assert _changed(cut.winners) == gains[:2]
    assert (cut.gaining, cut.commission) == (3, found.commission)
    assert (await _simulate(session, *rules, top=0)).winners == []


async def test_spans_add_up(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven orders in spans of two; three of them were paid in the same moment, and stay together."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    chain = await Chain.made(session)
    for hours in (0, 5, 5, 5, 30, 31, 60):
        order = await chain.sells(session, MIDNIGHT + timedelta(hours=hours))
    await _refund(session, order, "a", 3300)
    rule, period = _rule("spread", depth=3), {"start": DAY, "end": date(2026, 9, 5)}
    whole = await _simulate(session, rule, **period)
    assert (whole.orders, whole.lines) == (7, 7)
    monkeypatch.setattr(simulation, "ORDERS_AT_ONCE", 2)
    heard: list[tuple[int, int]] = []
    parts = await _simulate(session, rule, **period, progress=lambda *done: heard.append(done))
    assert parts[:6] == whole[:6]
    assert parts[7:10] == whole[7:10]
    assert (_by_tier(parts), _changed(parts.winners)) == (_by_tier(whole), _changed(whole.winners))
    # Four orders up to 5 o'clock, two of the next day, one more, and nothing after it.
    assert heard == [(0, 4), (1, 4), (4, 4)]


async def test_too_many_orders_for_one_statement(session: AsyncSession) -> None:
    chain = await Chain.made(session)
    for _ in range(3):
        await chain.sells(session)
    assert (await _simulate(session, _rule(level_bps=[1]), most_orders=3)).orders == 3
    with pytest.raises(Refused, match=r"More than 2 orders .* `s2b2c plan simulate`"):
        await _simulate(session, _rule(level_bps=[1]), most_orders=2)


async def test_a_stored_plan(session: AsyncSession) -> None:
    """Simulated for the time in which it was in force, it gives what was earned."""
    chain = await Chain.made(session)
    plan = await factories.a_plan(
        session,
        {"scheme": "differential", "tier_bps": [1500, 1200, 800], "same_tier_bps": 50, "depth": 3},
        {"level_bps": [1300, 200], "base": "margin", "variant_id": chain.variant.id},
        margin_floor_bps=4000,
    )
    await chain.sells(session)
    other = await factories.a_variant(session)
    order = await factories.an_order(session, chain.store, (other, 1, 9000, 0), placed_at=MIDNIGHT)
    await orders.pay(session, [(order.branch_id, order.id, MIDNIGHT)], rail="import")
    found = await simulate(session, await rules_of(session, plan.id), 4000, start=DAY, end=AFTER)
    # 610 and 93 of a margin of 4699, of which 739 may go; 720, 360 and 270 of 9000.
    assert found.commission == Outcome(703 + 1350, 703 + 1350)
    assert (found.gaining, found.losing, found.unchanged) == (0, 0, 3)
    draft = await factories.a_plan(session, {"level_bps": [100]}, state="draft")
    found = await simulate(session, await rules_of(session, draft.id), 0, start=DAY, end=AFTER)
    assert found.commission.simulated == 98 + 90


_WRITTEN = text("""
    SELECT sum(pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
               + pg_stat_get_xact_tuples_deleted(oid))::bigint AS rows,
           pg_current_xact_id_if_assigned() IS NULL AS nothing
    FROM pg_class WHERE relkind = 'r'
""")
"""What this connection has written of late, and whether this transaction has written anything."""


async def _counts(db: Database) -> list[int | None]:
    async with db.snapshot() as session:
        return [await session.scalar(select(func.count()).select_from(table)) for table in Base.metadata.sorted_tables]


async def test_nothing_is_written(db: Database) -> None:
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        chain = await Chain.made(session)
        before = (await session.execute(_WRITTEN)).one()
        order = await chain.sells(session)
        await _refund(session, order, "a", 3300)
        after = (await session.execute(_WRITTEN)).one()
        assert after.rows > before.rows
        assert not after.nothing
    rows, counts = await snapshot(db), await _counts(db)
    async with db.snapshot() as session:
        before = (await session.execute(_WRITTEN)).one()
        assert (await _simulate(session, _rule("spread", depth=3))).commission == Outcome(990, 1934)
        assert (await session.execute(_WRITTEN)).one() == before
        assert before.nothing
        with pytest.raises(DBAPIError, match="read-only transaction"):
            await session.execute(text("DELETE FROM orders_to_add"))
    assert (await snapshot(db), await _counts(db)) == (rows, counts)


YEAR = "plan: 年度\nfrom: 2999-01-01\nrules:\n  - scheme: levels\n    level_bps: [1000, 300]\n"


async def test_on_the_command_line(db: Database, database_url: str, tmp_path: Path) -> None:
    """9899, 4990 and 4990: the seller earned 1187, 598 and 598, and would have earned 989, 499 and 499."""
    await load_world(db, tmp_path)
    file = tmp_path / "[年度].yaml"
    file.write_text(YEAR, encoding="utf-8")
    before = await snapshot(db)
    period = ("--from", "2026-09-01", "--to", "2026-10-01")
    said = cli(database_url, "plan", "simulate", str(file), *period)
    assert [" ".join(line.split()) for line in said.splitlines() if line.strip(" ─")] == [
        "2 orders, 3 lines: paid 198.79, refunded 0.00, supply 105.00",
        "Simulation 模拟 [年度].yaml 2026-09-01 – 2026-10-01",
        "distributors actual simulated difference",
        "分销商 实际 模拟 差额",
        "commission 佣金 2 29.77 25.81 -3.96",
        "platform 平台 64.02 67.98 3.96",
        "省级代理 1 5.94 5.94 0.00",
        "团长 1 23.83 19.87 -3.96",
        "code name tier actual simulated difference",
        "编码 名称 层级 实际 模拟 差额",
        "L1 林小雨 团长 23.83 19.87 -3.96",
        "0 gain, 1 lose, 1 earn the same.",
    ]
    stored = cli(database_url, "plan", "simulate", "标准@1", *period)
    assert "Simulation 模拟 标准@1 2026-09-01 – 2026-10-01" in stored
    assert stored.endswith("0 gain, 0 lose, 2 earn the same.\n")
    assert "L1" not in cli(database_url, "plan", "simulate", str(file), *period, "--top", "0")
    assert "1 orders, 1 lines" in cli(database_url, "plan", "simulate", "标准", "--from", "2026-09-02", *period[2:])
    assert await snapshot(db) == before


async def test_what_the_command_line_refuses(db: Database, database_url: str, tmp_path: Path) -> None:
    await load_world(db, tmp_path, until="plans")
    file = tmp_path / "year.yaml"
    file.write_text(YEAR.replace("1000", "1000.5"), encoding="utf-8")
    month = ("--from", "2026-09-01", "--to", "2026-10-01")
    problem = "year.yaml: rules[0].level_bps[0]: must be a whole number from 0 to 10000\n"
    assert cli(database_url, "plan", "simulate", str(file), *month, code=1) == problem
    assert "There is no plan 无" in cli(database_url, "plan", "simulate", "无", *month, code=1)
    for start, end in (("2026-09-01", "2026-09-01"), ("0001-01-01", "2026-09-01"), ("2026-09-01", "9999-12-31")):
        said = cli(database_url, "plan", "simulate", "标准", "--from", start, "--to", end, code=1)
        assert said.startswith(f"s2b2c: from ({start})")
