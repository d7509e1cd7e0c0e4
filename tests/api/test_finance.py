"""What finance sees, with numbers worked by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from s2b2c import models, orders
from s2b2c.api.types.ids import encode
from s2b2c.db import Database
from tests import factories
from tests.api.client import Api

PAID_AT = datetime(2026, 9, 1, 5, tzinfo=UTC)
DONE_AT = datetime(2026, 9, 4, 5, tzinfo=UTC)
CUTOFF = datetime(2026, 9, 30, 16, tzinfo=UTC)

RUNS = """query($first: Int! = 24, $after: String) { finance { runs(first: $first, after: $after) {
  edges { node { id distributors { lines } statements(payee: DISTRIBUTOR) { edges { node {
    gross { amount } lines(first: 1) { edges { node { orderNo } } } } } } } }
  pageInfo { hasNextPage endCursor } } } }"""
BOTH = """query($id: ID!, $first: Int! = 24) { finance { run(id: $id) {
  distributors: statements(payee: DISTRIBUTOR, first: $first) { ...Found }
  brands: statements(payee: BRAND, first: $first) { ...Found } } } }
fragment Found on FullStatementConnection { edges { node {
  payee { kind code } gross { amount } lines(first: 2) { edges { node { orderNo amount { amount } } } } } } }"""
STATEMENTS = """query($id: ID!, $payee: PayeeKind! = DISTRIBUTOR, $first: Int! = 24, $after: String) { finance {
  run(id: $id) { statements(payee: $payee, first: $first, after: $after) {
    edges { cursor node { id gross { amount } } } pageInfo { hasNextPage hasPreviousPage } } } } }"""
EXPLAINED = """query($id: ID!) { finance { run(id: $id) {
  distributors: statements(payee: DISTRIBUTOR, first: 1) { ...Found } brands: statements(payee: BRAND) { ...Found } } } }
