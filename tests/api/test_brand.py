"""What a brand sees of its own."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from s2b2c import accounts, models
from s2b2c.api.types.ids import encode
from s2b2c.db import Database
from tests import factories
from tests.api.client import SECRET, Api

STORES = """query($from: Date! = "2026-09-01", $to: Date! = "2026-10-01", $first: Int! = 24, $after: String) { brand {
  stores(from: $from, to: $to, first: $first, after: $after) {
    edges { node { store { slug } output { amount } } } pageInfo { hasNextPage endCursor } } } }"""


async def _brand(db: Database, name: str) -> models.Brand:
    async with db.write() as session:
        return await factories.a_brand(session, name)


async def _sold(
    db: Database,
    brand: models.Brand,
    slug: str,
    *days: tuple[date, int, int],
    store: models.Store | None = None,
) -> models.Store:
    """A store that sold this much of the brand: a day's (day, paid, refunded), one order of two units each."""
    async with db.write() as session:
        if store is None:
            store = await factories.a_store(session)
            store.slug = slug
        owner = await session.get_one(models.Distributor, store.distributor_id)
        for day, paid, refunded in days:
            session.add(
                models.DailyBrand(
                    branch_id=owner.branch_id,
                    store_id=store.id,
                    brand_id=brand.id,
                    day=day,
                    orders=1,
                    units=2,
                    paid=paid,
                    refunded=refunded,
                )
            )
    return store


def _outputs(answer: Any) -> list[tuple[str, int]]:
    edges = answer["data"]["brand"]["stores"]["edges"]
    return [(edge["node"]["store"]["slug"], edge["node"]["output"]["amount"]) for edge in edges]


async def test_output_by_store_in_full(api: Api) -> None:
    brand = await _brand(api.db, "绒溪小厨")
    store = await _sold(
        api.db,
        brand,
        "hangzhou",
        (date(2026, 8, 31), 999, 0),
        (date(2026, 9, 1), 5000, 0),
        (date(2026, 9, 30), 9899, 3300),
        (date(2026, 10, 1), 888, 0),
    )
    token = await api.token("brand", brand="绒溪小厨")
    answer = await api.run("brand/StoreOutput", token, **{"from": "2026-09-01", "to": "2026-10-01"})
    cursor = encode("store-output", 11599, store.id)
    assert answer == {
        "data": {
            "brand": {
                "name": "绒溪小厨",
                "stores": {
                    "edges": [
                        {
                            "cursor": cursor,
                            "node": {
                                "store": {
                                    "id": encode("store", store.id),
                                    "slug": "hangzhou",
                                    "title": store.title,
                                    "region": "华东",
                                },
                                "output": {"amount": 11599, "currency": "CNY"},
                                "orders": 2,
                                "units": 4,
                                "shareBps": 10000,
                                "outputBefore": {"amount": 999, "currency": "CNY"},
                                "growthBps": 106106,
                            },
                        }
                    ],
                    "pageInfo": {"hasNextPage": False, "endCursor": cursor},
                },
            }
        }
    }
    assert len(api.statements) == 2, api.statements  # the account, the page


@pytest.mark.parametrize("sold_in", [1, 24, 100])
async def test_two_statements_however_many_stores(api: Api, sold_in: int) -> None:
    brand = await _brand(api.db, "一")
    for number in range(sold_in):
        await _sold(api.db, brand, f"s{number}", (date(2026, 9, 1), 100, 0))
    token = await api.token("brand", brand="一")
    answer = await api.ask(STORES, token, first=sold_in)
    assert len(_outputs(answer)) == sold_in
    assert len(api.statements) == 2, api.statements


async def test_another_brands_figures_are_never_seen(api: Api) -> None:
    ours, theirs = await _brand(api.db, "我们"), await _brand(api.db, "他们")
    store = await _sold(api.db, ours, "both", (date(2026, 9, 1), 100, 0))
    await _sold(api.db, theirs, "both", (date(2026, 9, 1), 70000, 0), store=store)
    await _sold(api.db, theirs, "theirs", (date(2026, 9, 1), 90000, 0))
    assert _outputs(await api.ask(STORES, await api.token("brand", brand="我们"))) == [("both", 100)]
    assert _outputs(await api.ask(STORES, await api.token("brand", brand="他们"))) == [
        ("theirs", 90000),
        ("both", 70000),
    ]


