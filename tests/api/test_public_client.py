"""The API as a front end has it: a public client, `gql`, against `s2b2c serve`, with stand-ins for SMS and WeChat."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from graphql import build_schema, lexicographic_sort_schema, print_schema

from s2b2c.api.documents import named
from s2b2c.api.schema import sdl
from s2b2c.config import resource
from tests.api.client import SECRET, Api
from tests.api.shopping import PERSON, Json
from tests.api.test_payees import SHOWN
from tests.commands import cli
from tests.serving import processes
from tests.signing import OTHER_PHONE, PHONE
from tests.wechat_fake import Fake, User, running

PASSWORD = "correct horse 电池"
STORE = "hangzhou"
HOME = {"recipient": "王小明", "phone": "13800001234", "region": "浙江省 杭州市 西湖区", "street": "文三路1号"}


@dataclass
class Front:
    """A front end, or several, of one server."""

    address: str
    stack: AsyncExitStack
    clients: dict[str | None, Any] = field(default_factory=dict)

    async def client(self, token: str | None) -> Any:
        if token not in self.clients:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            client = Client(transport=AIOHTTPTransport(f"{self.address}/graphql", headers=headers))
            self.clients[token] = await self.stack.enter_async_context(client)
        return self.clients[token]

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> Json:
        answer: Json = await (await self.client(token)).execute(GraphQLRequest(query, variable_values=variables))
        return answer

    async def run(self, operation: str, token: str | None = None, **variables: Any) -> Json:
        """What one of graphql/operations answers, below its first field."""
        (payload,) = (await self.ask(_document(operation), token, **variables)).values()
        assert isinstance(payload, dict)
        return payload

    async def code(self, query: str, token: str | None = None) -> str:
        """Of the error that it is."""
        with pytest.raises(TransportQueryError) as raised:
            await self.ask(query, token)
        assert raised.value.errors is not None
        (error,) = raised.value.errors
        return str(error["extensions"]["code"])


def _document(operation: str) -> str:
    return (resource("graphql") / "operations" / f"{operation}.graphql").read_text(encoding="utf-8")


@asynccontextmanager
async def _front(api: Api, fake: Fake, **settings: str) -> AsyncIterator[Front]:
    signing_in = {
        "S2B2C_SMS_URL": fake.sms_url,
        "S2B2C_WECHAT_APP_ID": fake.app_id,
        "S2B2C_WECHAT_APP_SECRET": fake.app_secret,
        "S2B2C_WECHAT_API_BASE": fake.url,
    }
    with processes(api.db.url, 1, S2B2C_TOKEN_SECRET=SECRET, **signing_in, **settings) as (address,):
        async with AsyncExitStack() as stack:
            yield Front(address, stack)


async def test_a_front_end_does_all_of_it(own_sample: Api) -> None:
    async with running() as fake, _front(own_sample, fake) as front:
        await _knows_the_schema(front)
        await _buys(front, fake)
        await _signs_out(front, fake)
        operator = await _runs_the_network(front, fake, own_sample.db.url)
        await _looks(front, operator, await own_sample.token("distributor", distributor="ZJ-HZ"))
        await _goes(front, fake)
        await _pages(front, operator)
        await _is_refused(front, operator)


async def _knows_the_schema(front: Front) -> None:
    """What it is told of the schema is what is committed, and every one of our documents is valid there."""
    async with Client(
        transport=AIOHTTPTransport(f"{front.address}/graphql"),
        fetch_schema_from_transport=True,
    ) as one:
        client = one.client
        assert client.schema is not None
        committed = lexicographic_sort_schema(build_schema(sdl()))
        told = print_schema(lexicographic_sort_schema(client.schema))
        assert told == print_schema(committed).replace(" @oneOf", "")  # which this client does not ask for
        documents = sorted((resource("graphql") / "operations").rglob("*.graphql"))
        assert len(documents) > 90
        for document in documents:
            client.validate(GraphQLRequest(document.read_text(encoding="utf-8")))


async def _signed_in(front: Front, fake: Fake, phone: str = PHONE, **more: Any) -> Json:
    assert await front.run("account/RequestCode", phone=phone) == {"expiresInS": 300}
    return await front.run("account/SignInWithCode", phone=phone, code=fake.sent_to(f"+86{phone}"), **more)


async def _buys(front: Front, fake: Fake) -> None:
    """A guest, who is a customer once signed in, on the phone and then in the mini-app."""
    guest = (await front.run("shop/EnterAsGuest"))["token"]
    token = (await _signed_in(front, fake, guestToken=guest))["accessToken"]
    store = (await front.run("shop/Storefront", slug=STORE, first=100))["store"]
    first = next(
        edge["node"]["variants"][0]
        for edge in store["listings"]["edges"]
        if edge["node"]["variants"] and edge["node"]["variants"][0]["inStock"]
    )
    address = await front.run("shop/SaveAddress", token, input=HOME)
    assert {name: address[name] for name in HOME} == HOME
    cart = {"store": store["id"], "address": address["id"], "token": "one"}
    cart["lines"] = [{"variant": first["id"], "quantity": 1}]
    placed = await front.run("shop/PlaceOrder", token, input=cart)
    assert placed["state"] == "PLACED"
    node = (await front.run("shop/OwnNode", token, id=placed["id"]))["me"]["node"]
    assert (node["__typename"], node["orderNo"]) == ("Order", placed["orderNo"])
    (enum,) = [it for it in (await front.run("shop/Labels"))["enums"] if it["name"] == "OrderState"]
    assert {it["zh"] for it in enum["values"]} >= {"待付款", "已完成"}


async def _goes(front: Front, fake: Fake) -> None:
    """A user of the mini-app reads what is held of it, is erased, and comes back as somebody new."""
    user = User("o-1", "u-1")
    token = (await front.run("account/SignInWithWechat", code=fake.code_for(user)))["accessToken"]
    assert "id" in await front.run("shop/SaveAddress", token, input=HOME)
    held = [edge["node"] for edge in (await front.run("account/ExportMyData", token))["edges"]]
    (address,) = [json.loads(record["json"]) for record in held if record["kind"] == "address"]
    assert {name: address[name] for name in HOME} == HOME
    wrong = await front.run("account/EraseMe", token, proof={"wechatCode": fake.code_for(User("o-2", "u-2"))})
    assert wrong["__typename"] == "WrongCredentials"
    assert "at" in await front.run("account/EraseMe", token, proof={"wechatCode": fake.code_for(user)})
    assert await front.code("{ shop { me { boundTo { since } } } }", token) == "UNAUTHENTICATED"
    token = (await front.run("account/SignInWithWechat", code=fake.code_for(user)))["accessToken"]
    assert (await front.run("shop/Me", token))["me"]["addresses"]["edges"] == []


async def _looks(front: Front, operator: str, distributor: str) -> None:
    """What is masked, and what stands in the trail once it is seen."""
    payee = await front.run("partner/SetPayee", distributor, input=PERSON)
    assert {name: payee[name] for name in SHOWN} == SHOWN
    reason = "她打电话问订单到哪了，要核对手机号"
    seen = (await front.run("operator/Customer", operator, phone=PHONE, reason=reason))["customer"]
    assert seen["phones"] == [PHONE]
    (edge,) = (await front.run("operator/PersonalReads", operator, customer=seen["id"]))["personalReads"]["edges"]
    assert (edge["node"]["purpose"], edge["node"]["reason"]) == ("SUPPORT", reason)
    assert sorted(edge["node"]["kinds"]) == ["PHONE", "RECIPIENT"]


async def _signs_out(front: Front, fake: Fake) -> None:
    """A refresh token works once; the second time the session ends for everybody."""
    signed = await _signed_in(front, fake, OTHER_PHONE)
    turned = await front.run("account/RefreshSession", refreshToken=signed["refreshToken"])
    again = await front.run("account/RefreshSession", refreshToken=signed["refreshToken"])
    assert again["__typename"] == "WrongCredentials"
    assert await front.code("{ shop { me { boundTo { since } } } }", turned["accessToken"]) == "UNAUTHENTICATED"


async def _runs_the_network(front: Front, fake: Fake, url: str) -> str:
    """The first operator invites somebody to a brand."""
    phone, staff = "13700001111", "13700002222"
    await asyncio.to_thread(cli, url, "operator", "create", "--phone", phone, typed=f"{PASSWORD}\n")
    operator = (await front.run("account/SignInWithPassword", phone=phone, password=PASSWORD))["accessToken"]
    (brand, *_) = (await front.run("operator/Brands", operator))["brands"]["edges"]
    wanted = {"phone": staff, "role": "BRAND", "brand": brand["node"]["id"]}
    invited = await front.run("account/Invite", operator, input=wanted)
    await front.run("account/RequestCode", phone=staff)
    joined = await front.run(
        "account/AcceptInvitation",
        invitation=invited["token"],
        phone=staff,
        code=fake.sent_to(f"+86{staff}"),
        password=PASSWORD,
    )
    assert joined["membership"]["role"] == "BRAND"
    assert (await front.run("brand/Products", joined["accessToken"]))["products"]["edges"]
    assert await front.code("{ operator { tiers { edges { cursor } } } }", joined["accessToken"]) == "FORBIDDEN"
    return str(operator)


async def _pages(front: Front, operator: str) -> None:
    """A list in pages of seven is the list."""
    query = _document("operator/Stores")
    whole = (await front.ask(query, operator, first=100))["operator"]["stores"]
    assert not whole["pageInfo"]["hasNextPage"]
    seen: list[Json] = []
    page: Json = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        page = (await front.ask(query, operator, first=7, after=page["pageInfo"]["endCursor"]))["operator"]["stores"]
        seen += page["edges"]
    assert seen == whole["edges"]
    assert len(seen) > 14


async def _is_refused(front: Front, operator: str) -> None:
    assert await front.code("{ operator { tiers { edges { cursor } } } }") == "UNAUTHENTICATED"
    assert await front.code("{ nothing }") == "BAD_REQUEST"
    deep = "{ a " * 70 + "}" * 70
    assert await front.code(deep) == "LIMIT_EXCEEDED"
    wrong = await front.ask('mutation { suspendDistributor(id: "x", reason: "x") { __typename } }', operator)
    assert wrong == {"suspendDistributor": {"__typename": "BadArgument"}}


async def test_a_front_end_in_production(own_sample: Api) -> None:
    """Its own documents alone, by their ids, and not too many; gql has no ids, so it is told that it needs them."""
    settings = {"S2B2C_DOCUMENTS": "trusted", "S2B2C_ADDRESS_REQUESTS": "60"}
    async with running() as fake, _front(own_sample, fake, **settings) as front:
        assert await front.code("{ __typename }") == "DOCUMENT_NOT_TRUSTED"
        body = {"documentId": named()["shop/Storefront"], "variables": {"slug": STORE}}
        async with httpx.AsyncClient(trust_env=False) as http:
            statuses = [(await http.post(f"{front.address}/graphql", json=body)).status_code for _ in range(100)]
        assert statuses == [200] * 88 + [429] * 12
        assert await front.code("{ __typename }") == "TOO_MANY_REQUESTS"
