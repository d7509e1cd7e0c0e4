"""`s2b2c pay`: a run is paid out by people, and what cannot be done is one line."""

from pathlib import Path

import pytest
from sqlalchemy import select

from s2b2c import models, payouts
from s2b2c.db import Database
from s2b2c.payments import Gateway
from tests import factories
from tests.commands import cli
from tests.stripe_fake import Fake
from tests.test_payouts import AMOUNT, BRAND, PARENT, SEND, all_of, an_approved_run, begun, fake, gateway, worked
from tests.test_settle_commands import CHECKER, MAKER, finance
from tests.test_settlements import NOW

__all__ = ["fake", "finance", "gateway"]


@pytest.fixture
async def run_id(db: Database, fake: Fake) -> int:
    async with db.write() as session:
        made = await an_approved_run(session, fake)
        await factories.payees_told(session)
    return made


@pytest.mark.usefixtures("finance")
async def test_a_run_is_paid_out(
    db: Database, database_url: str, run_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2B2C_PAYOUT_LIMIT", "5000")
    monkeypatch.setenv("S2B2C_FILES_URL", (tmp_path / "store").as_uri())
    run = str(run_id)
    assert cli(database_url, "pay", "show", run) == f"Run {run} has no payouts.\n"
    started = cli(database_url, "pay", "start", run, "--rail", "bank", "--as", MAKER)
    assert started.startswith(f"Run {run} is paying: ")
    made = await all_of(db)
    seller, parent, brand = (str(made[it].id) for it in (AMOUNT, PARENT, BRAND))
    assert (
        cli(database_url, "pay", "hold", parent, "--reason", "账号待核对")
        == f"Payout {parent} is pending, held back.\n"
    )
    shown = cli(database_url, "pay", "show", run).splitlines()
    assert shown[0] == "pending: 3 payouts, 66.83 yuan"
    assert [line.rpartition(": ")[2] for line in shown[1:]] == ["账号待核对", "waits for a second person"]
    assert "ask somebody else" in cli(database_url, "pay", "approve", brand, "--as", MAKER, code=1)
    assert cli(database_url, "pay", "approve", brand, "--as", CHECKER) == f"Payout {brand} is approved.\n"
    assert cli(database_url, "pay", "release", parent) == f"Payout {parent} is pending.\n"
    receipt = tmp_path / "回单.png"
    receipt.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 9)
    outside = ("pay", "outside", seller, "--note", "现金", "--reference", "收据 7", "--proof")
    done = cli(database_url, *outside, str(receipt))
    assert done.startswith(f"Payout {seller} is paid; its proof has SHA-256 ")
    async with db.write() as session:
        await payouts.begin(session, now=NOW, limit=10)
        keys = {it.payout_id: it.key for it in await session.scalars(select(models.PayoutAttempt))}
        await payouts.report_bank(session, keys[int(parent)], reference="行 1", failure="户名不符", now=NOW)
        await payouts.report_bank(session, keys[int(brand)], reference="行 2", now=NOW)
    assert cli(database_url, "pay", "retry", parent, "--rail", "stripe") == f"Payout {parent} is pending.\n"
    reversed_ = cli(database_url, "pay", "reverse", brand, "--reason", "退回", "--as", CHECKER)
    assert reversed_ == f"Payout {brand} is reversed.\n"
    assert cli(database_url, "pay", "show", run).splitlines() == [
        "confirmed: 1 payouts, 11.87 yuan",
        "pending: 1 payouts, 2.96 yuan",
        "reversed: 1 payouts, 52.00 yuan",
    ]
    (proof,) = (tmp_path / "store").iterdir()
    assert proof.read_bytes() == receipt.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["start", "7", "--rail", "bank"], "There is no such run"),
        (["hold", "7", "--reason", ""], "reason"),
        (["release", "7"], "There is no such payout"),
        (["reverse", "7", "--reason", "x", "--as", "13900000000"], "Nobody is known by this phone"),
        (["outside", "7", "--note", "x", "--reference", "x", "--proof", "nothing.pdf"], "There is no such payout"),
    ],
)
def test_what_cannot_be_done_is_one_line(database_url: str, words: list[str], said: str) -> None:
    answer = cli(database_url, "pay", *words, code=1)
    assert said in answer
    assert answer.count("\n") == 1


async def test_a_proof_that_is_none(db: Database, database_url: str, run_id: int, tmp_path: Path) -> None:
    cli(database_url, "pay", "start", str(run_id), "--rail", "bank")
    payout = str((await all_of(db))[AMOUNT].id)
    text = tmp_path / "proof.pdf"
    text.write_bytes(b"none")
    for proof, said in (
        (tmp_path / "gone.pdf", "Cannot read"),
        (tmp_path / "proof.txt", "A proof is a .pdf"),
        (text, "not what its name says"),
    ):
        words = ("pay", "outside", payout, "--note", "x", "--reference", "x", "--proof", str(proof))
        assert said in cli(database_url, *words, code=1)
    large = tmp_path / "large.pdf"
    large.write_bytes(b"%PDF-" + bytes(1 << 20))
    words = ("pay", "outside", payout, "--note", "x", "--reference", "x", "--proof", str(large))
    assert "larger than 1 MiB" in cli(database_url, *words, code=1, S2B2C_UPLOAD_MIB="1")
    async with db.read() as session:
        assert (await session.scalars(select(models.File))).all() == []
    assert (await all_of(db))[AMOUNT].state == "pending"


async def test_show_names_what_has_no_answer(
    db: Database, database_url: str, fake: Fake, gateway: Gateway, run_id: int
) -> None:
    cli(database_url, "pay", "start", str(run_id), "--rail", "stripe")
    await begun(db)
    fake.fail(SEND, "500", times=3)
    await worked(db, gateway)
    shown = cli(database_url, "pay", "show", str(run_id)).splitlines()
    assert shown[0] == "unknown: 3 payouts, 66.83 yuan"
    assert [line.rpartition(": ")[2] for line in shown[1:]] == ["no answer for over an hour"] * 3
