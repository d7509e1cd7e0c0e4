"""Brands and distributors say where their money goes, and finance sees where Stripe and we differ; every refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from s2b2c import models, payments
from tests import factories
from tests.api.client import Api
from tests.api.shopping import a_buyer, a_shop, done, nodes, refuses
from tests.api.test_paying import VISIT, pays
from tests.stripe_fake import Fake


@pytest.mark.parametrize("door", ["partner", "brand"])
async def test_somebody_says_where_its_money_goes(stripe: Fake, api: Api, door: str) -> None:
    shop = await a_shop(api)
    token = await shop.seller() if door == "partner" else await shop.brand(0)
    other = await shop.brand(1)

    async def account(who: str, at: str) -> Any:
        answer = await api.run(f"{at}/PayoutAccount", who)
        assert len(api.statements) == 2, api.statements
        return answer["data"][at]["payoutAccount"]

    assert await account(token, door) is None
    opened = await done(api, f"{door}/OnboardPayouts", token, **VISIT)
    assert len(api.statements) == 5, api.statements
    assert opened["url"].startswith("http")
    found = await account(token, door)
    assert (found["transfers"], found["payoutsEnabled"], found["detailsSubmitted"]) == ("INACTIVE", False, False)
    assert "url" in await done(api, f"{door}/OnboardPayouts", token, **VISIT)
    assert len(api.statements) == 3, api.statements
    (made,) = stripe.rows("account")
    stripe.set_capability(made["id"], "transfers", "active")
    async with api.db.write() as session:
        await session.execute(update(models.StripeAccount).values(transfers="active"))
    assert (await account(token, door))["transfers"] == "ACTIVE"
    assert await account(other, "brand") is None, "another brand has none"


async def test_what_keeps_somebody_from_being_paid_out(stripe: Fake, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = await a_shop(api)
    token = await shop.brand(0)
    for wrong in ({"returnUrl": "ftp://a.example"}, {"refreshUrl": ""}, {"refreshUrl": "https://a b.example"}):
        await refuses(api, "BadArgument", "brand/OnboardPayouts", token, **{**VISIT, **wrong})
    assert stripe.requests == []
    stripe.fail("POST /v1/accounts", "503")
    await refuses(api, "PaymentsOff", "brand/OnboardPayouts", token, **VISIT)

    async def declined(*_: object, **__: object) -> None:
        raise payments.Declined("url_invalid")

    monkeypatch.setattr(payments.Gateway, "create_account", declined)
    await refuses(api, "WrongState", "brand/OnboardPayouts", token, **VISIT)
    async with api.db.write() as session:
        newcomer = await factories.a_distributor(session, state="applied")
    other = await api.token("distributor", distributor=newcomer.code)
    for role, who in (
        ("applied", other),
        ("finance", await api.token("finance")),
        ("operator", await api.token("operator")),
    ):
        answer = await api.run("partner/OnboardPayouts", who, **VISIT)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", role


async def test_where_stripe_and_we_differ(stripe: Fake, api: Api) -> None:
    shop = await a_shop(api)
    buyer = await a_buyer(shop)
    token = await api.token("finance")
    for number in range(3):
        await pays(api, stripe, buyer, await buyer.places(token=str(number)))
    today = datetime.now(UTC).date()
    period = {"from": str(today - timedelta(days=1)), "to": str(today + timedelta(days=2))}
    report = (await api.run("finance/StripeBreaks", token, **period))["data"]["finance"]["stripeBreaks"]
    assert report == {"__typename": "StripeReport", "movements": 3, "counts": [], "breaks": []}
    async with api.db.write() as session:
        rows = (await session.scalars(select(models.Payment).order_by(models.Payment.id))).all()
        rows[0].amount = 12979
        rows[1].state, rows[1].succeeded_at = "cancelled", None
    answer = await api.run("finance/StripeBreaks", token, **period)
    assert len(api.statements) == 10, api.statements
    report = answer["data"]["finance"]["stripeBreaks"]
    assert report["counts"] == [{"kind": "AMOUNT_DIFFERS", "count": 1}, {"kind": "MISSING_HERE", "count": 1}]
    breaks = sorted(report["breaks"], key=lambda it: str(it["kind"]))
    assert [(it["kind"], it["category"], it["ours"], it["theirs"]) for it in breaks] == [
        ("AMOUNT_DIFFERS", "charge", {"amount": 12979, "currency": "CNY"}, {"amount": 12980, "currency": "CNY"}),
        ("MISSING_HERE", "charge", None, {"amount": 12980, "currency": "CNY"}),
    ]
    assert [it["reference"] for it in breaks] == [rows[0].intent_id, rows[1].intent_id]
    top = (await api.run("finance/StripeBreaks", token, **period, top=1))["data"]["finance"]["stripeBreaks"]
    assert (top["counts"], top["breaks"]) == (report["counts"], report["breaks"][:1])
    stripe.fail("GET /v1/balance_transactions", "503")
    off = (await api.run("finance/StripeBreaks", token, **period))["data"]["finance"]["stripeBreaks"]
    assert off["__typename"] == "PaymentsOff"
    for wrong in ({"to": period["from"]}, {"from": "2026-01-01"}, {"top": 0}, {"top": 1001}):
        answer = await api.run("finance/StripeBreaks", token, **{**period, **wrong})
        assert answer["errors"][0]["extensions"]["code"] == "BAD_ARGUMENT"
    assert await nodes(api, "finance/Payments", token, "finance", "payments", orderNo="\x01") == []
    assert await nodes(api, "finance/Payments", token, "finance", "payments", orderNo="nonsense") == []
