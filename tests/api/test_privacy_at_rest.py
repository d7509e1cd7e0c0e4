"""A story over the API, and then a dump of its database and its logs: nothing in either says who was in it."""

import base64
import io
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from zipfile import ZipFile

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import backup, jobs, logs, stripe_events
from tests import paying
from tests.api.client import Api
from tests.api.shopping import Buyer, Json, a_shop, done
from tests.api.test_sign_in import a_code, forget_limits
from tests.signing import point_at
from tests.stripe_fake import Fake as Stripe
from tests.test_migrations import PG_DUMP
from tests.wechat_fake import Fake, User, running

HOME = {
    "recipient": "欧阳若曦",
    "phone": "15912345678",
    "region": "海南省 三沙市 西沙区",
    "street": "永兴岛北京路97号院",
}
ELSEWHERE = {"recipient": "慕容雪", "phone": "15987654321", "region": "西藏 阿里地区 噶尔县", "street": "狮泉河镇18号"}
DISTRIBUTOR = {
    "legalName": "司马相如",
    "identityNumber": "11010519491231002X",
    "bankName": "招商银行 三沙支行",
    "bankAccount": "6222021234567890128",
}
BRAND = {
    "legalName": "澄露生物科技有限公司",
    "identityNumber": "91350100M000100Y43",
    "bankName": "中国工商银行 三沙支行",
    "bankAccount": "1402027109600012345",
}
WRONG = {"identityNumber": "440524188001010011", "bankAccount": "6222021234567890121"}
SIGNED_IN, MISTYPED = "15900001111", "15900002222"
UNIONID = "unionid-of-her-7ZmQ"
WECHAT = User("o6zAJs1XvUq7openid-of-her", UNIONID)
BUYER = {"name": "诸葛孔明", "phone": "15966667777", "email": "kongming@longzhong.example", "line1": "隆中草庐3号"}
"""Whom Stripe knows to have paid."""

PERSONAL = {
    *HOME.values(), *ELSEWHERE.values(), *WRONG.values(), *BUYER.values(), WECHAT.openid, UNIONID, SIGNED_IN, MISTYPED,
    *(payee[name] for payee in (DISTRIBUTOR, BRAND) for name in ("legalName", "identityNumber", "bankAccount")),
}  # fmt: skip


@pytest.fixture
async def people(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fake]:
    async with running() as fake:
        point_at(fake, monkeypatch)
        yield fake


@contextmanager
def listening() -> Iterator[list[io.StringIO]]:
    """What our loggers say, all of it, and of others what `serve` tells; in both forms."""
    root, ours = logging.getLogger(), logging.getLogger("s2b2c")
    before = root.level, ours.level
    said = []
    handlers = []
    for form in (logs._Json(), logs._Text()):
        said.append(io.StringIO())
        handlers.append(logging.StreamHandler(said[-1]))
        handlers[-1].setFormatter(form)
        root.addHandler(handlers[-1])
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])


def forms(value: str) -> Iterator[bytes]:
    """How a text may stand in a file."""
    raw = value.encode()
    escaped = json.dumps(value)[1:-1]
    yield raw
    yield escaped.encode()
    yield escaped.replace("\\", "\\\\").encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for safe in ("", "/ "):
        yield quote(value, safe=safe).encode()
        yield quote(value, safe=safe).lower().encode()
    yield quote(value).replace("%20", "+").encode()
    for shift in range(3):  # in base64 it depends on where it begins; its ends depend on what stands beside it
        start, end = (shift * 4 + 2) // 3, (len(raw) + shift) * 4 // 3
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(shift) + raw)[start:end]
    for encoding in ("gb18030", "utf-16-le"):
        yield value.encode(encoding)


def found(told: bytes, values: Iterable[str] = PERSONAL) -> set[str]:
    """Which of these stand in it, in whatever form."""
    return {value for value in values if any(form in told for form in forms(value))}


