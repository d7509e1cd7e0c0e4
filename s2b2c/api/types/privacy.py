"""Personal data: what is held of somebody, who has read it, and that it is erased."""

from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

import strawberry

from s2b2c import privacy
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.network import ChangedBy


@strawberry.type(description="An address of a customer, as far as whoever helps it may see it.")
class CustomerContact:
    recipient: str
    phone: str


@strawberry.type(description="A customer (消费者), by name and phone. That you looked is on record.")
class CustomerFile:
    id: strawberry.ID = id_of("customer")
    ref: str = strawberry.field(description="What the system calls it from which it came.")
    created_at: datetime
    erased_at: datetime | None = strawberry.field(description="When the person had itself erased; null before.")
    phones: list[str] = strawberry.field(description="In full: those that it signs in with.")
    contacts: list[CustomerContact] = computed(
        lambda row: row.addresses, description="Who takes its parcels in: of its addresses, 50 at most."
    )


@strawberry.enum(description="What somebody read personal data for.")
class ReadPurpose(Enum):
    SHIPPING = strawberry.enum_value("shipping", description="A brand looked at what it ships (一件代发).")
    ORDER = strawberry.enum_value("order", description="Whoever runs the network looked at an order.")
    SUPPORT = strawberry.enum_value("support", description="Whoever runs the network looked a customer up.")
    PAYOUT = strawberry.enum_value("payout", description="Money was to be paid out (打款).")
    EXPORT = strawberry.enum_value("export", description="Somebody got all that is held of it.")
    ERASURE = strawberry.enum_value("erasure", description="Somebody was erased.")
    RECRUITING = strawberry.enum_value("recruiting", description="An application for a seat was read.")


@strawberry.enum(description="Kinds of personal data.")
class PersonalDataKind(Enum):
    PHONE = strawberry.enum_value("phone", description="Of who signs in, or of an address.")
    OPENID = strawberry.enum_value("openid", description="Of WeChat, for one mini-app.")
    UNIONID = strawberry.enum_value("unionid", description="Of WeChat, for all apps of one owner.")
    RECIPIENT = strawberry.enum_value("recipient", description="Who takes a parcel in.")
    REGION = strawberry.enum_value("region", description="Of an address, or of who applied for a seat.")
    STREET = strawberry.enum_value("street", description="Street, house and door of an address.")
    LEGAL_NAME = strawberry.enum_value("legal_name", description="Of who is paid out or applied for a seat.")
    IDENTITY_NUMBER = strawberry.enum_value("identity_number", description="Of who is paid out.")
    BANK_ACCOUNT = strawberry.enum_value("bank_account", description="Of who is paid out.")
    INTRODUCTION = strawberry.enum_value("introduction", description="Of who applied for a seat.")


@strawberry.type(description="That somebody has seen personal data of another one unmasked, exported or erased it.")
class PersonalRead:
    id: strawberry.ID = id_of("personal-read")
    at: datetime = strawberry.field(description="When.")
    purpose: ReadPurpose = computed(lambda row: ReadPurpose(row.purpose), description="What for.")
    reason: str | None
    kinds: list[PersonalDataKind] = computed(
        lambda row: [PersonalDataKind(kind) for kind in row.kinds], description="What of it."
    )
    customer: strawberry.ID | None = computed(
        lambda row: None if row.customer_id is None else encode("customer", row.customer_id),
        description="Whose it was; null where it was no customer's.",
    )
    order: strawberry.ID | None = computed(
        lambda row: None if row.order_id is None else encode("order", row.branch_id, row.order_id),
        description="Of which order; null where of none.",
    )

    @strawberry.field(graphql_type=ChangedBy | None, description="Who read it; null for the command line.")
    @staticmethod
    async def by(root: strawberry.Parent[Any], info: Info) -> Any:
        return None if root.account_id is None else await info.context.load.accounts.load(root.account_id)

    reader: strawberry.ID | None = computed(
        lambda row: None if row.reader_id is None else encode("person", row.reader_id),
        description="Which person of those who have that role; null where nobody had signed in.",
    )


@strawberry.type(description="Something that is held of you.")
class PersonalRecord:
    kind: str = strawberry.field(
        description="person, identity, membership, session, invitation, address, order, binding, refused_touch, payee "
        "or read."
    )
    json: str = computed(lambda record: privacy.as_json(record.facts), description="An object of JSON with all of it.")


@strawberry.input(description="That it is you who asks, now. Give one: password, phone and code, or wechatCode.")
class ProofInput:
    password: str | None = strawberry.field(default=None, description="Yours.")
    phone: str | None = strawberry.field(default=None, description="One of yours.")
    code: str | None = strawberry.field(default=None, description="That requestCode has sent to that phone.")
    wechat_code: str | None = strawberry.field(default=None, description="A new one of wx.login() in the mini-app.")


@strawberry.type(description="You are erased: whoever signs in as you did is somebody new.")
class Erased:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    at: datetime = strawberry.field(description="When.")
