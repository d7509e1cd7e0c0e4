"""From events to what orders must be told: whatever came twice, late or in the wrong order ends in the same state.

Each fact is taken from one kind of event alone, so that its moment does not depend on what came first. What undoes
something (a refund that failed after all, a dispute won) and came before it is found again among the stored events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import MAX_INT64
from s2b2c.models import OrderBatch, StripeEvent
from s2b2c.payments.accounts import AccountState, apply_states
from s2b2c.payments.gateway import CURRENCY
from s2b2c.sql import statements

_TRANSFERS = ("inactive", "pending", "active")
_INTENT = "payment_intent."
_CHECKOUT = "checkout.session."
_REFUND = "refund."
_WITHDRAWN, _REINSTATED = _DISPUTES = ("charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated")
_ACCOUNT = "account.updated"

_OF_PAYMENTS = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "checkout.session.completed",
    "checkout.session.expired",
    "refund.created",
    "refund.updated",
    "refund.failed",
    *_DISPUTES,
)
EVENTS = (*_OF_PAYMENTS, _ACCOUNT)
"""The types of events that mean something here."""


class Paid(NamedTuple):
    branch_id: int
    order_id: int
    paid_at: datetime
    payment_id: int


class Refunded(NamedTuple):
    """Money that went back to a customer: by a refund of ours, by one made in Stripe's dashboard, or by a dispute."""

    branch_id: int
    order_id: int
    payment_id: int
    reference: str
    """Stripe's id of the refund or the dispute."""
    amount: int
    refunded_at: datetime
    refund_id: int | None
    """Of the request, where it was ours."""
    lines: list[dict[str, Any]] | None
    """What was asked for, where it was ours."""


class Ended(NamedTuple):
    """A payment that came to nothing, or of which a try did."""

    branch_id: int
    order_id: int
    payment_id: int


class FailedRefund(NamedTuple):
    branch_id: int
    order_id: int
    refund_id: int


@dataclass
class Digest:
    """What is new, in the order of its events."""

    paid: list[Paid] = field(default_factory=list)
    refunded: list[Refunded] = field(default_factory=list)
    reversed: list[tuple[str, datetime]] = field(default_factory=list)
    """Refunds that failed after they had succeeded, and disputes won, as `orders.reverse_refunds` takes them; after
    `refunded`, for what came in the wrong order stands in both."""
    refunds_failed: list[FailedRefund] = field(default_factory=list)
    """Requests that have failed now, whether they had succeeded before or not."""
    tries_failed: list[Ended] = field(default_factory=list)
    """The customer may try again."""
    cancelled: list[Ended] = field(default_factory=list)
    """Ended by Stripe, or by us: another payment may be opened."""
    not_returned: list[Ended] = field(default_factory=list)
    """Money that no order could take, and that the customer's bank has sent back: somebody must look."""
    accounts: list[str] = field(default_factory=list)
    """Connected accounts whose state has changed."""


class _Fact(NamedTuple):
    """An event about a payment that is known."""

    kind: str
    at: datetime
    it: dict[str, Any]
    previous: Any
    intent_id: str | None
    branch_id: int
    payment_id: int
    order_id: int
    is_new: bool


async def digest(session: AsyncSession, events: Sequence[StripeEvent]) -> Digest:
    """Write down what these events say of payments, refunds and accounts, and answer what is new for their orders.

    Locks the orders first and then the payments, as everybody does. What is nobody's here is passed over.
    """
    told = Digest()
    told.accounts = await _accounts(session, events)
    facts = await _matched(session, events)
    if not facts:
        return told
    await _learn(session, facts)
    await _payments(session, facts, told)
    await _returns(session, facts, told)
    await _refunds(session, facts, told)
    return told


async def _accounts(session: AsyncSession, events: Sequence[StripeEvent]) -> list[str]:
    states = []
    for event in events:
        it = _object(event)
        name = _text(it.get("id"))
        if event.type == _ACCOUNT and name and event.account in {None, name}:
            capabilities = it.get("capabilities")
            transfers = capabilities.get("transfers") if isinstance(capabilities, dict) else None
            states.append(
                AccountState(
                    name,
                    transfers if transfers in _TRANSFERS else "inactive",
                    it.get("payouts_enabled") is True,
                    it.get("details_submitted") is True,
                    event.created_at,
                )
            )
    return await apply_states(session, states) if states else []