async def test_most_output_first_in_pages(api: Api) -> None:
    """Equal outputs follow their stores' ids; refunds of earlier sales make an output negative."""
    brand = await _brand(api.db, "一")
    for slug, paid, refunded in [("a", 100, 0), ("b", 300, 0), ("c", 100, 0), ("d", 0, 50), ("e", 100, 0)]:
        await _sold(api.db, brand, slug, (date(2026, 9, 2), paid, refunded))
    token = await api.token("brand", brand="一")
    pages, cursor = [], None
    while True:
        answer = await api.ask(STORES, token, first=2, after=cursor)
        pages.append(_outputs(answer))
        info = answer["data"]["brand"]["stores"]["pageInfo"]
        cursor = info["endCursor"]
        if not info["hasNextPage"]:
            break
    assert pages == [[("b", 300), ("a", 100)], [("c", 100), ("e", 100)], [("d", -50)]]
    assert _outputs(await api.ask(STORES, token, first=2, after=cursor)) == []


async def test_pages_stay_right_while_output_comes_in(api: Api) -> None:
    brand = await _brand(api.db, "一")
    stores = {
        slug: await _sold(api.db, brand, slug, (date(2026, 9, 2), paid, 0))
        for slug, paid in [("a", 400), ("b", 300), ("c", 200), ("d", 100)]
    }
    token = await api.token("brand", brand="一")
    page = await api.ask(STORES, token, first=2)
    assert _outputs(page) == [("a", 400), ("b", 300)]
    await _sold(api.db, brand, "above", (date(2026, 9, 3), 900, 0))
    await _sold(api.db, brand, "between", (date(2026, 9, 3), 250, 0))
    await _sold(api.db, brand, "b", (date(2026, 9, 3), 0, 200), store=stores["b"])  # b falls to 100, behind the cursor
    cursor = page["data"]["brand"]["stores"]["pageInfo"]["endCursor"]
    assert _outputs(await api.ask(STORES, token, after=cursor)) == [
        ("between", 250),
        ("c", 200),
        ("b", 100),
        ("d", 100),
    ]


SHARES = """query($region: String, $tier: ID, $sort: StoreSort! = OUTPUT) { brand {
  stores(from: "2026-09-01", to: "2026-10-01", region: $region, tier: $tier, sort: $sort) {
    edges { node { store { slug } output { amount } shareBps outputBefore { amount } growthBps } } } } }"""


def _shares(answer: Any) -> list[tuple[str, int, int | None, int, int | None]]:
    nodes = [edge["node"] for edge in answer["data"]["brand"]["stores"]["edges"]]
    return [
        (it["store"]["slug"], it["output"]["amount"], it["shareBps"], it["outputBefore"]["amount"], it["growthBps"])
        for it in nodes
    ]


async def test_shares_and_growth_are_floored(api: Api) -> None:
    """Of 300 in all; the store that sold nothing any more is there, at -100 %."""
    brand = await _brand(api.db, "一")
    august, september = date(2026, 8, 15), date(2026, 9, 15)
    await _sold(api.db, brand, "a", (august, 300, 0), (september, 200, 0))
    await _sold(api.db, brand, "b", (august, 0, 7), (september, 101, 0))
    await _sold(api.db, brand, "c", (august, 70, 0))
    await _sold(api.db, brand, "d", (september, 0, 1))
    token = await api.token("brand", brand="一")
    a, b = ("a", 200, 6666, 300, -3334), ("b", 101, 3366, -7, None)
    c, d = ("c", 0, 0, 70, -10000), ("d", -1, -34, 0, None)
    assert _shares(await api.ask(SHARES, token)) == [a, b, c, d]
    assert _shares(await api.ask(SHARES, token, sort="TREND")) == [b, d, c, a]
    assert _shares(await api.ask(SHARES, token, region="华北")) == []
    async with api.db.write() as session:
        tier = encode("tier", (await factories.a_tier(session, rank=1)).id)
    assert _shares(await api.ask(SHARES, token, region="华东", tier=tier)) == [a, b, c, d]
    assert _shares(await api.ask(SHARES, token, tier=encode("tier", 999))) == []
    for wrong in ["", "garbage", encode("store", 1)]:
        assert await api.code(SHARES, token, tier=wrong) == "BAD_ARGUMENT", wrong


async def test_no_share_of_nothing(api: Api) -> None:
    brand = await _brand(api.db, "一")
    await _sold(api.db, brand, "a", (date(2026, 9, 15), 100, 0))
    await _sold(api.db, brand, "b", (date(2026, 9, 15), 0, 100))
    token = await api.token("brand", brand="一")
    assert _shares(await api.ask(SHARES, token)) == [("a", 100, None, 0, None), ("b", -100, None, 0, None)]


