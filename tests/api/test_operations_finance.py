"""The operations of finance on the sample network."""

import json
from typing import Any

import pytest

from s2b2c import models
from s2b2c.orders import Refund, RefundedLine, refund, reverse_refunds
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.operations import check


async def _finance(api: Api, operation: str, **variables: Any) -> Any:
    answer = await api.run(f"finance/{operation}", await api.token("finance"), **variables)
    assert "errors" not in answer, answer
    return answer["data"]["finance"]


async def _run_id(api: Api) -> str:
    (edge,) = (await _finance(api, "Runs"))["runs"]["edges"]
    return str(edge["node"]["id"])


async def _statements(api: Api, payee: str) -> list[Any]:
    """Every statement of the one run, each with one line."""
    found, after, more = [], None, True
    while more:
        run = (await _finance(api, "Run", id=await _run_id(api), payee=payee, lines=1, first=10, after=after))["run"]
        found += [edge["node"] for edge in run["statements"]["edges"]]
        more, after = run["statements"]["pageInfo"]["hasNextPage"], run["statements"]["pageInfo"]["endCursor"]
    return found


async def _account_id(api: Api, kind: str) -> str:
    edges = (await _finance(api, "TrialBalance", kind=kind))["trialBalance"]["accounts"]["edges"]
    return str(edges[0]["node"]["id"])


async def test_runs(sample: Api) -> None:
    token = await sample.token("finance")
    for first in (1, 100):
        await check(sample, "finance/Runs", token, first=first, statements=2)


@pytest.mark.parametrize("payee", ["DISTRIBUTOR", "BRAND"])
async def test_a_run_with_its_statements(sample: Api, payee: str) -> None:
    token, run_id = await sample.token("finance"), await _run_id(sample)
    shown: dict[str, Any] = {"id": run_id, "payee": payee}
    await check(sample, "finance/Run", token, **shown, first=2, lines=2, case=payee.lower(), statements=4)
    answer = await sample.run("finance/Run", token, **shown, first=100, lines=100)
    assert len(sample.statements) == 4, sample.statements
    run = answer["data"]["finance"]["run"]
    found = [edge["node"] for edge in run["statements"]["edges"]]
    totals = run["distributors" if payee == "DISTRIBUTOR" else "brands"]
    assert [len(found), sum(it["lineCount"] for it in found), sum(it["gross"]["amount"] for it in found)] == [
        totals["statements"],
        totals["lines"],
        totals["gross"]["amount"],
    ]
    assert sorted(found, key=lambda it: -it["gross"]["amount"]) == found
    paged = await _statements(sample, payee)
    assert [it["id"] for it in paged] == [it["id"] for it in found]


@pytest.mark.parametrize("payee", ["DISTRIBUTOR", "BRAND"])
async def test_a_statement_down_to_the_order_line(sample: Api, payee: str) -> None:
    token = await sample.token("finance")
    statement = (await _statements(sample, payee))[-1]
    await check(
        sample,
        "finance/Statement",
        token,
        id=statement["id"],
        first=3,
        case=payee.lower(),
        statements=4 if payee == "DISTRIBUTOR" else 3,
    )
    amounts: list[int] = []
    after, more = None, True
    while more:
        answer = await sample.run("finance/Statement", token, id=statement["id"], first=100, after=after)
        assert len(sample.statements) == (4 if payee == "DISTRIBUTOR" else 3), sample.statements
        lines = answer["data"]["finance"]["statement"]["lines"]
        amounts += [edge["node"]["amount"]["amount"] for edge in lines["edges"]]
        more, after = lines["pageInfo"]["hasNextPage"], lines["pageInfo"]["endCursor"]
    assert (len(amounts), sum(amounts)) == (statement["lineCount"], statement["gross"]["amount"])


ORDER = "SO26103103489"


