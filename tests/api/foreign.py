"""Ids of other people's things at every door: an answer must not tell one from the id of nothing.

What is whose is written down here once more, as SQL, independent of the scopes of the program.
"""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text, update

from s2b2c import accounts, models
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.api.types.ids import encode, parts
from s2b2c.config import resource
from tests import factories
from tests.api import foreign_ranking, foreign_sales
from tests.api.client import SECRET, Api
from tests.api.doors import WHO, lived_in
from tests.api.foreign_money import OWN, operations, owed
from tests.api.foreign_recruiting import NOT_BELOW, SEATS, recruited, recruiting

ROLES = {door: door for door in ("brand", "finance", "operator")}
ROLES |= {"shop": "customer", "partner": "distributor", "account": "operator"}
"""Who enters each door."""
TOLD = {"BAD_ARGUMENT", "BAD_REQUEST", "UNAUTHENTICATED", "FORBIDDEN"}
PHONE, STAFF, PASSWORD = "13800001234", "13911113333", "correct horse 电池"
DAYS = {"from": "2026-10-01", "to": "2026-11-01"}


class Kind(NamedTuple):
    """The keys of a kind of id, and which are somebody else's at each door; where a door is not named, all are."""

    keys: str
    foreign: Mapping[str, str]


KINDS = {
    "order": Kind(
        "SELECT branch_id, id FROM orders",
        {"shop": "customer_id <> :me", "partner": "seller_id <> :me", "operator": "false"},
    ),
    "supply-order": Kind("SELECT branch_id, id FROM supply_orders", {"brand": "brand_id <> :me"}),
    "address": Kind("SELECT id FROM addresses", {"shop": "customer_id <> :me"}),
    "commission": Kind(
        "SELECT branch_id, line_id, position FROM commissions", {"partner": "distributor_id IS DISTINCT FROM :me"}
    ),
    "statement": Kind(
        "SELECT id FROM statements",
        {
            "partner": "distributor_id IS DISTINCT FROM :me",
            "brand": "brand_id IS DISTINCT FROM :me",
            "finance": "false",
        },
    ),
    "notice": Kind(
        "SELECT id FROM notices",
        {"partner": "distributor_id IS DISTINCT FROM :me", "brand": "brand_id IS DISTINCT FROM :me"},
    ),
    "store": Kind(
        "SELECT id FROM stores",
        {
            "shop": "state = 'closed'",
            "partner": "distributor_id <> :me",
            # Whoever stands in a branch may share the stores of it.
            "partner/Share": "distributor_id IN (SELECT d.id FROM distributors d, distributors me WHERE me.id = :me "
            "AND d.branch_id <> me.branch_id)",
            "operator": "false",
            "brand": "state = 'closed'",
        },
    ),
    "product": Kind(
        "SELECT id FROM products",
        {"shop": "state = 'draft'", "partner": "state = 'draft'", "brand": "brand_id <> :me", "operator": "false"},
    ),
    "variant": Kind(
        "SELECT id FROM variants",
        {"shop": "product_id IN (SELECT id FROM products WHERE state = 'draft')", "brand": "brand_id <> :me"},
    ),
    "price-change": Kind(
        "SELECT id FROM scheduled_prices", {"brand": "variant_id IN (SELECT id FROM variants WHERE brand_id <> :me)"}
    ),
    "listing": Kind(
        "SELECT store_id, product_id FROM listings",
        {"shop": "store_id IN (SELECT id FROM stores WHERE state = 'closed')"},
    ),
    "revision": Kind("SELECT id FROM product_revisions", {"operator": "false"}),
    "settlement-run": Kind("SELECT id FROM settlement_runs", {"finance": "false"}),
    "adjustment": Kind("SELECT id FROM adjustments", {}),
    "person": Kind("SELECT id FROM people", {}),
    "ledger-account": Kind("SELECT id FROM ledger_accounts", {"finance": "false"}),
    "plan": Kind("SELECT id FROM plans", {"operator": "false"}),
    "file": Kind(
        "SELECT id FROM files", {"brand": "brand_id <> :me OR kind <> 'catalogue'", "finance": "kind = 'catalogue'"}
    ),
    "import": Kind("SELECT id FROM bulk_runs", {"brand": "brand_id <> :me OR kind <> 'import'"}),
    "export": Kind("SELECT id FROM bulk_runs", {"brand": "brand_id <> :me OR kind <> 'export'"}),
    "finance-export": Kind("SELECT id FROM finance_exports", {"finance": "false"}),
    "job": Kind("SELECT id FROM pgqueuer", {"operator": "false"}),
    "distributor": Kind("SELECT id FROM distributors", {"operator": "false", "account": "false", "finance": "false"}),
    "membership": Kind("SELECT account_id FROM memberships", {"account": "role <> 'operator'"}),
    "tier": Kind("SELECT id FROM tiers", {"operator": "false", "brand": "false"}),
    "brand": Kind("SELECT id FROM brands", {"operator": "false", "partner": "false", "finance": "false"}),
    "elimination": Kind("SELECT id FROM eliminations", {"operator": "false"}),
    "rail-break": Kind("SELECT id FROM rail_breaks", {"finance": "false"}),
    "rail-report": Kind("SELECT id FROM rail_reports", {}),
    "payout": Kind("SELECT id FROM payouts", {"finance": "false"}),
    "dispute": Kind("SELECT id FROM disputes", {"finance": "false"}),
    "write-off": Kind("SELECT id FROM write_offs", {"finance": "false"}),
    "customer": Kind("SELECT id FROM customers", {"operator": "false"}),
    "seat": Kind("SELECT id FROM seats", {"operator": "false", "shop": "false", "partner": NOT_BELOW}),
    "seat-application": Kind("SELECT id FROM seat_applications", {"operator": "false"}),
    "recruiting-code": Kind(
        "SELECT id FROM recruiting_codes", {"operator": "false", "partner": "distributor_id IS DISTINCT FROM :me"}
    ),
    "account": Kind("SELECT id FROM accounts", {}),
    "transfer": Kind("SELECT id FROM transfers", {}),
    "rule": Kind("SELECT id FROM rules", {}),
} | {kind: Kind(*it) for kind, it in (foreign_ranking.KINDS | foreign_sales.KINDS).items()}
Key = tuple[int, ...]
Variables = dict[str, Any]