async def test_a_cursor_belongs_to_one_order(api: Api) -> None:
    await _brand(api.db, "一")
    token = await api.token("brand", brand="一")
    query = """query($sort: StoreSort!, $after: String) { brand {
      stores(from: "2026-09-01", to: "2026-10-01", sort: $sort, after: $after) { edges { cursor } } } }"""
    orders = ["OUTPUT", "ORDERS", "UNITS", "TREND"]
    for order in orders:
        for other in orders:
            answer = await api.ask(query, token, sort=order, after=encode(f"store-{other.lower()}", 1, 1))
            assert ("errors" not in answer) == (order == other), (order, other)


DATED = [
    "stores(from: $from, to: $to) { edges { cursor } }",
    "output(from: $from, to: $to, by: DAY) { edges { cursor } }",
    "storesWithoutSales(from: $from, to: $to) { edges { cursor } }",
]


@pytest.mark.parametrize("field", DATED)
async def test_periods_that_cannot_be_are_refused(api: Api, field: str) -> None:
    await _brand(api.db, "一")
    token = await api.token("brand", brand="一")
    query = f"query($from: Date!, $to: Date!) {{ brand {{ {field} }} }}"

    async def code(start: str, end: str) -> str | None:
        answer = await api.ask(query, token, **{"from": start, "to": end})
        return answer["errors"][0]["extensions"]["code"] if "errors" in answer else None

    for start, end in [
        ("2026-09-01", "2026-09-01"),
        ("2026-09-02", "2026-09-01"),
        ("1899-12-31", "1900-01-02"),
        ("0001-01-01", "0001-01-02"),
        ("2999-12-31", "3000-01-01"),
        ("9999-12-30", "9999-12-31"),
    ]:
        assert await code(start, end) == "BAD_ARGUMENT", (start, end)
    for start, end in [("1900-01-01", "1900-01-02"), ("2999-12-30", "2999-12-31"), ("2020-01-01", "2030-01-01")]:
        assert await code(start, end) is None, (start, end)
    too_long = "BAD_ARGUMENT" if field.startswith("output") else None
    assert await code("2020-01-01", "2030-01-02") == too_long
    assert await code("1900-01-01", "2999-12-31") == too_long


async def test_output_in_pages(api: Api) -> None:
    brand = await _brand(api.db, "一")
    await _sold(api.db, brand, "a", (date(2026, 9, 2), 100, 0))
    token = await api.token("brand", brand="一")
    query = """query($by: Span!, $after: String) { brand {
      output(from: "2026-09-01", to: "2026-09-04", by: $by, first: 2, after: $after) {
        edges { node { start output { amount } } } pageInfo { hasNextPage hasPreviousPage endCursor } } } }"""
    page = (await api.ask(query, token, by="DAY"))["data"]["brand"]["output"]
    assert [(edge["node"]["start"], edge["node"]["output"]["amount"]) for edge in page["edges"]] == [
        ("2026-09-01", 0),
        ("2026-09-02", 100),
    ]
    cursor = page["pageInfo"]["endCursor"]
    assert page["pageInfo"]["hasNextPage"]
    page = (await api.ask(query, token, by="DAY", after=cursor))["data"]["brand"]["output"]
    assert [edge["node"]["start"] for edge in page["edges"]] == ["2026-09-03"]
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert await api.code(query, token, by="WEEK", after=cursor) == "BAD_ARGUMENT"
    for ordinal, left in [(-(2**63 - 1), 2), (2**63 - 1, 0)]:  # nobody is given such a cursor
        page = (await api.ask(query, token, by="DAY", after=encode("output-day", ordinal)))["data"]["brand"]["output"]
        assert len(page["edges"]) == left


async def test_an_empty_span_is_refused(api: Api) -> None:
    await _brand(api.db, "一")
    token = await api.token("brand", brand="一")
    for start, end in [("2026-09-01", "2026-09-01"), ("2026-09-02", "2026-09-01")]:
        answer = await api.ask(STORES, token, **{"from": start, "to": end})
        assert answer["data"] is None
        assert [(error["message"], error["path"], error["extensions"]) for error in answer["errors"]] == [
            (
                f"from ({start}) must be before to ({end}), the first day that does not count.",
                ["brand", "stores"],
                {"code": "BAD_ARGUMENT"},
            )
        ]


