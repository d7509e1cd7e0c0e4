"""`s2b2c rank`: ranking, acting, appeals and decisions from the command line, on a network of five."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from s2b2c import models, ranking
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from tests import factories
from tests.commands import cli
from tests.test_ranking import sell

DECIDER, STRANGER = "13800000001", "13800000003"
MAY = ("--from", "2026-05-01", "--to", "2026-06-01")
LAST = datetime(2026, 5, 15, 4, tzinfo=UTC)
TERMS = "output_weight_bps: 5000\nminimum: 3\n"
POLICY = """output_weight_bps: 10000
orders_weight_bps: 0
customers_weight_bps: 0
repeat_weight_bps: 0
refund_weight_bps: 0
growth_weight_bps: 0
sell_through_weight_bps: 0
tail_bps: 2000
strikes: 1
"""


@pytest.fixture
async def five(db: Database) -> list[str]:
    """The codes of five who sold 500, 400, ... 100 yuan in May, and an operator who decides."""
    now = datetime.now(UTC)
    async with db.write() as session:
        account_id = await account_of(session, "operator")
        for phone in (DECIDER, STRANGER):
            person_id = await people.find_or_make(session, {"phone": phone}, now)
            if phone == DECIDER:
                await people.join(session, person_id, account_id)
        sellers = []
        for number in range(5):
            seller = await factories.a_distributor(session, joined_on=date(2025, 1, 1), with_history=True)
            await sell(session, seller, 50_000 - 10_000 * number, at=LAST)
            sellers.append(seller.code)
    return sellers


async def test_from_a_policy_to_a_decision(db: Database, database_url: str, five: list[str], tmp_path: Path) -> None:
    last = five[-1]
    file = tmp_path / "policy.yaml"
    file.write_text(TERMS, encoding="utf-8")
    assert "A policy has no 'minimum'" in cli(database_url, "rank", "draft", "usual", str(file), code=1)
    file.write_text(POLICY, encoding="utf-8")
    assert "This person is no operator" in cli(
        database_url, "rank", "draft", "usual", str(file), "--as", STRANGER, code=1
    )
    made = cli(database_url, "rank", "draft", "usual", str(file), "--as", DECIDER)
    assert made == "Policy 1 is usual 1, a draft: next is `s2b2c rank simulate --policy 1`.\n"
    dry = cli(database_url, "rank", "simulate", "--policy", "1", "--months", "2", "--until", "2026-06-10")
    assert "would have got a notice" in dry
    assert cli(database_url, "rank", "publish", "1", "--as", DECIDER) == "usual 1 is in force.\n"

    assert cli(database_url, "rank", "run", *MAY, "--as", DECIDER).endswith("5 ranked, 1 in the tail, run 1\n")
    assert cli(database_url, "rank", "verify", "1") == "Run 1 follows from its numbers and its policy, every row.\n"
    listed = cli(database_url, "rank", "list")
    assert listed == "1  2026-05-01 – 2026-05-31  usual 1  5 ranked, 1 in the tail  not acted on\n"
    assert (
        cli(database_url, "rank", "act", "1", "--as", DECIDER)
        == "Run 1: 1 struck, 1 of them with a notice, 0 cleared.\n"
    )
    assert "was acted on already" in cli(database_url, "rank", "act", "1", code=1)
    assert "was acted on, and stays" in cli(database_url, "rank", "run", *MAY, code=1)

    explained = cli(database_url, "rank", "explain", last)
    assert "5/5, 0/10000, tail\n" in explained
    assert "产值：成交 100.00 元，退款 0.00 元，产值 100.00 元。5 人中列第 5，得 0/10000，权重 100%。" in explained
    assert "可离开末位: 产值 3/5\n" in explained
    english = cli(database_url, "rank", "explain", last, "--language", "en")
    assert "output: 100.00 yuan were paid and 0.00 refunded: an output of 100.00. Place 5 of 5, 0 of 10000" in english

    early = cli(database_url, "rank", "eliminate", "1", "末位", "--as", DECIDER, code=1)
    assert "It can be appealed against until" in early
    assert "no appeal waits" in cli(database_url, "rank", "answer", "1", "不成立", "--reject", code=1)
    async with db.write() as session:
        week = timedelta(days=8)
        await session.execute(
            update(models.TailCase).values(noticed_at=datetime.now(UTC) - week, appeal_until=datetime.now(UTC))
        )
    assert cli(database_url, "rank", "eliminate", "1", "连续末位", "--as", DECIDER) == "Case 1 is eliminated.\n"
    told = cli(database_url, "rank", "cases", "--state", "eliminated")
    assert f"{last} " in told
    assert "eliminated by person" in told
    assert "连续末位" in told
    async with db.read() as session:
        assert (
            await session.scalar(text("SELECT state FROM distributors WHERE code = :code"), {"code": last})
            == "eliminated"
        )
    assert last in cli(database_url, "network", "elimination", last)


async def test_who_is_let_off(db: Database, database_url: str, five: list[str]) -> None:
    last = five[-1]
    said = cli(database_url, "rank", "exempt", last, *MAY, "产假")
    assert said == f"Exemption 1: {last}, 2026-05-01 – 2026-05-31.\n"
    assert "exempt on some of these days already" in cli(database_url, "rank", "exempt", last, *MAY, "又", code=1)
    assert "产假" in cli(database_url, "rank", "exemptions")
    async with db.write() as session:
        drafted = await ranking.draft(session, "p", ranking.Terms(tail_bps=2000), by=None, now=datetime.now(UTC))
        await ranking.publish(session, drafted.id, by=None, now=datetime.now(UTC))
    assert cli(database_url, "rank", "run", *MAY).endswith("5 ranked, 0 in the tail, run 1\n")
    async with db.read() as session:
        outcomes = await session.scalars(select(models.RankingScore.outcome).order_by(models.RankingScore.rank))
        assert list(outcomes) == ["clear"] * 4 + ["let_off"]
    assert "1  " in cli(database_url, "rank", "policies")
    assert "There is no such ranking" in cli(database_url, "rank", "show", "9", code=1)
    assert "豁免" in cli(database_url, "rank", "show", "1")
