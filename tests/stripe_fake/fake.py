"""The stand-in as a test holds it: what it was asked, what it remembers, and what may be made to happen."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock
from typing import Any, TypeVar

from tests.stripe_fake import balance, checkout, connect, payments, refunds
from tests.stripe_fake.errors import no_such
from tests.stripe_fake.faults import Faults
from tests.stripe_fake.idempotency import Keys
from tests.stripe_fake.people import add_endpoint
from tests.stripe_fake.schema import Json
from tests.stripe_fake.webhooks import Attempt, Webhooks, sign
from tests.stripe_fake.world import Account, Settings, World, utc_now

T = TypeVar("T")

DECLINED = "generic_decline"


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    template: str
    """Method and path template of the operation; empty where Stripe has none."""
    params: Json
    """Typed by the schema; the texts of the form where the schema refused it."""
    headers: dict[str, str]
    status: int | None = None
    """None as long as there is no answer, and for ever where the answer was left out."""
    replayed: bool = False


@dataclass(eq=False)
class Fake:
    """Every method may be called from any thread, and over HTTP as `POST /_fake/<method>` with its arguments as JSON.

    Where a method takes an id it raises StripeRefusal for one that is nobody's, or that is not in a state for it.
    """

    settings: Settings = field(default_factory=Settings)
    clock: Callable[[], datetime] = utc_now
    seed: int | None = None
    secret: str = "whsec_stand_in"
    retry_after_s: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)

    def __post_init__(self) -> None:
        self.lock = RLock()
        self.requests: list[Asked] = []
        self.faults = Faults()
        self.keys = Keys()
        self.world = World(self.settings, self.clock, self.seed)
        self.webhooks = Webhooks(self.world, self.retry_after_s)
        self.world.announce = self.webhooks.put
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def deliveries(self) -> list[Attempt]:
        return self.webhooks.attempts

    def add_webhook(self, url: str, secret: str | None = None, events: list[str] | None = None) -> Json:
        """An endpoint that gets what happens on the platform and on connected accounts."""
        with self.lock:
            kinds = events or ["*"]
            return add_endpoint(self.world.platform, url, secret or self.secret, kinds, connect=None)

    # The customer

    def pay(self, key: str) -> Json:
        """Pays a PaymentIntent (its id or client secret) or a Checkout Session (its id); answers it as it is then."""
        with self.lock:
            self.tick()
            account, thing = self.payable(key)
            done = checkout.complete if thing["object"] == "checkout.session" else payments.pay
            return account.shown(done(account, thing))

    def decline(self, key: str, code: str = "card_declined", decline_code: str = DECLINED) -> Json:
        """The customer tries to pay the same, and the bank refuses."""
        with self.lock:
            self.tick()
            account, thing = self.payable(key)
            done = checkout.decline if thing["object"] == "checkout.session" else payments.decline
            done(account, thing, code=code, decline_code=decline_code)
            return account.shown(thing)

    def payable(self, key: str) -> tuple[Account, Json]:
        kind = "checkout.session" if key.startswith("cs_") else "payment_intent"
        name, secret = key.partition("_secret_")[::2]
        account = self.world.owner(kind, name)
        thing = account.find(kind, name)
        if secret and thing["client_secret"] != key:
            raise no_such(kind, key, param="client_secret", status=404)
        return account, thing

    def expire(self, session: str) -> Json:
        return self._with("checkout.session", session, checkout.expire)

    def dispute(self, charge: str, amount: int | None = None, reason: str = "fraudulent") -> Json:
        """The customer disputes a charge (its id, or its PaymentIntent's): the funds are withdrawn, with a fee."""
        with self.lock:
            if charge.startswith("pi_"):
                account = self.world.owner("payment_intent", charge)
                charge = account.find("payment_intent", charge)["latest_charge"] or charge
            account = self.world.owner("charge", charge)
            return account.shown(refunds.dispute(account, account.find("charge", charge), amount, reason))

    # The banks and Stripe

    def decide(self, dispute: str, status: str) -> Json:
        """`won` or `lost`."""
        return self._with("dispute", dispute, lambda account, thing: refunds.decide(account, thing, status))

    def finish_refund(self, refund: str, status: str, reason: str = "unknown") -> Json:
        """`succeeded` or `failed`; one that succeeded may still fail."""
        return self._with("refund", refund, lambda account, thing: refunds.finish(account, thing, status, reason))

    def set_capability(self, account: str, name: str, status: str) -> Json:
        """`active`, `inactive` or `pending`."""
        with self.lock:
            return self.world.platform.shown(connect.set_capability(self.world, account, name, status))

    def pay_out(self, account: str = "", currency: str = "cny") -> Json:
        """An automatic payout of all that is available; the platform's account is empty."""
        with self.lock:
            owner = self.world.account(account)
            return owner.shown(balance.pay_out(owner, currency))

    def finish_payout(self, payout: str, status: str) -> Json:
        """`paid` or `failed`."""
        return self._with("payout", payout, lambda account, thing: balance.finish_payout(account, thing, status))

    def _with(self, kind: str, key: str, deed: Callable[[Account, Json], Json]) -> Json:
        with self.lock:
            account = self.world.owner(kind, key)
            return account.shown(deed(account, account.find(kind, key)))

    # Time, trouble and memory

    def tick(self) -> None:
        """What happens as time goes by; every request does it first."""
        with self.lock:
            checkout.expire_due(self.world)

    def set_clock(self, at: int | None = None) -> None:
        """Stops the clock at a second since the epoch; None: back to the clock it was made with."""
        self.world.clock = self.clock if at is None else lambda: datetime.fromtimestamp(at, UTC)

    def configure(self, **changes: Any) -> Json:
        """Changes settings by name and answers all of them; TypeError for a name that is none."""
        with self.lock:
            vars(self.settings).update(vars(replace(self.settings, **changes)))
            return asdict(self.settings)

    def fail(self, match: str, how: str, times: int = 1, seconds: float = 0.0) -> None:
        """The next `times` requests that match fail; see faults.KINDS for how, Faults.add for what matches."""
        with self.lock:
            self.faults.add(match, str(how), times, seconds)

    def fail_often(self, match: str, hows: Sequence[str], *, percent: int, seed: int) -> None:
        """From now on so many of a hundred requests that match fail, in these ways in turn; which ones, says `seed`."""
        with self.lock:
            self.faults.add_weather(match, hows, percent, seed)

    def heal(self) -> None:
        with self.lock:
            self.faults.clear()

    def state(self) -> Json:
        """All objects by account and kind, oldest first."""
        with self.lock:
            return {
                key: {
                    kind: [account.shown(row) for row in rows.values()]
                    for kind, rows in account.objects.items()
                    if rows
                }
                for key, account in self.world.accounts.items()
            }

    def asked(self) -> list[Json]:
        """The requests so far, for other processes; within this one: `requests`."""
        with self.lock:
            return [asdict(asked) for asked in self.requests]

    def rows(self, kind: str, account: str = "") -> list[Json]:
        """One account's objects of a kind, the oldest first; the platform's account is empty."""
        with self.lock:
            owner = self.world.account(account)
            return [owner.shown(row) for row in owner.objects[kind].values()]

    # Webhooks

    def hold(self) -> None:
        """Events stay here until `deliver` or `release`."""
        self.webhooks.held = True

    def release(self) -> None:
        self.webhooks.held = False
        self.webhooks.wake()

    async def deliver(
        self, order: str = "given", times: int = 1, seed: int = 0, *, together: bool = False
    ) -> list[Attempt]:
        """Sends the held events `given`, `reversed` or `shuffled`, each `times` times; what fails is held again."""
        return await self._in_server(self.webhooks.deliver(order=order, times=times, seed=seed, together=together))

    async def redeliver(self, event: str, times: int = 1) -> list[Attempt]:
        """Sends an event again, delivered or not."""
        with self.lock:
            thing = self.world.owner("event", event).find("event", event)
        return await self._in_server(self.webhooks.redeliver(thing, times))

    async def settled(self) -> None:
        """Waits until every event that is not held was taken, or given up."""
        await self._in_server(self.webhooks.settled())

    async def _in_server(self, work: Coroutine[Any, Any, T]) -> T:
        assert self.loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def sign(self, payload: bytes | str, at: int | None = None, secret: str | None = None) -> str:
        """The value of Stripe-Signature for any payload, for this moment where no other is given."""
        text = payload.encode() if isinstance(payload, str) else payload
        return sign(text, secret or self.secret, int(time.time()) if at is None else at)


CONTROLS = (
    "add_webhook",
    "asked",
    "configure",
    "decide",
    "decline",
    "deliver",
    "dispute",
    "expire",
    "fail",
    "finish_payout",
    "finish_refund",
    "heal",
    "hold",
    "pay",
    "pay_out",
    "redeliver",
    "release",
    "rows",
    "set_capability",
    "set_clock",
    "settled",
    "sign",
    "state",
    "tick",
)
"""What other processes may do."""
