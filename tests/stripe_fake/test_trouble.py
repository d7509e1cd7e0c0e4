"""What goes wrong at Stripe or on the way: keys used again, cut connections, webhooks late, twice and out of order."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe

from tests.stripe_fake import Fake, Settings, running
from tests.stripe_fake.client import an_account, an_intent, ask, client_of, kinds, refused
from tests.stripe_fake.gateway import HANDLERS
from tests.stripe_fake.receiver import Receiver, receiving
from tests.stripe_fake.schema import OPERATIONS, decode

# The library gives httpx a form in a way that httpx is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NOW = 1_795_000_000
"""Its clock, in seconds since the epoch."""
DAY = 86_400


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running(Fake(clock=lambda: datetime.fromtimestamp(NOW, UTC), retry_after_s=(0.01,) * 4)) as fake:
        yield fake


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[stripe.StripeClient]:
    async with client_of(fake.url) as client:
        yield client


# Idempotency


async def test_a_repeated_request_is_answered_from_memory(fake: Fake, client: stripe.StripeClient) -> None:
    first, again = [
        await client.v1.payment_intents.create_async({"amount": 5, "currency": "cny"}, {"idempotency_key": "k"})
        for _ in "ab"
    ]
    assert first.id == again.id
    assert len(fake.rows("payment_intent")) == 1
    before, after = first.last_response, again.last_response
    assert before
    assert after
    assert "idempotent-replayed" not in before.headers
    assert (after.headers["idempotent-replayed"], after.headers["idempotency-key"]) == ("true", "k")
    assert after.headers["original-request"] == before.headers["request-id"]
    assert [asked.replayed for asked in fake.requests] == [False, True]
    assert fake.rows("event")[0]["request"] == {"id": before.headers["request-id"], "idempotency_key": "k"}
    fake.pay(first.id)
    assert fake.rows("event")[-1]["request"] == {"id": None, "idempotency_key": None}
    fake.set_clock(NOW + DAY)
    assert await ask(client, "post", "/v1/payment_intents", key="k", amount=5, currency="cny")
    assert len(fake.rows("payment_intent")) == 2


async def test_a_key_is_for_one_request(fake: Fake, client: stripe.StripeClient) -> None:
    await ask(client, "post", "/v1/payment_intents", key="k", amount=5, currency="cny")
    await ask(client, "post", "/v1/customers", key="c")
    intent = fake.rows("payment_intent")[0]["id"]
    for path, key, params in (
        ("payment_intents", "k", {"amount": 6, "currency": "cny"}),
        (f"payment_intents/{intent}/cancel", "c", {}),
    ):
        with pytest.raises(stripe.IdempotencyError) as caught:
            await ask(client, "post", f"/v1/{path}", key=key, **params)
        assert caught.value.http_status == 400
    too_long = ask(client, "post", "/v1/customers", key="k" * 256)
    assert (await refused(too_long))[0] == 400
    await ask(client, "post", "/v1/customers", key="k" * 255)
    assert (len(fake.rows("payment_intent")), len(fake.rows("customer"))) == (1, 2)


async def test_what_is_saved_under_a_key(fake: Fake, client: stripe.StripeClient) -> None:
    """Whatever was answered once something was begun; a request that was refused before that may be put right."""
    assert (await refused(ask(client, "post", "/v1/payment_intents", key="k", amount="x", currency="cny")))[0] == 400
    for how, status in (("429", 429), ("503", 503)):
        fake.fail("*", how)
        assert (await refused(ask(client, "post", "/v1/payment_intents", key="k", amount=5, currency="cny")))[
            0
        ] == status
    assert await ask(client, "post", "/v1/payment_intents", key="k", amount=5, currency="cny")
    assert [asked.replayed for asked in fake.requests] == [False] * 4
    for how, made in (("500", 0), ("500_after", 1)):
        fake.fail("POST /v1/customers", how)
        for _ in "ab":
            assert (await refused(ask(client, "post", "/v1/customers", key=how)))[0] == 500
        assert len(fake.rows("customer")) == made
    key = (await ask(client, "get", "/v1/payment_intents"))["data"][0]["id"]
    refund = {"payment_intent": key, "amount": 1}
    assert (await refused(ask(client, "post", "/v1/refunds", key="r", **refund)))[0] == 400
    fake.pay(key)
    assert (await refused(ask(client, "post", "/v1/refunds", key="r", **refund)))[0] == 400
    assert fake.requests[-1].replayed
    assert fake.rows("refund") == []


async def test_a_key_in_use(fake: Fake, client: stripe.StripeClient) -> None:
    fake.fail("POST /v1/customers", "slow", seconds=0.3)
    first = asyncio.create_task(ask(client, "post", "/v1/customers", key="k"))
    while not fake.requests:  # noqa: ASYNC110  what is waited for happens in another thread
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert await refused(ask(client, "post", "/v1/customers", key="k")) == (409, "idempotency_key_in_use", None)
    made = await first
    assert (await ask(client, "post", "/v1/customers", key="k"))["id"] == made["id"]
    assert len(fake.rows("customer")) == 1


async def test_who_asked_may_die(fake: Fake, client: stripe.StripeClient) -> None:
    """What was begun is done all the same, and the key finds it."""
    fake.fail("POST /v1/customers", "slow", seconds=0.2)
    async with client_of(fake.url, timeout_s=0.1) as hasty:
        with pytest.raises(stripe.APIConnectionError):
            await ask(hasty, "post", "/v1/customers", key="k")
    assert fake.rows("customer") == []
    await asyncio.sleep(0.2)
    (made,) = fake.rows("customer")
    assert (await ask(client, "post", "/v1/customers", key="k"))["id"] == made["id"]
    assert fake.requests[-1].replayed


# Trouble


@pytest.mark.parametrize(("how", "done"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_connection_that_is_cut(fake: Fake, client: stripe.StripeClient, how: str, done: int) -> None:
    key = await an_intent(client)
    fake.pay(key)
    fake.fail("POST /v1/refunds", how)
    params: Any = ({"payment_intent": key, "amount": 1_000}, {"idempotency_key": "k"})
    with pytest.raises(stripe.APIConnectionError) as caught:
        await client.v1.refunds.create_async(*params)
    assert type(caught.value.__cause__) is httpx.ReadError
    assert len(fake.rows("refund")) == done
    assert fake.requests[-1].status is None
    refund = await client.v1.refunds.create_async(*params)
    assert [row["id"] for row in fake.rows("refund")] == [refund.id]
    assert [row["amount_refunded"] for row in fake.rows("charge")] == [1_000]
    assert fake.requests[-1].replayed is bool(done)


async def test_no_answer(fake: Fake) -> None:
    fake.fail("GET *", "timeout")
    async with client_of(fake.url, timeout_s=0.2) as hasty:
        with pytest.raises(stripe.APIConnectionError) as caught:
            await hasty.v1.charges.list_async()
        assert type(caught.value.__cause__) is httpx.ReadTimeout
        assert (await hasty.v1.charges.list_async()).data == []


async def test_faults_are_for_what_they_match(fake: Fake, client: stripe.StripeClient) -> None:
    fake.fail("POST /v1/payment_intents/{intent}/cancel", "503")
    fake.fail("GET *", "429", times=2)
    key = await an_intent(client)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError) as limited:
            await client.v1.charges.list_async()
        assert limited.value.headers
        assert limited.value.headers["retry-after"] == "1"
    assert (await client.v1.charges.list_async()).data == []
    assert (await refused(client.v1.payment_intents.cancel_async(key)))[0] == 503
    fake.fail("*", "503", times=9)
    fake.heal()
    assert (await client.v1.payment_intents.cancel_async(key)).status == "canceled"
    with pytest.raises(ValueError, match="none of"):
        fake.fail("*", "sometimes")


# Webhooks


@pytest.fixture
async def receiver(fake: Fake) -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        fake.add_webhook(receiver.url)
        yield receiver


def received(receiver: Receiver) -> list[str]:
    return [json.loads(got.payload)["type"] for got in receiver.received]


async def test_events_are_signed_as_the_library_expects(
    fake: Fake, client: stripe.StripeClient, receiver: Receiver
) -> None:
    key = await an_intent(client)
    fake.pay(key)
    await fake.settled()
    assert sorted(received(receiver)) == ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
    payload, signature = receiver.received[received(receiver).index("payment_intent.succeeded")]
    event = stripe.Webhook.construct_event(payload, signature, fake.secret)
    assert (event.type, event.data.object["id"], event.data.object["status"]) == (
        "payment_intent.succeeded",
        key,
        "succeeded",
    )
    assert (event.api_version, event.livemode, event.created) == ("2026-08-26.dahlia", False, NOW)
    assert (await client.v1.events.retrieve_async(event.id)).pending_webhooks == 0
    forged = payload.replace(b"10000", b"1")
    late = int(time.time()) - 301
    for text, header in (
        (forged, signature),
        (payload, fake.sign(payload, secret="whsec_other")),
        (payload, fake.sign(payload, at=late)),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(text, header, fake.secret)
    assert stripe.Webhook.construct_event(forged, fake.sign(forged), fake.secret)


async def test_held_events_come_late_twice_and_in_any_order(
    fake: Fake, client: stripe.StripeClient, receiver: Receiver
) -> None:
    fake.hold()
    fake.pay(await an_intent(client))
    await fake.settled()
    assert receiver.received == []
    in_order = kinds(fake)
    await fake.deliver("reversed")
    assert received(receiver) == in_order[::-1]
    assert await fake.deliver() == []

    fake.pay(await an_intent(client))
    receiver.received.clear()
    sent = await fake.deliver("shuffled", times=2, seed=3)
    assert [attempt.status for attempt in sent] == [200] * 6
    assert sorted(received(receiver)) == sorted(in_order * 2)
    assert received(receiver) not in (in_order * 2, [kind for kind in in_order for _ in "ab"])

    receiver.received.clear()
    await fake.redeliver(fake.rows("event")[0]["id"], times=2)
    assert received(receiver) == ["payment_intent.created"] * 2
    await an_intent(client)
    receiver.received.clear()
    fake.release()
    await fake.settled()
    assert received(receiver) == ["payment_intent.created"]
    fake.hold()
    await an_intent(client)
    assert len(await fake.deliver(times=3, together=True)) == 3
    with pytest.raises(ValueError, match="none of"):
        await fake.deliver("sideways")


async def test_a_failed_delivery_is_tried_again(fake: Fake, client: stripe.StripeClient, receiver: Receiver) -> None:
    receiver.statuses = [500, 404]
    await an_intent(client)
    await fake.settled()
    assert [(attempt.attempt, attempt.status) for attempt in fake.deliveries] == [(1, 500), (2, 404), (3, 200)]
    assert len({got.payload for got in receiver.received}) == 1
    assert [event.type for event in (await client.v1.events.list_async({"delivery_success": False})).data] == []
    receiver.statuses = [500] * 5
    await an_intent(client)
    await fake.settled()
    assert [attempt.status for attempt in fake.deliveries[3:]] == [500] * 5
    assert len((await client.v1.events.list_async({"delivery_success": False})).data) == 1


async def test_an_endpoint_gets_what_it_asked_for(fake: Fake, client: stripe.StripeClient) -> None:
    async with receiving() as own, receiving() as connected:
        made = await client.v1.webhook_endpoints.create_async({"url": own.url, "enabled_events": ["charge.succeeded"]})
        await client.v1.webhook_endpoints.create_async({"url": connected.url, "enabled_events": ["*"], "connect": True})
        fake.pay(await an_intent(client))
        await an_account(fake, client)
        await fake.settled()
        assert (received(own), received(connected)) == (["charge.succeeded"], ["account.updated"])
        assert made.secret
        assert stripe.Webhook.construct_event(*own.received[0], made.secret)
    listed = await client.v1.webhook_endpoints.list_async()
    assert ["secret" in row.to_dict() for row in listed.data] == [False, False]
    only = await client.v1.events.list_async({"types": ["charge.succeeded", "charge.failed"]})
    assert [event.type for event in only.data] == ["charge.succeeded"]
    assert len((await client.v1.events.list_async({"type": "payment_intent.*"})).data) == 2


# Requests


@pytest.mark.parametrize(
    ("path", "params", "code", "param"),
    [
        ("payment_intents", {"currency": "cny"}, "parameter_missing", "amount"),
        ("payment_intents", {"amount": "1.5", "currency": "cny"}, "parameter_invalid_integer", "amount"),
        ("payment_intents", {"amount": "", "currency": "cny"}, "parameter_invalid_empty", "amount"),
        ("payment_intents", {"amount": 0, "currency": "cny"}, "parameter_invalid_integer", "amount"),
        ("payment_intents", {"amount": 10**8, "currency": "cny"}, "amount_too_large", "amount"),
        ("payment_intents", {"amount": 1, "currency": "yuan"}, None, "currency"),
        ("payment_intents", {"amount": 1, "currency": "cny", "confirm": "yes"}, None, "confirm"),
        ("payment_intents", {"amount": 1, "currency": "cny", "colour": "red"}, "parameter_unknown", "colour"),
        (
            "payment_intents",
            {"amount": 1, "currency": "cny", "capture_method": "manual"},
            "not_covered",
            "capture_method",
        ),
        ("payment_intents", {"amount": 1, "currency": "cny", "expand": "x"}, None, "expand"),
        ("refunds", {"reason": "regret"}, None, "reason"),
        ("refunds", {"charge": "c" * 5_001}, None, "charge"),
        ("refunds", {"metadata": {"a": {"b": "c"}}}, None, "metadata[a]"),
        ("refunds", {"metadata": {"a": "x" * 501}}, None, "metadata[a]"),
        ("refunds", {"metadata": {"a" * 41: "x"}}, None, "metadata"),
        ("refunds", {"metadata": {f"k{key}": "x" for key in range(51)}}, None, "metadata"),
        ("customers", {"address": {"town": "北京"}}, "parameter_unknown", "address[town]"),
        (
            "checkout/sessions",
            {"line_items": [{"price_data": {"unit_amount": 1}}]},
            "parameter_missing",
            "line_items[0][price_data][currency]",
        ),
    ],
)
async def test_what_the_schema_refuses(
    fake: Fake, client: stripe.StripeClient, path: str, params: dict[str, Any], code: str | None, param: str
) -> None:
    before = fake.state()
    assert await refused(ask(client, "post", f"/v1/{path}", **params)) == (400, code, param)
    assert fake.state() == before


async def test_a_query_is_checked_too(client: stripe.StripeClient) -> None:
    unknown = ask(client, "get", "/v1/charges", colour="red")
    assert await refused(unknown) == (400, "parameter_unknown", "colour")
    assert await refused(ask(client, "get", "/v1/charges", created={"gt": "x"})) == (
        400,
        "parameter_invalid_integer",
        "created[gt]",
    )


async def test_who_may_ask_and_what_there_is(fake: Fake, client: stripe.StripeClient) -> None:
    async with client_of(fake.url, key="sk_test_other") as stranger:
        with pytest.raises(stripe.AuthenticationError):
            await stranger.v1.charges.list_async()
    async with httpx.AsyncClient(base_url=fake.url) as bare:
        assert (await bare.get("/v1/charges")).status_code == 401
        assert (await bare.get("/v1/charges", auth=("sk_test_fake", ""))).status_code == 200
        assert (await bare.get("/v1/charges", headers={"Authorization": "Basic x"})).status_code == 401
    for method, path in (("get", "/v1/unicorns"), ("delete", "/v1/charges"), ("get", "/v1/charges/ch_none")):
        assert (await refused(ask(client, method, path)))[0] == 404


def test_every_operation_of_the_schema_is_served() -> None:
    assert {operation.template for operation in OPERATIONS} == HANDLERS.keys()


def test_forms_are_decoded() -> None:
    assert decode("a=1&b[c][d]=x%20y&e[0]=p&e[1]=q&f[]=r&f[]=s&g=") == {
        "a": "1",
        "b": {"c": {"d": "x y"}},
        "e": {"0": "p", "1": "q"},
        "f": {"0": "r", "1": "s"},
        "g": "",
    }


async def test_requests_are_kept(fake: Fake, client: stripe.StripeClient) -> None:
    key = await an_intent(client)
    await refused(client.v1.payment_intents.retrieve_async("pi_none", {"expand": ["customer"]}))
    made, sought = fake.requests
    assert (made.method, made.template, made.status) == ("POST", "POST /v1/payment_intents", 200)
    assert made.params == {"amount": 10_000, "currency": "cny"}
    assert made.headers["stripe-version"] == stripe.api_version
    assert (sought.path, sought.status) == ("/v1/payment_intents/pi_none", 404)
    assert (sought.template, sought.params) == ("GET /v1/payment_intents/{intent}", {"expand": ["customer"]})
    assert fake.rows("payment_intent")[0]["id"] == key


# Other processes


async def test_everything_can_be_done_from_outside(fake: Fake, client: stripe.StripeClient, receiver: Receiver) -> None:
    key = await an_intent(client)
    async with httpx.AsyncClient(base_url=f"{fake.url}/_fake") as outside:

        async def do(name: str, expected: int = 200, **arguments: Any) -> Any:
            response = await outside.post(f"/{name}", json=arguments)
            assert response.status_code == expected, response.text
            return response.json()

        await do("hold")
        assert (await do("pay", key=key))["status"] == "succeeded"
        assert [row["status"] for row in await do("deliver", order="reversed", together=False)] == [200, 200]
        await do("fail", match="GET *", how="503")
        assert (await refused(client.v1.charges.list_async()))[0] == 503
        assert (await do("configure", refund_status="pending"))["refund_status"] == "pending"
        refund = await client.v1.refunds.create_async({"payment_intent": key})
        assert (await do("finish_refund", refund=refund.id, status="failed"))["status"] == "failed"
        assert len((await do("state"))[""]["event"]) == len(fake.rows("event"))
        assert [asked["status"] for asked in await do("asked")] == [200, 503, 200]
        assert (await do("pay", key="pi_none", expected=404))["error"]["code"] == "resource_missing"
        assert "error" in await do("pay", 400, colour="red")
        assert "error" in await do("launch", 404)
        assert "key: str" in (await do("help"))["pay"]


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "stdin"])
async def test_as_a_process_of_its_own(end: str) -> None:
    async with receiving() as receiver:
        words = ("--webhook", receiver.url, "--secret", "whsec_x", "--key", "sk_test_x", "--until-stdin-ends")
        command = (sys.executable, "-m", "tests.stripe_fake", *words)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert process.stdin
        assert process.stdout
        url = (await process.stdout.readline()).decode().strip()
        async with client_of(url, key="sk_test_x") as client:
            key = await an_intent(client)
            # Whoever asked is gone; what was done is not.
        async with client_of(url, key="sk_test_x") as client, httpx.AsyncClient() as browser:
            assert "已支付 Paid" in (await browser.post(f"{url}/pay/{key}")).text
            assert (await client.v1.payment_intents.retrieve_async(key)).status == "succeeded"
            await browser.post(f"{url}/_fake/settled")
        assert stripe.Webhook.construct_event(*receiver.received[2], "whsec_x").type == "payment_intent.succeeded"
        if end == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[end])
        async with asyncio.timeout(5):
            assert await process.wait() == 0
        assert await process.stdout.read() == b""


async def test_settings() -> None:
    fake = Fake(Settings(fee_bps=60, fee_fixed_fen=0, available_after_days=0))
    async with running(fake), client_of(fake.url) as client:
        fake.pay(await an_intent(client))
        assert (await client.v1.balance.retrieve_async()).available[0].amount == 9_940