async def _matched(session: AsyncSession, events: Sequence[StripeEvent]) -> list[_Fact]:
    about = []
    for event in events:
        # What connected accounts do with their own customers is not ours.
        if event.account is None and event.type in _OF_PAYMENTS:
            it = _object(event)
            intent_id = _text(it.get("id" if event.type.startswith(_INTENT) else "payment_intent"))
            about.append((event, it, intent_id))
    if not about:
        return []
    rows = await session.execute(
        statements("payments")["match"],
        {
            "ns": list(range(len(about))),
            "intents": [intent_id for _, _, intent_id in about],
            "sessions": [_text(it.get("id")) if event.type.startswith(_CHECKOUT) else None for event, it, _ in about],
            "branch_ids": [_remembered(it, "branch_id") for _, it, _ in about],
            "payment_ids": [_remembered(it, "payment_id") for _, it, _ in about],
        },
    )
    found = {row.n: row for row in rows}
    if not found:
        return []
    orders = sorted({(row.branch_id, row.order_id) for row in found.values()})
    await session.execute(statements("refunds")["lock"], OrderBatch.of(orders)._asdict())
    return [
        _Fact(
            event.type,
            event.created_at,
            it,
            event.payload["data"].get("previous_attributes"),
            intent_id,
            found[n].branch_id,
            found[n].id,
            found[n].order_id,
            found[n].is_new,
        )
        for n, (event, it, intent_id) in enumerate(about)
        if n in found
    ]


async def _learn(session: AsyncSession, facts: Sequence[_Fact]) -> None:
    if new := [fact for fact in facts if fact.is_new]:
        names = {"intents": [fact.intent_id for fact in new]}
        await session.execute(statements("payments")["learn"], _keys(new) | names)


async def _payments(session: AsyncSession, facts: Sequence[_Fact], told: Digest) -> None:
    succeeded = [
        fact
        for fact in facts
        if fact.kind == "payment_intent.succeeded"
        and fact.it.get("currency") == CURRENCY
        and _number(fact.it.get("amount_received"))
    ]
    if succeeded:
        paid = await session.execute(
            statements("payments")["succeed"],
            _keys(succeeded)
            | {
                "intents": [fact.intent_id for fact in succeeded],
                "amounts": [fact.it["amount_received"] for fact in succeeded],
                "times": [fact.at for fact in succeeded],
            },
        )
        told.paid = sorted((Paid._make(row) for row in paid), key=lambda it: (it.paid_at, it.payment_id))
    if over := [fact for fact in facts if fact.kind in {"payment_intent.canceled", "checkout.session.expired"}]:
        told.cancelled = await _ended(session, "cancel", over)
    if failed := [fact for fact in facts if fact.kind == "payment_intent.payment_failed"]:
        told.tries_failed = await _ended(session, "still_open", failed)


async def _returns(session: AsyncSession, facts: Sequence[_Fact], told: Digest) -> None:
    if failed := [fact for fact in facts if _is_return(fact) and _undoes(fact)]:
        told.not_returned = await _ended(session, "not_returned", failed)


async def _ended(session: AsyncSession, statement: str, facts: Sequence[_Fact]) -> list[Ended]:
    rows = await session.execute(statements("payments")[statement], _keys(facts))
    return sorted(Ended._make(row) for row in rows)


@dataclass
class _Money:
    """A refund or a dispute, as far as the events at hand tell."""

    fact: _Fact
    amount: int
    refund_id: int | None
    went_at: datetime | None = None
    came_back_at: datetime | None = None

    @property
    def state(self) -> str:
        if self.came_back_at is not None:
            return "failed"
        return "sent" if self.went_at is None else "succeeded"


