"""`python -m tests.shoppers <what they are told, as JSON>`: a process of customers who buy until there is a file `stop`.

What a customer was told for certain is written down at once. A process that was killed is followed by one that reads
what is written and begins where the other left off: it asks for the same again, as a customer with a page left open.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

_OPERATIONS = Path(__file__).parents[1] / "graphql" / "operations" / "shop"
_PATIENCE_S = 120
_AGAIN_AFTER_S = 0.2
_THINKS_S = 0.5

FATES = ("paid", "paid", "paid", "refunded", "left", "cancelled", "late")
"""What becomes of an order: paid; one unit of it sent back; left alone with its page open; cancelled; paid after that."""

Json = dict[str, Any]


@dataclass
class Told:
    shop: str
    """Our address, without a path."""
    stripe: str
    journal: str
    """A file of JSON lines."""
    stop: str
    stores: list[str]
    variants: list[str]
    customers: int
    seed: int


@dataclass
class Customer:
    told: Told
    http: httpx.AsyncClient
    stop: Path
    number: int
    token: str = ""
    address: str = ""
    orders: int = 0
    """How many are over and done with."""

    async def live(self) -> None:
        if not self.address:
            self.token = (await self.ask("EnterAsGuest"))["token"]
            address = {
                "recipient": "王小明",
                "phone": "13800001234",
                "region": "上海市 浦东新区",
                "street": "世纪大道1号",
            }
            self.address = (await self.ask("SaveAddress", input=address))["id"]
            self.note("entered", token=self.token, address=self.address)
        await self.buy()  # also what one that was killed was at
        while not self.stop.exists():
            await self.buy()

    def note(self, what: str, **more: object) -> None:
        """One write of a line: a kill leaves all of it or nothing."""
        line = json.dumps({"what": what, "customer": self.number, "number": self.orders, **more}, ensure_ascii=False)
        with Path(self.told.journal).open("ab", buffering=0) as journal:
            journal.write(f"{line}\n".encode())

    async def buy(self) -> None:
        dice = random.Random(f"{self.told.seed} {self.number} {self.orders}")
        await asyncio.sleep(dice.uniform(0, _THINKS_S))
        lines = [{"variant": it, "quantity": dice.randint(1, 3)} for it in dice.sample(self.told.variants, 2)]
        fate = dice.choice(FATES)
        store = dice.choice(self.told.stores)
        cart = {"store": store, "address": self.address, "token": f"cart {self.orders}", "lines": lines}
        order = await self.ask("PlaceOrder", input=cart)
        if "id" not in order:
            raise RuntimeError(f"an order was refused: {order}")
        self.note("placed", order=order["id"], fate=fate)
        opened = await self.ask("PayOrder", order=order["id"])
        if fate in {"cancelled", "late"}:
            await self.ask("CancelOrder", order=order["id"])
        if fate not in {"cancelled", "left"} and "clientSecret" in opened:  # else it was paid, or is over
            await self.pay(order["id"], opened["clientSecret"])
        if fate == "refunded":
            await self.send_back(order["id"])
        self.orders += 1
        self.note("done")

    async def pay(self, order: str, secret: str) -> None:
        answer = await self.post(f"{self.told.stripe}/_fake/pay", {"key": secret})
        if "error" not in answer:
            self.note("paid", order=order)

    async def send_back(self, order: str) -> None:
        """A unit of the first line, as soon as we know of the payment; an order that expired before that has none."""
        ends = time.monotonic() + _PATIENCE_S
        while True:
            asked = await self.ask("Order", id=order)
            state = asked["me"]["order"]["state"]
            if state != "placed":
                break
            if time.monotonic() > ends:
                raise RuntimeError(f"an order is not paid after {_PATIENCE_S} s: {asked}")
            await asyncio.sleep(_AGAIN_AFTER_S)
        if state == "paid":
            await self.ask("RequestRefund", order=order, lines=[{"lineNo": 1, "quantity": 1}], reason="一件破损")

    async def ask(self, operation: str, **variables: object) -> Json:
        """The one field of the answer, a refusal too; what breaks on the way is asked again."""
        answer = await self.post(
            f"{self.told.shop}/graphql",
            {"query": _document(operation), "variables": variables},
            {"Authorization": f"Bearer {self.token}"} if self.token else {},
        )
        (payload,) = answer["data"].values()
        assert isinstance(payload, dict)
        return payload

    async def post(self, url: str, body: Json, headers: Mapping[str, str] | None = None) -> Json:
        ends, why = time.monotonic() + _PATIENCE_S, ""
        while time.monotonic() < ends:
            try:
                answer = await self.http.post(url, json=body, headers=headers)
                answered: Json = answer.json()
            except (httpx.TransportError, ValueError) as error:
                why = repr(error)
            else:
                codes = {error["extensions"]["code"] for error in answered.get("errors", ())}
                if not codes:
                    return answered
                if codes != {"UNAVAILABLE"}:
                    raise RuntimeError(f"{url} answers {answered}")
                why = f"{answered}"
            await asyncio.sleep(_AGAIN_AFTER_S)
        raise RuntimeError(f"{url} did not answer for {_PATIENCE_S} s: {why}")


@cache
def _document(operation: str) -> str:
    return (_OPERATIONS / f"{operation}.graphql").read_text("utf-8")


def read(journal: Path) -> list[Json]:
    return [json.loads(line) for line in journal.read_text("utf-8").splitlines()] if journal.exists() else []


async def shop(told: Told) -> None:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
        customers = [Customer(told, http, Path(told.stop), number) for number in range(told.customers)]
        for line in read(Path(told.journal)):
            customer = customers[line["customer"]]
            if line["what"] == "entered":
                customer.token, customer.address = line["token"], line["address"]
            elif line["what"] == "done":
                customer.orders = line["number"]
        async with asyncio.TaskGroup() as group:
            for customer in customers:
                group.create_task(customer.live())


if __name__ == "__main__":
    asyncio.run(shop(Told(**json.loads(sys.argv[1]))))