fragment Found on FullStatementConnection { edges { node { lines { edges { node {
  amount { amount } explanation { clawedBack { amount } net { amount } supply { amount } } } } } } } }"""
ORDER = """query($number: String!, $first: Int! = 24, $after: String) { finance { order(orderNo: $number) {
  state planCode refunded { amount } supply { amount } lines(first: $first, after: $after) {
    edges { node { lineNo supply { amount }
      commissions { explanation { net { amount } } clawbacks { amount { amount } } }
      refunds { reference isReversal state amount { amount } } } }
    pageInfo { hasNextPage endCursor } } } } }"""
ACCOUNTS = """{ finance { trialBalance { debits { amount } credits { amount } accounts { edges { node {
  id kind owner balance { amount } transfers(first: 1) { edges { node { code } } } } } } } } }"""


async def _completed(db: Database, store: models.Store, variant: models.Variant) -> models.Order:
    """An order of 9899: 5200 supply, 1187 to the seller, 296 to its parent, 3216 to the platform."""
    async with db.write() as session:
        order = await factories.an_order(session, store, (variant, 2, 4990, 81))
        await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
        await orders.complete(session, [(order.branch_id, order.id, DONE_AT)], hold_days=7)
    return order


async def _settle(db: Database) -> str:
    """The id of a new run."""
    async with db.write() as session:
        settled = await factories.a_settlement(session, cutoff=CUTOFF, now=CUTOFF + timedelta(days=1))
    assert settled is not None
    return encode("settlement-run", settled.run_id)


async def _a_world(db: Database, stores: int = 1) -> tuple[list[models.Store], models.Variant]:
    """Stores that each have a parent of their own, and what they sell."""
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        chains = []
        for _ in range(stores):
            parent = await factories.a_distributor(session, rank=1)
            seller = await factories.a_distributor(session, parent=parent, rank=2)
            chains.append(await factories.a_store(session, seller))
        return chains, await factories.a_variant(session)


async def _ask(api: Api, query: str, **variables: Any) -> Any:
    answer = await api.ask(query, await api.token("finance"), **variables)
    assert "errors" not in answer, answer
    return answer["data"]["finance"]


def _nodes(connection: Any) -> list[Any]:
    return [edge["node"] for edge in connection["edges"]]


async def test_nothing_settled_and_nothing_posted(api: Api) -> None:
    assert (await _ask(api, RUNS))["runs"] == {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    nothing = {"amount": 0}
    balance = (await _ask(api, ACCOUNTS))["trialBalance"]
    assert balance == {"debits": nothing, "credits": nothing, "accounts": {"edges": []}}


async def test_runs_newest_first_with_all_below_them_in_four_statements(api: Api) -> None:
    (store,), variant = await _a_world(api.db)
    numbers, runs = [], []
    for _ in range(3):
        numbers.append((await _completed(api.db, store, variant)).order_no)
        runs.append(await _settle(api.db))
    page = (await _ask(api, RUNS, first=2))["runs"]
    assert len(api.statements) == 4, api.statements
    assert _nodes(page) == [
        {
            "id": runs[which],
            "distributors": {"lines": 2},
            "statements": {
                "edges": [
                    {"node": {"gross": {"amount": amount}, "lines": {"edges": [{"node": {"orderNo": numbers[which]}}]}}}
                    for amount in (1187, 296)
                ]
            },
        }
        for which in (2, 1)
    ]
    rest = (await _ask(api, RUNS, first=2, after=page["pageInfo"]["endCursor"]))["runs"]
    assert [node["id"] for node in _nodes(rest)] == runs[:1]
    assert (page["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)


async def test_both_kinds_of_payee_at_once_in_four_statements(api: Api) -> None:
    (store, other), variant = await _a_world(api.db, 2)
    numbers = [(await _completed(api.db, it, variant)).order_no for it in (store, store, store, other)]
    run = (await _ask(api, BOTH, id=await _settle(api.db)))["run"]
    assert len(api.statements) == 4, api.statements
    found = [
        (it["payee"]["kind"], it["gross"]["amount"], [(line["orderNo"], line["amount"]["amount"]) for line in lines])
        for it in _nodes(run["distributors"]) + _nodes(run["brands"])
        for lines in [_nodes(it["lines"])]
    ]
    assert found == [
        ("DISTRIBUTOR", 3 * 1187, [(number, 1187) for number in numbers[:2]]),
        ("DISTRIBUTOR", 1187, [(numbers[3], 1187)]),
        ("DISTRIBUTOR", 3 * 296, [(number, 296) for number in numbers[:2]]),
        ("DISTRIBUTOR", 296, [(numbers[3], 296)]),
        ("BRAND", 4 * 5200, [(number, 5200) for number in numbers[:2]]),
    ]


async def test_pages_of_statements_in_the_middle_of_ties(api: Api) -> None:
    stores, variant = await _a_world(api.db, 3)
    for store in stores:
        await _completed(api.db, store, variant)
    run = await _settle(api.db)
    found: list[Any] = []
    after = None
    for number in range(6):
        page = (await _ask(api, STATEMENTS, id=run, first=1, after=after))["run"]["statements"]
        (edge,) = page["edges"]
        assert page["pageInfo"] == {"hasNextPage": number < 5, "hasPreviousPage": number > 0}
        found.append(edge["node"])
        after = edge["cursor"]
    assert [it["gross"]["amount"] for it in found] == [1187] * 3 + [296] * 3
    assert found == _nodes((await _ask(api, STATEMENTS, id=run))["run"]["statements"])
    last = (await _ask(api, STATEMENTS, id=run, after=after))["run"]["statements"]
    assert last == {"edges": [], "pageInfo": {"hasNextPage": False, "hasPreviousPage": True}}
    assert await api.code(STATEMENTS, await api.token("finance"), id=run, payee="BRAND", after=after) == "BAD_ARGUMENT"


async def test_every_account_with_its_last_transfer_in_four_statements(api: Api) -> None:
    (store,), variant = await _a_world(api.db)
    await _completed(api.db, store, variant)
    balance = (await _ask(api, ACCOUNTS))["trialBalance"]
    assert len(api.statements) == 4, api.statements
    assert (balance["debits"], balance["credits"]) == ({"amount": 19798}, {"amount": 19798})
    found = {
        (it["kind"], it["owner"]): (it["balance"]["amount"], [node["code"] for node in _nodes(it["transfers"])])
        for it in _nodes(balance["accounts"])
    }
    assert found.pop(("ESCROW", None))[0] == 0
    async with api.db.read() as session:
        brand = await session.get_one(models.Brand, variant.brand_id)
        seller = await session.get_one(models.Distributor, store.distributor_id)
    assert found == {
        ("CLEARING", None): (-9899, ["PAYMENT"]),
        ("BRAND_PAYABLE", brand.name): (5200, ["SUPPLY"]),
        ("COMMISSION_PAYABLE", seller.name): (1187, ["COMMISSION"]),
        ("COMMISSION_PAYABLE", f"分销商{seller.parent_id}"): (296, ["COMMISSION"]),
        ("REVENUE", None): (3216, ["REVENUE"]),
    }


async def _refund(db: Database, order: models.Order, reference: str, amount: int) -> None:
    async with db.write() as session:
        line = orders.RefundedLine(1, amount=amount)
        assert await orders.refund(session, [orders.Refund(order.branch_id, order.id, reference, DONE_AT, [line])]) == 1


async def test_a_commission_and_its_clawback_are_explained_alike(api: Api) -> None:
    """1187 of 9899, of which a refund of 3300 takes back 395; a brand's lines have nothing to explain."""
    (store,), variant = await _a_world(api.db)
    await _refund(api.db, await _completed(api.db, store, variant), "R1", 3300)
    run = (await _ask(api, EXPLAINED, id=await _settle(api.db)))["run"]
    ((mine,), (brand,)) = (_nodes(run[payee]) for payee in ("distributors", "brands"))
    assert [(it["amount"]["amount"], it["explanation"]) for it in _nodes(mine["lines"])] == [
        (amount, {"clawedBack": {"amount": 395}, "net": {"amount": 792}, "supply": {"amount": 5200}})
        for amount in (1187, -395)
    ]
    assert [it["explanation"] for it in _nodes(brand["lines"])] == [None]