async def world(api: Api) -> dict[str, Variables]:
    """The sample with what it lacks, closed and unlisted things too; operations that take ids, with ids that lead on."""
    await lived_in(api)
    async with api.db.write() as session:
        owner = await factories.a_distributor(session)
        closed = await factories.a_store(session, owner)
        closed.state = "closed"
        listed = await factories.a_variant(session)
        await factories.a_listing(session, closed, listed.product_id)
        draft = await factories.a_variant(session)
        (await session.get_one(models.Product, draft.product_id)).state = "draft"
        await factories.an_address(session, await factories.a_customer(session))
        await session.execute(update(models.Store).where(models.Store.slug == MODEL).values(is_model=True))
        await session.execute(
            insert(models.ProductRevision).values(
                product_id=listed.product_id,
                content={"title": "新"},
                state="in_review",
                created_by=1,
                submitted_at=func.now(),
                submitted_by=1,
            )
        )
        mine = {role: await viewer_key(session, role) for role in ("customer", "distributor", "brand")}
        found: dict[str, str] = {}
        await owed(session)
        await recruited(session, mine["distributor"] or 0)
        await foreign_ranking.judged(session)
        for name, (kind, query) in (_OWN | OWN | SEATS | foreign_ranking.OWN | foreign_sales.OWN).items():
            row = (await session.execute(text(query), mine)).first()
            assert row is not None, name
            found[name] = encode(kind, *row)
    signed = await an_operator(api)
    assert signed.membership is not None
    found |= {"membership": encode("membership", signed.membership.account_id), "refresh": signed.refresh_token}
    return _operations(found)


async def an_operator(api: Api) -> accounts.SignedIn:
    """One who has signed in, and a customer who has too."""
    now = datetime.now(UTC)
    await accounts.create_operator(api.db, PHONE, PASSWORD, now)
    async with api.db.write() as session:
        person = models.Person()
        session.add(person)
        await session.flush()
        await people.be_customer(session, person.id, None)
        staff = await people.find_or_make(session, {"phone": STAFF}, now)
        distributor_id = await session.scalar(text(_OWN["distributor"][1]))
        await people.join(session, staff, await account_of(session, "distributor", None, distributor_id))
    return await accounts.with_password(api.db, PHONE, PASSWORD, accounts.Caller("203.0.113.7", now, SECRET))


