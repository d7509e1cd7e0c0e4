"""Personal data at the doors: looked up and told of at the operator's, exported and erased by whoever it is of."""

from typing import Annotated, Any

import strawberry

from s2b2c import privacy
from s2b2c.accounts import Viewer
from s2b2c.api import access
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.sign_in import caller_of
from s2b2c.api.types.errors import (
    BadArgument,
    NotFound,
    SignInOff,
    TooManyRequests,
    WrongCredentials,
    WrongState,
)
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.privacy import CustomerFile, Erased, PersonalRead, PersonalRecord, ProofInput
from s2b2c.errors import Refusal


def reader_of(viewer: Viewer) -> privacy.Reader:
    return privacy.Reader(viewer.account_id, viewer.person_id)


@strawberry.type
class PersonalData:
    """What the operator sees of it."""

    @strawberry.field(
        graphql_type=CustomerFile | None,
        description="A customer by its id, its ref, its phone or the number of an order: by one of them; null when "
        "there is none. The look goes on record, with its reason of 10 to 200 characters.",
    )
    @staticmethod
    async def customer(
        info: Info,
        reason: str,
        id: strawberry.ID | None = None,  # noqa: A002  the argument's name
        ref: str | None = None,
        phone: str | None = None,
        order_no: str | None = None,
    ) -> privacy.Found | None:
        wanted = privacy.Wanted(None if id is None else key_of("customer", id), ref, phone, order_no)
        reader, now = reader_of(await info.context.viewer()), info.context.clock()
        async with info.context.db.write() as session:
            return await privacy.look_up(session, wanted, reader=reader, reason=reason, at=now)

    @strawberry.field(
        graphql_type=Connection[PersonalRead],
        description="Who has seen personal data of others unmasked, newest first: of one customer, or of all.",
    )
    @staticmethod
    async def personal_reads(
        info: Info, customer: strawberry.ID | None = None, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("personal-read", first, after, key_length=1)
        customer_id = None if customer is None else key_of("customer", customer)
        async with info.context.db.read() as session:
            rows = await privacy.reads(session, customer_id=customer_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class PersonalDataMutation:
    @strawberry.mutation(
        permission_classes=[access.SignedIn],
        graphql_type=Connection[PersonalRecord],
        description="All that is held of you, page by page; that you got it goes on record.",
    )
    async def export_my_data(self, info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("my-data", first, after, key_length=2)
        viewer = await info.context.viewer()
        assert viewer.person_id is not None
        async with info.context.db.write() as session:
            holder = await privacy.holder_of(session, viewer.person_id)
            found = await privacy.holdings(session, holder, after=page.after, limit=page.limit)
            kinds = frozenset().union(*(record.shows for record in found[:first]))
            told = privacy.Read(kinds, holder.customer_id, holder.person_id)
            await privacy.record(session, reader_of(viewer), "export", [told], at=info.context.clock())
        return page.connection(found, lambda record: record.place)

    @strawberry.mutation(
        permission_classes=[access.SignedIn],
        graphql_type=Annotated[
            Erased | WrongCredentials | WrongState | BadArgument | TooManyRequests | NotFound | SignInOff,
            strawberry.union("EraseMeResult"),
        ],
        description="Erase all that says who you are, for good: how you sign in, your sessions and memberships, your "
        "addresses and those of your orders. Orders and money stay, of nobody. Refused while an order, a refund or a "
        "payout is under way.",
    )
    async def erase_me(self, info: Info, proof: ProofInput) -> Erased | Refusal:
        viewer, caller = await info.context.viewer(), caller_of(info)
        given = privacy.Proof(proof.password, proof.phone, proof.code, proof.wechat_code)
        refusal = await privacy.erase_me(info.context.db, viewer, given, caller)
        return Erased(at=caller.now) if refusal is None else refusal
