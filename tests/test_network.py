"""The tree of distributors: joining, steps of state, moves, and who stood above whom."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import audit, models, network, notices, orders
from s2b2c.db import Database
from s2b2c.errors import AlreadyTaken, BadArgument, MakesCycle, NotFound, Refusal, Refused, WrongState
from tests import factories, imports

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
NOWHERE = 2**40


async def _operator(session: AsyncSession) -> int:
    return (
        await session.scalar(select(models.Account.id).where(models.Account.role == "operator"))
    ) or await _new_operator(session)


async def _new_operator(session: AsyncSession) -> int:
    account = models.Account(role="operator")
    session.add(account)
    await session.flush()
    return account.id


async def _member(
    session: AsyncSession,
    code: str,
    parent: network.Standing | None = None,
    *,
    rank: int = 1,
    now: datetime = NOON,
    approved: bool = True,
) -> network.Standing:
    """A distributor that applied at `now` and was approved an hour later."""
    account_id = await _operator(session)
    tier = await factories.a_tier(session, rank=rank)
    applied = await network.apply(
        session,
        code=code,
        name=f"{code} 店主",
        tier_id=tier.id,
        parent_id=parent.id if parent else None,
        region="浙江",
        now=now,
        account_id=account_id,
    )
    if not approved:
        return applied
    return await network.approve(session, applied.id, now=now + timedelta(hours=1), account_id=account_id)


async def _state(session: AsyncSession) -> Sequence[object]:
    """Everything that a change of the tree could change."""
    rows: list[object] = []
    for table in ("distributors", "distributor_history", "notices"):
        rows += (await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t ORDER BY id"))).all()
    return rows


async def _spans(session: AsyncSession, distributor_id: int) -> list[tuple[object, ...]]:
    rows = await network.history(session, distributor_id, after=None, limit=100)
    return [(row.start, row.end, row.state, row.parent and row.parent.code, row.reason, row.by.id) for row in rows]


async def _told(session: AsyncSession, distributor_id: int) -> list[str]:
    rows = await session.scalars(select(models.Notice).where(models.Notice.distributor_id == distributor_id))
    return [notices.words(row.kind, row.facts, "zh") for row in rows]


async def test_applying_and_being_approved(session: AsyncSession) -> None:
    account_id = await _operator(session)
    root = await _member(session, "ZJ")
    tier = await factories.a_tier(session, rank=2)
    late = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)  # half past midnight of the 21st in Shanghai
    applied = await network.apply(
        session,
        code="ZJ-1",
        name="林小雨",
        tier_id=tier.id,
        parent_id=root.id,
        region="浙江",
        now=late,
        account_id=account_id,
    )
    assert applied._replace(tier=tier, parent=None) == network.Standing(
        id=applied.id,
        code="ZJ-1",
        name="林小雨",
        state="applied",
        region="浙江",
        joined_on=date(2026, 11, 21),
        ancestors=[applied.id, root.id],
        tier=tier,
        parent=None,
        members=0,
        stores=0,
    )
    assert applied.parent is not None
    assert (applied.parent.code, applied.tier.rank) == ("ZJ", 2)
    assert await _spans(session, applied.id) == [(late, None, "applied", "ZJ", None, account_id)]
    assert await _told(session, applied.id) == []

    later = late + timedelta(days=3)
    approved = await network.approve(session, applied.id, now=later, account_id=account_id)
    assert (approved.state, approved.joined_on) == ("active", date(2026, 11, 24))
    row = await session.get_one(models.Distributor, applied.id, populate_existing=True)
    assert (row.state, row.joined_on, row.parent_id) == ("active", date(2026, 11, 24), root.id)
    assert (row.ancestors, row.branch_id) == ([row.id, root.id], root.id)
    assert await _spans(session, applied.id) == [
        (later, None, "active", "ZJ", None, account_id),
        (late, later, "applied", "ZJ", None, account_id),
    ]
    assert await _told(session, applied.id) == ["你的申请已通过：林小雨，层级 层级2。现在可以开始选品。"]


async def test_every_refused_application_changes_nothing(session: AsyncSession) -> None:
    account_id = await _operator(session)
    tier = await factories.a_tier(session)
    root = await _member(session, "ZJ")
    waiting = await _member(session, "ZJ-0", root, approved=False)
    before = await _state(session)

    async def refused(**changes: object) -> Refusal:
        wanted = {"code": "NEW", "name": "新人", "tier_id": tier.id, "parent_id": root.id, "region": "浙江", **changes}
        with pytest.raises(Refused) as caught:
            await network.apply(session, **wanted, now=NOON, account_id=account_id)  # type: ignore[arg-type]
        return caught.value.refusal

    for wrong in (
        {"code": ""},
        {"code": "x" * 65},
        {"code": "a\0b"},
        {"name": "  "},
        {"name": "\ud800"},
        {"name": "x" * 201},
        {"region": "浙\n江"},
    ):
        assert isinstance(await refused(**wrong), BadArgument)
    assert await refused(code="ZJ") == AlreadyTaken(
        "There is a distributor with the code ZJ already: choose another code."
    )
    assert isinstance(await refused(tier_id=NOWHERE), NotFound)
    assert isinstance(await refused(parent_id=NOWHERE), NotFound)
    assert await refused(parent_id=waiting.id) == WrongState(
        "ZJ-0 is applied: nobody joins or moves below it. Choose another one above."
    )
    assert await _state(session) == before


async def test_the_steps_of_a_distributor(session: AsyncSession) -> None:
    account_id = await _operator(session)
    root = await _member(session, "ZJ")
    child = await _member(session, "ZJ-1", root)
    day = NOON + timedelta(days=1)
    suspended = await network.suspend(session, root.id, reason="刷单", now=day, account_id=account_id)
    assert (suspended.state, suspended.members, suspended.stores) == ("suspended", 1, 0)
    reinstated = await network.reinstate(
        session, root.id, reason="已核实", now=day + timedelta(days=1), account_id=account_id
    )
    assert (reinstated.state, reinstated.joined_on) == ("active", date(2026, 11, 20))
    assert [span[2:5] for span in await _spans(session, root.id)] == [
        ("active", None, "已核实"),
        ("suspended", None, "刷单"),
        ("active", None, None),
        ("applied", None, None),
    ]
    assert await _told(session, root.id) == [
        "你的申请已通过：ZJ 店主，层级 层级1。现在可以开始选品。",
        "你的账号已停用，停用期间不计佣金：刷单",
        "你的账号已恢复：已核实",
    ]
    waiting = await _member(session, "ZJ-2", root, approved=False)
    rejected = await network.reject(session, waiting.id, reason="资料不全", now=day, account_id=account_id)
    assert rejected.state == "rejected"
    assert await _told(session, waiting.id) == ["你的申请未通过：资料不全"]
    assert [span[2:5] for span in await _spans(session, child.id)] == [("active", "ZJ", None), ("applied", "ZJ", None)]


ALLOWED = {
    "approve": {"applied"},
    "reject": {"applied"},
    "suspend": {"active", "watch"},
    "reinstate": {"suspended"},
}


@pytest.mark.parametrize("state", models.network.STATES)
@pytest.mark.parametrize("step", ALLOWED)
async def test_a_step_is_allowed_or_changes_nothing(session: AsyncSession, step: str, state: str) -> None:
    account_id = await _operator(session)
    one = await _member(session, "ZJ", approved=False)
    await session.execute(text("UPDATE distributors SET state = :state"), {"state": state})
    before = await _state(session)
    reason = {} if step == "approve" else {"reason": "因为"}
    act = getattr(network, step)
    if state in ALLOWED[step]:
        await act(session, one.id, **reason, now=NOON + timedelta(days=1), account_id=account_id)
        assert await _state(session) != before
        return
    with pytest.raises(Refused, match=f"ZJ is {state}; only one that is ") as caught:
        await act(session, one.id, **reason, now=NOON + timedelta(days=1), account_id=account_id)
    assert isinstance(caught.value.refusal, WrongState)
    assert await _state(session) == before


async def test_other_refused_steps_change_nothing(session: AsyncSession) -> None:
    account_id = await _operator(session)
    root = await _member(session, "ZJ")
    waiting = await _member(session, "ZJ-1", root, approved=False)
    day = NOON + timedelta(days=1)
    await network.suspend(session, root.id, reason="刷单", now=day, account_id=account_id)
    before = await _state(session)

    async def refused(step: str, distributor_id: int, now: datetime, **reason: str) -> Refusal:
        with pytest.raises(Refused) as caught:
            await getattr(network, step)(session, distributor_id, **reason, now=now, account_id=account_id)
        return caught.value.refusal

    assert isinstance(await refused("approve", NOWHERE, day), NotFound)
    for step in ("reject", "suspend", "reinstate"):
        assert isinstance(await refused(step, NOWHERE, day, reason="因为"), NotFound)
        for reason in ("", " ", "x" * 201, "a\nb", "\0"):
            assert isinstance(await refused(step, root.id, day, reason=reason), BadArgument)
    assert await refused("approve", waiting.id, day) == WrongState(
        "ZJ is suspended: nobody joins or moves below it. Choose another one above."
    )
    for moment in (day, day - timedelta(seconds=1)):
        assert await refused("reinstate", root.id, moment, reason="太快") == WrongState(
            "ZJ was changed by somebody else just now: look again, then try again."
        )
    assert await _state(session) == before


async def test_a_move_takes_everybody_below_along(session: AsyncSession) -> None:
    account_id = await _operator(session)
    zj, js = await _member(session, "ZJ"), await _member(session, "JS")
    hz = await _member(session, "HZ", zj, rank=2)
    leader = await _member(session, "HZ-1", hz, rank=3)
    day = NOON + timedelta(days=1)
    moved = await network.move(session, hz.id, js.id, reason="区域调整", now=day, account_id=account_id)
    assert (moved.parent and moved.parent.code, moved.ancestors, moved.members) == ("JS", [hz.id, js.id], 1)
    rows = await session.execute(
        select(models.Distributor.id, models.Distributor.parent_id, models.Distributor.ancestors).order_by(
            models.Distributor.id
        )
    )
    assert rows.all() == [
        (zj.id, None, [zj.id]),
        (js.id, None, [js.id]),
        (hz.id, js.id, [hz.id, js.id]),
        (leader.id, hz.id, [leader.id, hz.id, js.id]),
    ]
    assert (await _spans(session, hz.id))[:2] == [
        (day, None, "active", "JS", "区域调整", account_id),
        (NOON + timedelta(hours=1), day, "active", "ZJ", None, account_id),
    ]
    assert len(await _spans(session, leader.id)) == 2
    assert (await _told(session, hz.id))[1:] == ["你的上级由 ZJ 店主 变更为 JS 店主：区域调整"]
    assert len(await _told(session, leader.id)) == 1

    await network.move(session, hz.id, None, reason="独立", now=day + timedelta(days=1), account_id=account_id)
    ancestors = await session.scalars(select(models.Distributor.ancestors).order_by(models.Distributor.id))
    assert ancestors.all() == [[zj.id], [js.id], [hz.id], [leader.id, hz.id]]
    assert (await _told(session, hz.id))[2:] == ["你的上级由 JS 店主 变更为 平台：独立"]

    async def above(moment: datetime) -> list[tuple[int, str, str]] | None:
        found = (await network.uplines_at(session, [(leader.id, moment)])).get((leader.id, moment))
        return found if found is None else [(one.position, one.code, one.state) for one in found]

    assert await above(NOON - timedelta(microseconds=1)) is None
    assert await above(NOON) == [(1, "HZ", "applied"), (2, "ZJ", "applied")]
    assert await above(day - timedelta(microseconds=1)) == [(1, "HZ", "active"), (2, "ZJ", "active")]
    assert await above(day) == [(1, "HZ", "active"), (2, "JS", "active")]
    assert await above(day + timedelta(days=1)) == [(1, "HZ", "active")]
    assert await audit.audit(session) == []


async def test_every_refused_move_changes_nothing_and_is_seen_before(session: AsyncSession) -> None:
    account_id = await _operator(session)
    zj, js = await _member(session, "ZJ"), await _member(session, "JS")
    hz = await _member(session, "HZ", zj)
    leader = await _member(session, "HZ-1", hz)
    gone, out, held = [await _member(session, code) for code in ("GONE", "OUT", "HELD")]
    waiting = await _member(session, "WAIT", zj, approved=False)
    for one, state in ((gone, "eliminated"), (out, "rejected"), (held, "suspended")):
        await session.execute(
            text("UPDATE distributors SET state = :state WHERE id = :id"), {"state": state, "id": one.id}
        )
    before = await _state(session)
    day = NOON + timedelta(days=1)

    async def refused(
        distributor_id: int, parent_id: int | None, *, now: datetime = day, reason: str = "因为"
    ) -> Refusal:
        with pytest.raises(Refused) as caught:
            await network.move(session, distributor_id, parent_id, reason=reason, now=now, account_id=account_id)
        return caught.value.refusal

    cases: list[tuple[int, int | None, Refusal]] = [
        (
            hz.id,
            NOWHERE,
            NotFound("There is no such distributor to stand above it: choose one of the list of distributors."),
        ),
        (hz.id, hz.id, MakesCycle("HZ is HZ itself.")),
        (zj.id, leader.id, MakesCycle("HZ-1 stands below ZJ: move it away from there first.")),
        (hz.id, zj.id, WrongState("HZ stands there already: nothing would change.")),
        (zj.id, None, WrongState("ZJ stands there already: nothing would change.")),
        (gone.id, zj.id, WrongState("GONE is eliminated and has left the network: it cannot be moved.")),
        (out.id, zj.id, WrongState("OUT is rejected and has left the network: it cannot be moved.")),
    ]
    for parent, state in ((gone, "eliminated"), (out, "rejected"), (held, "suspended"), (waiting, "applied")):
        cases.append(
            (
                hz.id,
                parent.id,
                WrongState(f"{parent.code} is {state}: nobody joins or moves below it. Choose another one above."),
            )
        )
    for distributor_id, parent_id, refusal in cases:
        assert await refused(distributor_id, parent_id) == refusal
        preview = await network.preview_move(session, distributor_id, parent_id)
        assert preview is not None
        assert (preview.refusal, preview.new_upline, preview.warnings) == (refusal, [], [])
    assert isinstance(await refused(NOWHERE, js.id), NotFound)
    assert await network.preview_move(session, NOWHERE, js.id) is None
    assert isinstance(await refused(hz.id, js.id, reason=""), BadArgument)
    joined = NOON + timedelta(hours=1)
    assert isinstance(await refused(hz.id, js.id, now=joined), WrongState)
    assert await _state(session) == before
    await network.move(session, waiting.id, None, reason="一个人", now=day, account_id=account_id)
    await network.move(session, held.id, js.id, reason="停用中", now=day, account_id=account_id)


async def test_a_preview_shows_what_would_change(session: AsyncSession) -> None:
    zj, js = await _member(session, "ZJ"), await _member(session, "JS")
    hz, nj = await _member(session, "HZ", zj, rank=2), await _member(session, "NJ", js, rank=3)
    leader = await _member(session, "HZ-1", hz, rank=3)
    await _member(session, "HZ-2", hz, rank=3, approved=False)
    stores = [
        await factories.a_store(session, await session.get_one(models.Distributor, one.id)) for one in (hz, leader, nj)
    ]
    variant = await factories.a_variant(session)
    for store in stores:
        await factories.an_order(session, store, (variant, 1, 4990, 0))
    paid = await factories.an_order(session, stores[1], (variant, 1, 4990, 0))
    await orders.pay(session, [(paid.branch_id, paid.id, NOON)], rail="test")
    before = await _state(session)

    def told(upline: list[network.UplineMember]) -> list[tuple[int, str, int, str]]:
        return [(one.position, one.code, one.tier.rank, one.state) for one in upline]

    below = await network.preview_move(session, hz.id, nj.id)
    assert below is not None
    assert (below.members, below.active_members, below.stores, below.orders_placed) == (3, 2, 2, 2)
    assert told(below.old_upline) == [(1, "ZJ", 1, "active")]
    assert told(below.new_upline) == [(1, "NJ", 3, "active"), (2, "JS", 1, "active")]
    assert (below.changes_branch, below.refusal) == (True, None)
    assert below.warnings == ["parent_below", "orders_placed"]

    alone = await network.preview_move(session, hz.id, None)
    assert alone is not None
    assert (told(alone.new_upline), alone.changes_branch, alone.warnings) == ([], True, ["orders_placed"])

    up = await network.preview_move(session, leader.id, zj.id)
    assert up is not None
    assert (up.members, told(up.old_upline)) == (1, [(1, "HZ", 2, "active"), (2, "ZJ", 1, "active")])
    assert (told(up.new_upline), up.changes_branch) == ([(1, "ZJ", 1, "active")], False)
    quiet = await network.preview_move(session, js.id, zj.id)
    assert quiet is not None
    assert (quiet.members, quiet.stores, quiet.orders_placed, quiet.warnings) == (2, 1, 1, ["orders_placed"])
    assert await _state(session) == before


async def test_an_order_placed_before_a_move_is_paid_to_the_new_upline_in_its_old_branch(session: AsyncSession) -> None:
    account_id = await _operator(session)
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    zj, js = await _member(session, "ZJ"), await _member(session, "JS")
    hz = await _member(session, "HZ", zj)
    leader = await _member(session, "HZ-1", hz)
    store = await factories.a_store(session, await session.get_one(models.Distributor, leader.id))
    variant = await factories.a_variant(session)
    order = await factories.an_order(session, store, (variant, 2, 4990, 81))
    await network.move(
        session, leader.id, js.id, reason="区域调整", now=NOON + timedelta(days=1), account_id=account_id
    )
    await orders.pay(session, [(order.branch_id, order.id, NOON + timedelta(days=2))], rail="test")
    await session.refresh(order)
    assert (order.branch_id, order.upline) == (zj.id, [leader.id, js.id])
    shares = await session.execute(
        select(models.Commission.distributor_id, models.Commission.amount)
        .where(models.Commission.branch_id == zj.id)
        .order_by(models.Commission.position)
    )
    assert shares.all() == [(leader.id, 1187), (js.id, 296)]  # of 9899: 1187.88 and 296.97


async def test_two_moves_at_once_never_make_a_cycle(db: Database) -> None:
    async with db.write() as session:
        account_id = await _operator(session)
        root = await _member(session, "R")
        a, b = await _member(session, "A", root), await _member(session, "B", root)
        below_a, below_b = await _member(session, "A-1", a), await _member(session, "B-1", b)

    async def move(mover: network.Standing, parent: network.Standing) -> Refusal | None:
        try:
            async with db.write() as session:
                await network.move(
                    session, mover.id, parent.id, reason="同时", now=NOON + timedelta(days=1), account_id=account_id
                )
                await asyncio.sleep(0.1)
        except Refused as error:
            return error.refusal
        return None

    refusals = await asyncio.gather(move(a, below_b), move(b, below_a))
    assert [type(refusal) for refusal in refusals if refusal] == [MakesCycle]
    async with db.read() as session:
        ancestors = {
            row.id: row.ancestors
            for row in await session.execute(select(models.Distributor.id, models.Distributor.ancestors))
        }
    won, lost = (a, b) if refusals[0] is None else (b, a)
    below_won, below_lost = (below_a, below_b) if won is a else (below_b, below_a)
    assert ancestors[won.id] == [won.id, below_lost.id, lost.id, root.id]
    assert ancestors[below_won.id] == [below_won.id, won.id, below_lost.id, lost.id, root.id]
    assert ancestors[lost.id] == [lost.id, root.id]


async def test_a_move_waits_for_an_import_of_the_network(db: Database, tmp_path: Path) -> None:
    await imports.load_world(db, tmp_path, until="network")
    async with db.write() as importing:
        await network.lock_tree(importing)
        path = imports.write_csv(tmp_path / "network.csv", imports.changed("network", 1, name="林大雨"))
        waiting = asyncio.create_task(imports.load(db, "network", path))
        await asyncio.sleep(0.3)
        assert not waiting.done()
    report, _ = await waiting
    assert report is not None
    assert report.updated == 1


async def test_clocks_that_disagree_end_a_chain_and_not_the_server(session: AsyncSession) -> None:
    """A was moved away from B by a clock that is ahead; then B below A by one that is behind."""
    account_id = await _operator(session)
    b = await _member(session, "B")
    a = await _member(session, "A", b)
    await network.move(session, a.id, None, reason="快", now=NOON + timedelta(days=10), account_id=account_id)
    await network.move(session, b.id, a.id, reason="慢", now=NOON + timedelta(days=5), account_id=account_id)
    between = NOON + timedelta(days=7)
    found = await network.uplines_at(session, [(a.id, between), (b.id, between)])
    assert {key: [one.code for one in members] for (key, _), members in found.items()} == {a.id: ["B"], b.id: ["A"]}


async def test_where_an_import_has_a_child_before_its_parent(db: Database, tmp_path: Path) -> None:
    await imports.load_world(db, tmp_path, until="tiers")
    rows = imports.changed("network", 1, joined_on="2025-06-01")  # the parent P1 joined on 2026-01-01
    report, _ = await imports.load(db, "network", imports.write_csv(tmp_path / "n.csv", rows))
    assert report is not None
    async with db.read() as session:
        key = await session.scalar(select(models.Distributor.id).where(models.Distributor.code == "L1"))
        assert key is not None
        early, midnight = datetime(2025, 7, 1, tzinfo=UTC), datetime(2025, 12, 31, 16, tzinfo=UTC)
        found = await network.uplines_at(session, [(key, early), (key, midnight)])
        assert {at: [one.code for one in members] for (_, at), members in found.items()} == {
            early: [],
            midnight: ["P1"],
        }
        assert await session.scalar(select(func.count()).select_from(models.DistributorHistory)) == 2
