"""What a person with a browser sees: a page to pay an order on, and one to open a connected account."""

import html
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tests.stripe_fake.connect import onboarded
from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.fake import Fake
from tests.stripe_fake.schema import Json, decode

_PAGE = """<!doctype html>
<html lang="zh">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<body style="font: 1.2rem sans-serif; max-width: 26rem; margin: 4rem auto">
<h1>{title}</h1>
{body}
<p><small>测试替身，没有真钱。 A stand-in for tests; no money moves.</small></p>
"""
_PAY = """<p>{amount}<br>{status}</p>
<form method="post">
<button name="action" value="pay">支付 Pay</button>
<button name="action" value="decline">银行拒绝 Be declined</button>
</form>
"""
_STATUS = {
    "canceled": "已取消 Canceled",
    "complete": "已支付 Paid",
    "expired": "已过期 Expired",
    "succeeded": "已支付 Paid",
}


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status)


def _payment(thing: Json) -> Response:
    amount = thing["amount_total"] if thing["object"] == "checkout.session" else thing["amount"]
    told = f"{amount // 100}.{amount % 100:02} {html.escape(thing['currency'].upper())}"
    done = _STATUS.get(thing["status"])
    body = f"<p>{told}<br>{done}</p>" if done else _PAY.format(amount=told, status="待支付 To be paid")
    return _page("付款 Payment", body)


async def payment(fake: Fake, request: Request) -> Response:
    """GET shows what is to be paid; POST pays it, or is declined where the form says `action=decline`."""
    key = request.path_params["key"]
    try:
        if request.method == "GET":
            with fake.lock:
                fake.tick()
                return _payment(fake.payable(key)[1])
        form = decode((await request.body()).decode())
        thing = fake.decline(key) if form.get("action") == "decline" else fake.pay(key)
    except StripeRefusal as refusal:
        return _page("无法付款 Cannot be paid", f"<p>{html.escape(str(refusal))}</p>", refusal.status)
    if thing["status"] == "complete":
        back = thing["success_url"].replace("{CHECKOUT_SESSION_ID}", quote(thing["id"]))
        return RedirectResponse(back, 303)
    return _payment(thing)


async def onboarding(fake: Fake, request: Request) -> Response:
    """POST does what a person does behind an account link: all that the account asked for becomes active."""
    if request.method == "GET":
        return _page("开户 Open an account", '<form method="post"><button>同意 Agree</button></form>')
    try:
        with fake.lock:
            back = onboarded(fake.world, request.path_params["account"])
    except StripeRefusal as refusal:
        return _page("无法开户 Cannot be opened", f"<p>{html.escape(str(refusal))}</p>", refusal.status)
    return RedirectResponse(back, 303) if back else _page("开户 Open an account", "<p>已开户 Opened</p>")
