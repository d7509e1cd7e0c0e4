"""Signing in over GraphQL: every operation, every refusal, and limits that two processes share."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from graphql import OperationDefinitionNode, build_schema, parse
from sqlalchemy import delete, select
from starlette.requests import Request

from s2b2c import accounts, crypto, models
from s2b2c.accounts import limits
from s2b2c.api import caller
from s2b2c.api.caller import address_of
from s2b2c.api.schema import sdl
from s2b2c.api.types.ids import encode
from s2b2c.config import Settings, resource
from s2b2c.db import Database
from tests import factories
from tests.api.client import Api
from tests.api.operations import check
from tests.api.shopping import Json, done, refuses, written
from tests.api.test_nonsense import NONSENSE
from tests.api.test_nonsense import _variables as values_of
from tests.serving import processes
from tests.signing import OTHER_PHONE, PHONE, point_at
from tests.wechat_fake import Fake, User, running

PASSWORD = "correct horse 电池"
ME = "{ shop { me { boundTo { since } } } }"
DRAWN = {"accessToken", "refreshToken", "token"}


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fake]:
    async with running() as fake:
        point_at(fake, monkeypatch)
        yield fake


async def forget_limits(api: Api) -> None:
    """As if a day had passed."""
    async with api.db.write() as session:
        await session.execute(delete(models.RateLimit))


async def a_code(api: Api, fake: Fake, phone: str = PHONE) -> str:
    await forget_limits(api)
    assert await done(api, "account/RequestCode", None, phone=phone) == {"expiresInS": 300}
    return fake.sent_to(f"+86{phone}")


async def with_code(api: Api, fake: Fake, phone: str = PHONE) -> Json:
    return await done(api, "account/SignInWithCode", None, phone=phone, code=await a_code(api, fake, phone))


# The operations, on the sample network


async def test_every_operation_on_the_sample(own_sample: Api, fake: Fake) -> None:
    api = own_sample
    await accounts.create_operator(api.db, PHONE, PASSWORD, datetime.now(UTC))
    signed = await check(
        api, "account/SignInWithPassword", statements=6, most=6, drawn=DRAWN, phone=PHONE, password=PASSWORD
    )
    operator = signed["data"]["signInWithPassword"]
    wanted = {"phone": OTHER_PHONE, "role": "DISTRIBUTOR", "distributor": encode("distributor", 3)}
    invited = await check(
        api, "account/Invite", operator["accessToken"], statements=5, most=5, drawn=DRAWN, input=wanted
    )
    await check(api, "account/RequestCode", statements=2, phone=OTHER_PHONE)
    await check(
        api,
        "account/AcceptInvitation",
        statements=14,
        most=14,
        drawn=DRAWN,
        invitation=invited["data"]["invite"]["token"],
        phone=OTHER_PHONE,
        code=fake.sent_to(f"+86{OTHER_PHONE}"),
    )
    code = await a_code(api, fake, OTHER_PHONE)
    await check(api, "account/SignInWithCode", statements=9, most=9, drawn=DRAWN, phone=OTHER_PHONE, code=code)
    guest = (await done(api, "shop/EnterAsGuest", None))["token"]
    code = fake.code_for(User("o-1", "u-1"))
    await check(api, "account/SignInWithWechat", statements=13, most=13, drawn=DRAWN, code=code, guestToken=guest)
    turned = await check(
        api, "account/RefreshSession", statements=2, drawn=DRAWN, refreshToken=operator["refreshToken"]
    )
    token = turned["data"]["refreshSession"]["accessToken"]
    await check(api, "account/ChangePassword", token, statements=7, most=7, old=PASSWORD, new="another horse")
    await check(api, "account/SignOut", token, statements=2, everywhere=True)
    assert await api.code("{ operator { tiers { edges { cursor } } } }", token) == "UNAUTHENTICATED"


# Every refusal of every mutation


def of(payload: Json) -> tuple[str, str]:
    return payload["__typename"], payload["code"]


async def test_asking_for_a_code_is_refused(api: Api, fake: Fake) -> None:
    await refuses(api, "BadArgument", "account/RequestCode", None, phone="1")
    await a_code(api, fake)
    told = await refuses(api, "TooManyRequests", "account/RequestCode", None, phone=PHONE)
    assert told["code"] == "TOO_MANY_REQUESTS"
    assert 55 <= told["retryAfterS"] <= 60
    fake.sms_status = 500
    await forget_limits(api)
    assert of(await done(api, "account/RequestCode", None, phone=PHONE)) == ("SignInOff", "SIGN_IN_OFF")


async def test_signing_in_with_a_code_is_refused(api: Api, fake: Fake) -> None:
    code = await a_code(api, fake)

    async def sign_in(**wrong: str) -> tuple[str, str]:
        return of(await done(api, "account/SignInWithCode", None, **{"phone": PHONE, "code": code, **wrong}))

    assert await sign_in(phone="1") == ("BadArgument", "BAD_ARGUMENT")
    assert await sign_in(membership="nonsense") == ("BadArgument", "BAD_ARGUMENT")
    assert await sign_in(membership=encode("membership", 10**9)) == ("NotFound", "NOT_FOUND")
    assert await sign_in(guestToken="nonsense") == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert await sign_in(code="") == ("WrongCredentials", "WRONG_CREDENTIALS")
    async with api.db.read() as session:
        assert (await session.scalars(select(models.Person))).all() == []
    await accounts.create_operator(api.db, PHONE, PASSWORD, datetime.now(UTC))
    assert await sign_in() == ("WrongState", "WRONG_STATE")
    assert [await sign_in(code="") for _ in range(11)][-1] == ("TooManyRequests", "TOO_MANY_REQUESTS")
    async with api.db.read() as session:
        assert (await session.scalars(select(models.Session))).all() == []


async def test_signing_in_with_a_password_is_refused(api: Api, fake: Fake) -> None:
    async def sign_in(**wrong: str) -> tuple[str, str]:
        return of(
            await done(api, "account/SignInWithPassword", None, **{"phone": PHONE, "password": PASSWORD, **wrong})
        )

    assert await sign_in() == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert await sign_in(phone="1") == ("BadArgument", "BAD_ARGUMENT")
    await accounts.create_operator(api.db, PHONE, PASSWORD, datetime.now(UTC))
    assert await sign_in(password="wrong") == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert await sign_in(membership=encode("membership", 10**9)) == ("NotFound", "NOT_FOUND")
    async with api.db.write() as session:
        (person,) = (await session.scalars(select(models.Person))).all()
        assert person.password_hash is not None
        nobody = models.Person(password_hash=person.password_hash)
        session.add(nobody)
        await session.flush()
        print_ = accounts.people.fingerprint("phone", OTHER_PHONE)
        sealed = crypto.keys().seal(OTHER_PHONE, "phone")
        session.add(models.Identity(fingerprint=print_, kind="phone", person_id=nobody.id, sealed=sealed))
    assert await sign_in(phone=OTHER_PHONE) == ("WrongState", "WRONG_STATE"), "it holds nothing"
    assert [await sign_in(password="wrong") for _ in range(11)][-1] == ("TooManyRequests", "TOO_MANY_REQUESTS")
    async with api.db.read() as session:
        assert (await session.scalars(select(models.Session))).all() == []


async def test_signing_in_with_wechat_is_refused(api: Api, fake: Fake) -> None:
    async def sign_in(**wrong: str) -> tuple[str, str]:
        given = {"code": fake.code_for(User("o")), **wrong}
        return of(await done(api, "account/SignInWithWechat", None, **given))

    assert await sign_in(code="x") == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert await sign_in(guestToken="x") == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert await sign_in(membership="x") == ("BadArgument", "BAD_ARGUMENT")
    assert await sign_in(membership=encode("membership", 10**9)) == ("NotFound", "NOT_FOUND")
    for trouble, refusal in ((45011, "TooManyRequests"), (-1, "SignInOff")):
        fake.trouble = trouble
        assert (await sign_in())[0] == refusal
    fake.trouble = None
    async with api.db.read() as session:
        assert (await session.scalars(select(models.Person))).all() == []
    async with api.db.write() as session:
        known_by = {"openid": f"{fake.app_id}:o"}
        person_id = await accounts.people.find_or_make(session, known_by, datetime.now(UTC))
        finance = await accounts.viewer.account_of(session, "finance")
        await accounts.people.join(session, person_id, finance)
    assert await sign_in() == ("WrongState", "WRONG_STATE")


async def test_refreshing_is_refused(api: Api, fake: Fake) -> None:
    one = await with_code(api, fake)
    refresh = "account/RefreshSession"
    await refuses(api, "BadArgument", refresh, None, refreshToken=one["refreshToken"], membership="x")
    elsewhere = encode("membership", 10**9)
    await refuses(api, "NotFound", refresh, None, refreshToken=one["refreshToken"], membership=elsewhere)
    await refuses(api, "WrongCredentials", refresh, None, refreshToken="x")
    two = await done(api, refresh, None, refreshToken=one["refreshToken"])
    assert len(api.statements) == 2
    again = await done(api, refresh, None, refreshToken=one["refreshToken"])
    assert of(again) == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert await api.code(ME, two["accessToken"]) == "UNAUTHENTICATED"
    await refuses(api, "WrongCredentials", refresh, None, refreshToken=two["refreshToken"])


async def test_inviting_and_accepting_is_refused(api: Api, fake: Fake) -> None:
    operator = await api.token("operator")
    for kind, wrong in (
        ("BadArgument", {"phone": "1", "role": "FINANCE"}),
        ("BadArgument", {"phone": PHONE, "role": "CUSTOMER"}),
        ("BadArgument", {"phone": PHONE, "role": "BRAND"}),
        ("BadArgument", {"phone": PHONE, "role": "BRAND", "brand": "x"}),
        ("NotFound", {"phone": PHONE, "role": "BRAND", "brand": encode("brand", 10**9)}),
    ):
        await refuses(api, kind, "account/Invite", operator, input=wrong)
    token = (await done(api, "account/Invite", operator, input={"phone": PHONE, "role": "FINANCE"}))["token"]
    code = await a_code(api, fake)

    async def accept(**wrong: str | None) -> tuple[str, str]:
        given = {"invitation": token, "phone": PHONE, "code": code, "password": PASSWORD, **wrong}
        return of(await done(api, "account/AcceptInvitation", None, **given))

    assert await accept(phone="1") == ("BadArgument", "BAD_ARGUMENT")
    assert await accept(password=None) == ("BadArgument", "BAD_ARGUMENT")
    assert await accept(invitation="x") == ("NotFound", "NOT_FOUND")
    assert await accept(code="x") == ("WrongCredentials", "WRONG_CREDENTIALS")
    assert [await accept(code="x") for _ in range(9)][-1] == ("TooManyRequests", "TOO_MANY_REQUESTS")
    async with api.db.write() as session:
        assert (await session.scalars(select(models.Person))).all() == []
        for n in range(99):
            viewer = accounts.Viewer(await accounts.viewer.account_of(session, "operator"), "operator")
            await accounts.invite(session, viewer, f"137{n:08}", role="finance", now=datetime.now(UTC))
    await forget_limits(api)
    limit, account = limits.INVITATIONS, viewer.account_id
    async with api.db.write() as session:
        for _ in range(limit.most):
            await limits.take(session, datetime.now(UTC), (limit, f"account {account}"))
    wanted = {"phone": PHONE, "role": "FINANCE"}
    await refuses(api, "TooManyRequests", "account/Invite", operator, input=wanted)


async def test_changing_a_password_is_refused(api: Api) -> None:
    await accounts.create_operator(api.db, PHONE, PASSWORD, datetime.now(UTC))
    token = (await done(api, "account/SignInWithPassword", None, phone=PHONE, password=PASSWORD))["accessToken"]
    change = "account/ChangePassword"
    await refuses(api, "BadArgument", change, token, old=PASSWORD, new="short")
    outcomes = [of(await done(api, change, token, old="wrong", new="another horse")) for _ in range(11)]
    assert Counter(outcomes) == {
        ("WrongCredentials", "WRONG_CREDENTIALS"): 10,
        ("TooManyRequests", "TOO_MANY_REQUESTS"): 1,
    }
    await done(api, "account/SignInWithPassword", None, phone=PHONE, password=PASSWORD)


async def test_nonsense_is_refused_and_changes_nothing(api: Api, fake: Fake) -> None:
    """Only that somebody has tried is counted."""
    await accounts.create_operator(api.db, PHONE, PASSWORD, datetime.now(UTC))
    token = (await done(api, "account/SignInWithPassword", None, phone=PHONE, password=PASSWORD))["accessToken"]
    before = [row for row in await written(api) if not row.startswith("rate_limits ")]
    schema, refusals = build_schema(sdl()), set()
    values = {**NONSENSE, "ID": [None, *NONSENSE["ID"]]}
    for file in sorted((resource("graphql") / "operations" / "account").glob("*.graphql")):
        if file.stem in {"SignOut", "ExportMyData"}:  # they have nothing to say
            continue
        document = file.read_text(encoding="utf-8")
        (operation,) = [node for node in parse(document).definitions if isinstance(node, OperationDefinitionNode)]
        for turn in range(8):
            variables = values_of(schema, operation, values, turn)
            body = json.dumps({"query": document, "variables": variables})
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            answer = (await api.http.post("/graphql", content=body, headers=headers)).json()
            assert "errors" not in answer, (file.name, variables, answer)
            refusals |= {payload["code"] for payload in answer["data"].values()}
    assert refusals == {"BAD_ARGUMENT", "WRONG_CREDENTIALS"}
    assert [row for row in await written(api) if not row.startswith("rate_limits ")] == before


async def test_the_doors(api: Api, fake: Fake) -> None:
    """To sign out or change a password one has signed in; to invite one is an operator or a brand."""
    async with api.db.write() as session:
        brand, distributor = await factories.a_brand(session), await factories.a_distributor(session)
    guest = (await done(api, "shop/EnterAsGuest", None))["token"]
    customer = (await with_code(api, fake))["accessToken"]
    tokens = {
        "distributor": await api.token("distributor", distributor=distributor.code),
        "brand": await api.token("brand", brand=brand.name),
        "finance": await api.token("finance"),
        "operator": await api.token("operator"),
        "guest": guest,
        "customer": customer,
        "nobody": None,
    }
    allowed: dict[str, set[str]] = {}
    for operation, variables in (
        ("Invite", {"input": {"phone": "1", "role": "FINANCE"}}),
        ("ChangePassword", {"old": "", "new": ""}),
        ("RemoveMember", {"input": {"phone": "1", "role": "FINANCE"}}),
        ("EraseMe", {"proof": {}}),
        ("ExportMyData", {}),
        ("SignOut", {}),
    ):
        for who, token in tokens.items():
            answer = await api.run(f"account/{operation}", token, **variables)
            code = answer["errors"][0]["extensions"]["code"] if "errors" in answer else None
            assert code in {None, "UNAUTHENTICATED" if who == "nobody" else "FORBIDDEN"}
            if code is None:
                allowed.setdefault(operation, set()).add(who)
    staff, signed_in = {"brand", "operator"}, {"customer"}
    assert allowed == {
        "Invite": staff,
        "RemoveMember": staff,
        "ChangePassword": signed_in,
        "EraseMe": signed_in,
        "ExportMyData": signed_in,
        "SignOut": signed_in,
    }


async def test_guests_of_one_address(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "GUESTS", limits.GUESTS._replace(most=3))
    for _ in range(3):
        await done(api, "shop/EnterAsGuest", None)
    before = await api.run("shop/EnterAsGuest")
    assert before["errors"][0]["extensions"] == {"code": "TOO_MANY_REQUESTS"}
    async with api.db.read() as session:
        assert len((await session.scalars(select(models.Customer))).all()) == 3


# Who asks


def a_request(host: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "client": (host, 1), "headers": headers})


@pytest.mark.parametrize(
    ("proxies", "host", "forwarded", "address"),
    [
        ("", "203.0.113.7", (), "203.0.113.7"),
        ("", "127.0.0.1", ("198.51.100.1",), "127.0.0.1"),
        ("10.0.0.0/8", "203.0.113.7", ("198.51.100.1",), "203.0.113.7"),
        ("10.0.0.0/8", "10.1.2.3", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ("1.1.1.1, 198.51.100.1, 10.9.9.9",), "198.51.100.1"),
        ("10.0.0.0/8", "10.1.2.3", ("10.9.9.9",), "10.9.9.9"),
        ("10.0.0.0/8", "10.1.2.3", (), "10.1.2.3"),
        ("10.0.0.0/8, ::1", "::1", ("2001:db8:1:2:3:4:5:6",), "2001:db8:1:2::/64"),
        ("", "2001:db8:1:2::9", (), "2001:db8:1:2::/64"),
        ("", "::ffff:203.0.113.7", (), "203.0.113.7"),
        ("10.0.0.0/8", "10.1.2.3", ("nonsense" * 100,), ("nonsense" * 8)),
    ],
)
def test_the_address_that_asks(
    monkeypatch: pytest.MonkeyPatch, proxies: str, host: str, forwarded: tuple[str, ...], address: str
) -> None:
    monkeypatch.setattr(caller, "settings", lambda: Settings(trusted_proxies=proxies))
    assert address_of(a_request(host, *forwarded)) == address


# Two processes


async def test_limits_and_sessions_hold_with_two_servers(db: Database) -> None:
    async with running() as fake:
        with processes(db.url, 2, S2B2C_SMS_URL=fake.sms_url) as addresses:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                await _storm(db, fake, http, addresses)


async def _storm(db: Database, fake: Fake, http: httpx.AsyncClient, addresses: list[str]) -> None:
    async def run(which: int, name: str, **variables: Any) -> Json:
        file = resource("graphql") / "operations" / "account" / f"{name}.graphql"
        body = {"query": file.read_text(encoding="utf-8"), "variables": variables}
        answer = (await http.post(f"{addresses[which % 2]}/graphql", json=body)).json()
        (payload,) = answer["data"].values()
        assert isinstance(payload, dict)
        return payload

    await run(0, "RequestCode", phone=PHONE)
    code = fake.sent_to(f"+86{PHONE}")
    assert (await run(1, "RequestCode", phone=PHONE))["__typename"] == "TooManyRequests"
    guesses = [f"{(int(code) + n) % 10**6:06}" for n in range(1, 101)]
    told = await asyncio.gather(*(run(n, "SignInWithCode", phone=PHONE, code=it) for n, it in enumerate(guesses)))
    assert Counter(it["__typename"] for it in told) == {"WrongCredentials": 10, "TooManyRequests": 90}
    assert Counter(it["message"] for it in told)["The code is wrong."] == 5
    for which in (0, 1):
        assert (await run(which, "SignInWithCode", phone=PHONE, code=code))["__typename"] == "TooManyRequests"
    async with db.read() as session:
        assert (await session.scalars(select(models.OneTimeCode.tries))).all() == [5]
        assert (await session.scalars(select(models.Session))).all() == []

    await run(1, "RequestCode", phone=OTHER_PHONE)
    one = await run(0, "SignInWithCode", phone=OTHER_PHONE, code=fake.sent_to(f"+86{OTHER_PHONE}"))
    turned = await asyncio.gather(*(run(n, "RefreshSession", refreshToken=one["refreshToken"]) for n in range(10)))
    winners = [it for it in turned if "refreshToken" in it]
    assert len(winners) == 1
    for which in (0, 1):
        again = await run(which, "RefreshSession", refreshToken=winners[0]["refreshToken"])
        assert again["__typename"] == "WrongCredentials"
    async with db.read() as session:
        assert (await session.scalars(select(models.Session.end_reason))).all() == ["token_reused"]