async def test_bad_arguments_are_refused(api: Api) -> None:
    await _brand(api.db, "一")
    token = await api.token("brand", brand="一")
    for day in ["yesterday", "2026-02-30", 20260901, None, ""]:
        assert await api.code(STORES, token, **{"from": day}) == "BAD_REQUEST", day
    bad_pages: list[dict[str, Any]] = [
        {"first": -1},
        {"first": 101},
        {"after": "garbage"},
        {"after": encode("listing", 1)},
    ]
    for page in bad_pages:
        assert await api.code(STORES, token, **page) == "BAD_ARGUMENT", page


async def test_the_door_asks_for_a_token(api: Api) -> None:
    answer = await api.ask(STORES)
    assert answer == {
        "data": None,
        "errors": [
            {
                "message": "This door needs a token: send the header Authorization: Bearer <token>.",
                "locations": [{"line": 1, "column": 100}],
                "path": ["brand"],
                "extensions": {"code": "UNAUTHENTICATED"},
            }
        ],
    }
    assert api.statements == []


async def test_what_is_no_token_is_refused(api: Api) -> None:
    for header in ["", "Bearer", "Bearer ", "Basic abc", "Token abc", "Bearer garbage", "Bearer a.b.c"]:
        response = await api.http.post("/graphql", json={"query": STORES}, headers={"Authorization": header})
        assert response.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}, header
        assert api.statements == []


def _claims(**changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"iss": "s2b2c", "sub": "1", "iat": now, "exp": now + timedelta(hours=1), **changed}


def _token(claims: dict[str, Any], secret: str, algorithm: str = "HS256") -> str:
    return jwt.encode(
        {"alg": algorithm}, claims, OctKey.import_key(secret), registry=JWSRegistry(algorithms=[algorithm])
    )


async def test_a_token_that_is_not_ours_is_refused(api: Api) -> None:
    await _brand(api.db, "一")
    await api.token("brand", brand="一")  # account 1 exists
    tokens = {
        "forged": _token(_claims(), "somebody else's secret, also 32 characters"),
        "unsigned": "eyJhbGciOiJub25lIn0." + _token(_claims(), SECRET).split(".")[1] + ".",
        "other algorithm": _token(_claims(), SECRET * 2, "HS512"),
        "other issuer": _token(_claims(iss="somebody"), SECRET),
        "no such account": _token(_claims(sub="999999"), SECRET),
        "no account": _token(_claims(sub="me"), SECRET),
        "no expiry": _token({"iss": "s2b2c", "sub": "1"}, SECRET),
        "expired": _token(_claims(exp=datetime.now(UTC) - timedelta(seconds=1)), SECRET),
        "long": "x" * 100_000,
    }
    assert await api.ask("{ brand { name } }", _token(_claims(), SECRET)) == {"data": {"brand": {"name": "一"}}}
    for name, token in tokens.items():
        answer = await api.ask(STORES, token)
        assert answer["data"] is None, name
        assert [error["extensions"] for error in answer["errors"]] == [{"code": "UNAUTHENTICATED"}], name
        assert token not in str(answer), name


async def test_an_expired_token_says_so(api: Api) -> None:
    await _brand(api.db, "一")
    async with api.db.write() as session:
        token = await accounts.issue_token(
            session, role="brand", brand="一", secret=SECRET, lifetime=timedelta(seconds=-1)
        )
    (error,) = (await api.ask(STORES, token))["errors"]
    assert error["message"] == "The token has expired: refresh your session, or sign in again."


async def test_other_roles_are_sent_away(api: Api) -> None:
    async with api.db.write() as session:
        code = (await factories.a_distributor(session)).code
    for role in ["finance", "operator", "distributor"]:
        token = await api.token(role, distributor=code if role == "distributor" else None)
        (error,) = (await api.ask(STORES, token))["errors"]
        assert error["message"] == f"This door is for the role brand, but the token is for the role {role}."
        assert error["extensions"] == {"code": "FORBIDDEN"}


async def test_two_doors_in_one_request_look_the_viewer_up_once(api: Api) -> None:
    await _brand(api.db, "一")
    token = await api.token("brand", brand="一")
    answer = await api.ask("{ a: brand { name } b: brand { name } }", token)
    assert answer == {"data": {"a": {"name": "一"}, "b": {"name": "一"}}}
    assert sum("FROM accounts" in statement for statement in api.statements) == 1