async def viewer_key(session: Any, role: str) -> int | None:
    who = WHO[role]
    if role == "customer":
        query = select(models.Customer.id).where(models.Customer.ref == who["customer"])
    elif role == "distributor":
        query = select(models.Distributor.id).where(models.Distributor.code == who["distributor"])
    elif role == "brand":
        query = select(models.Brand.id).where(models.Brand.name == who["brand"])
    else:
        return None
    return int(await session.scalar(query))


MODEL = "wenzhou"
"""The slug of a model store of somebody else."""
_SHELF = (
    "FROM listings l JOIN stores s ON s.id = l.store_id JOIN products p ON p.id = l.product_id "
    "JOIN variants v ON v.product_id = p.id "
    "WHERE s.distributor_id = :distributor AND p.state = 'listed' AND v.stock > 0"
)
_OWN = {
    "order": ("order", "SELECT branch_id, id FROM orders WHERE customer_id = :customer ORDER BY id DESC LIMIT 1"),
    "address": ("address", "SELECT id FROM addresses WHERE customer_id = :customer"),
    "store": ("store", "SELECT min(id) FROM stores WHERE distributor_id = :distributor AND state = 'open'"),
    "model": ("store", f"SELECT id FROM stores WHERE slug = '{MODEL}'"),
    "product": ("product", f"SELECT min(p.id) {_SHELF}"),
    "other": ("product", f"SELECT max(p.id) {_SHELF}"),
    "variant": ("variant", f"SELECT min(v.id) {_SHELF}"),
    "commission": (
        "commission",
        "SELECT branch_id, line_id, position FROM commissions WHERE distributor_id = :distributor LIMIT 1",
    ),
    "statement": ("statement", "SELECT min(id) FROM statements WHERE distributor_id = :distributor"),
    "notice": ("notice", "SELECT min(id) FROM notices WHERE distributor_id = :distributor"),
    "supply": ("statement", "SELECT min(id) FROM statements WHERE brand_id = :brand"),
    "supplied": ("variant", "SELECT min(id) FROM variants WHERE brand_id = :brand"),
    "change": (
        "price-change",
        "SELECT max(c.id) FROM scheduled_prices c JOIN variants v ON v.id = c.variant_id WHERE v.brand_id = :brand",
    ),
    "news": ("notice", "SELECT min(id) FROM notices WHERE brand_id = :brand"),
    "parcel": ("supply-order", "SELECT branch_id, id FROM supply_orders WHERE brand_id = :brand"),
    "file": ("file", "SELECT min(id) FROM files WHERE brand_id = :brand AND kind = 'catalogue'"),
    "import": ("import", "SELECT min(id) FROM bulk_runs WHERE brand_id = :brand AND kind = 'import'"),
    "export": ("export", "SELECT min(id) FROM bulk_runs WHERE brand_id = :brand AND kind = 'export'"),
    "finance_export": ("finance-export", "SELECT min(id) FROM finance_exports"),
    "supplied_product": ("product", "SELECT max(id) FROM products WHERE brand_id = :brand"),
    "sku": ("variant", "SELECT max(id) FROM variants WHERE brand_id = :brand"),
    "revision": ("revision", "SELECT max(id) FROM product_revisions"),
    "run": ("settlement-run", "SELECT min(id) FROM settlement_runs"),
    "account": ("ledger-account", "SELECT min(id) FROM ledger_accounts"),
    "distributor": ("distributor", "SELECT max(id) FROM distributors WHERE parent_id IS NOT NULL"),
    "parent": ("distributor", "SELECT min(id) FROM distributors"),
    "tier": ("tier", "SELECT min(id) FROM tiers"),
    "plan": ("plan", "SELECT min(id) FROM plans"),
    "job": ("job", "SELECT min(id) FROM pgqueuer"),
    "brand": ("brand", "SELECT min(id) FROM brands"),
    "customer": ("customer", "SELECT min(id) FROM customers"),
}
"""Things of the viewers, and of nobody: the kind of their ids, and a key."""


