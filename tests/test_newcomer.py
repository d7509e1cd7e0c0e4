"""A newcomer on `make run`, over HTTP alone: opens a store, orders, pays, receives, and sends one of two units back."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from s2b2c.config import CHECKOUT
from tests.commands import cli, start

FREIGHT = 800
# The sample: a pack costs its store 4890 fen and the platform 2020, and its brand's rule pays 35 % and 8 % of the margin.
PAID, SUPPLY, SELLER, UPLINE = 9780, 4040, 2009, 459


class Newcomer:
    """Sends the operations of the front ends."""

    def __init__(self, url: str, stripe: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)
        self._stripe = stripe

    def send(self, door: str, operation: str, token: str | None = None, **variables: Any) -> Any:
        document = (CHECKOUT / "graphql" / "operations" / door / f"{operation}.graphql").read_text(encoding="utf-8")
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = self._http.post("/graphql", json={"query": document, "variables": variables}, headers=headers)
        body = answer.json()
        assert answer.status_code == 200, body
        assert "errors" not in body, body["errors"]
        return body["data"]

    def pay(self, client_secret: str) -> None:
        assert httpx.post(f"{self._stripe}/pay/{client_secret}", timeout=60).status_code < 400

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def newcomer(database_url: str) -> Iterator[Newcomer]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"S2B2C_PORT": str(port), "S2B2C_FREIGHT": str(FREIGHT), "S2B2C_COMPLETE_DAYS": "0"}
    process = start(database_url, "up", **settings)
    try:
        assert process.stdout is not None
        said = ""
        while "/graphql" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        (stripe,) = re.findall(r"stand-in at (http://\S+)", said)
        newcomer = Newcomer(f"http://127.0.0.1:{port}", stripe)
        yield newcomer
        newcomer.close()
    finally:
        process.terminate()
        process.communicate(timeout=120)


def _within(seconds: float, what: str, ask: Callable[[], Any]) -> Any:
    """What `ask` answers once it answers something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (answer := ask()) is not None:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


def _balances(newcomer: Newcomer, finance: str) -> dict[tuple[str, str | None], int]:
    after, found = None, {}
    while True:
        page = newcomer.send("finance", "TrialBalance", finance, first=100, after=after)["finance"]["trialBalance"]
        assert page["debits"] == page["credits"]
        for edge in page["accounts"]["edges"]:
            node = edge["node"]
            found[node["kind"], node["rail"] or node["owner"]] = node["balance"]["amount"]
        if not page["accounts"]["pageInfo"]["hasNextPage"]:
            return found
        after = page["accounts"]["pageInfo"]["endCursor"]


def test_from_a_store_to_a_refund(newcomer: Newcomer, database_url: str) -> None:
    tokens = {
        role: cli(database_url, "token", role, *words).split()[-1]
        for role, words in {"finance": (), "operator": (), "brand": ("--brand", "檐角日常")}.items()
    }
    before = _balances(newcomer, tokens["finance"])

    def moved() -> dict[tuple[str, str | None], int]:
        now = _balances(newcomer, tokens["finance"])
        return {key: now[key] - before.get(key, 0) for key in now if now[key] != before.get(key, 0)}

    store = newcomer.send("shop", "Storefront", slug="hangzhou", first=100)["shop"]["store"]
    variants = {it["sku"]: it["id"] for edge in store["listings"]["edges"] for it in edge["node"]["variants"]}
    me = newcomer.send("shop", "EnterAsGuest")["enterAsGuest"]["token"]
    home = {"recipient": "王小明", "phone": "13800001234", "region": "浙江省 杭州市 西湖区", "street": "文三路 1 号"}
    address = newcomer.send("shop", "SaveAddress", me, input=home)["saveAddress"]["id"]
    line = {"variant": variants["YJ04-1"], "quantity": 2, "unitPrice": 4890}
    asked = {"store": store["id"], "lines": [line], "address": address, "token": "my first order"}
    order = newcomer.send("shop", "PlaceOrder", me, input=asked)["placeOrder"]
    assert (order["state"], order["total"]["amount"], order["freight"]["amount"]) == ("PLACED", PAID + FREIGHT, FREIGHT)
    assert newcomer.send("shop", "PlaceOrder", me, input=asked)["placeOrder"]["id"] == order["id"]
    assert moved() == {}

    opened = newcomer.send("shop", "PayOrder", me, order=order["id"])["payOrder"]
    newcomer.pay(opened["clientSecret"])

    def seen(state: str) -> Any:
        row = newcomer.send("shop", "Order", me, id=order["id"])["shop"]["me"]["order"]
        return row if row["state"] == state else None

    _within(60, "the order is paid", lambda: seen("PAID"))
    stripe, revenue = ("CLEARING", "stripe"), ("REVENUE", None)
    assert moved() == {stripe: -PAID - FREIGHT, ("ESCROW", None): PAID, revenue: FREIGHT}

    waiting = newcomer.send("brand", "SupplyOrders", tokens["brand"])["brand"]["supplyOrders"]["edges"]
    (ours,) = [edge["node"] for edge in waiting if edge["node"]["orderNo"] == order["orderNo"]]
    parcel = {"supplyOrder": ours["id"], "carrier": "顺丰", "trackingNo": "SF1"}
    assert newcomer.send("brand", "ShipParcels", tokens["brand"], parcels=[parcel])["shipParcels"] == {"shipped": 1}
    assert newcomer.send("shop", "ConfirmReceipt", me, order=order["id"])["confirmReceipt"]["state"] == "RECEIVED"
    _within(60, "the order is completed", lambda: seen("COMPLETED"))
    brand, seller, upline = (
        ("BRAND_PAYABLE", "檐角日常"),
        ("COMMISSION_PAYABLE", "沈伯言"),
        ("COMMISSION_PAYABLE", "周砚秋"),
    )
    platform = PAID - SUPPLY - SELLER - UPLINE
    assert moved() == {
        stripe: -PAID - FREIGHT,
        brand: SUPPLY,
        seller: SELLER,
        upline: UPLINE,
        revenue: FREIGHT + platform,
    }

    back = {"lineNo": 1, "quantity": 1, "goodsBack": True}
    refund = newcomer.send(
        "operator", "RefundOrder", tokens["operator"], order=order["id"], lines=[back], reason="一件退回"
    )["refundOrder"]
    assert refund["amount"]["amount"] == 4890
    _within(60, "half is refunded", lambda: moved() if moved()[brand] != SUPPLY else None)
    # 2009 * 4890 // 9780 = 1004 and 459 * 4890 // 9780 = 229 come back; the platform gives 4890 - 2020 - 1004 - 229.
    assert moved() == {stripe: -5690, brand: 2020, seller: 1005, upline: 230, revenue: 800 + 3272 - 1637}
    assert sum(moved().values()) == 0
    assert "Every invariant holds." in cli(database_url, "audit")
