"""What rails report, matched with what we have: each kind of break, by rows worked by hand."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from s2b2c import models, payments, reconciliation
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.imports.files import Source
from s2b2c.reconciliation import matching, reading
from tests import factories
from tests.commands import cli
from tests.test_payouts import (
    AMOUNT,
    BRAND,
    PARENT,
    all_of,
    attempts,
    balances,
    begun,
    fake,
    gateway,
    run_id,
    started,
    states,
    worked,
)
from tests.test_settlements import NOW

__all__ = ["fake", "gateway", "run_id"]

START, END, LATER = NOW - timedelta(days=1), NOW + timedelta(days=1), NOW + timedelta(days=5)
STRIPE = "balance_transaction_id,created_utc,currency,gross,fee,net,reporting_category,source_id,payment_intent_id,note"
BANK = "付款附言,付款结果,金额（元）,银行流水号,失败原因"
WHEN = f"{NOW:%Y-%m-%d %H:%M:%S}"

Break = tuple[str, str, str, int | None, int | None]


async def found(db: Database, *, open_only: bool = True, rail: str | None = None) -> list[Break]:
    async with db.read() as session:
        rows = await reconciliation.breaks(session, rail=rail, open_only=open_only, after=None, limit=99)
    return sorted((it.kind, it.category, it.reference, it.ours, it.theirs) for it in rows)


def written(path: Path, header: str, *rows: str, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join((header, *rows, "")), encoding=encoding)
    return path


async def read(db: Database, path: Path) -> reconciliation.Read:
    return await reconciliation.read_stripe(db, path, start=START, end=END, by=None, now=LATER)


async def references(db: Database) -> dict[int, str]:
    """Of each payout what Stripe calls its transfer."""
    return {amount: (await attempts(db, amount))[0].reference or "" for amount in (AMOUNT, PARENT, BRAND)}


@pytest.fixture
async def sent(db: Database, gateway: payments.Gateway, run_id: int) -> dict[int, str]:
    """The worked run is paid by Stripe, and its order was: 9899 by pi_1."""
    await started(db, run_id)
    await begun(db)
    await worked(db, gateway)
    async with db.write() as session:
        order = (await session.scalars(select(models.Order))).one()
        session.add(
            models.Payment(
                branch_id=order.branch_id,
                order_id=order.id,
                method="intent",
                amount=9_899,
                state="succeeded",
                intent_id="pi_1",
                created_at=NOW,
                succeeded_at=NOW,
            )
        )
    return await references(db)


async def test_stripe_s_report(db: Database, sent: dict[int, str], tmp_path: Path) -> None:
    first = written(
        tmp_path / "first.csv",
        STRIPE,
        f"txn_1,{WHEN},cny,98.99,2.90,96.09,charge,ch_1,pi_1,x",
        f"txn_1,{WHEN},cny,98.99,2.90,96.09,charge,ch_1,pi_1,twice",
        f"txn_2,{WHEN},cny,-11.87,0,-11.87,transfer,{sent[AMOUNT]},,",
        f"txn_3,{WHEN},cny,-2.95,0,-2.95,transfer,{sent[PARENT]},,",
        f"txn_4,{WHEN},cny,10.00,0,10.00,charge,ch_9,pi_9,",
        f"txn_5,{WHEN},cny,-0.30,0,-0.30,fee,,,",
        f"txn_6,{WHEN},usd,-5,0,-5,payout,po_1,,",
    )
    expected: list[Break] = [
        ("amount_differs", "transfer", sent[PARENT], -296, -295),
        ("missing_here", "charge", "pi_9", None, 1_000),
        ("missing_there", "transfer", sent[BRAND], -5_200, None),
    ]
    for _ in range(2):  # the same file again changes nothing
        assert (await read(db, first))[1:] == (7, 3)
        assert await found(db) == expected
    async with db.write() as session:
        rows = await reconciliation.breaks(session, rail="stripe", open_only=True, after=None, limit=9)
        assert {reconciliation.age_days(it, LATER) for it in rows} == {5}
        (pi_9,) = [it.id for it in rows if it.reference == "pi_9"]
        await reconciliation.resolve(session, pi_9, "别家店的款", by=None, now=LATER)
    assert await found(db) == [expected[0], expected[2]]
    second = written(
        tmp_path / "second.csv",
        STRIPE,
        f"txn_9,{WHEN},cny,-52.00,0,-52.00,transfer,{sent[BRAND]},,",
        f"txn_8,{WHEN},cny,5.00,0,5.00,charge,ch_8,pi_8,",
    )
    period = {"start": START, "end": END + timedelta(days=9)}
    await reconciliation.read_stripe(db, second, **period, by=None, now=LATER)
    theirs = ("missing_here", "charge", "pi_8", None, 500)
    silent: list[Break] = [
        ("missing_there", "charge", "pi_1", 9_899, None),
        ("missing_there", "transfer", sent[AMOUNT], -1_187, None),
        ("missing_there", "transfer", sent[PARENT], -296, None),
    ]
    assert set(await found(db)) == {theirs, *silent}, "the brand's transfer is there"
    assert (await read(db, first)).open_breaks == 2
    assert await found(db) == [expected[0], theirs], "what is settled stays so, and silence closes nothing"
    other = written(tmp_path / "other.csv", STRIPE, f"txn_4,{WHEN},cny,10.01,0,10.01,charge,ch_9,pi_9,")
    await read(db, other)
    assert ("missing_here", "charge", "pi_9", None, 1_001) in await found(db), "it is another difference now"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
async def test_the_bank_s_file(db: Database, run_id: int, tmp_path: Path, encoding: str) -> None:
    async with db.write() as session:
        await factories.payees_told(session)
    await started(db, run_id, rail="bank")
    await begun(db)
    keys = {amount: (await attempts(db, amount))[0].key for amount in (AMOUNT, PARENT, BRAND)}
    first = written(
        tmp_path / "return.csv",
        BANK,
        f"{keys[AMOUNT]},成功,11.87,B1,",
        f"{keys[PARENT]},成功,2.95,B2,",
        "s2b2c-payout-999-1,成功,5.00,B3,",
        encoding=encoding,
    )
    expected: list[Break] = [
        ("amount_differs", "payout", keys[PARENT], -296, -295),
        ("missing_here", "payout", "s2b2c-payout-999-1", None, -500),
        ("missing_there", "payout", keys[BRAND], -5_200, None),
    ]
    for _ in range(2):
        assert (await reconciliation.read_bank(db, first, by=None, now=LATER))[1:] == (3, 3)
        assert await states(db) == {AMOUNT: "confirmed", PARENT: "sending", BRAND: "sending"}
        assert await found(db) == expected
    second = written(
        tmp_path / "second.csv",
        "Result,Reference,Bank reference,Amount (yuan),Reason,More",
        f"failed,{keys[BRAND]},B4,52.00,户名不符,x",
        f"paid,{keys[PARENT]},B5,2.96,,x",
        f"failed,{keys[PARENT]},B5,2.96,,twice and not the same",
        f"failed,{keys[AMOUNT]},B6,11.87,退票,x",
    )
    assert (await reconciliation.read_bank(db, second, by=None, now=LATER))[1:] == (4, 3)
    assert await states(db) == {AMOUNT: "confirmed", PARENT: "confirmed", BRAND: "failed"}
    assert (await attempts(db, BRAND))[0].failure == "户名不符"
    third = written(tmp_path / "third.csv", BANK, f"{keys[AMOUNT]},成功,11.87,B9,", f"{keys[AMOUNT]},成功,11.87,B1,")
    much_later = LATER + timedelta(days=9)
    await reconciliation.read_bank(db, third, by=None, now=much_later)
    twice = ("duplicate", "payout", keys[AMOUNT], -1_187, -1_187)
    assert twice in await found(db)
    async with db.read() as session:
        rows = await reconciliation.breaks(session, rail="bank", open_only=True, after=None, limit=9)
    assert {reconciliation.age_days(it, much_later) for it in rows} == {9}, "it counts from when it was first seen"
    assert set(await found(db)) == {
        expected[1],
        twice,
        ("state_differs", "payout", keys[PARENT], -296, -296),
    }
    assert (await balances(db))["clearing bank"] == AMOUNT + PARENT


async def test_a_file_that_breaks_off_is_read_on(
    db: Database, run_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with db.write() as session:
        await factories.payees_told(session)
    await started(db, run_id, rail="bank")
    await begun(db)
    keys = {amount: (await attempts(db, amount))[0].key for amount in (AMOUNT, PARENT, BRAND)}
    file = written(
        tmp_path / "return.csv",
        BANK,
        f"{keys[AMOUNT]},成功,11.87,B1,",
        f"{keys[PARENT]},成功,2.96,B2,",
        f"{keys[BRAND]},成功,52.00,B3,",
    )
    monkeypatch.setattr(matching, "_ANSWERS_AT_ONCE", 1)

    def broken(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await reconciliation.read_bank(db, file, by=None, now=LATER, progress=broken)
    assert sorted((await states(db)).values()) == ["confirmed", "confirmed", "sending"]
    assert (await reconciliation.read_bank(db, file, by=None, now=LATER))[1:] == (3, 0)
    assert set((await states(db)).values()) == {"confirmed"}
    assert len(await all_of(db)) == 3


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("id,gross", "1,2", "line 1, column balance_transaction_id: the column is missing"),
        (STRIPE, f"txn_1,{WHEN},cny,1.234,0,0,charge,ch_1,pi_1,", "line 2, column gross: '1.234' is not an amount"),
        (STRIPE, "txn_1,yesterday,cny,1,0,0,charge,ch_1,pi_1,", "column created_utc: 'yesterday' is not a time"),
        (STRIPE, f",{WHEN},cny,1,0,0,charge,ch_1,pi_1,", "column balance_transaction_id: '' is not a name"),
        (STRIPE, "txn_1", "line 2, column reporting_category: the row ends before it"),
        (STRIPE, f'txn_1,{WHEN},cny,1,0,0,charge,ch_1,"pi', "is a quote left open?"),
    ],
)
async def test_a_report_that_cannot_be_read(db: Database, tmp_path: Path, header: str, row: str, said: str) -> None:
    good = f"txn_0,{WHEN},cny,10.00,0,10.00,charge,ch_9,pi_9,"
    file = written(tmp_path / "r.csv", header, row, *([good] if header == STRIPE and row != "txn_1" else []))
    with pytest.raises(Refused) as refused:
        await read(db, file)
    assert isinstance(refused.value.refusal, BadArgument)
    assert said in str(refused.value)
    assert await found(db) == []
    async with db.read() as session:
        assert await reconciliation.reports(session, after=None, limit=9) == []


async def test_what_cannot_be_settled(db: Database, sent: dict[int, str], tmp_path: Path) -> None:
    assert len(sent) == 3
    await read(db, written(tmp_path / "r.csv", STRIPE))
    async with db.read() as session:
        first, *_ = await reconciliation.breaks(session, rail=None, open_only=True, after=None, limit=9)

    async def refused(break_id: int, reason: str) -> Any:
        with pytest.raises(Refused) as caught:
            async with db.write() as session:
                await reconciliation.resolve(session, break_id, reason, by=None, now=LATER)
        return type(caught.value.refusal)

    assert await refused(999, "x") is NotFound
    assert await refused(first.id, "") is BadArgument
    async with db.write() as session:
        await reconciliation.resolve(session, first.id, "已核对", by=None, now=LATER)
    assert await refused(first.id, "x") is WrongState
    with pytest.raises(Refused, match="at most 366 days"):
        await reconciliation.read_stripe(db, tmp_path / "r.csv", start=END, end=END, by=None, now=LATER)


async def test_from_the_command_line(db: Database, database_url: str, sent: dict[int, str], tmp_path: Path) -> None:
    assert len(sent) == 3
    file = written(tmp_path / "r.csv", STRIPE, f"txn_4,{WHEN},cny,10.00,0,10.00,charge,ch_9,pi_9,")
    days = ("--from", f"{START:%Y-%m-%d}", "--until", f"{END + timedelta(days=1):%Y-%m-%d}")
    assert cli(database_url, "reconcile", "stripe", str(file), *days) == (
        "r.csv: 1 rows; 5 breaks are open: `s2b2c reconcile breaks`.\n"
    )
    shown = cli(database_url, "reconcile", "breaks", "--rail", "stripe").splitlines()
    assert len(shown) == 5
    (line,) = [it for it in shown if "pi_9" in it]
    assert "stripe charge pi_9, missing here, we have nothing and they have 10.00, " in line
    number = line.split()[1].rstrip(":")
    assert (
        cli(database_url, "reconcile", "resolve", number, "--reason", "别家店的款") == f"Break {number} is settled.\n"
    )
    assert len(cli(database_url, "reconcile", "breaks").splitlines()) == 4
    assert "; settled: 别家店的款" in cli(database_url, "reconcile", "breaks", "--all")
    assert cli(database_url, "reconcile", "breaks", "--rail", "bank") == "No break is open.\n"
    for words, said in (
        (("stripe", str(tmp_path / "gone.csv"), *days), "cannot be opened"),
        (("bank", str(file)), "column 付款附言: the column is missing"),
        (("resolve", "999", "--reason", "x"), "There is no such break"),
    ):
        answer = cli(database_url, "reconcile", *words, code=1)
        assert said in answer
        assert answer.count("\n") == 1


CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["txn_1", WHEN, "cny", "1.00", "-1.00", "charge", "成功", "失败", "paid", '"', "=1+1", "\x00", "1e9", ""]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, max_size=11), max_size=5), st.sampled_from([STRIPE, BANK, ""]), st.binary(max_size=8))
def test_whatever_stands_in_a_file_is_read_or_refused(
    tmp_path: Path, rows: list[list[str]], header: str, tail: bytes
) -> None:
    file = tmp_path / "fuzz.csv"
    file.write_bytes("\n".join((header, *map(",".join, rows))).encode("utf-8", "surrogatepass") + tail)
    for read in (reading.movements, reading.answers):
        rows_read, refusal = _read_or_refused(file, read)
        assert (rows_read is None) == isinstance(refusal, BadArgument)
        assert refusal is None or "\n" not in refusal.message


def _read_or_refused(file: Path, read: Callable[[Source], Iterator[Any]]) -> tuple[list[Any] | None, Refusal | None]:
    try:
        return list(read(reading.inspect(file))), None
    except Refused as refused:
        return None, refused.refusal