def _operations(own: Mapping[str, str]) -> dict[str, Variables]:
    """Every operation that takes an id, with variables that come to something."""
    store, product, other, order = (own[name] for name in ("store", "product", "other", "order"))
    cart = [{"variant": own["variant"], "quantity": 1}]
    home = {"recipient": "李四", "phone": "13911112222", "region": "北京市", "street": "长安街2号"}
    placed = {"store": store, "lines": cart, "address": own["address"], "token": "two"}
    applied = {"code": "NEW-1", "name": "新人", "tier": own["tier"], "parent": own["parent"], "region": "浙江"}
    why = {"reason": "测试"}
    member = {"phone": PHONE, "role": "DISTRIBUTOR", "distributor": own["distributor"]}
    return _of_storefronts(own) | {
        "shop/Node": {"id": store},
        "shop/OwnNode": {"id": order},
        "shop/Order": {"id": order},
        "shop/Product": {"slug": "hangzhou", "id": product},
        "shop/Cart": {"store": store, "lines": cart},
        "shop/Visit": {"slug": "hangzhou", "product": product},
        "shop/SaveAddress": {"input": {**home, "id": own["address"]}},
        "shop/PlaceOrder": {"input": placed},
        "shop/PayOrder": {"order": order},
        "shop/CancelOrder": {"order": order},
        "shop/ConfirmReceipt": {"order": order},
        "shop/RequestRefund": {"order": order, "lines": [{"lineNo": 1}], **why},
        "shop/RemoveAddress": {"id": own["address"]},
        "partner/Node": {"id": own["commission"]},
        "partner/Catalogue": {"brand": own["brand"]},
        "partner/Product": {"id": product},
        "partner/Commission": {"id": own["commission"]},
        "partner/Statement": {"id": own["statement"]},
        "partner/MarkNoticesRead": {"ids": [own["notice"]]},
        "partner/Share": {"store": store, "product": product},
        "partner/SelectProduct": {"store": store, "product": {"product": product}},
        "partner/SelectProducts": {"store": store, "products": [{"product": product}]},
        "partner/UpdateListing": {"store": store, "listing": {"product": product, "pitch": "好"}},
        "partner/UpdateListings": {"store": store, "listings": [{"product": product, "pitch": "很好"}]},
        "partner/ReorderListings": {"store": store, "products": [product], "behind": other},
        "partner/RemoveListing": {"store": store, "product": product},
        "partner/RemoveListings": {"store": store, "products": [other]},
        **_of_brands(own),
        **_bulk_edits(own),
        "operator/Node": {"id": own["plan"]},
        "operator/Distributors": {"tier": own["tier"]},
        "operator/Distributor": {"id": own["distributor"], "at": "2026-09-01T00:00:00Z"},
        "operator/MovePreview": {"distributor": own["distributor"], "parent": own["parent"]},
        "operator/StoreShelf": {"store": store, "at": "2026-11-01T00:00:00Z"},
        "operator/Plan": {"id": own["plan"]},
        "operator/PlanRationale": {"id": own["plan"]},
        "operator/PlanText": {"id": own["plan"]},
        "operator/ApplyDistributor": {"input": applied},
        "operator/ApproveDistributor": {"id": own["distributor"]},
        "operator/RejectDistributor": {"id": own["distributor"], **why},
        "operator/SuspendDistributor": {"id": own["distributor"], **why},
        "operator/ReinstateDistributor": {"id": own["distributor"], **why},
        "operator/MoveDistributor": {"id": own["distributor"], "parent": own["parent"], **why},
        "operator/ActivatePlan": {"id": own["plan"]},
        "operator/RefundOrder": {"order": order, "lines": [{"lineNo": 1}], **why},
        "operator/RetryJob": {"id": own["job"]},
        "account/RefreshSession": {"refreshToken": own["refresh"], "membership": own["membership"]},
        "account/Invite": {"input": member},
        "account/RemoveMember": {"input": {**member, "phone": STAFF}},
        "operator/Customer": {"id": own["customer"], "reason": "to see who that is"},
        "operator/PersonalReads": {"customer": own["customer"]},
        **foreign_ranking.operations(own),
        **_of_products(own),  # one of them is withdrawn
        **recruiting(own),
        **operations(own),  # the last: a run is discarded
    }