async def _refunds(session: AsyncSession, facts: Sequence[_Fact], told: Digest) -> None:
    moved: dict[str, _Money] = {}
    for fact in facts:
        name, amount = _text(fact.it.get("id")), _number(fact.it.get("amount"))
        is_one = fact.kind in _DISPUTES or (fact.kind.startswith(_REFUND) and not _is_return(fact))
        if not (is_one and name and amount):
            continue
        request = _remembered(fact.it, "refund_id") if fact.kind.startswith(_REFUND) else None
        money = moved.setdefault(name, _Money(fact, amount, request))
        if _does(fact):
            money.went_at = min(fact.at, money.went_at or fact.at)
        if _undoes(fact):
            money.came_back_at = min(fact.at, money.came_back_at or fact.at)
    if not moved:
        return
    known = await _known(session, moved)
    late = [name for name, money in moved.items() if money.went_at and not known[name].is_counted]
    if late:
        undone = await session.execute(statements("payments")["undone_before"], {"references": late})
        for row in undone:
            moved[row.reference].came_back_at = row.at
    for name, money in moved.items():
        _tell(told, name, money, known[name])
    await _write_states(session, {name: money for name, money in moved.items() if known[name].refund_id is not None})


class _Known(NamedTuple):
    reference: str
    refund_id: int | None
    state: str | None
    lines: list[dict[str, Any]] | None
    is_counted: bool


async def _known(session: AsyncSession, moved: dict[str, _Money]) -> dict[str, _Known]:
    rows = await session.execute(
        statements("payments")["known_refunds"].columns(lines=JSONB),
        {
            "references": list(moved),
            "branch_ids": [money.fact.branch_id for money in moved.values()],
            "refund_ids": [money.refund_id for money in moved.values()],
            "payment_ids": [money.fact.payment_id for money in moved.values()],
        },
    )
    return {row.reference: _Known(row.reference, row.refund_id, row.state, row.lines, row.is_counted) for row in rows}


def _tell(told: Digest, name: str, money: _Money, known: _Known) -> None:
    fact = money.fact
    counts = money.went_at is not None and not known.is_counted
    if counts:
        assert money.went_at is not None
        told.refunded.append(
            Refunded(
                fact.branch_id,
                fact.order_id,
                fact.payment_id,
                name,
                money.amount,
                money.went_at,
                known.refund_id,
                known.lines,
            )
        )
    if money.came_back_at is not None and (counts or known.is_counted):
        told.reversed.append((name, money.came_back_at))
    if money.state == "failed" and known.refund_id is not None and known.state != "failed":
        told.refunds_failed.append(FailedRefund(fact.branch_id, fact.order_id, known.refund_id))


async def _write_states(session: AsyncSession, requests: dict[str, _Money]) -> None:
    if requests:
        await session.execute(
            statements("payments")["refund_states"],
            {
                "branch_ids": [money.fact.branch_id for money in requests.values()],
                "ids": [money.refund_id for money in requests.values()],
                "states": [money.state for money in requests.values()],
                "references": list(requests),
            },
        )


def _does(fact: _Fact) -> bool:
    """Whether the event says that money went back to the customer, and when: a later change of a refund does not."""
    if fact.kind == _WITHDRAWN:
        return True
    changed = not isinstance(fact.previous, dict) or "status" in fact.previous
    return fact.it.get("status") == "succeeded" and (
        fact.kind == "refund.created" or (fact.kind == "refund.updated" and changed)
    )


def _undoes(fact: _Fact) -> bool:
    if fact.kind in {"refund.failed", _REINSTATED}:
        return True
    return fact.kind == "refund.updated" and fact.it.get("status") == "canceled"


def _is_return(fact: _Fact) -> bool:
    return fact.kind.startswith(_REFUND) and _remembered(fact.it, "return") is not None


def _keys(facts: Iterable[_Fact]) -> dict[str, Any]:
    keys = [(fact.branch_id, fact.payment_id) for fact in facts]
    return {"branch_ids": [branch_id for branch_id, _ in keys], "ids": [payment_id for _, payment_id in keys]}


def _object(event: StripeEvent) -> dict[str, Any]:
    it = event.payload["data"]["object"]
    assert isinstance(it, dict)
    return it


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 255 else None


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 < value <= MAX_INT64 else None


def _remembered(it: dict[str, Any], name: str) -> int | None:
    """A number that we told Stripe to remember beside a thing of its own."""
    metadata = it.get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value) if int(value) <= MAX_INT64 else None
    return None
