"""What a brand sees of its own."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import jwt
import pytest

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
        {"first": 0},
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


async def test_a_token_that_is_not_ours_is_refused(api: Api) -> None:
    await _brand(api.db, "一")
    await api.token("brand", brand="一")  # account 1 exists
    tokens = {
        "forged": jwt.encode(_claims(), "somebody else's secret, also 32 characters", algorithm="HS256"),
        "unsigned": jwt.encode(_claims(), None, algorithm="none"),
        "other algorithm": jwt.encode(_claims(), SECRET * 2, algorithm="HS512"),
        "other issuer": jwt.encode(_claims(iss="somebody"), SECRET, algorithm="HS256"),
        "no such account": jwt.encode(_claims(sub="999999"), SECRET, algorithm="HS256"),
        "no account": jwt.encode(_claims(sub="me"), SECRET, algorithm="HS256"),
        "no expiry": jwt.encode({"iss": "s2b2c", "sub": "1"}, SECRET, algorithm="HS256"),
        "expired": jwt.encode(_claims(exp=datetime.now(UTC) - timedelta(seconds=1)), SECRET, algorithm="HS256"),
        "long": "x" * 100_000,
    }
    assert await api.ask("{ brand { name } }", jwt.encode(_claims(), SECRET, algorithm="HS256")) == {
        "data": {"brand": {"name": "一"}}
    }
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
    assert error["message"] == "The token has expired: get a new one with `s2b2c token`."


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