def _of_products(own: Mapping[str, str]) -> dict[str, Variables]:
    product, why = own["product"], {"reason": "测试"}
    content = {"title": "新品", "category": "猫粮"}
    prices = {"supplyPrice": 1, "suggestedPrice": 2, "minPrice": 1, "maxPrice": 2}
    variant = {**prices, "stock": 1, "tierCosts": [{"tier": own["tier"], "cost": 1}]}
    return {
        "brand/Product": {"id": own["supplied_product"]},
        "brand/ProductReviews": {"id": own["supplied_product"]},
        "brand/WithdrawalPreview": {"product": own["supplied_product"]},
        "brand/CreateProduct": {"input": {**content, "code": "NEW-1", "variants": [{**variant, "sku": "NEW-1"}]}},
        "brand/AddVariants": {"product": own["supplied_product"], "variants": [{**variant, "sku": "NEW-2"}]},
        "brand/ReviseProduct": {"input": {"product": own["supplied_product"], "title": "新"}},
        "brand/SubmitProduct": {"product": own["supplied_product"]},
        "brand/TakeBackProduct": {"product": own["supplied_product"]},
        "brand/SetStock": {"variants": [{"variant": own["sku"], "add": 1}]},
        "brand/WithdrawProduct": {"product": own["supplied_product"], **why},
        "brand/RelistProduct": {"product": own["supplied_product"]},
        "operator/Products": {"brand": own["brand"]},
        "operator/SalesByStore": {**DAYS, "brand": own["brand"], "product": product, "tier": own["tier"]},
        **foreign_sales.operations(own, DAYS),
        "operator/ApproveProduct": {"revision": own["revision"]},
        "operator/RejectProduct": {"revision": own["revision"], **why},
        "operator/WithdrawalPreview": {"product": product},
        "operator/WithdrawProduct": {"product": product, **why},
        "operator/RelistProduct": {"product": product},
    }


def _of_brands(own: Mapping[str, str]) -> dict[str, Variables]:
    parcel = {"supplyOrder": own["parcel"], "carrier": "顺丰", "trackingNo": "SF1"}
    fen = {"supplyPrice": 100, "suggestedPrice": 300, "minPrice": 200, "maxPrice": 400}
    prices = {"variant": own["supplied"], **fen, "tierCosts": [{"tier": own["tier"], "cost": 150}]}
    return {
        "brand/Node": {"id": own["parcel"]},
        "brand/StoreOutput": {**DAYS, "tier": own["tier"]},
        "brand/SalesByStore": {**DAYS, "product": own["supplied_product"], "tier": own["tier"]},
        "brand/Statement": {"id": own["supply"]},
        "brand/MarkNoticesRead": {"ids": [own["news"]]},
        "brand/ShipParcels": {"parcels": [parcel]},
        "brand/ChangePrices": {"changes": [prices]},
        "brand/CancelPriceChanges": {"ids": [own["change"]]},
        "brand/SetAllotments": {"allotments": [{"variant": own["supplied"], "store": own["store"], "quantity": 1}]},
    }


def _of_storefronts(own: Mapping[str, str]) -> dict[str, Variables]:
    store, product, other = (own[name] for name in ("store", "product", "other"))
    picture = {"imageUrl": "https://example.com/1.jpg", "product": product}
    ends = {"title": "限时", "endsAt": "2026-12-01T00:00:00Z", "products": [product]}
    decoration = [
        {"banner": picture},
        {"picks": {"title": "精选", "products": [product, other]}},
        {"grid": {"columns": 2, "items": [picture]}},
        {"countdown": ends},
    ]
    return {
        "shop/Personas": {"slug": "hangzhou", "id": product},
        "partner/BrandPersona": {"id": product},
        "partner/UpdateStore": {"store": store, "input": {"blocks": decoration}},
        "partner/AdoptSetup": {"slug": MODEL, "store": store, "parts": ["DECORATION"]},
        "operator/MarkModelStore": {"store": store},
        "operator/CopyStore": {"model": own["model"], "stores": [store], "parts": ["LISTINGS"]},
    }


