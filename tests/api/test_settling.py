"""Finance closes a period, corrects, gives up and answers; a payee disputes: each operation on the sample network."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import func, select

from s2b2c import accounts, models, settlements
from s2b2c.accounts import people, sessions
from s2b2c.api.types.ids import encode
from tests.api.client import SECRET, Api
from tests.api.conftest import NOW
from tests.api.doors import WHO
from tests.api.operations import check

PAYEES = [("partner", "distributor"), ("brand", "brand")]


async def staff(api: Api, role: str = "finance", **named: str) -> str:
    """The token of a person who has signed in and has this role; another one at each call."""
    token, now = await api.token(**WHO[role] | named), datetime.now(UTC)
    async with api.db.write() as session:
        account_id = (await accounts.viewer_of(session, token, SECRET, now)).account_id
        session.add(person := models.Person())
        await session.flush()
        await people.join(session, person.id, account_id)
        begun = await sessions.start(
            session, person.id, method="password", account_id=account_id, secret=SECRET, now=now
        )
    assert begun.access_token is not None
    return begun.access_token


async def reviewed(api: Api) -> str:
    """The id of a run under review, of what matured in the first week of November."""
    async with api.db.write() as session:
        made = await settlements.settle(session, cutoff=datetime(2026, 11, 7, 16, tzinfo=UTC), now=NOW)
        assert made is not None
        await settlements.review(session, made.run_id, now=NOW, by=None)
    return encode("settlement-run", made.run_id)


async def distributor_id(api: Api, code: str) -> int:
    async with api.db.read() as session:
        return (await session.scalars(select(models.Distributor.id).where(models.Distributor.code == code))).one()


def refusal(answer: Any) -> tuple[str, str]:
    ((name, said),) = answer["data"].items()
    assert set(said) == {"code", "message"}, (name, said)
    return said["code"], said["message"]


async def test_a_run_is_made_by_one_and_approved_by_another(own_sample: Api) -> None:
    api, first = own_sample, await reviewed(own_sample)
    maker, checker = await staff(api), await staff(api)
    refused = await api.run("finance/Settle", maker, until="2026-11-15")
    assert refusal(refused)[0] == "WRONG_STATE"
    await check(api, "finance/ApproveRun", maker, id=first, statements=10, most=10)
    made = await check(api, "finance/Settle", maker, until="2026-11-15", payOn="2026-11-25", statements=22, most=22)
    draft = made["data"]["settle"]["run"]
    assert (draft["state"], draft["payOn"], draft["approvedBy"]) == ("DRAFT", "2026-11-25", None)
    assert refusal(await api.run("finance/ApproveRun", checker, id=draft["id"]))[0] == "WRONG_STATE"
    await check(api, "finance/ReviewRun", maker, id=draft["id"], statements=7, most=7)
    own = refusal(await api.run("finance/ApproveRun", maker, id=draft["id"]))
    assert own == ("WRONG_STATE", "Who made a run cannot approve it: ask somebody else.")
    nobody = refusal(await api.run("finance/ApproveRun", await api.token("finance"), id=draft["id"]))
    assert nobody == (
        "WRONG_STATE",
        "This token names nobody: sign in as yourself to close a period.",
    )
    run = (await api.run("finance/ApproveRun", checker, id=draft["id"]))["data"]["approveRun"]
    assert run["state"] == "APPROVED"
    assert run["createdBy"] == run["reviewedBy"] != run["approvedBy"]
    assert refusal(await api.run("finance/DiscardRun", checker, id=draft["id"]))[0] == "WRONG_STATE"
    nothing = await api.run("finance/Settle", maker, until="2026-11-15")
    assert nothing == {"data": {"settle": {"run": None}}}


async def test_a_run_is_discarded(own_sample: Api) -> None:
    api, run_id = own_sample, await reviewed(own_sample)
    await check(api, "finance/DiscardRun", await staff(api), id=run_id, statements=18, most=18)
    async with api.db.read() as session:
        found = await session.execute(select(models.SettlementRun.state, models.SettlementRun.id))
        runs = {row.state: row.id for row in found}
        stands = select(func.count()).where(models.Statement.run_id == runs["discarded"])
        assert (set(runs), await session.scalar(stands)) == ({"approved", "discarded"}, 0)


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"until": "2026-11-22"}, "PERIOD_OPEN"),
        ({"until": "2026-11-10", "payOn": "2026-11-09"}, "BAD_ARGUMENT"),
        ({"until": "2026-11-10", "payOn": "2027-02-01"}, "BAD_ARGUMENT"),
        ({"until": "1000-01-01"}, "BAD_ARGUMENT"),
        ({"until": "2026-11-10", "payOn": "9999-12-31"}, "BAD_ARGUMENT"),
    ],
)
async def test_a_run_that_cannot_be_made(own_sample: Api, variables: dict[str, str], code: str) -> None:
    answer = await own_sample.run("finance/Settle", await staff(own_sample), **variables)
    assert refusal(answer)[0] == code
    async with own_sample.db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.SettlementRun)) == 1


async def test_a_token_of_nobody_closes_nothing(own_sample: Api) -> None:
    api, run_id = own_sample, encode("settlement-run", 1)
    said = {"payee": encode("distributor", 1), "amount": 1, "dated": "2026-11-01", "reason": "补"}
    for operation, variables in (
        ("Settle", {"until": "2026-11-15"}),
        ("ReviewRun", {"id": run_id}),
        ("DiscardRun", {"id": run_id}),
        ("Adjust", {"input": said}),
    ):
        answer = await api.run(f"finance/{operation}", await api.token("finance"), **variables)
        assert refusal(answer) == ("WRONG_STATE", "This token names nobody: sign in as yourself to close a period.")


async def test_runs_that_are_not_there(own_sample: Api) -> None:
    token = await staff(own_sample)
    for operation in ("ReviewRun", "ApproveRun", "DiscardRun"):
        answer = await own_sample.run(f"finance/{operation}", token, id=encode("settlement-run", 999))
        assert refusal(answer)[0] == "NOT_FOUND"
    answer = await own_sample.run("finance/ApproveWriteOff", token, id=encode("write-off", 999))
    assert refusal(answer)[0] == "NOT_FOUND"


@pytest.mark.parametrize(("door", "role"), PAYEES)
async def test_a_payee_disputes_and_finance_answers(own_sample: Api, door: str, role: str) -> None:
    api = own_sample
    run_id, payee, finance = await reviewed(api), await staff(api, role), await staff(api)
    own = await api.run(f"{door}/Statements", payee)
    statement = own["data"][door]["statements"]["edges"][0]["node"]["id"]
    done = await check(api, f"{door}/DisputeStatement", payee, id=statement, reason="少算一单", statements=4)
    twice = await api.run(f"{door}/DisputeStatement", payee, id=statement, reason="再来")
    assert refusal(twice)[0] == "WRONG_STATE"
    await check(api, f"{door}/StatementReview", payee, id=statement, statements=4)
    await check(api, "finance/StatementReview", finance, id=statement, case=role, statements=4)
    waiting = await check(api, "finance/Disputes", finance, case=role, statements=2)
    (edge,) = waiting["data"]["finance"]["disputes"]["edges"]
    assert edge["node"]["id"] == done["data"]["disputeStatement"]["id"]
    said = {"dispute": edge["node"]["id"], "answer": "补一单", "amount": 500, "dated": "2026-11-20"}
    await check(api, "finance/AnswerDispute", finance, input=said, case=role, statements=11, most=11)
    assert refusal(await api.run("finance/AnswerDispute", finance, input=said))[0] == "WRONG_STATE"
    none = (await api.run("finance/Disputes", finance))["data"]["finance"]["disputes"]["edges"]
    assert none == []
    assert (await api.run("finance/ApproveRun", finance, id=run_id))["data"]["approveRun"]["state"] == "APPROVED"
    mine = await check(api, f"{door}/Disputes", payee, statements=2)
    (edge,) = mine["data"][door]["disputes"]["edges"]
    assert edge["node"]["leftAt"] is not None
    gone = await api.run(f"{door}/StatementReview", payee, id=statement)
    assert gone == {"data": {door: {"statement": None}}}
    late = await api.run(f"{door}/DisputeStatement", payee, id=statement, reason="再来")
    assert refusal(late)[0] == "NOT_FOUND"
    answer = await api.run("finance/Settle", finance, until="2026-11-21")
    assert answer["data"]["settle"]["run"]["state"] == "DRAFT"


async def test_adjustments_and_their_list(own_sample: Api) -> None:
    api, finance = own_sample, await staff(own_sample)
    payee = encode("distributor", await distributor_id(api, "ZJ-HZ"))
    said = {"payee": payee, "amount": -250, "dated": "2026-11-02", "reason": "多付"}
    await check(api, "finance/Adjust", finance, input=said, statements=8, most=8)
    brand = {"payee": encode("brand", 1), "amount": 70, "dated": "2026-11-03", "reason": "补"}
    assert (await api.run("finance/Adjust", finance, input=brand))["data"]["adjust"]["payee"]["kind"] == "BRAND"
    await check(api, "finance/Adjustments", finance, statements=2)
    rows = (await api.run("finance/Adjustments", finance, payee=payee, openOnly=True))["data"]["finance"]
    assert [edge["node"]["amount"]["amount"] for edge in rows["adjustments"]["edges"]] == [-250]
    for wrong, code in (
        ({"payee": encode("brand", 999)}, "NOT_FOUND"),
        ({"payee": encode("store", 1)}, "BAD_ARGUMENT"),
        ({"amount": 0}, "BAD_ARGUMENT"),
        ({"reason": ""}, "BAD_ARGUMENT"),
        ({"dated": "0001-01-01"}, "BAD_ARGUMENT"),
    ):
        assert refusal(await api.run("finance/Adjust", finance, input={**said, **wrong}))[0] == code


async def test_debt_is_given_up_by_two(own_sample: Api) -> None:
    api, first = own_sample, await reviewed(own_sample)
    asker, checker = await staff(api), await staff(api)
    await api.run("finance/ApproveRun", checker, id=first)
    owing = await distributor_id(api, "ZJ-HZ")
    async with api.db.write() as session:
        await settlements.adjust(
            session,
            distributor_id=owing,
            amount=-100_000_000,
            dated=date(2026, 11, 1),
            reason="追回",
            by=None,
            now=NOW,
        )
        made = await settlements.settle(session, cutoff=NOW, now=NOW)
        assert made is not None
        await settlements.review(session, made.run_id, now=NOW, by=None)
        await settlements.approve(session, made.run_id, now=NOW, by=None)
    await check(api, "finance/Debts", checker, statements=2)
    wanted = {"distributor": encode("distributor", owing), "amount": 1000, "reason": "坏账"}
    asked = await check(api, "finance/AskWriteOff", asker, input=wanted, statements=6, most=6)
    write_off = asked["data"]["askWriteOff"]["id"]
    await check(api, "finance/WriteOffs", checker, statements=2)
    assert refusal(await api.run("finance/ApproveWriteOff", asker, id=write_off))[0] == "WRONG_STATE"
    nobody = await api.run("finance/ApproveWriteOff", await api.token("finance"), id=write_off)
    assert refusal(nobody)[0] == "WRONG_STATE"
    done = await check(api, "finance/ApproveWriteOff", checker, id=write_off, statements=14, most=14)
    assert done["data"]["approveWriteOff"]["approvedBy"] is not None
    assert (await api.run("finance/WriteOffs", checker))["data"]["finance"]["writeOffs"]["edges"] == []
    much = {**wanted, "amount": 10**12}
    assert refusal(await api.run("finance/AskWriteOff", asker, input=much))[0] == "WRONG_STATE"


async def test_income_and_how_it_is_taxed(own_sample: Api) -> None:
    api, first, finance = own_sample, await reviewed(own_sample), await staff(own_sample)
    payee = encode("distributor", await distributor_id(api, "ZJ-HZ"))
    policy = {"distributor": payee, "policy": "CN_LABOUR_CUMULATIVE", "startsOn": "2026-11-01"}
    await check(api, "finance/SetWithholding", finance, input=policy, statements=3)
    deduction = {"distributor": payee, "month": "2026-11-01", "amount": 100_00}
    await check(api, "finance/SetDeduction", finance, input=deduction, statements=3)
    for wrong, code in (({"month": "2026-11-02"}, "BAD_ARGUMENT"), ({"amount": -1}, "BAD_ARGUMENT")):
        answer = await api.run("finance/SetDeduction", finance, input={**deduction, **wrong})
        assert refusal(answer)[0] == code
    nobody = {**policy, "distributor": encode("distributor", 10**6)}
    assert refusal(await api.run("finance/SetWithholding", finance, input=nobody))[0] == "NOT_FOUND"
    await api.run("finance/ApproveRun", finance, id=first)
    answer = await check(api, "finance/IncomeOfQuarter", finance, year=2026, quarter=4, first=3, statements=2)
    assert answer["data"]["finance"]["incomeOfQuarter"]["pageInfo"]["hasNextPage"]
    await check(api, "finance/IncomeOfYear", finance, distributor=payee, year=2026, statements=2)
