"""What a Stripe remembers: accounts, each with its objects, its events and the movements of its balance."""

import json
import random
import string
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.stripe_fake.errors import StripeRefusal, no_such
from tests.stripe_fake.schema import API_VERSION, Json

_BLANK: dict[str, Json] = json.loads((Path(__file__).parent / "resources.json").read_text("utf-8"))["resources"]
"""Each kind of object in Stripe's shape, with nothing in it yet."""

DAY_S = 86_400
NOBODY: Json = {"id": None, "idempotency_key": None}
"""Who caused an event that no request did."""

PREFIX = {
    "account": "acct",
    "balance_transaction": "txn",
    "charge": "ch",
    "checkout.session": "cs_test",
    "customer": "cus",
    "dispute": "du",
    "event": "evt",
    "payment_intent": "pi",
    "payout": "po",
    "refund": "re",
    "transfer": "tr",
    "transfer_reversal": "trr",
    "webhook_endpoint": "we",
}
_KIND = {prefix.partition("_")[0]: kind for kind, prefix in PREFIX.items()} | {"py": "charge"}


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Settings:
    """How this Stripe behaves; may be changed while it runs."""

    api_key: str = "sk_test_fake"
    fee_bps: int = 290
    fee_fixed_fen: int = 30
    dispute_fee_fen: int = 1_500
    available_after_days: int = 2
    refund_status: str = "succeeded"
    """What a new refund is: `succeeded`, or `pending` until somebody finishes it."""
    capability_status: str = "inactive"
    """What a capability is when it is asked for."""
    checks_balance: bool = False
    """Whether a transfer or a payout takes only what is available, as at the real one."""


class World:
    def __init__(self, settings: Settings, clock: Callable[[], datetime], seed: int | None) -> None:
        self.settings = settings
        self.clock = clock
        self.url = ""
        self.cause = NOBODY
        self.announce: Callable[[Json], None] = lambda _: None
        self._random = random.Random(seed)
        self.platform = Account(self, "")
        self.accounts = {"": self.platform}
        """By key; the platform's is empty."""

    def now(self) -> int:
        return int(self.clock().timestamp())

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{''.join(self._random.choices(string.ascii_letters + string.digits, k=24))}"

    def account(self, key: str) -> "Account":
        """Raises 403 for an account that never was or is deleted, as Stripe does."""
        if key not in self.accounts:
            told = f"The key does not have access to account '{key}' (or that account does not exist)."
            raise StripeRefusal(403, told, code="account_invalid")
        return self.accounts[key]

    def connect(self, **fields: Any) -> Json:
        """A new connected account; its own objects live under its key."""
        account = self.platform.add("account", **fields)
        self.accounts[account["id"]] = Account(self, account["id"])
        return account

    def owner(self, kind: str, key: str) -> "Account":
        """Whose object it is; raises 404 for one that is nobody's."""
        for account in self.accounts.values():
            if key in account.objects[kind]:
                return account
        raise no_such(kind, key, param="id", status=404)


class Account:
    """What belongs to the platform or to one connected account."""

    def __init__(self, world: World, key: str) -> None:
        self.world = world
        self.key = key
        self.objects: dict[str, dict[str, Json]] = {kind: {} for kind in PREFIX}
        """By kind and id, the oldest first."""
        self.aside: dict[str, Any] = {}
        """By id, what belongs to an object and is not shown in it."""

    def add(self, kind: str, /, *, prefix: str | None = None, **fields: Any) -> Json:
        key = self.world.new_id(prefix or PREFIX[kind])
        thing = {"id": key, "object": kind, "created": self.world.now()} | deepcopy(_BLANK[kind]) | fields
        self.objects[kind][key] = thing
        return thing

    def find(self, kind: str, key: str, *, param: str = "id", status: int = 404) -> Json:
        if key not in self.objects[kind]:
            raise no_such(kind, key, param=param, status=status)
        return self.objects[kind][key]

    def book(
        self,
        kind: str,
        amount: int,
        source: Json,
        *,
        category: str | None = None,
        fee: int = 0,
        available_on: int | None = None,
    ) -> Json:
        """A movement of the balance, `amount` > 0 coming in; `category` is how Stripe's reports call it."""
        fees = {"amount": fee, "application": None, "currency": source["currency"], "description": "Stripe fee"}
        return self.add(
            "balance_transaction",
            amount=amount,
            available_on=self.world.now() if available_on is None else available_on,
            currency=source["currency"],
            fee=fee,
            fee_details=[fees | {"type": "stripe_fee"}] if fee else [],
            net=amount - fee,
            reporting_category=category or kind,
            source=source["id"],
            type=kind,
        )

    def available(self, currency: str) -> int:
        now = self.world.now()
        movements = self.objects["balance_transaction"].values()
        return sum(row["net"] for row in movements if row["currency"] == currency and row["available_on"] <= now)

    def emit(self, kind: str, thing: Json, **was: Any) -> None:
        """An event about the object as it is now; `was` holds what its fields were before."""
        data = {"object": self.shown(thing)} | ({"previous_attributes": was} if was else {})
        event = self.add("event", api_version=API_VERSION, data=data, request=self.world.cause, type=kind)
        if self.key:
            event["account"] = self.key
        self.world.announce(event)

    def shown(self, thing: Json) -> Json:
        """A copy, with what depends on the time of looking."""
        copy = deepcopy(thing)
        if copy["object"] == "balance_transaction":
            copy["status"] = "available" if copy["available_on"] <= self.world.now() else "pending"
        return copy

    def named(self, key: str) -> Json | None:
        """The object with this id, whatever its kind."""
        kind = _KIND.get(key.partition("_")[0])
        return self.objects[kind].get(key) if kind else None


def fields_of(kind: str, params: Json) -> Json:
    """The parameters that are fields of the object, under their names."""
    return {name: value for name, value in params.items() if name in _BLANK[kind]}


def change(thing: Json, params: Json) -> Json:
    """Writes the parameters into the object and returns what they replaced; an empty text unsets, also in metadata."""
    was = {}
    for name, value in fields_of(thing["object"], params).items():
        new = value if value != "" else None
        if name == "metadata":
            merged = {**thing["metadata"], **value} if value else {}
            new = {key: text for key, text in merged.items() if text != ""}
        if thing[name] != new:
            was[name] = thing[name]
            thing[name] = new
    return was
