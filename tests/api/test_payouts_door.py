"""Finance pays out of a closed run, and its payees see how that goes, on the sample network."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import models, payouts
from s2b2c.api.types.ids import encode
from s2b2c.config import settings
from tests import factories
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check
from tests.api.test_files import bearer
from tests.api.test_settling import staff

RUN = encode("settlement-run", 1)
DRAWN = ("createdAt", "url")
PDF = b"%PDF-1.7\n" + b"x" * 1000


async def begun(api: Api) -> None:
    """The worker has begun what nothing holds."""
    async with api.db.write() as session:
        await payouts.begin(session, now=NOW, limit=1000)


async def told(api: Api, rail: str = "BANK") -> tuple[str, str]:
    """Tokens of two of finance, of whom the first has started the payouts of the run; everybody has a bank account."""
    async with api.db.write() as session:
        await factories.payees_told(session)
    maker, other = await staff(api), await staff(api)
    started = await api.run("finance/StartPayouts", maker, run=RUN, rail=rail)
    assert started["data"]["startPayouts"]["state"] == "PAYING"
    return maker, other


async def some(api: Api, token: str, *states: str, **filters: list[str]) -> list[Any]:
    answer = await api.run("finance/Payouts", token, run=RUN, states=list(states) or None, **filters, first=100)
    return [edge["node"] for edge in answer["data"]["finance"]["payouts"]["edges"]]


async def test_a_run_is_paid_by_the_bank(own_sample: Api) -> None:
    api = own_sample
    async with api.db.write() as session:
        await factories.payees_told(session)
    maker, other = await staff(api), await staff(api)
    await check(api, "finance/StartPayouts", maker, run=RUN, rail="BANK", statements=6, most=6)
    again = await api.run("finance/StartPayouts", maker, run=RUN, rail="BANK")
    assert again["data"]["startPayouts"]["code"] == "WRONG_STATE"
    waiting = await some(api, maker, "PENDING")
    first = waiting[0]["id"]
    await check(api, "finance/HoldPayout", other, id=first, reason="账号待核对", statements=4, most=4)
    await begun(api)
    assert [it["id"] for it in await some(api, maker, "PENDING") if it["hold"]] == [first]
    assert [it["id"] for it in await some(api, maker, holds=["PERSON", "SUSPENDED"])] == [first]
    assert await some(api, maker, "SENDING", holds=["PERSON"]) == []
    assert len(await some(api, maker, rails=["BANK"])) == len(waiting)
    assert await some(api, maker, rails=["STRIPE", "OUTSIDE"]) == []
    await check(api, "finance/ReleasePayout", other, id=first, statements=4, most=4)
    await begun(api)
    await check(api, "finance/Payouts", maker, run=RUN, first=2, statements=4, drawn=DRAWN)
    async with api.db.write() as session:
        (key,) = await session.scalars(select(models.PayoutAttempt.key).where(models.PayoutAttempt.payout_id == 1))
        await payouts.report_bank(session, key, reference="行 1", failure="户名不符", now=NOW)
    assert [it["id"] for it in await some(api, maker, "FAILED")] == [first]
    await check(api, "finance/RetryPayout", other, id=first, statements=4, most=4)
    await begun(api)
    async with api.db.write() as session:
        await payouts.report_bank(session, "s2b2c-payout-1-2", reference="行 2", now=NOW)
    await check(api, "finance/ReversePayout", other, id=first, reason="重复付款", statements=8, most=8)
    shown = await check(api, "finance/Payout", maker, id=first, statements=3, drawn=DRAWN)
    assert [it["state"] for it in shown["data"]["finance"]["payout"]["attempts"]] == ["FAILED", "REVERSED"]


async def test_a_second_person_approves_what_is_large(own_sample: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "payout_limit", 100_000)
    maker, other = await told(own_sample)
    large = [it for it in await some(own_sample, maker) if it["needsApproval"]]
    assert {it["id"] for it in await some(own_sample, maker) if it["amount"]["amount"] > 100_000} == {
        it["id"] for it in large
    }
    await begun(own_sample)
    assert {it["id"] for it in await some(own_sample, maker, "PENDING")} == {it["id"] for it in large}
    own = await own_sample.run("finance/ApprovePayout", maker, id=large[0]["id"])
    assert (own["data"]["approvePayout"]["code"], "ask somebody else" in own["data"]["approvePayout"]["message"]) == (
        "WRONG_STATE",
        True,
    )
    await check(
        own_sample, "finance/ApprovePayout", other, id=large[0]["id"], statements=4, most=4, drawn=("approvedAt",)
    )
    await begun(own_sample)
    assert large[0]["id"] not in {it["id"] for it in await some(own_sample, maker, "PENDING")}


async def test_what_is_paid_outside_is_proved(own_sample: Api, store: Path) -> None:
    api = own_sample
    maker, _ = await told(api)
    assert store.name == "store"
    (first, second, *_) = [it["id"] for it in await some(api, maker)]

    async def sent(name: str, body: bytes, token: str = maker, kind: str = "payout_proof") -> Any:
        parameters = {"kind": kind, "name": name}
        answer = await api.http.post("/files", params=parameters, content=body, headers=bearer(token))
        return answer.status_code, answer.json()

    for name, body, words in (
        ("回单.exe", PDF, ".pdf"),
        ("回单.pdf", b"MZ\x90\x00" * 10, "not what its name says"),
        ("回单.png", PDF, "not what its name says"),
        ("回单.pdf", b"%PD", "not what its name says"),
        ("回单.jpg", b"", "not what its name says"),
    ):
        status, said = await sent(name, body)
        assert (status, said["error"]["code"], words in said["error"]["message"]) == (400, "BAD_ARGUMENT", True)
    assert (await sent("回单.pdf", PDF, kind="catalogue"))[0] == 403
    assert (await sent("回单.pdf", PDF, await api.token("operator")))[0] == 403
    async with api.db.read() as session:
        assert (await session.scalars(select(models.File))).all() == []
    status, proof = await sent("回单.pdf", PDF)
    assert status == 201
    said = {"payout": first, "note": "柜台现金", "reference": "回单 7", "proof": proof["id"]}
    await check(api, "finance/MarkPaidOutside", maker, input=said, statements=17, most=17)
    for wrong, code in (
        ({}, "WRONG_STATE"),
        ({"payout": second, "proof": encode("file", 999)}, "NOT_FOUND"),
        ({"payout": second, "note": ""}, "BAD_ARGUMENT"),
    ):
        answer = await api.run("finance/MarkPaidOutside", maker, input={**said, **wrong})
        assert answer["data"]["markPaidOutside"]["code"] == code
    assert [it["id"] for it in await some(api, maker, rails=["OUTSIDE"])] == [first]
    shown = await api.run("finance/Payout", maker, id=first)
    (attempt,) = shown["data"]["finance"]["payout"]["attempts"]
    link = attempt["proof"].pop("download")
    assert attempt["proof"] == {"name": "回单.pdf", "sha256": proof["sha256"]}
    fetched = await api.http.get(link["url"])
    assert (fetched.content, fetched.headers["content-type"]) == (PDF, "application/pdf")
    assert (await api.http.get(link["url"].replace("signature=", "signature=0"))).status_code == 403
    assert (await api.http.get(f"/files/{proof['id']}", headers=bearer(await api.token("operator")))).status_code == 404


@pytest.mark.parametrize(("door", "role"), [("partner", "distributor"), ("brand", "brand")])
async def test_a_payee_sees_its_own(own_sample: Api, monkeypatch: pytest.MonkeyPatch, door: str, role: str) -> None:
    api = own_sample
    monkeypatch.setattr(settings(), "payout_limit", 1_000_000_000)
    payee = await staff(api, role)
    own = await api.run(f"{door}/Statements", payee)
    statement = own["data"][door]["statements"]["edges"][0]["node"]["id"]
    before = await api.run(f"{door}/StatementPayment", payee, id=statement)
    assert before["data"][door]["statement"]["payment"] is None
    await told(api)
    await begun(api)
    async with api.db.write() as session:
        it = models.PayoutAttempt
        found = select(it.key, models.Payout.statement_id).join(models.Payout, models.Payout.id == it.payout_id)
        (name,) = [
            row.key for row in await session.execute(found) if encode("statement", row.statement_id) == statement
        ]
        await payouts.report_bank(session, name, reference="行 9", now=NOW)
    shown = await check(api, f"{door}/StatementPayment", payee, id=statement, statements=4)
    payment = shown["data"][door]["statement"]["payment"]
    assert (payment["state"], payment["reference"], payment["rail"]) == ("CONFIRMED", "行 9", "BANK")


async def test_a_token_of_nobody_pays_nothing(own_sample: Api) -> None:
    token, payout = await own_sample.token("finance"), encode("payout", 1)
    said = {"payout": payout, "note": "x", "reference": "x", "proof": encode("file", 1)}
    for operation, variables in (
        ("StartPayouts", {"run": RUN, "rail": "STRIPE"}),
        ("ApprovePayout", {"id": payout}),
        ("HoldPayout", {"id": payout, "reason": "x"}),
        ("ReleasePayout", {"id": payout}),
        ("RetryPayout", {"id": payout}),
        ("ReversePayout", {"id": payout, "reason": "x"}),
        ("MarkPaidOutside", {"input": said}),
    ):
        answer = await own_sample.run(f"finance/{operation}", token, **variables)
        (result,) = answer["data"].values()
        assert result["code"] == "WRONG_STATE", operation
        assert "sign in as yourself" in result["message"]
    async with own_sample.db.read() as session:
        assert (await session.scalars(select(models.Payout))).all() == []


async def test_payouts_that_are_not_there(own_sample: Api) -> None:
    token, nothing = await staff(own_sample), encode("payout", 999)
    for operation, variables in (
        ("ApprovePayout", {"id": nothing}),
        ("HoldPayout", {"id": nothing, "reason": "x"}),
        ("ReleasePayout", {"id": nothing}),
        ("RetryPayout", {"id": nothing, "rail": "BANK"}),
        ("ReversePayout", {"id": nothing, "reason": "x"}),
        ("StartPayouts", {"run": encode("settlement-run", 999), "rail": "BANK"}),
    ):
        answer = await own_sample.run(f"finance/{operation}", token, **variables)
        (result,) = answer["data"].values()
        assert result["code"] == "NOT_FOUND", operation
    assert (await own_sample.run("finance/Payout", token, id=nothing))["data"]["finance"]["payout"] is None
