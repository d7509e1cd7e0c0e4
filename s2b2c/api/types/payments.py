"""Payments and refunds at Stripe, the accounts that money is paid out to, and whether Stripe and we agree."""

import re
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c.api.types import errors
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode
from s2b2c.api.types.money import Int64, Money
from s2b2c.errors import BadArgument, Refused

MAX_URL_LENGTH = 2000
_URL = re.compile(r"https?://[^\s/?#\\]+[^\s\\]*")


def check_url(what: str, url: str | None) -> str:
    """An address that Stripe sends somebody to. Raises Refused(BadArgument)."""
    if url is None or len(url) > MAX_URL_LENGTH or not url.isascii() or not _URL.fullmatch(url):
        raise Refused(BadArgument(f"{what} must be an address that begins with https:// or http://."))
    return url


@strawberry.enum(
    description="How a customer pays: on the store's page, with a client secret of Stripe, or on a page of Stripe's."
)
class PaymentMethod(Enum):
    INTENT = "intent"
    CHECKOUT = "checkout"


@strawberry.enum(description="What a payment has come to.")
class PaymentState(Enum):
    OPENING = strawberry.enum_value("opening", description="Stripe has not answered yet.")
    OPEN = strawberry.enum_value("open", description="It waits for the customer.")
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


@strawberry.enum(description="What a refund that was asked for has come to.")
class RefundRequestState(Enum):
    SENDING = strawberry.enum_value("sending", description="Stripe has not answered yet.")
    SENT = strawberry.enum_value("sent", description="On its way.")
    SUCCEEDED = "succeeded"
    FAILED = "failed"


def id_in_branch(kind: str) -> Any:
    """The field `id` of an event: opaque, with the branch it was born in."""
    return computed(lambda row: encode(kind, row.branch_id, row.id))


@strawberry.type(description="What the customer's page needs to have an order paid.")
class PaymentOpened:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    client_secret: str | None = strawberry.field(description="Of INTENT: for Stripe's own library.")
    url: str | None = strawberry.field(description="Of CHECKOUT: where to send the customer.")


@strawberry.type(description="An attempt to have an order paid.")
class Payment:
    id: strawberry.ID = id_in_branch("payment")
    method: PaymentMethod = strawberry.field(description="Where the customer pays.")
    amount: Money = strawberry.field(description="All that the order costs, freight included.")
    state: PaymentState
    intent_id: str | None = strawberry.field(description="What Stripe calls it: its PaymentIntent.")
    created_at: datetime
    succeeded_at: datetime | None = strawberry.field(description="When Stripe had the money; null before.")
    returned_at: datetime | None = strawberry.field(
        description="When the whole went back, since the order could not take it any more."
    )


@strawberry.type(description="A refund that was asked for.")
class RefundRequest:
    id: strawberry.ID = id_in_branch("refund-request")
    amount: Money
    state: RefundRequestState
    reason: str
    reference: str | None = strawberry.field(description="What Stripe calls it.")
    requested_at: datetime
    requested_by: strawberry.ID = computed(
        lambda row: encode("account", row.account_id), description="The account that asked for it."
    )


@strawberry.enum(description="Whether Stripe lets money be sent to an account.")
class TransferState(Enum):
    INACTIVE = "inactive"
    PENDING = "pending"
    ACTIVE = "active"


@strawberry.type(description="Your account at Stripe, to which your money is sent (打款).")
class PayoutAccount:
    transfers: TransferState = strawberry.field(description="Whether money can be sent to it.")
    payouts_enabled: bool = strawberry.field(description="Whether Stripe pays its balance out to your bank.")
    details_submitted: bool = strawberry.field(description="Whether you have told Stripe who you are.")
    changed_at: datetime = strawberry.field(description="When Stripe last told us of it.")


@strawberry.type(description="Where to tell Stripe who you are; the address is good for one visit.")
class PayoutsOnboarding:
    url: str = strawberry.field(description="A page of Stripe's.")


OnboardPayoutsResult = Annotated[
    PayoutsOnboarding | errors.PaymentsOff | errors.BadArgument | errors.WrongState,
    strawberry.union("OnboardPayoutsResult"),
]


@strawberry.enum(description="How Stripe and we differ.")
class BreakKind(Enum):
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    AMOUNT_DIFFERS = "amount_differs"


@strawberry.type(description="Where Stripe's balance and our payments differ. Amounts above 0 came in.")
class StripeBreak:
    kind: BreakKind
    category: str = strawberry.field(description="charge, refund, refund_failure, return, dispute or dispute_reversal.")
    reference: str = strawberry.field(description="What Stripe calls it.")
    ours: Money | None = strawberry.field(description="What we have; null where we have nothing.")
    theirs: Money | None = strawberry.field(description="What Stripe has; null where it has nothing.")
    at: datetime = strawberry.field(description="When it happened, by whoever has it.")
    age_days: Int64


@strawberry.type(description="How many breaks there are of a kind.")
class BreakCount:
    kind: BreakKind
    count: Int64


@strawberry.type(description="Whether Stripe's balance moved as our payments, refunds and disputes say (对账).")
class StripeReport:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    movements: Int64 = strawberry.field(description="Of Stripe's balance in the period, of the kinds compared.")
    counts: list[BreakCount] = computed(
        lambda it: [BreakCount(kind=BreakKind(kind), count=Int64(count)) for kind, count in it.counts.items()],
        description="Of all breaks; a kind without any is left out.",
    )
    breaks: list[StripeBreak] = strawberry.field(description="The oldest first, as many as were asked for.")


StripeBreaksResult = Annotated[StripeReport | errors.PaymentsOff, strawberry.union("StripeBreaksResult")]
