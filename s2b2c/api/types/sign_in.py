"""Signing in: sessions, memberships, invitations."""

from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

import strawberry

from s2b2c.api.types import errors
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode


@strawberry.enum(description="What somebody may act as: which door is open.")
class Role(Enum):
    CUSTOMER = "customer"
    DISTRIBUTOR = "distributor"
    BRAND = "brand"
    FINANCE = "finance"
    OPERATOR = "operator"


@strawberry.type(description="Something you may act as: a person may be a distributor and staff of a brand.")
class Membership:
    id: strawberry.ID = computed(lambda row: encode("membership", row.account_id))
    role: Role = computed(lambda row: Role(row.role), description="Which door it opens.")
    name: str | None = strawberry.field(description="Of the brand or the distributor.")
    state: str | None = strawberry.field(description="Of the distributor: suspended, eliminated and so on.")


@strawberry.type(description="You have signed in, or go on with a session.")
class SignedIn:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    access_token: str | None = strawberry.field(
        description="Send it as Authorization: Bearer <token>. Null while you hold several memberships and have chosen "
        "none: choose with refreshSession."
    )
    access_token_expires_at: datetime | None = strawberry.field(description="Null without an access token.")
    refresh_token: str = strawberry.field(
        description="For refreshSession, once; a second time ends the session. Keep it where no script reads it."
    )
    membership: Membership | None = strawberry.field(description="What the access token acts as.")
    memberships: list[Membership] = strawberry.field(
        description="What this session may act as. Staff must have signed in with its password to act as such."
    )


@strawberry.type(description="A code is on its way, whether we know the phone or not.")
class CodeSent:
    expires_in_s: int = strawberry.field(description="Seconds that the code works for.")


@strawberry.type(description="You are signed out.")
class SignedOut:
    sessions: int = strawberry.field(description="How many sessions have ended.")


@strawberry.type(description="You have another password; your other sessions have ended.")
class PasswordChanged:
    at: datetime = strawberry.field(description="From then on the old one opens nothing.")


@strawberry.type(description="Somebody has a role no more.")
class MemberRemoved:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    sessions: int = strawberry.field(description="How many of its sessions have ended.")


@strawberry.input(description="Who has, or is to have, which role. A brand has a say in its own staff alone.")
class InviteInput:
    phone: str = strawberry.field(description="A mobile phone: 11 digits, or + and digits for another country.")
    role: Role = strawberry.field(description="Any but CUSTOMER.")
    brand: strawberry.ID | None = strawberry.field(
        default=None, description="For the role BRAND; a brand's own if left out."
    )
    distributor: strawberry.ID | None = strawberry.field(default=None, description="For the role DISTRIBUTOR.")


@strawberry.type(description="An invitation, for you to hand on.")
class Invited:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    token: str = strawberry.field(description="Works once, with a code that is sent to the invited phone. Shown once.")
    expires_at: datetime = strawberry.field(description="Then it works no more.")
