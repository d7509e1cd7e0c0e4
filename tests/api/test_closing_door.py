"""Finance closes a period over HTTP: two people, one step after the other."""

from datetime import timedelta
from typing import Any

from s2b2c import models
from s2b2c.accounts import people
from s2b2c.accounts.tokens import Claims, signed
from s2b2c.accounts.viewer import account_of
from s2b2c.api.types.ids import encode
from tests.api.client import SECRET, Api
from tests.api.conftest import NOW
from tests.api.operations import check

CUTOFF = "2026-11-15T00:00:00+08:00"
ADJUSTMENT = {"amount": -1250, "dated": "2026-11-01", "reason": "重复发放"}


async def somebody_of_finance(api: Api, phone: str) -> str:
    """A token of a person who has signed in."""
    async with api.db.write() as session:
        account_id = await account_of(session, "finance")
        person_id = await people.find_or_make(session, {"phone": phone}, NOW)
        await people.join(session, person_id, account_id)
        began = models.Session(
            person_id=person_id, method="code", started_at=NOW, expires_at=NOW + timedelta(days=3650)
        )
        session.add(began)
        await session.flush()
        claims = Claims(account_id, began.id)
    return signed(claims, SECRET, now=NOW, lifetime=timedelta(days=3650))


async def refused(api: Api, kind: str, operation: str, token: str, **variables: Any) -> str:
    """The message."""
    answer = await api.run(f"finance/{operation}", token, **variables)
    assert "errors" not in answer, answer
    (result,) = answer["data"].values()
    assert result["__typename"] == kind
    return str(result["message"])


async def test_a_month_is_closed_by_two_people(own_sample: Api) -> None:
    api = own_sample
    maker, other = await somebody_of_finance(api, "13800000001"), await somebody_of_finance(api, "13800000002")
    adjustment = {**ADJUSTMENT, "distributor": encode("distributor", 1)}
    await check(api, "finance/Adjust", maker, adjustment=adjustment, statements=7, most=7)
    made = await check(api, "finance/Settle", maker, cutoff=CUTOFF, statements=22, most=22)
    run = {"run": made["data"]["settle"]["id"]}
    message = await refused(api, "WrongState", "Settle", other, cutoff=CUTOFF)
    assert message.startswith("Nothing matured")
    assert "not reviewed" in await refused(api, "WrongState", "ApproveRun", other, **run)
    await check(api, "finance/ReviewRun", maker, **run, statements=7, most=7)
    assert "ask somebody else" in await refused(api, "WrongState", "ApproveRun", maker, **run)
    await check(api, "finance/ApproveRun", other, **run, statements=7, most=7)
    assert "approved" in await refused(api, "WrongState", "DiscardRun", other, **run)
    shown = await api.run("finance/Run", maker, id=run["run"], payee="DISTRIBUTOR", first=100, lines=1)
    statements = [edge["node"] for edge in shown["data"]["finance"]["run"]["statements"]["edges"]]
    assert [it["adjustments"]["amount"] for it in statements if it["adjustments"]["amount"]] == [-1250]


async def test_a_draft_is_given_up(own_sample: Api) -> None:
    token = await somebody_of_finance(own_sample, "13800000001")
    made = await own_sample.run("finance/Settle", token, cutoff=CUTOFF, payOn="2026-12-31")
    assert made["data"]["settle"]["payOn"] == "2026-12-31"
    await check(own_sample, "finance/DiscardRun", token, run=made["data"]["settle"]["id"], statements=13, most=13)
    again = await own_sample.run("finance/Settle", token, cutoff=CUTOFF)
    assert again["data"]["settle"]["distributors"] == made["data"]["settle"]["distributors"]


async def test_what_cannot_be_closed(own_sample: Api) -> None:
    token = await somebody_of_finance(own_sample, "13800000001")
    await refused(own_sample, "PeriodOpen", "Settle", token, cutoff="2999-01-01T00:00:00+08:00")
    early = (NOW - timedelta(days=30)).date().isoformat()
    await refused(own_sample, "BadArgument", "Settle", token, cutoff=CUTOFF, payOn=early)
    for step in ("ReviewRun", "ApproveRun", "DiscardRun"):
        await refused(own_sample, "NotFound", step, token, run=encode("settlement-run", 999))
        await refused(own_sample, "BadArgument", step, token, run="garbage")
    nobody = {**ADJUSTMENT, "distributor": encode("distributor", 999_999)}
    assert await refused(own_sample, "NotFound", "Adjust", token, adjustment=nobody)
    both = {**nobody, "brand": encode("brand", 1)}
    for wrong in (ADJUSTMENT, both, {**nobody, "amount": 0}, {**nobody, "reason": " "}):
        await refused(own_sample, "BadArgument", "Adjust", token, adjustment=wrong)


async def test_a_token_of_nobody_closes_nothing(own_sample: Api) -> None:
    token = await own_sample.token("finance")
    for operation, variables in (
        ("Settle", {"cutoff": CUTOFF}),
        ("ReviewRun", {"run": encode("settlement-run", 1)}),
        ("Adjust", {"adjustment": {**ADJUSTMENT, "distributor": encode("distributor", 1)}}),
    ):
        assert "sign in as yourself" in await refused(own_sample, "WrongState", operation, token, **variables)