def _bulk_edits(own: Mapping[str, str]) -> dict[str, Variables]:
    return {
        "brand/Import": {"id": own["import"]},
        "brand/Export": {"id": own["export"]},
        "brand/ImportCatalogue": {"file": own["file"], "dryRun": True},
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where ids stand in variables: (path, kind)."""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, name))
    elif isinstance(value, str):
        with suppress(ValueError):
            yield path, parts(value)[0]


def put(value: Any, path: tuple[Any, ...], new: str) -> Any:
    """The variables with another text at this place."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {name: put(inner, tuple(rest), new) if name == first else inner for name, inner in value.items()}
    return [put(inner, tuple(rest), new) if number == first else inner for number, inner in enumerate(value)]


def document(operation: str) -> str:
    return (resource("graphql") / "operations" / f"{operation}.graphql").read_text(encoding="utf-8")


async def leaks_nothing(api: Api, *, seed: int, draws: int) -> int:
    """How many of the draws got past the door with an id of the kind that was asked for. Nothing changes meanwhile."""
    asker = Asker(api, await world(api), seed)
    await asker.ready()
    before = await fingerprint(api)
    deep = [await asker.once() for _ in range(draws)]
    assert await fingerprint(api) == before
    return sum(deep)


class Asker:
    """Asks with ids that are not for who asks, drawn by a seed."""

    def __init__(self, api: Api, operations: Mapping[str, Variables], seed: int) -> None:
        self.api = api
        self.operations = operations
        self.documents = {operation: document(operation) for operation in operations}
        self.drawn = random.Random(seed)
        self.tokens: dict[str, str | None] = {"nobody": None}
        self.viewers: dict[str, int | None] = {}
        self.keys: dict[tuple[str, str, str], list[Key]] = {}

    async def ready(self) -> None:
        for role, who in WHO.items():
            self.tokens[role] = await self.api.token(**who)
            async with self.api.db.read() as session:
                self.viewers[role] = await viewer_key(session, role)

    async def foreign(self, operation: str, kind: str) -> list[Key]:
        """The keys of a kind that are not for who enters the door of an operation."""
        door = operation.partition("/")[0]
        its = KINDS[kind]
        rule = operation if operation in its.foreign else door
        if (kind, rule, door) not in self.keys:
            where = its.foreign.get(rule, "true")
            statement = text(f"SELECT k.* FROM ({its.keys} WHERE {where}) AS k ORDER BY k LIMIT 5000")
            async with self.api.db.read() as session:
                given = {"me": self.viewers[ROLES[door]]} if ":me" in where else {}
                self.keys[kind, rule, door] = [tuple(row) for row in await session.execute(statement, given)]
        return self.keys[kind, rule, door]

    async def ask(self, operation: str, variables: Variables, token: str | None) -> bytes:
        body = json.dumps({"query": self.documents[operation], "variables": variables})
        headers = {"content-type": "application/json"} | ({} if token is None else {"authorization": f"Bearer {token}"})
        response = await self.api.http.post("/graphql", content=body, headers=headers)
        assert response.status_code == 200, (operation, variables, response.text)
        return response.content

    async def once(self) -> bool:
        """One foreign id: its answer is the one to the id of nothing. Whether it got past the door and the kind."""
        operation = self.drawn.choice(list(self.operations))
        variables = self.operations[operation]
        path, wanted = self.drawn.choice(list(places(variables)))
        role = ROLES[operation.partition("/")[0]] if self.drawn.random() < 0.9 else self.drawn.choice(list(self.tokens))
        token = self.tokens[role]
        kind = wanted if self.drawn.random() < 0.6 else self.drawn.choice(list(KINDS))
        keys = await self.foreign(operation, kind)
        if self.drawn.random() < 0.1 or not keys:
            return await self._malformed(operation, put(variables, path, self._garbage(variables, path)), token)
        key = self.drawn.choice(keys)
        theirs, nothing = encode(kind, *key), encode(kind, *key[:-1], 10**9 + self.drawn.randrange(10**6))
        answers = {
            (await self.ask(operation, put(variables, path, it), token)).replace(it[:40].encode(), b"ID")
            for it in (theirs, nothing)
        }
        assert len(answers) == 1, (operation, path, role, kind, key, answers)
        (answer,) = answers
        assert b'"INTERNAL"' not in answer, (operation, path, role, kind, key, answer)
        return kind == wanted and b'"errors"' not in answer

    async def _malformed(self, operation: str, variables: Variables, token: str | None) -> bool:
        answer = json.loads(await self.ask(operation, variables, token))
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        assert codes <= TOLD, (operation, variables, answer)
        return False

    def _garbage(self, variables: Any, path: tuple[Any, ...]) -> str:
        for step in path:
            variables = variables[step]
        letters = list(variables)
        for _ in range(self.drawn.randint(1, 4)):
            letters[self.drawn.randrange(len(letters))] = self.drawn.choice("Aaz09_-= \x01é产\u202e:/+")
        return "".join(letters[: self.drawn.randint(0, len(letters))])


async def fingerprint(api: Api) -> dict[str, str]:
    """What every table holds."""
    async with api.db.snapshot() as session:
        tables = await session.scalars(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        )
        rows = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"
        return {table: str(await session.scalar(text(rows.format(table)))) for table in tables.all()}