async def test_an_order_line_by_line(api: Api) -> None:
    """Waiting for its payment with a refund that came first, then paid, then a reversal; a plan with no rule for it."""
    (store,), variant = await _a_world(api.db)
    async with api.db.write() as session:
        other = await factories.a_variant(session, supply_price=1000, category="礼品")
        plan = (await session.scalars(select(models.Plan))).one()
        session.add(models.Rule(plan_id=plan.id, category="礼品", scheme="levels", base="paid", depth=0))
        order = await factories.an_order(session, store, (variant, 2, 4990, 81), (other, 1, 2000, 0))
        claim = {"kind": "order_no", "name": order.order_no, "branch_id": order.branch_id, "event_id": order.id}
        session.add(models.Claim(**claim))
    await _refund(api.db, order, "R1", 3300)
    placed = (await _ask(api, ORDER, number=order.order_no))["order"]
    assert (placed["state"], placed["planCode"], placed["refunded"]) == ("PLACED", None, {"amount": 0})
    assert [(it["commissions"], it["refunds"]) for it in _nodes(placed["lines"])] == [
        ([], [{"reference": "R1", "isReversal": False, "state": "WAITING", "amount": {"amount": 3300}}]),
        ([], []),
    ]
    async with api.db.write() as session:
        await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
        await orders.reverse_refunds(session, [("R1", DONE_AT)])
    first = (await _ask(api, ORDER, number=order.order_no, first=1))["order"]
    assert len(api.statements) == 4, api.statements
    assert (first["state"], first["planCode"], first["refunded"]) == ("PAID", plan.code, {"amount": 0})
    (line,) = _nodes(first["lines"])
    assert [part["amount"]["amount"] for part in line["refunds"]] == [3300, -3300]
    assert [
        (it["explanation"]["net"]["amount"], [part["amount"]["amount"] for part in it["clawbacks"]])
        for it in line["commissions"]
    ] == [(1187, [395, -395]), (296, [98, -98])]
    assert [it["supply"]["amount"] for it in (first, line)] == [6200, 5200]
    rest = (await _ask(api, ORDER, number=order.order_no, after=first["lines"]["pageInfo"]["endCursor"]))["order"]
    (gift,) = _nodes(rest["lines"])
    assert (gift["lineNo"], gift["commissions"], gift["refunds"]) == (2, [], [])
    assert (first["lines"]["pageInfo"]["hasNextPage"], rest["lines"]["pageInfo"]["hasNextPage"]) == (True, False)
    token = await api.token("finance")
    assert await api.code(ORDER, token, number=order.order_no, after=encode("order-line", 1, 2)) == "BAD_ARGUMENT"
    assert await api.code(ORDER, await api.token("operator"), number=order.order_no) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("field", "kind"), [("run", "settlement-run"), ("statement", "statement"), ("ledgerAccount", "ledger-account")]
)
async def test_what_is_not_there_is_null(api: Api, field: str, kind: str) -> None:
    query = f"query($id: ID!) {{ finance {{ found: {field}(id: $id) {{ id }} }} }}"
    assert await _ask(api, query, id=encode(kind, 1)) == {"found": None}
    assert len(api.statements) == 2, api.statements
    for wrong in ("", "1", encode("store", 1), encode(kind, 1, 2)):
        assert await api.code(query, await api.token("finance"), id=wrong) == "BAD_ARGUMENT"
    for role, whom in (("operator", {}), ("brand", {"brand": "甲"}), ("distributor", {"distributor": "甲"})):
        async with api.db.write() as session:
            if role == "brand":
                await factories.a_brand(session, "甲")
            if role == "distributor":
                (await factories.a_distributor(session)).code = "甲"
        assert await api.code(query, await api.token(role, **whom), id=encode(kind, 1)) == "FORBIDDEN"


@pytest.mark.parametrize("first", [-1, 101])
async def test_a_page_has_at_most_100_rows(api: Api, first: int) -> None:
    (store,), variant = await _a_world(api.db)
    await _completed(api.db, store, variant)
    run, token = await _settle(api.db), await api.token("finance")
    assert await api.code(RUNS, token, first=first) == "BAD_ARGUMENT"
    assert await api.code(STATEMENTS, token, id=run, first=first) == "BAD_ARGUMENT"
    for field in ("runs", "trialBalance { accounts"):
        query = f'{{ finance {{ {field}(after: "x") {{ edges {{ cursor }} }} }} }}' + "}" * field.count("{")
        assert await api.code(query, token) == "BAD_ARGUMENT"
    nested = "{ finance { trialBalance { accounts(first: 1) { edges { node { transfers(first: %d) { edges { cursor } } } } } } } }"
    assert await api.code(nested % first, token) == "BAD_ARGUMENT"
