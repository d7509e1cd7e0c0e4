"""`s2b2c settle`: a run by two people, a correction, and what it says when something cannot be done."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from s2b2c import models, settlements
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.config import SHANGHAI
from s2b2c.db import Database
from s2b2c.money import format_yuan
from tests.commands import cli
from tests.test_cli import world  # noqa: F401  a fixture

TODAY = datetime.now(SHANGHAI).date()
MAKER, CHECKER, STRANGER = "13800000001", "13800000002", "13800000003"


@pytest.fixture
async def finance(db: Database) -> None:
    """Two people of finance, and one who is none."""
    now = datetime.now(UTC)
    async with db.write() as session:
        account_id = await account_of(session, "finance")
        for phone in (MAKER, CHECKER, STRANGER):
            person_id = await people.find_or_make(session, {"phone": phone}, now)
            if phone != STRANGER:
                await people.join(session, person_id, account_id)


async def run_of(db: Database) -> models.SettlementRun:
    async with db.read() as session:
        return (await session.scalars(select(models.SettlementRun))).one()


@pytest.mark.usefixtures("finance")
async def test_a_month_by_two_people(db: Database, database_url: str, world: Path) -> None:  # noqa: F811
    cli(database_url, "import", "orders", str(world / "orders.csv"))
    adjusted = cli(
        *(database_url, "settle", "adjust", "--distributor", "L1", "--dated", "2026-09-30"),
        *("--reason", "多付", "--as", MAKER, "--", "-0.87"),
    )
    assert adjusted == "Adjustment 1: -0.87 yuan for L1, of 2026-09-30.\n"
    made = cli(database_url, "settle", "run", "--until", "2026-10-01", "--as", MAKER)
    assert made.endswith("Run 1 is a draft: next is `s2b2c settle review 1`.\n")
    assert "is draft, not reviewed" in cli(database_url, "settle", "approve", "1", "--as", CHECKER, code=1)
    assert cli(database_url, "settle", "review", "1", "--as", MAKER).startswith("Run 1 is reviewed")
    assert "cannot approve it" in cli(database_url, "settle", "approve", "1", "--as", MAKER, code=1)
    said = cli(database_url, "settle", "approve", "1", "--as", CHECKER)
    assert said == "Run 1 is approved and closed; 0 disputed statements come with the next one.\n"
    assert "The run is approved, not draft or reviewed" in cli(database_url, "settle", "discard", "1", code=1)
    run = await run_of(db)
    assert (run.state, run.minimum_payout, run.created_by == run.reviewed_by) == ("approved", 100, True)
    shown = cli(database_url, "settle", "show", "1")
    assert shown.startswith("Run 1: approved, all that matured before 2026-10-01 00:00, paid on ")
    assert f"by person {run.approved_by}\n" in shown
    assert "16.98" in shown  # 17.85 - 0.87


@pytest.mark.usefixtures("finance")
async def test_a_draft_is_discarded(db: Database, database_url: str, world: Path) -> None:  # noqa: F811
    cli(database_url, "import", "orders", str(world / "orders.csv"))
    cli(database_url, "settle", "run", "--until", "2026-10-01", "--pay-on", str(TODAY))
    cli(database_url, "settle", "discard", "1", "--as", CHECKER)
    run = await run_of(db)
    assert (run.state, run.created_by, run.pay_on) == ("discarded", None, TODAY)
    assert cli(database_url, "settle", "show", "1").endswith("No statement stands in it.\n")


@pytest.mark.usefixtures("finance")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--until", "2026-09-01", "--as", STRANGER], "none of finance"),
        (["run", "--until", "2026-09-01", "--as", "13900000000"], "Nobody is known by this phone"),
        (["run", "--until", "2026-09-01", "--as", "x"], "phone"),
        (["run", "--until", "0001-01-01"], "must lie in the years"),
        (["run", "--until", "2026-09-01", "--pay-on", "2026-08-01"], "payOn is 2026-08-01"),
        (["review", "7"], "There is no such run"),
        (["show", "7"], "There is no settlement run 7."),
        (["adjust", "0.001", "--brand", "无名", "--dated", "2026-09-01", "--reason", "x"], "'0.001'"),
        (["adjust", "1", "--dated", "2026-09-01", "--reason", "x"], "Name one payee"),
        (["adjust", "1", "--brand", "无名", "--dated", "2026-09-01", "--reason", "x"], "无名"),
    ],
)
def test_what_cannot_be_done_is_one_line(database_url: str, words: list[str], said: str) -> None:
    answer = cli(database_url, "settle", *words, code=1)
    assert said in answer
    assert answer.count("\n") == 1


async def statement_of(db: Database, code: str) -> models.Statement:
    """The newest one of a distributor."""
    async with db.read() as session:
        it = models.Statement
        query = select(it).join(models.Distributor, models.Distributor.id == it.distributor_id)
        found = await session.scalars(query.where(models.Distributor.code == code).order_by(it.id.desc()).limit(1))
        return found.one()


@pytest.mark.usefixtures("finance")
async def test_a_dispute_is_answered(db: Database, database_url: str, world: Path) -> None:  # noqa: F811
    cli(database_url, "import", "orders", str(world / "orders.csv"))
    assert cli(database_url, "settle", "disputes") == "No dispute waits for an answer.\n"
    cli(database_url, "settle", "run", "--until", "2026-10-01", "--as", MAKER)
    cli(database_url, "settle", "review", "1", "--as", MAKER)
    statement = await statement_of(db, "L1")
    async with db.write() as session:
        now = datetime.now(UTC)
        await settlements.dispute(
            session, statement.id, "少算一单", distributor_id=statement.distributor_id, by=None, now=now
        )
    shown = cli(database_url, "settle", "disputes")
    assert shown.startswith("Dispute 1: run 1, L1 ")
    assert shown.endswith(", waits: 少算一单\n")
    said = cli(
        *(database_url, "settle", "answer", "1", "补一单", "--amount", "1.00", "--dated", "2026-09-30", "--as", CHECKER)
    )
    assert said == "Dispute 1 is accepted.\n"
    assert "is answered already" in cli(database_url, "settle", "answer", "1", "不", code=1)
    left = cli(database_url, "settle", "approve", "1", "--as", CHECKER)
    assert left == "Run 1 is approved and closed; 1 disputed statements come with the next one.\n"
    cli(database_url, "settle", "run", "--until", "2026-10-01", "--as", MAKER)
    again = await statement_of(db, "L1")
    assert (again.run_id, again.adjustments, again.gross) == (2, 100, statement.gross)


@pytest.mark.usefixtures("finance")
async def test_a_debt_is_given_up_by_two_and_tax_is_set(db: Database, database_url: str, world: Path) -> None:  # noqa: F811
    cli(database_url, "import", "orders", str(world / "orders.csv"))
    assert cli(database_url, "settle", "debts") == "Nobody owes anything.\n"
    cli(
        *(database_url, "settle", "adjust", "--distributor", "L1", "--dated", "2026-09-30", "--reason", "追回"),
        *("--", "-100.00"),
    )
    cli(database_url, "settle", "run", "--until", "2026-10-01", "--as", MAKER)
    cli(database_url, "settle", "review", "1", "--as", MAKER)
    cli(database_url, "settle", "approve", "1", "--as", CHECKER)
    owed = 10_000 - (await statement_of(db, "L1")).gross
    assert cli(database_url, "settle", "debts").endswith(f" owes {format_yuan(owed)} yuan\n")
    asked = ("settle", "write-off", "L1", format_yuan(owed), "--reason", "坏账", "--as", MAKER)
    assert cli(database_url, *asked).startswith("Write-off 1 waits for somebody else")
    assert cli(database_url, "settle", "debts").endswith(f"Write-off 1 waits: L1, {format_yuan(owed)} yuan: 坏账\n")
    approve = ("settle", "approve-write-off", "1", "--as")
    assert "ask somebody else" in cli(database_url, *approve, MAKER, code=1)
    assert cli(database_url, *approve, CHECKER) == f"Write-off 1: {format_yuan(owed)} yuan are given up.\n"
    assert cli(database_url, "settle", "debts") == "Nobody owes anything.\n"
    policy = ("settle", "withholding", "L1", "cn_labour_cumulative", "--from", "2026-10-01", "--as", MAKER)
    assert cli(database_url, *policy) == "Tax of L1 from 2026-10-01 on: cn_labour_cumulative.\n"
    deducted = cli(database_url, "settle", "deduction", "L1", "2026-10", "12.50")
    assert deducted == "L1 may deduct 12.50 yuan in 2026-10.\n"
    async with db.read() as session:
        (set_,) = await session.scalars(select(models.WithholdingPolicy))
        (month,) = await session.scalars(select(models.TaxDeduction))
    assert (set_.policy, str(set_.starts_on), set_.set_by is None) == ("cn_labour_cumulative", "2026-10-01", False)
    assert (str(month.month), month.amount) == ("2026-10-01", 1250)
