"""Ten of finance at the same period at once, with connections of their own: each commission in exactly one statement."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from s2b2c import models, orders, settlements
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import Refused, WrongState
from tests import factories
from tests.test_closing import somebody
from tests.test_settlements import CUTOFF, NOW, PAID_AT, _chain

FINANCE = 10
ORDERS = 12
HALF = timedelta(hours=12)


async def a_month(db: Database) -> list[int]:
    """Completed orders of 9899 in one chain of two, all matured; and the people of finance."""
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        store, variant = await _chain(session), await factories.a_variant(session, supply_price=2600)
        for _ in range(ORDERS):
            order = await factories.an_order(session, store, (variant, 2, 4990, 81))
            await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
            await orders.complete(session, [(order.branch_id, order.id, PAID_AT + HALF)], hold_days=7)
        return [await somebody(session) for _ in range(FINANCE)]


async def told(step: Any) -> Any:
    """What came of it: the result, or the refusal."""
    try:
        return await step
    except Refused as refused:
        return refused.refusal


async def settle(db: Database, by: int) -> int | None:
    async with db.write() as session:
        made = await settlements.settle(session, cutoff=CUTOFF, now=NOW, by=by)
        return made.run_id if made else None


async def step(db: Database, name: str, run_id: int, by: int) -> str:
    async with db.write() as session:
        await getattr(settlements, name)(session, run_id, now=NOW, by=by)
    return name


async def each_in_one(db: Database) -> None:
    """12 x 1187 to the seller, 12 x 296 to its parent, 12 x 5200 to the brand, once."""
    async with db.snapshot() as session:
        statements = (await session.scalars(select(models.Statement).order_by(models.Statement.gross))).all()
        assert [(it.lines, it.gross) for it in statements] == [
            (ORDERS, ORDERS * 296),
            (ORDERS, ORDERS * 1187),
            (ORDERS, ORDERS * 5200),
        ]
        held = select(func.count(), func.count(models.Commission.statement_id)).select_from(models.Commission)
        assert tuple((await session.execute(held)).one()) == (2 * ORDERS, 2 * ORDERS)
        checks = {it.check for it in await audit(session)}
        assert not {it for it in checks if "settle" in it or "statement" in it or it == "account_balances"}


async def test_all_settle_at_once(db: Database) -> None:
    people = await a_month(db)
    results = await asyncio.gather(*(settle(db, by) for by in people))
    assert sorted(results, key=lambda it: it or 0) == [None] * (FINANCE - 1) + [max(filter(None, results))]
    await each_in_one(db)


async def test_all_review_and_then_approve_at_once(db: Database) -> None:
    people = await a_month(db)
    run_id = await settle(db, people[0])
    assert run_id is not None
    for name in ("review", "approve"):
        results = await asyncio.gather(*(told(step(db, name, run_id, by)) for by in people))
        assert sum(it == name for it in results) == 1
        assert sum(isinstance(it, WrongState) for it in results) == FINANCE - 1
    await each_in_one(db)
    async with db.read() as session:
        run = await session.get_one(models.SettlementRun, run_id)
        notices = await session.scalar(select(func.count()).select_from(models.Notice))
        posted = await session.scalar(text("SELECT count(*) FROM transfers WHERE source_type = 'statement'"))
    assert (run.state, notices, posted) == ("approved", 3, 0)
    assert run.approved_by != people[0]


@pytest.mark.parametrize("seed", range(4))
async def test_everybody_does_anything_at_once(db: Database, seed: int) -> None:
    """Settle, review, approve and discard, twenty steps each; in the end one run holds it all, or another one does."""
    people, drawn = await a_month(db), random.Random(seed)

    async def one(by: int, choices: list[str]) -> None:
        for name in choices:
            async with db.read() as session:
                newest = await session.scalar(select(func.max(models.SettlementRun.id))) or 0
            answer = await told(settle(db, by) if name == "settle" else step(db, name, newest, by))
            assert not isinstance(answer, Exception)

    names = ["settle", "settle", "review", "review", "approve", "discard"]
    await asyncio.gather(*(one(by, drawn.choices(names, k=20)) for by in people))
    async with db.write() as session:
        left = await settlements.open_run(session)
        if left is None:
            made = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
            left = made.run_id if made else None
    await each_in_one(db)
    async with db.read() as session:
        held = (await session.scalars(select(models.Statement.run_id).distinct())).one()
        state = await session.scalar(select(models.SettlementRun.state).where(models.SettlementRun.id == held))
    assert state in {"draft", "reviewed", "approved"}


async def test_payees_dispute_while_the_run_is_approved(db: Database) -> None:
    """Each dispute is in time, and its statement comes with the next run; or too late, and refused. Nothing between."""
    people = await a_month(db)
    run_id = await settle(db, people[0])
    assert run_id is not None
    await step(db, "review", run_id, people[0])
    async with db.read() as session:
        statements = (await session.scalars(select(models.Statement))).all()

    async def dispute(it: models.Statement) -> str:
        owner = {"distributor_id": it.distributor_id, "brand_id": it.brand_id}
        async with db.write() as session:
            await settlements.dispute(session, it.id, "少算", **owner, by=None, now=NOW)
        return "disputed"

    *said, approved = await asyncio.gather(
        *(told(dispute(it)) for it in statements for _ in range(3)), told(step(db, "approve", run_id, people[1]))
    )
    assert approved == "approve"
    async with db.read() as session:
        left = await session.scalar(select(func.count()).where(models.Dispute.left_at.is_not(None)))
        stayed = await session.scalar(select(func.count()).where(models.Statement.run_id == run_id))
    assert said.count("disputed") == left
    assert stayed == 3 - (left or 0)
    await settle(db, people[0])
    await each_in_one(db)
