"""Off-boarding and files: the document that the command line writes, and what an import may not undo."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from s2b2c import models, network, offboarding
from s2b2c.db import Database
from s2b2c.imports import Problem
from tests.commands import cli
from tests.factories import an_account
from tests.imports import WORLD, load, load_world, write_csv
from tests.snapshot import snapshot

GONE = datetime(2026, 10, 11, 4, tzinfo=UTC)


@pytest.fixture
async def gone(db: Database, tmp_path: Path) -> Path:
    """A folder beside a network whose leader L1 was eliminated."""
    await load_world(db, tmp_path, until="plans")
    async with db.write() as session:
        operator = await an_account(session)
        key = (await session.scalars(select(models.Distributor.id).where(models.Distributor.code == "L1"))).one()
        await network.suspend(session, key, reason="核查", now=GONE - timedelta(days=1), account_id=operator)
        await offboarding.eliminate(session, key, reason="=连续末位", now=GONE, account_id=operator)
    return tmp_path


async def test_the_document(database_url: str, gone: Path) -> None:
    said = cli(database_url, "network", "elimination", "L1")
    assert said.splitlines() == [
        "清退记录 Elimination: 1",
        "分销商 Distributor: L1, 林小雨",
        "时间 When: 2026-10-11 12:00",
        "原因 Why: =连续末位",
        "决定人 Decided by: operator (account 1)",
        "此前状态 State before: suspended",
        "新归属 New home: P1, 周砚秋",
        "全部下级 Everybody below: 0",
        "顾客 Customers: 0",
        "结束的登录 Sessions ended: 0",
        "当时未到期佣金 Commissions pending then: 0.00",
        "当时已到期未结佣金 Commissions matured then: 0.00",
        "当时欠款 Debt then: 0.00",
        "现未到期佣金 Commissions pending now: 0.00",
        "现已到期未结佣金 Commissions matured now: 0.00",
        "关闭的店铺 Store closed: xiaoyu, 小雨的店, 链接指向 leads to 无 nowhere",
    ]
    file = gone / "l1.csv"
    written = cli(database_url, "network", "elimination", "L1", "--csv", str(file))
    assert written.replace("\n", "") == f"{file} has {said.count(chr(10))} rows."
    text = file.read_bytes().decode("utf-8-sig")
    assert "原因 Why,'=连续末位\r\n" in text  # no spreadsheet runs it
    assert "No distributor with the code C1 was ever eliminated here." in cli(
        database_url, "network", "elimination", "C1", code=1
    )


async def test_the_document_of_one_who_is_back(db: Database, database_url: str, gone: Path) -> None:
    async with db.write() as session:
        row = (await session.scalars(select(models.Elimination))).one()
        await offboarding.reinstate(
            session, row.distributor_id, reason="申诉成立", now=GONE + timedelta(days=1), account_id=row.account_id
        )
    said = cli(database_url, "network", "elimination", "L1")
    assert said.splitlines()[-5:] == [
        "关闭的店铺 Store closed: xiaoyu, 小雨的店, 营业中 open",
        "恢复时间 Reinstated: 2026-10-12 12:00",
        "恢复原因 Why reinstated: 申诉成立",
        "恢复人 Reinstated by: operator (account 1)",
        "归还顾客 Customers back: 0",
    ]


async def test_a_file_brings_nobody_back(db: Database, gone: Path) -> None:
    _, mine, above = WORLD["network"]

    async def problems_of(kind: str, *rows: Sequence[str]) -> list[Problem]:
        before = await snapshot(db)
        _, problems = await load(db, kind, write_csv(gone / "again.csv", [WORLD[kind][0], *rows]))
        if problems:
            assert await snapshot(db) == before
        return problems

    assert await problems_of("network", mine, above) == [
        (2, "state", "L1 is eliminated, which cannot become active", False)
    ]
    new = ["L2", "新人", "leader", "L1", "浙江", "2026-03-01", "active"]
    assert await problems_of("network", new) == [(2, "parent_code", "L1 is eliminated: nobody stands below it", False)]
    out = [*mine[:-1], "eliminated"]
    assert await problems_of("network", out) == []
    assert await problems_of("stores", ["new", "L1", "又一家", "浙江"]) == [
        (2, "owner_code", "L1 is eliminated: it has no open store", False)
    ]
    assert await problems_of("stores", ["of-p1", "P1", "省店", "浙江"]) == []
    assert await problems_of("stores", ["of-p1", "L1", "省店", "浙江"]) == [
        (2, "owner_code", "L1 is eliminated: it has no open store", False)
    ]
    assert await problems_of("stores", *WORLD["stores"][1:]) == []
    async with db.read() as session:
        states = (await session.execute(select(models.Store.slug, models.Store.state).order_by(models.Store.id))).all()
    assert states == [("xiaoyu", "closed"), ("of-p1", "open")]