async def as_owner(api: Api, *statements: str) -> None:
    engine = create_async_engine(api.db.url, poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


async def dumped(api: Api, folder: Path) -> bytes:
    """All that is in the database: as pg_dump writes it, and as our own backup does."""
    place = make_url(api.db.url).set(drivername="postgresql").render_as_string(hide_password=False)
    plain = subprocess.run([str(PG_DUMP), place], check=True, capture_output=True).stdout  # noqa: ASYNC221
    await backup.write(api.db.url, folder / "backup.zip")
    with ZipFile(folder / "backup.zip") as archive:
        return b"\n".join([plain, *(archive.read(name) for name in archive.namelist())])


async def story(api: Api, stripe: Stripe, people: Fake) -> None:
    """Somebody signs in twice, buys, and is refused all that one can be; those who are paid say to whom."""
    shop = await a_shop(api)
    code = await a_code(api, people, SIGNED_IN)
    for phone, typed in ((SIGNED_IN, "000000"), (MISTYPED, code)):
        refused = await done(api, "account/SignInWithCode", None, phone=phone, code=typed)
        assert refused["__typename"] == "WrongCredentials"
    signed = await done(api, "account/SignInWithCode", None, phone=SIGNED_IN, code=code)
    await forget_limits(api)
    assert (await done(api, "account/SignInWithPassword", None, phone=SIGNED_IN, password="x"))["code"]
    wechat = await done(api, "account/SignInWithWechat", None, code=people.code_for(WECHAT))
    assert wechat["accessToken"]
    assert (await done(api, "account/SignInWithWechat", None, code="wrong" + "0" * 20))["code"]
    token = signed["accessToken"]
    address = (await done(api, "shop/SaveAddress", token, input=HOME))["id"]
    away = (await done(api, "shop/SaveAddress", wechat["accessToken"], input=ELSEWHERE))["id"]
    assert (await done(api, "shop/SaveAddress", token, input={**HOME, "phone": f"{HOME['phone']}x"}))["code"]
    assert (await done(api, "shop/SaveAddress", token, input={**HOME, "id": away}))["code"]
    assert (await done(api, "shop/RemoveAddress", wechat["accessToken"], id=away))["id"] == away
    buyer = Buyer(shop, token, address)
    order = await buyer.places()
    await pays(api, stripe, buyer, order)
    seller, brand = await shop.seller(), await shop.brand(0)
    for door, who, payee in (("partner", seller, DISTRIBUTOR), ("brand", brand, BRAND)):
        assert (await done(api, f"{door}/SetPayee", who, input=payee))["bankName"] == payee["bankName"]
        for name, wrong in WRONG.items():
            refused = await done(api, f"{door}/SetPayee", who, input={**DISTRIBUTOR, name: wrong})
            assert refused["__typename"] == "BadArgument"
    await breaks(api, token, seller)
    parcel = {"supplyOrder": await waiting(api, brand), "carrier": "顺丰", "trackingNo": "SF1"}
    assert (await done(api, "brand/ShipParcels", brand, parcels=[parcel]))["shipped"] == 1


async def pays(api: Api, stripe: Stripe, buyer: Buyer, order: Json) -> None:
    """And Stripe tells us more than we need to know."""
    opened = await done(api, "shop/PayOrder", buyer.token, order=order["id"])
    stripe.pay(opened["clientSecret"])
    for event in paying.all_events(stripe):
        event["data"]["object"]["billing_details"] = {**BUYER, "address": {"line1": BUYER["line1"]}}
        event["data"]["object"]["metadata"] = {**event["data"]["object"].get("metadata", {}), "note": BUYER["phone"]}
        await paying.accepted(api.db, stripe, event)
    async with api.db.write() as session:
        await jobs.enqueue(session, "work", {"order": order["id"]})
    async with api.db.write() as session:
        now = datetime.now(UTC)
        assert await stripe_events.handle_waiting(session, now=now, limit=100) > 0
    paid = await api.run("shop/Order", buyer.token, id=order["id"])
    assert paid["data"]["shop"]["me"]["order"]["state"] == "PAID"


async def breaks(api: Api, customer: str, seller: str) -> None:
    """The database refuses a row, and says which."""
    tables = ("addresses", "payees", "identities")
    await as_owner(api, *(f"ALTER TABLE {table} ADD CONSTRAINT never CHECK (false) NOT VALID" for table in tables))
    for operation, token, given in (
        ("shop/SaveAddress", customer, {"input": ELSEWHERE}),
        ("partner/SetPayee", seller, {"input": BRAND}),
    ):
        answer = await api.run(operation, token, **given)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL"]
        assert found(json.dumps(answer, ensure_ascii=False).encode()) == set()
    await as_owner(api, *(f"ALTER TABLE {table} DROP CONSTRAINT never" for table in tables))


async def waiting(api: Api, brand: str) -> str:
    answer = await api.run("brand/SupplyOrders", brand)
    (edge,) = answer["data"]["brand"]["supplyOrders"]["edges"]
    label = edge["node"]["label"]
    assert (label["recipient"], label["phone"], label["street"]) == ("欧**", "159****5678", HOME["street"])
    return str(edge["node"]["id"])


async def test_neither_a_dump_nor_the_logs_say_who_it_was(
    stripe: Stripe, api: Api, people: Fake, tmp_path: Path
) -> None:
    with listening() as said:
        await story(api, stripe, people)
    dump = await dumped(api, tmp_path)
    for table in ("identities", "addresses", "order_addresses", "payees", "stripe_events", "pgqueuer", "notices"):
        assert f"COPY public.{table} ".encode() in dump, table
    assert dump.count(b"first.") >= 4 + 4 + 4 + 6 + 3, "what is personal is in it"
    assert found(dump) == set()
    assert found(str(stripe.requests).encode()) == set(), "nor is it anything to Stripe"
    for log in said:
        assert "never" in log.getvalue(), "the log was listened to"
        assert found(log.getvalue().encode()) == set()


async def test_it_would_be_found(api: Api, tmp_path: Path) -> None:
    """In a job, whose payload is bytes, in a text, and in JSON with escapes."""
    planted = sorted(PERSONAL)
    async with api.db.write() as session:
        await jobs.enqueue(session, "work", {"who": planted[0]})
        await session.execute(text("INSERT INTO customers (ref) VALUES (:it)"), {"it": f"of {planted[1]}, who"})
        payload = {"payload": json.dumps({"who": base64.b64encode(f"x{planted[2]}y".encode()).decode()})}
        await session.execute(
            text(
                "INSERT INTO stripe_events (id, type, created_at, received_at, payload) "
                "VALUES ('evt_1', 'x', now(), now(), CAST(:payload AS jsonb))"
            ),
            payload,
        )
    assert found(await dumped(api, tmp_path)) == set(planted[:3])
    with listening() as said:
        logging.getLogger("s2b2c.somewhere").debug("who: %s", quote(planted[3]))
    assert [found(log.getvalue().encode()) for log in said] == [{planted[3]}] * 2


@pytest.mark.parametrize("value", sorted(PERSONAL))
def test_every_form_is_found(value: str) -> None:
    raw = f"before {value} behind".encode()
    told = [raw, json.dumps(value).encode(), raw.hex().encode(), quote(value).encode()]
    told += [base64.b64encode(bytes(shift) + raw) for shift in range(3)]
    told += [base64.urlsafe_b64encode(bytes(shift) + raw) for shift in range(3)]
    assert [found(one, [value]) for one in told] == [{value}] * len(told)
    assert found(b"nothing of it", [value]) == set()