async def test_an_order_with_all_that_is_earned_on_it(own_sample: Api) -> None:
    """Refunds of an amount, of a unit that came back, and one that was reversed."""
    token = await own_sample.token("finance")
    async with own_sample.db.write() as session:
        claim = await session.get_one(models.Claim, ("order_no", ORDER))
        done = [
            ("R1", RefundedLine(3, amount=1000)),
            ("R2", RefundedLine(3, quantity=1, goods_back=True)),
            ("R3", RefundedLine(1, amount=1)),
        ]
        refunds = [Refund(claim.branch_id, claim.event_id, reference, NOW, [line]) for reference, line in done]
        assert await refund(session, refunds) == 3
        assert await reverse_refunds(session, [("R1", NOW)]) == 1
    await check(own_sample, "finance/Order", token, orderNo=ORDER, first=1, case="first", statements=4)
    answer = await check(own_sample, "finance/Order", token, orderNo=ORDER, first=100, language="EN", statements=4)
    order = answer["data"]["finance"]["order"]
    lines = [edge["node"] for edge in order["lines"]["edges"]]
    assert [line["lineNo"] for line in lines] == [1, 2, 3]
    for it in (order, *lines):
        amounts = {name: it[name]["amount"] for name in ("paid", "refunded", "supply", "commission", "platform")}
        assert amounts["supply"] + amounts["commission"] + amounts["platform"] == amounts["paid"] - amounts["refunded"]
    for name in ("paid", "refunded", "supply", "commission", "platform"):
        assert order[name]["amount"] == sum(line[name]["amount"] for line in lines)
    for line in lines:
        assert line["refunded"]["amount"] == sum(part["amount"]["amount"] for part in line["refunds"])
        shares = [it["explanation"] for it in line["commissions"]]
        assert line["commission"]["amount"] == sum(share["net"]["amount"] for share in shares)
        for it in line["commissions"]:
            taken = sum(part["amount"]["amount"] for part in it["clawbacks"])
            assert it["explanation"]["clawedBack"]["amount"] == taken


async def test_an_order_that_is_not_there(sample: Api) -> None:
    token = await sample.token("finance")
    for none in ("", "SO", "\x01"):
        body = json.dumps(
            {"query": "query($n: String!) { finance { order(orderNo: $n) { orderNo } } }", "variables": {"n": none}}
        )
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        response = await sample.http.post("/graphql", content=body, headers=headers)
        assert response.json() == {"data": {"finance": {"order": None}}}


async def test_the_trial_balance(sample: Api) -> None:
    token = await sample.token("finance")
    await check(sample, "finance/TrialBalance", token, first=5, statements=3)
    await check(sample, "finance/TrialBalance", token, kind="BRAND_PAYABLE", first=2, case="brands", statements=3)
    answer = await sample.run("finance/TrialBalance", token, first=100)
    assert len(sample.statements) == 3, sample.statements
    balance = answer["data"]["finance"]["trialBalance"]
    assert not balance["accounts"]["pageInfo"]["hasNextPage"]
    accounts = [edge["node"] for edge in balance["accounts"]["edges"]]
    for side in ("debits", "credits"):
        assert sum(it[side]["amount"] for it in accounts) == balance[side]["amount"]
    assert sum(it["balance"]["amount"] for it in accounts) == 0


@pytest.mark.parametrize("kind", ["CLEARING", "ESCROW", "COMMISSION_PAYABLE"])
async def test_an_account_and_its_transfers(sample: Api, kind: str) -> None:
    token, account_id = await sample.token("finance"), await _account_id(sample, kind)
    await check(sample, "finance/LedgerAccount", token, id=account_id, first=3, case=kind.lower(), statements=3)
    sides = {"debitAccount": 0, "creditAccount": 0}
    after, more = None, True
    while more:
        answer = await sample.run("finance/LedgerAccount", token, id=account_id, first=100, after=after)
        assert len(sample.statements) == 3, sample.statements
        account = answer["data"]["finance"]["ledgerAccount"]
        for edge in account["transfers"]["edges"]:
            for side in sides:
                sides[side] += edge["node"]["amount"]["amount"] if edge["node"][side]["id"] == account_id else 0
        page = account["transfers"]["pageInfo"]
        more, after = page["hasNextPage"], page["endCursor"]
    assert list(sides.values()) == [account["debits"]["amount"], account["credits"]["amount"]]
