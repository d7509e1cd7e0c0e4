"""The stand-in for Stripe, driven by Stripe's own library over real HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe

from tests.stripe_fake import Fake, StripeRefusal, running
from tests.stripe_fake.client import an_account, an_intent, ask, client_of, kinds, movements, refused

# The library gives httpx a form in a way that httpx is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NOW = 1_795_000_000
"""Its clock, in seconds since the epoch."""
DAY = 86_400


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with running(Fake(clock=lambda: datetime.fromtimestamp(NOW, UTC), seed=1)) as fake:
        yield fake


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[stripe.StripeClient]:
    async with client_of(fake.url) as client:
        yield client


# Payments


async def test_an_intent_is_paid(fake: Fake, client: stripe.StripeClient) -> None:
    intent = await client.v1.payment_intents.create_async(
        {"amount": 12_345, "currency": "cny", "metadata": {"order": "7"}, "transfer_group": "g"}
    )
    assert (intent.status, intent.created, intent.livemode) == ("requires_payment_method", NOW, False)
    assert intent.client_secret
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    fake.pay(intent.client_secret)
    expand = ["latest_charge.balance_transaction"]
    paid = await client.v1.payment_intents.retrieve_async(intent.id, {"expand": expand})
    charge = paid.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (paid.status, paid.amount_received) == ("succeeded", 12_345)
    assert (charge.id[:3], charge.payment_intent, charge.paid) == ("ch_", intent.id, True)
    assert charge.metadata.to_dict() == {"order": "7"}
    assert (charge.amount, charge.amount_captured, charge.transfer_group) == (12_345, 12_345, "g")
    moved = charge.balance_transaction
    assert isinstance(moved, stripe.BalanceTransaction)
    # 2.9 % of 123.45 is 3.58005, and 0.30.
    assert (moved.amount, moved.fee, moved.net, moved.source) == (12_345, 388, 11_957, charge.id)
    assert (moved.created, moved.available_on, moved.status) == (NOW, NOW + 2 * DAY, "pending")
    assert kinds(fake) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    with pytest.raises(StripeRefusal, match="status of succeeded"):
        fake.pay(intent.id)
    listed = await client.v1.charges.list_async({"payment_intent": intent.id})
    assert [row.id for row in listed.data] == [charge.id]


async def test_a_declined_payment_can_be_tried_again(fake: Fake, client: stripe.StripeClient) -> None:
    key = await an_intent(client)
    declined = fake.decline(key, decline_code="insufficient_funds")
    assert (declined["status"], declined["last_payment_error"]["decline_code"]) == (
        "requires_payment_method",
        "insufficient_funds",
    )
    assert kinds(fake)[1:] == ["charge.failed", "payment_intent.payment_failed"]
    assert movements(fake) == []
    assert fake.pay(key)["last_payment_error"] is None
    assert [charge["status"] for charge in fake.rows("charge")] == ["failed", "succeeded"]


async def test_confirming_with_a_test_card(fake: Fake, client: stripe.StripeClient) -> None:
    key = await an_intent(client)
    intents = client.v1.payment_intents
    assert await refused(intents.confirm_async(key)) == (400, "payment_intent_unexpected_state", None)
    with pytest.raises(stripe.CardError) as declined:
        await intents.confirm_async(key, {"payment_method": "pm_card_visa_chargeDeclined"})
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert (await intents.confirm_async(key, {"payment_method": "pm_card_visa"})).status == "succeeded"
    params: Any = {"amount": 1, "currency": "cny", "confirm": True, "payment_method": "pm_card_visa"}
    assert (await ask(client, "post", "/v1/payment_intents", **params))["amount_received"] == 1


async def test_updating_and_canceling(fake: Fake, client: stripe.StripeClient) -> None:
    intents = client.v1.payment_intents
    key = await an_intent(client, metadata={"a": "1", "b": "2"})
    updated = await intents.update_async(key, {"amount": 500, "metadata": {"a": "", "c": "3"}})
    assert (updated.amount, updated.metadata.to_dict()) == (500, {"b": "2", "c": "3"})
    canceled = await intents.cancel_async(key, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.canceled_at, canceled.cancellation_reason) == ("canceled", NOW, "abandoned")
    before = fake.state()
    wrong_state = (400, "payment_intent_unexpected_state", None)
    assert await refused(intents.cancel_async(key)) == wrong_state
    assert await refused(intents.capture_async(key)) == wrong_state
    assert await refused(intents.confirm_async(key, {"payment_method": "pm_card_visa"})) == wrong_state
    assert await refused(intents.update_async(key, {"amount": 1})) == wrong_state
    assert fake.state() == before
    assert kinds(fake) == ["payment_intent.created", "payment_intent.canceled"]


async def test_customers(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "li@example.com", "name": "李"})
    assert (customer.id[:4], customer.name) == ("cus_", "李")
    listed = await client.v1.customers.list_async({"email": "li@example.com"})
    assert [row.id for row in listed.data] == [customer.id]
    assert (await client.v1.customers.list_async({"email": "other@example.com"})).data == []
    creating = client.v1.payment_intents.create_async({"amount": 1, "currency": "cny", "customer": "cus_none"})
    assert await refused(creating) == (400, "resource_missing", "customer")


# Refunds and disputes


async def test_refunds_until_nothing_is_left(fake: Fake, client: stripe.StripeClient) -> None:
    key = await an_intent(client)
    assert (await refused(client.v1.refunds.create_async({"payment_intent": key})))[0] == 400
    fake.pay(key)
    refund = await client.v1.refunds.create_async({"payment_intent": key, "amount": 4_000})
    assert (refund.id[:3], refund.status, refund.amount, refund.payment_intent) == ("re_", "succeeded", 4_000, key)
    more = client.v1.refunds.create_async({"payment_intent": key, "amount": 6_001})
    assert await refused(more) == (400, None, "amount")
    rest = await client.v1.refunds.create_async({"charge": str(refund.charge), "reason": "duplicate"})
    assert rest.amount == 6_000
    again = client.v1.refunds.create_async({"payment_intent": key})
    assert await refused(again) == (400, "charge_already_refunded", None)
    charge = await client.v1.charges.retrieve_async(str(refund.charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (10_000, True)
    assert charge.refunds
    assert [row.id for row in charge.refunds.data] == [rest.id, refund.id]
    assert movements(fake) == [
        ("charge", "charge", 10_000, 320, 9_680),
        ("refund", "refund", -4_000, 0, -4_000),
        ("refund", "refund", -6_000, 0, -6_000),
    ]
    assert kinds(fake)[3:] == ["refund.created", "charge.refunded"] * 2


async def test_a_refund_that_is_pending_and_fails(fake: Fake, client: stripe.StripeClient) -> None:
    fake.configure(refund_status="pending")
    key = await an_intent(client)
    fake.pay(key)
    refund = await client.v1.refunds.create_async({"payment_intent": key})
    assert refund.status == "pending"
    assert fake.finish_refund(refund.id, "succeeded")["status"] == "succeeded"
    failed = fake.finish_refund(refund.id, "failed", "expired_or_canceled_card")
    assert (failed["failure_reason"], failed["failure_balance_transaction"][:4]) == ("expired_or_canceled_card", "txn_")
    with pytest.raises(StripeRefusal):
        fake.finish_refund(refund.id, "succeeded")
    assert movements(fake)[1:] == [
        ("refund", "refund", -10_000, 0, -10_000),
        ("refund_failure", "refund_failure", 10_000, 0, 10_000),
    ]
    (charge,) = fake.rows("charge")
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    updated = ["refund.updated", "charge.refund.updated"]
    assert kinds(fake)[3:] == ["refund.created", "charge.refunded", *updated, "refund.failed", *updated]
    assert fake.rows("event")[-1]["data"]["previous_attributes"] == {"status": "succeeded"}


@pytest.mark.parametrize("status", ["won", "lost"])
async def test_a_dispute(fake: Fake, client: stripe.StripeClient, status: str) -> None:
    key = await an_intent(client)
    fake.pay(key)
    dispute = fake.dispute(key, amount=9_000)
    assert (dispute["status"], dispute["reason"]) == ("needs_response", "fraudulent")
    refund = client.v1.refunds.create_async({"payment_intent": key})
    assert await refused(refund) == (400, "charge_disputed", None)
    assert fake.rows("charge")[0]["disputed"] is True
    with pytest.raises(StripeRefusal, match="cannot be disputed"):
        fake.dispute(key)
    assert fake.decide(dispute["id"], status)["status"] == status
    (listed,) = (await client.v1.disputes.list_async({"payment_intent": key})).data
    taken = ("adjustment", "dispute", -9_000, 1_500, -10_500)
    back = [("adjustment", "dispute_reversal", 9_000, 0, 9_000)] if status == "won" else []
    assert movements(fake)[1:] == [taken, *back]
    assert [row.net for row in listed.balance_transactions] == [row[4] for row in movements(fake)[1:]]
    reinstated = ["charge.dispute.funds_reinstated"] if status == "won" else []
    opened = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert kinds(fake)[3:] == [*opened, *reinstated, "charge.dispute.closed"]


# Checkout


def a_session(**more: Any) -> dict[str, Any]:
    price = {"currency": "cny", "unit_amount": 2_500, "product_data": {"name": "茶"}}
    items = [{"price_data": price, "quantity": 2}]
    back = "https://shop.example/?s={CHECKOUT_SESSION_ID}"
    return {"mode": "payment", "line_items": items, "success_url": back} | more


async def test_a_checkout_session(fake: Fake, client: stripe.StripeClient) -> None:
    made = a_session(payment_intent_data={"metadata": {"order": "7"}}, client_reference_id="7")
    session = await ask(client, "post", "/v1/checkout/sessions", **made)
    assert (session["amount_total"], session["payment_intent"], session["status"]) == (5_000, None, "open")
    assert session["url"] == f"{fake.url}/pay/{session['id']}"
    assert session["id"].startswith("cs_test_")
    fake.decline(session["id"])
    assert fake.pay(session["id"])["status"] == "complete"
    assert len(fake.rows("payment_intent")) == 1
    expand = ["payment_intent", "line_items"]
    found = await client.v1.checkout.sessions.retrieve_async(session["id"], {"expand": expand})
    assert isinstance(found.payment_intent, stripe.PaymentIntent)
    assert (found.payment_status, found.payment_intent.status) == ("paid", "succeeded")
    assert (found.payment_intent.amount_received, found.payment_intent.metadata.to_dict()) == (5_000, {"order": "7"})
    assert found.line_items
    (item,) = found.line_items.data
    assert (item.description, item.quantity, item.amount_total) == ("茶", 2, 5_000)
    assert kinds(fake)[-3:] == ["charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]
    listed = await ask(client, "get", "/v1/checkout/sessions", customer_details={"email": "customer@example.com"})
    assert [row["id"] for row in listed["data"]] == [session["id"]]
    assert (await client.v1.checkout.sessions.list_async({"status": "open"})).data == []
    expiring = client.v1.checkout.sessions.expire_async(session["id"])
    assert await refused(expiring) == (400, None, "session")


async def test_checkout_sessions_expire(fake: Fake, client: stripe.StripeClient) -> None:
    asked, due = [(await ask(client, "post", "/v1/checkout/sessions", **a_session()))["id"] for _ in "ab"]
    assert (await client.v1.checkout.sessions.expire_async(asked)).status == "expired"
    fake.set_clock(NOW + DAY)
    assert (await client.v1.checkout.sessions.retrieve_async(due)).status == "expired"
    with pytest.raises(StripeRefusal, match="status of expired"):
        fake.pay(due)
    assert kinds(fake) == ["checkout.session.expired"] * 2
    soon = a_session(expires_at=NOW + DAY + 1_799)
    assert await refused(ask(client, "post", "/v1/checkout/sessions", **soon)) == (400, None, "expires_at")


async def test_the_page_to_pay_on(fake: Fake, client: stripe.StripeClient) -> None:
    session = await ask(client, "post", "/v1/checkout/sessions", **a_session())
    secret = (await ask(client, "post", "/v1/payment_intents", amount=105, currency="cny"))["client_secret"]
    async with httpx.AsyncClient(base_url=fake.url) as browser:
        shown = await browser.get(session["url"])
        assert "50.00 CNY" in shown.text
        assert "支付 Pay" in shown.text
        assert (await browser.post(session["url"], data={"action": "decline"})).status_code == 200
        paid = await browser.post(session["url"], data={"action": "pay"})
        assert (paid.status_code, paid.headers["location"]) == (303, f"https://shop.example/?s={session['id']}")
        assert "已支付 Paid" in (await browser.get(session["url"])).text
        assert (await browser.post(session["url"])).status_code == 400
        assert "1.05 CNY" in (await browser.post(f"/pay/{secret}")).text
        assert (await browser.get("/pay/pi_none")).status_code == 404
        assert (await browser.get(f"/pay/{secret}x")).status_code == 404
    assert [row["status"] for row in fake.rows("charge")] == ["failed", "succeeded", "succeeded"]


# Connected accounts


async def test_accounts(fake: Fake, client: stripe.StripeClient) -> None:
    accounts = client.v1.accounts
    capabilities: Any = {"transfers": {"requested": True}}
    made = await accounts.create_async({"country": "CN", "email": "li@example.com", "capabilities": capabilities})
    assert made.capabilities
    assert (made.id[:5], made.capabilities.transfers, made.payouts_enabled) == ("acct_", "inactive", False)
    returns = {"refresh_url": "https://s.example/again", "return_url": "https://s.example/back"}
    onboarding: Any = {"account": made.id, "type": "account_onboarding"} | returns
    link = await client.v1.account_links.create_async(onboarding)
    async with httpx.AsyncClient() as browser:
        assert "同意 Agree" in (await browser.get(link.url)).text
        assert (await browser.post(link.url)).headers["location"] == "https://s.example/back"
    found = await accounts.retrieve_async(made.id)
    assert found.capabilities
    assert (found.capabilities.transfers, found.payouts_enabled, found.details_submitted) == ("active", True, True)
    (event,) = fake.rows("event", made.id)
    assert (event["type"], event["account"]) == ("account.updated", made.id)
    updated = await accounts.update_async(made.id, {"metadata": {"shop": "9"}})
    assert updated.metadata
    assert updated.metadata.to_dict() == {"shop": "9"}
    assert [row.id for row in (await accounts.list_async()).data] == [made.id]
    assert (await accounts.delete_async(made.id)).deleted is True
    assert await refused(accounts.retrieve_async(made.id)) == (403, "account_invalid", None)


async def test_transfers_and_reversals(fake: Fake, client: stripe.StripeClient) -> None:
    transfers = client.v1.transfers
    account = await an_account(fake, client)
    key = await an_intent(client, transfer_group="order 7")
    charge = fake.pay(key)["latest_charge"]
    params: Any = {"amount": 6_000, "currency": "cny", "destination": account, "source_transaction": charge}
    transfer = await transfers.create_async(params)
    assert (transfer.id[:3], transfer.transfer_group, transfer.reversed) == ("tr_", "order 7", False)
    assert await refused(transfers.create_async(params)) == (400, None, "amount")
    reversal = await transfers.reversals.create_async(transfer.id, {"amount": 1_000})
    assert (reversal.id[:4], reversal.amount, reversal.transfer) == ("trr_", 1_000, transfer.id)
    assert await refused(transfers.reversals.create_async(transfer.id, {"amount": 5_001})) == (400, None, "amount")
    assert (await transfers.retrieve_async(transfer.id)).amount_reversed == 1_000
    assert [row.id for row in (await transfers.reversals.list_async(transfer.id)).data] == [reversal.id]
    assert [row.id for row in (await transfers.list_async({"destination": account})).data] == [transfer.id]
    sent, back = ("transfer", "transfer", -6_000, 0, -6_000), ("transfer_refund", "transfer_reversal", 1_000, 0, 1_000)
    assert movements(fake)[1:] == [sent, back]
    got, gave = ("payment", "charge", 6_000, 0, 6_000), ("payment_refund", "refund", -1_000, 0, -1_000)
    assert movements(fake, account) == [got, gave]
    assert kinds(fake)[3:] == ["transfer.created", "transfer.reversed"]
    # The money of the charge is not there yet, so the transfer's is not either.
    assert [row["available_on"] for row in fake.rows("balance_transaction")] == [NOW + 2 * DAY, NOW + 2 * DAY, NOW]
    assert (await transfers.create_async(params | {"amount": 5_000})).amount == 5_000
    fake.set_capability(account, "transfers", "inactive")
    no_more: Any = {"amount": 1, "currency": "cny", "destination": account}
    assert await refused(transfers.create_async(no_more)) == (400, "insufficient_capabilities_for_transfer", None)
    nowhere: Any = no_more | {"destination": "acct_none"}
    assert await refused(transfers.create_async(nowhere)) == (400, "resource_missing", "destination")
    assert len(fake.rows("transfer")) == 2


async def test_a_transfer_needs_funds(fake: Fake, client: stripe.StripeClient) -> None:
    params: Any = {"amount": 9_680, "currency": "cny", "destination": await an_account(fake, client)}
    insufficient = (400, "balance_insufficient", None)
    fake.fail("POST /v1/transfers", "insufficient_funds")
    assert await refused(ask(client, "post", "/v1/transfers", key="a", **params)) == insufficient
    assert await refused(ask(client, "post", "/v1/transfers", key="a", **params)) == insufficient
    fake.configure(checks_balance=True)
    fake.pay(await an_intent(client))
    assert await refused(ask(client, "post", "/v1/transfers", **params)) == insufficient
    fake.set_clock(NOW + 2 * DAY)
    assert (await ask(client, "post", "/v1/transfers", **params))["amount"] == 9_680
    assert await refused(ask(client, "post", "/v1/transfers", **params | {"amount": 1})) == insufficient


async def test_an_account_has_its_own_objects(fake: Fake, client: stripe.StripeClient) -> None:
    account = await an_account(fake, client)
    options: Any = {"stripe_account": account}
    intent = await client.v1.payment_intents.create_async({"amount": 1_000, "currency": "cny"}, options)
    assert fake.requests[-1].headers["stripe-account"] == account
    assert await refused(client.v1.payment_intents.retrieve_async(intent.id)) == (404, "resource_missing", "intent")
    fake.pay(intent.id)
    assert (await client.v1.payment_intents.retrieve_async(intent.id, None, options)).status == "succeeded"
    assert movements(fake) == []
    assert movements(fake, account) == [("charge", "charge", 1_000, 59, 941)]
    listing = client.v1.charges.list_async(None, {"stripe_account": "acct_none"})
    assert await refused(listing) == (403, "account_invalid", None)


async def test_notes_on_what_was_done(fake: Fake, client: stripe.StripeClient) -> None:
    """Refunds, transfers and payouts take metadata later."""
    key = await an_intent(client)
    fake.pay(key)
    paths: dict[str, dict[str, Any]] = {
        "refunds": {"payment_intent": key, "amount": 1},
        "transfers": {"amount": 1, "currency": "cny", "destination": await an_account(fake, client)},
        "payouts": {"amount": 1, "currency": "cny"},
    }
    for path, params in paths.items():
        made = await ask(client, "post", f"/v1/{path}", **params)
        noted = await ask(client, "post", f"/v1/{path}/{made['id']}", metadata={"a": "1"})
        assert noted == made | {"metadata": {"a": "1"}}
        assert await ask(client, "get", f"/v1/{path}/{made['id']}") == noted
        assert (await ask(client, "get", f"/v1/{path}", created=NOW))["data"] == [noted]
        assert kinds(fake)[-1] == f"{path[:-1]}.updated"
        assert fake.rows("event")[-1]["data"]["previous_attributes"] == {"metadata": {}}
        assert await refused(ask(client, "get", f"/v1/{path}/none")) == (404, "resource_missing", "id")


# The balance


async def test_the_balance_and_its_payouts(fake: Fake, client: stripe.StripeClient) -> None:
    charge = fake.pay(await an_intent(client))["latest_charge"]
    fake.set_clock(NOW + DAY)
    fake.pay(await an_intent(client, 1_000))
    rows = client.v1.balance_transactions
    assert [row.amount for row in (await rows.list_async({"created": {"gt": NOW}})).data] == [1_000]
    assert [row.amount for row in (await rows.list_async({"created": {"gte": NOW, "lt": NOW + DAY}})).data] == [10_000]
    assert [row.amount for row in (await rows.list_async({"created": NOW})).data] == [10_000]
    assert [row.amount for row in (await rows.list_async({"source": charge, "type": "charge"})).data] == [10_000]
    fake.set_clock(NOW + 2 * DAY)
    balance = await client.v1.balance.retrieve_async()
    assert (balance.available[0].amount, balance.pending[0].amount) == (9_680, 941)
    payout = fake.pay_out()
    assert (payout["amount"], payout["automatic"], payout["arrival_date"]) == (9_680, True, NOW + 4 * DAY)
    paid_out = (await rows.list_async({"payout": payout["id"], "expand": ["data.source"]})).data
    assert [(row.type, row.net) for row in paid_out] == [("payout", -9_680), ("charge", 9_680)]
    assert isinstance(paid_out[1].source, stripe.Charge)
    assert fake.finish_payout(payout["id"], "paid")["status"] == "paid"
    assert kinds(fake)[-2:] == ["payout.created", "payout.paid"]
    fake.set_clock(NOW + 3 * DAY)
    next_one = fake.pay_out()
    assert [row.net for row in (await rows.list_async({"payout": next_one["id"]})).data] == [-941, 941]
    with pytest.raises(StripeRefusal, match="insufficient"):
        fake.pay_out()
    manual = await client.v1.payouts.create_async({"amount": 5, "currency": "cny"})
    assert (await client.v1.payouts.retrieve_async(manual.id)).status == "pending"
    assert await refused(rows.list_async({"payout": manual.id})) == (400, None, "payout")


async def test_pages(client: stripe.StripeClient) -> None:
    keys = [await an_intent(client, amount) for amount in range(1, 13)][::-1]

    async def page(**params: Any) -> tuple[list[str], bool]:
        found = await ask(client, "get", "/v1/payment_intents", **params)
        return [row["id"] for row in found["data"]], found["has_more"]

    assert await page() == (keys[:10], True)
    assert await page(limit=12) == (keys, False)
    assert await page(limit=2, starting_after=keys[3]) == (keys[4:6], True)
    assert await page(starting_after=keys[9]) == (keys[10:], False)
    assert await page(limit=2, ending_before=keys[5]) == (keys[3:5], True)
    assert await page(limit=2, ending_before=keys[2]) == (keys[:2], False)
    assert await refused(page(limit=101)) == (400, "parameter_invalid_integer", "limit")
    assert await refused(page(starting_after="pi_none")) == (400, "resource_missing", "starting_after")
    every = await client.v1.payment_intents.list_async({"limit": 5})
    assert [row.id async for row in every.auto_paging_iter()] == keys


async def test_expanding(client: stripe.StripeClient) -> None:
    retrieving = client.v1.payment_intents.retrieve_async(await an_intent(client), {"expand": ["status"]})
    assert await refused(retrieving) == (400, None, "expand")
    listed = await client.v1.payment_intents.list_async({"expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge is None
