"""Payouts: what is paid out of a statement, and every attempt to send it."""

from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c.api.context import Info
from s2b2c.api.types.fields import computed
from s2b2c.api.types.finance_exports import FileLink, link_to
from s2b2c.api.types.ids import encode
from s2b2c.api.types.money import Int64, Money


@strawberry.enum(description="By what money goes to a payee.")
class PayoutRail(Enum):
    STRIPE = strawberry.enum_value("stripe", description="A transfer to its connected account.")
    BANK = strawberry.enum_value("bank", description="A line of a file that you give to your bank.")
    OUTSIDE = strawberry.enum_value("outside", description="By other means, which a file proves.")


@strawberry.enum(description="What a payout has come to.")
class PayoutState(Enum):
    PENDING = strawberry.enum_value("pending", description="It waits for the worker, or for somebody.")
    SENDING = strawberry.enum_value("sending", description="An attempt is made.")
    UNKNOWN = strawberry.enum_value("unknown", description="No answer came: it is looked up before it is sent again.")
    SENT = strawberry.enum_value("sent", description="The rail has taken it.")
    CONFIRMED = strawberry.enum_value("confirmed", description="It has left.")
    FAILED = strawberry.enum_value("failed", description="The rail said no: try again, or by another rail.")
    REVERSED = strawberry.enum_value("reversed", description="It came back, and is owed again.")


@strawberry.enum(description="What keeps a payout back.")
class PayoutHold(Enum):
    SUSPENDED = strawberry.enum_value("suspended", description="Its payee is suspended.")
    NO_ACCOUNT = strawberry.enum_value("no_account", description="Its payee has no account that it can be paid into.")
    PERSON = strawberry.enum_value("person", description="Somebody of finance said so.")


@strawberry.type(description="The file that proves a payout outside.")
class PayoutProof:
    name: str
    sha256: str = strawberry.field(description="Of the file, in hexadecimal.")

    @strawberry.field(graphql_type=FileLink, description="A new link each time.")
    @staticmethod
    def download(root: strawberry.Parent[Any], info: Info) -> FileLink:
        return link_to(info, root.file_id)


class _Proof:
    """What `PayoutProof` shows of an attempt."""

    def __init__(self, row: Any) -> None:
        self.file_id, self.name, self.sha256 = row.proof_file_id, row.proof_name, row.proof_sha256


@strawberry.type(description="One try to send a payout; at most one of them is alive.")
class PayoutAttempt:
    number: Int64 = strawberry.field(description="From 1.")
    rail: PayoutRail
    state: PayoutState
    key: str = strawberry.field(description="Under which the rail knows it: the same for ever, so that it goes once.")
    reference: str | None = strawberry.field(description="What the rail calls it; null before it is sent.")
    failure: str | None = strawberry.field(description="Why the rail said no; null where it did not.")
    created_at: datetime
    created_by: strawberry.ID | None = computed(
        lambda row: None if row.created_by is None else encode("person", row.created_by),
        description="Who paid it outside; null for other rails, and where the command line did.",
    )
    sent_at: datetime | None = strawberry.field(description="When the rail took it.")
    confirmed_at: datetime | None = strawberry.field(description="When it had left for good.")
    failed_at: datetime | None = strawberry.field(description="When the rail said no.")
    reversed_at: datetime | None = strawberry.field(description="When it was with us again.")
    proof: PayoutProof | None = computed(
        lambda row: None if row.proof_file_id is None else _Proof(row), description="Of one that was made outside."
    )


@strawberry.type(description="What you are paid out of a statement (打款).")
class Payout:
    amount: Money
    rail: PayoutRail
    state: PayoutState
    hold: PayoutHold | None = strawberry.field(
        description="Why it waits: NO_ACCOUNT is yours to mend. Null when nothing keeps it back."
    )
    sent_at: datetime | None = strawberry.field(description="Null before.")
    confirmed_at: datetime | None = strawberry.field(description="Null before.")
    reversed_at: datetime | None = strawberry.field(description="Null unless it came back.")

    @strawberry.field(graphql_type=str | None, description="What its rail calls it; null before it is sent.")
    @staticmethod
    async def reference(root: strawberry.Parent[Any], info: Info) -> str | None:
        attempts = await info.context.load.payout_attempts.load(root.id)
        return attempts[-1].reference if attempts else None


@strawberry.type(description="What the payouts of a run in one state come to.")
class PayoutTotal:
    state: PayoutState
    payouts: Int64 = strawberry.field(description="How many there are.")
    amount: Money
