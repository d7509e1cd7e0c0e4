"""What whoever runs the network sees and changes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from s2b2c import models
from s2b2c.api.types.ids import encode
from s2b2c.db import Database
from tests import factories
from tests.api.client import Api

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE = encode("distributor", 2**40)
LISTS = ("tiers", "distributors", "brands", "stores", "plans")


async def _began(db: Database) -> None:
    """Every distributor has stood as it does since BEGAN."""
    async with db.write() as session:
        await session.execute(
            text(
                "INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state) "
                "SELECT id, tstzrange(:began, NULL), parent_id, tier_id, state FROM distributors"
            ),
            {"began": BEGAN},
        )


async def _network(db: Database) -> dict[str, str]:
    """root > city > leader, other; the id of each, and of one in every state by the name of the state."""
    async with db.write() as session:
        root = await factories.a_distributor(session)
        city = await factories.a_distributor(session, parent=root, rank=2)
        leader = await factories.a_distributor(session, parent=city, rank=3, region="华北")
        people = {"root": root, "city": city, "leader": leader, "other": await factories.a_distributor(session)}
        for state in models.network.STATES:
            people[state] = await factories.a_distributor(session, state=state)
    await _began(db)
    return {name: encode("distributor", one.id) for name, one in people.items()}


async def _rows(db: Database) -> Sequence[object]:
    async with db.read() as session:
        rows: list[object] = []
        for table in ("distributors", "distributor_history", "notices"):
            rows += (await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t ORDER BY id"))).all()
    return rows


def _names(answer: Any, field: str, name: str = "code") -> list[str]:
    return [edge["node"][name] for edge in answer["data"]["operator"][field]["edges"]]


@pytest.mark.parametrize("role", ["finance", "brand", "distributor"])
async def test_the_door_is_for_the_operator(api: Api, role: str) -> None:
    async with api.db.write() as session:
        brand = await factories.a_brand(session)
        one = await factories.a_distributor(session)
    token = await api.token(
        role,
        brand=brand.name if role == "brand" else None,
        distributor=one.code if role == "distributor" else None,
    )
    assert await api.code("{ operator { tiers { edges { cursor } } } }", token) == "FORBIDDEN"
    before = await _rows(api.db)
    some_id = encode("distributor", one.id)
    mutations: dict[str, dict[str, Any]] = {
        "ApplyDistributor": {
            "input": {"code": "N", "name": "新", "tier": encode("tier", one.tier_id), "region": "浙江"}
        },
        "ApproveDistributor": {"id": some_id},
        "RejectDistributor": {"id": some_id, "reason": "因为"},
        "SuspendDistributor": {"id": some_id, "reason": "因为"},
        "ReinstateDistributor": {"id": some_id, "reason": "因为"},
        "MoveDistributor": {"id": some_id, "reason": "因为"},
    }
    for operation, variables in mutations.items():
        answer = await api.run(f"operator/{operation}", token, **variables)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", operation
    assert await _rows(api.db) == before


async def test_an_empty_network(api: Api) -> None:
    token = await api.token("operator")
    for field in LISTS:
        answer = await api.ask(f"{{ operator {{ {field} {{ edges {{ cursor }} pageInfo {{ endCursor }} }} }} }}", token)
        assert answer["data"]["operator"][field] == {"edges": [], "pageInfo": {"endCursor": None}}
    answer = await api.ask(
        "query($d: ID!, $p: ID!) { operator { distributor(id: $d) { id } plan(id: $p) { id } "
        "movePreview(distributor: $d) { members } } }",
        token,
        d=NOWHERE,
        p=encode("plan", 1),
    )
    assert answer == {"data": {"operator": {"distributor": None, "plan": None, "movePreview": None}}}


async def test_bad_arguments(api: Api) -> None:
    token = await api.token("operator")
    for field in LISTS:
        for arguments in ("first: -1", "first: 101", f'after: "{encode("store-output", 1, 2)}"'):
            query = f"{{ operator {{ {field}({arguments}) {{ edges {{ cursor }} }} }} }}"
            assert await api.code(query, token) == "BAD_ARGUMENT"
    for wrong in (
        'distributor(id: "x") { id }',
        'plan(id: "x") { id }',
        f'distributors(tier: "{NOWHERE}") {{ edges {{ cursor }} }}',
        'movePreview(distributor: "x") { members }',
        f'movePreview(distributor: "{NOWHERE}", parent: "x") {{ members }}',
    ):
        assert await api.code(f"{{ operator {{ {wrong} }} }}", token) == "BAD_ARGUMENT"
    people = await _network(api.db)
    for at in ("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        query = f'{{ operator {{ distributor(id: "{people["root"]}") {{ uplineAt(at: "{at}") {{ id }} }} }} }}'
        assert await api.code(query, token) == "BAD_ARGUMENT"


async def test_distributors_by_state_tier_region_and_search(api: Api) -> None:
    people = await _network(api.db)
    async with api.db.write() as session:
        await session.execute(
            text("UPDATE distributors SET code = 'A_1%', name = '林小雨' WHERE id = :id"),
            {"id": int((await session.scalar(text("SELECT max(id) FROM distributors"))) or 0)},
        )
        tier = await session.scalar(text("SELECT id FROM tiers WHERE rank = 2"))
    token = await api.token("operator")

    async def found(arguments: str) -> list[str]:
        return _names(
            await api.ask(f"{{ operator {{ distributors({arguments}) {{ edges {{ node {{ id }} }} }} }} }}", token),
            "distributors",
            "id",
        )

    assert await found("first: 100") == list(people.values())
    for state in ("APPLIED", "REJECTED", "WATCH", "SUSPENDED", "ELIMINATED"):
        assert (await found(f"state: {state}"))[-1] == people[state.lower()]
    assert await found(f'tier: "{encode("tier", tier or 0)}"') == [people["city"]]
    assert await found('region: "华北"') == [people["leader"]]
    assert await found('region: "华北", state: WATCH') == []
    last = list(people.values())[-1]
    for search in ("小雨", "a_1%", "_", "%"):
        assert await found(f'search: "{search}"') == [last]
    assert await found('search: ""') == list(people.values())
    for text_ in (r"\u0000", r"小\u0000雨"):
        assert await found(f'search: "{text_}"') == await found(f'region: "{text_}"') == []


async def test_counts_of_tiers_and_distributors(api: Api) -> None:
    people = await _network(api.db)
    async with api.db.write() as session:
        await factories.a_store(session, await session.get_one(models.Distributor, 2))
    token = await api.token("operator")
    answer = await api.ask(
        "{ operator { tiers { edges { node { rank distributors } } } "
        "distributors { edges { node { id members stores parent { id } } } } } }",
        token,
    )
    tiers = [edge["node"] for edge in answer["data"]["operator"]["tiers"]["edges"]]
    assert tiers == [
        {"rank": 1, "distributors": 4},  # root, other, active, watch
        {"rank": 2, "distributors": 1},
        {"rank": 3, "distributors": 1},
    ]
    assert [edge["node"] for edge in answer["data"]["operator"]["distributors"]["edges"]][:4] == [
        {"id": people["root"], "members": 2, "stores": 0, "parent": None},
        {"id": people["city"], "members": 1, "stores": 1, "parent": {"id": people["root"]}},
        {"id": people["leader"], "members": 0, "stores": 0, "parent": {"id": people["city"]}},
        {"id": people["other"], "members": 0, "stores": 0, "parent": None},
    ]


async def test_who_stood_above(api: Api) -> None:
    people = await _network(api.db)
    token = await api.token("operator")
    query = """query($id: ID!) { operator { distributor(id: $id) {
      early: uplineAt(at: "2025-12-31T23:59:59.999999Z") { id }
      then: uplineAt(at: "2026-01-01T08:00:00+08:00") { id position }
      upline { id position } } } }"""
    answer = await api.ask(query, token, id=people["leader"])
    above = [{"id": people["city"], "position": 1}, {"id": people["root"], "position": 2}]
    assert answer["data"]["operator"]["distributor"] == {"early": None, "then": above, "upline": above}
    assert len(api.statements) == 3  # who asks, the distributor, all three uplines
    answer = await api.ask(query, token, id=people["root"])
    assert answer["data"]["operator"]["distributor"] == {"early": None, "then": [], "upline": []}


async def test_pages_of_every_list(api: Api) -> None:
    """Three rows of each, read one by one; a row that comes before the page moves nothing."""
    async with api.db.write() as session:
        for rank in (3, 1, 2):
            owner = await factories.a_distributor(session, rank=rank)
            store = await factories.a_store(session, owner)
            variant = await factories.a_variant(session)
            await factories.a_listing(session, store, variant.product_id)
            await factories.a_plan(session, {"level_bps": [1]}, {"level_bps": [2]}, {"level_bps": [3]}, state="draft")
    token = await api.token("operator")
    for field in LISTS:
        query = (
            f"query($after: String, $first: Int! = 1) {{ operator {{ {field}(first: $first, after: $after) {{ "
            "edges { node { id } } pageInfo { hasNextPage endCursor } } } }"
        )
        whole = _names(await api.ask(query, token, first=100), field, "id")
        assert len(whole) == 3
        seen, after, more = [], None, True
        while more:
            answer = await api.ask(query, token, after=after)
            seen += _names(answer, field, "id")
            page_info = answer["data"]["operator"][field]["pageInfo"]
            after, more = page_info["endCursor"], page_info["hasNextPage"]
        assert seen == whole
    plans = await api.ask(
        "query($after: String) { operator { plans { edges { node { code rules(first: 2, after: $after) { "
        "edges { cursor node { levelBps } } pageInfo { hasNextPage } } } } } } }",
        token,
    )
    pages = [edge["node"]["rules"] for edge in plans["data"]["operator"]["plans"]["edges"]]
    assert [[edge["node"]["levelBps"] for edge in page["edges"]] for page in pages] == [[[1], [2]]] * 3
    assert [page["pageInfo"]["hasNextPage"] for page in pages] == [True] * 3
    assert len(api.statements) == 3


async def test_the_history_of_one_in_pages(api: Api) -> None:
    people = await _network(api.db)
    token = await api.token("operator")
    for operation, reason in (("Suspend", "一"), ("Reinstate", "二"), ("Suspend", "三")):
        done = await api.run(f"operator/{operation}Distributor", token, id=people["city"], reason=reason)
        assert done["data"][f"{operation.lower()}Distributor"]["__typename"] == "Distributor"
    query = """query($id: ID!, $after: String) { operator { distributor(id: $id) { history(first: 3, after: $after) {
      edges { node { reason state by { role } } } pageInfo { hasNextPage endCursor } } } } }"""
    first = (await api.ask(query, token, id=people["city"]))["data"]["operator"]["distributor"]["history"]
    by = {"role": "operator"}
    assert [edge["node"] for edge in first["edges"]] == [
        {"reason": "三", "state": "SUSPENDED", "by": by},
        {"reason": "二", "state": "ACTIVE", "by": by},
        {"reason": "一", "state": "SUSPENDED", "by": by},
    ]
    rest = await api.ask(query, token, id=people["city"], after=first["pageInfo"]["endCursor"])
    (edge,) = rest["data"]["operator"]["distributor"]["history"]["edges"]
    assert edge["node"] == {"reason": None, "state": "ACTIVE", "by": None}


async def test_brands_and_stores_count_what_is_on_offer(api: Api) -> None:
    async with api.db.write() as session:
        brand, idle = await factories.a_brand(session, "绒溪小厨"), await factories.a_brand(session, "无货")
        kept, gone = [await factories.a_variant(session, brand=brand) for _ in range(2)]
        stores = [await factories.a_store(session) for _ in range(3)]
        for store in stores:
            await factories.a_listing(session, store, kept.product_id)
        await factories.a_listing(session, stores[0], gone.product_id, position=2)
        (await session.get_one(models.Product, gone.product_id)).state = "delisted"
        stores[2].state = "closed"
        stores[2].title = "关门 50%"
    token = await api.token("operator")
    answer = await api.ask(
        "{ operator { brands { edges { node { name products stores } } } "
        "stores { edges { node { slug state listings } } } "
        'found: stores(search: "50%") { edges { node { slug } } } none: stores(search: "\\u0000") { edges { cursor } } } }',
        token,
    )
    assert [edge["node"] for edge in answer["data"]["operator"]["brands"]["edges"]] == [
        {"name": brand.name, "products": 1, "stores": 2},
        {"name": idle.name, "products": 0, "stores": 0},
    ]
    assert [edge["node"] for edge in answer["data"]["operator"]["stores"]["edges"]] == [
        {"slug": stores[0].slug, "state": "OPEN", "listings": 2},
        {"slug": stores[1].slug, "state": "OPEN", "listings": 1},
        {"slug": stores[2].slug, "state": "CLOSED", "listings": 1},
    ]
    assert _names(answer, "found", "slug") == [stores[2].slug]
    assert _names(answer, "none", "slug") == []


async def test_what_a_rule_is_for(api: Api) -> None:
    async with api.db.write() as session:
        brand = await factories.a_brand(session, "绒溪小厨")
        variant = await factories.a_variant(session, brand=brand)
        product = await session.get_one(models.Product, variant.product_id)
        await factories.a_plan(
            session,
            {"level_bps": [1]},
            {"level_bps": [], "brand_id": brand.id, "base": "margin"},
            {"level_bps": [2], "category": "零食"},
            {"level_bps": [3], "product_id": variant.product_id},
            {"level_bps": [4], "variant_id": variant.id},
        )
    answer = await api.ask(
        "{ operator { plans { edges { node { from to rules { edges { node { "
        "scope brand { name } category product sku base levelBps } } } } } } } }",
        await api.token("operator"),
    )
    (plan,) = (edge["node"] for edge in answer["data"]["operator"]["plans"]["edges"])
    assert (plan["from"], plan["to"]) == (None, None)
    assert [tuple(edge["node"].values()) for edge in plan["rules"]["edges"]] == [
        ("EVERYTHING", None, None, None, None, "PAID", [1]),
        ("BRAND", {"name": "绒溪小厨"}, None, None, None, "MARGIN", []),
        ("CATEGORY", None, "零食", None, None, "PAID", [2]),
        ("PRODUCT", {"name": "绒溪小厨"}, None, product.title, None, "PAID", [3]),
        ("VARIANT", {"name": "绒溪小厨"}, None, product.title, variant.sku, "PAID", [4]),
    ]


async def test_every_refusal_of_every_mutation_changes_nothing(api: Api) -> None:
    people = await _network(api.db)
    async with api.db.read() as session:
        code = await session.scalar(text("SELECT code FROM distributors WHERE id = 1"))
        tier = encode("tier", (await session.scalar(text("SELECT id FROM tiers WHERE rank = 3"))) or 0)
    token = await api.token("operator")
    before = await _rows(api.db)

    def applying(**changes: Any) -> dict[str, Any]:
        wanted = {"code": "NEW", "name": "新人", "tier": tier, "parent": people["city"], "region": "浙江"}
        return {"input": {**wanted, **changes}}

    steps = {"Approve": "active", "Reject": "active", "Suspend": "suspended", "Reinstate": "active"}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("Apply", applying(name=""), "BadArgument"),
        ("Apply", applying(tier="x"), "BadArgument"),
        ("Apply", applying(parent="x"), "BadArgument"),
        ("Apply", applying(tier=encode("tier", 2**40)), "NotFound"),
        ("Apply", applying(parent=NOWHERE), "NotFound"),
        ("Apply", applying(parent=people["suspended"]), "WrongState"),
        ("Apply", applying(code=code), "AlreadyTaken"),
        ("Move", {"id": "x", "reason": "因为"}, "BadArgument"),
        ("Move", {"id": people["city"], "parent": "x", "reason": "因为"}, "BadArgument"),
        ("Move", {"id": people["city"], "reason": "\n"}, "BadArgument"),
        ("Move", {"id": NOWHERE, "reason": "因为"}, "NotFound"),
        ("Move", {"id": people["city"], "parent": NOWHERE, "reason": "因为"}, "NotFound"),
        ("Move", {"id": people["root"], "parent": people["leader"], "reason": "因为"}, "MakesCycle"),
        ("Move", {"id": people["city"], "parent": people["applied"], "reason": "因为"}, "WrongState"),
        ("Move", {"id": people["rejected"], "parent": people["root"], "reason": "因为"}, "WrongState"),
        ("Move", {"id": people["root"], "reason": "因为"}, "WrongState"),
    ]
    for step, state in steps.items():
        reason = {} if step == "Approve" else {"reason": "因为"}
        cases += [
            (step, {"id": "x", **reason}, "BadArgument"),
            (step, {"id": NOWHERE, **reason}, "NotFound"),
            (step, {"id": people[state], **reason}, "WrongState"),
        ]
        if reason:
            cases.append((step, {"id": people[state], "reason": ""}, "BadArgument"))
    for step, variables, expected in cases:
        answer = await api.run(f"operator/{step}Distributor", token, **variables)
        assert "errors" not in answer
        assert answer["data"][f"{step.lower()}Distributor"]["__typename"] == expected, (step, variables)
    assert await _rows(api.db) == before


async def test_a_move_of_five_thousand_is_one_statement(api: Api) -> None:
    async with api.db.write() as session:
        old, new = [await factories.a_distributor(session) for _ in range(2)]
        mover = await factories.a_distributor(session, parent=old)
        # Each of the others below the one of half its number: a tree some twelve deep.
        await session.execute(
            text(
                """
                INSERT INTO distributors (id, code, name, tier_id, parent_id, ancestors, region, joined_on, state)
                WITH RECURSIVE member AS (
                    SELECT 1 AS number, CAST(:mover AS bigint) AS id, ARRAY[:mover, :old]::bigint[] AS ancestors
                    UNION ALL
                    SELECT child.number, :mover + child.number - 1, (:mover + child.number - 1) || member.ancestors
                    FROM member, LATERAL (VALUES (2 * member.number), (2 * member.number + 1)) AS child (number)
                    WHERE child.number <= 5000
                )
                SELECT id, 'N' || id, '成员', :tier, ancestors[2], ancestors, '华东', '2026-01-01', 'active'
                FROM member WHERE number > 1 ORDER BY number
                """
            ),
            {"mover": mover.id, "old": old.id, "tier": mover.tier_id},
        )
    await _began(api.db)
    token = await api.token("operator")
    ids = {"distributor": encode("distributor", mover.id), "parent": encode("distributor", new.id)}
    preview = await api.run("operator/MovePreview", token, **ids)
    shown = preview["data"]["operator"]["movePreview"]
    assert (shown["members"], shown["activeMembers"], shown["refusal"]) == (5000, 5000, None)
    assert len(api.statements) == 3

    moved = await api.run(
        "operator/MoveDistributor", token, id=ids["distributor"], parent=ids["parent"], reason="区域调整"
    )
    statements = list(api.statements)
    assert moved["data"]["moveDistributor"]["members"] == 4999
    assert len(statements) == 4
    assert sum("UPDATE" in one or "INSERT" in one for one in statements) == 1
    async with api.db.read() as session:
        right = await session.scalar(
            text(
                "SELECT count(*) FROM distributors d JOIN distributors p ON p.id = d.parent_id "
                "WHERE d.ancestors = d.id || p.ancestors AND d.branch_id = :new AND d.id <> :new"
            ),
            {"new": new.id},
        )
        assert right == 5000
        assert await session.scalar(text("SELECT count(*) FROM distributor_history WHERE NOT upper_inf(during)")) == 1
        assert await session.scalar(text("SELECT count(*) FROM notices")) == 1
    deep, at = encode("distributor", mover.id + 4999), (BEGAN + timedelta(days=1)).isoformat()
    answer = await api.run("operator/Distributor", token, id=deep, at=at)
    one = answer["data"]["operator"]["distributor"]
    assert [one["upline"][-1]["code"], one["uplineAt"][-1]["code"]] == [new.code, old.code]
    assert len(one["upline"]) == len(one["uplineAt"]) == 13  # 5000 halves to 1 in twelve steps; then the root
