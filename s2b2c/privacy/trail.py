"""Who has read personal data of others unmasked: written by the transaction that reads it, so no read is without."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, DateTime, Select, Table, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from s2b2c.db import page
from s2b2c.models import Order, PersonalRead

Purpose: TypeAlias = Literal["shipping", "order", "support", "payout", "export", "erasure", "recruiting"]
"""A brand's labels; an order at the operator's door; a customer looked up there; files that pay; one's own data; and
whoever applied for a seat."""


class Reader(NamedTuple):
    """Who reads, by account and person; the command line is neither."""

    account_id: int | None = None
    person_id: int | None = None


class Look(NamedTuple):
    """Who looks at orders, when, and at which kinds of personal data (of `models.privacy.KINDS`)."""

    reader: Reader
    at: datetime
    kinds: Collection[str]
    on_label: Collection[str] = ()
    """And of those whose parcel is to leave yet, at which more."""


class Read(NamedTuple):
    """Which kinds of whose data were read; of an order, which one."""

    kinds: Collection[str]
    customer_id: int | None = None
    person_id: int | None = None
    distributor_id: int | None = None
    brand_id: int | None = None
    branch_id: int | None = None
    order_id: int | None = None


async def record(
    session: AsyncSession,
    reader: Reader,
    purpose: Purpose,
    found: Sequence[Read],
    *,
    at: datetime,
    reason: str | None = None,
) -> None:
    """Write down what this transaction has read, however much: one statement."""
    rows = [{**one._asdict(), "kinds": sorted(one.kinds)} for one in found]
    await session.execute(
        _RECORD,
        {
            "at": at,
            "account_id": reader.account_id,
            "reader_id": reader.person_id,
            "purpose": purpose,
            "reason": reason,
            "rows": json.dumps(rows),
        },
    )


def read(
    query: Select[*tuple[Any, ...]],
    look: Look,
    purpose: Purpose,
    kinds: ColumnElement[list[str]],
    *,
    shown: int | None = None,
) -> Select[*tuple[Any, ...]]:
    """A query of orders that writes down by itself what it reads, in the transaction of a writing session.

    `kinds` are those that a row shows; one that shows none is not written down, nor is a row behind the first `shown`.
    """
    rows = query.with_only_columns(Order.customer_id, Order.branch_id, Order.id, kinds.label("kinds"))
    found = (rows if shown is None else rows.limit(shown)).subquery("found")
    table = PersonalRead.__table__
    assert isinstance(table, Table)
    written = insert(table).from_select(
        ["at", "account_id", "reader_id", "purpose", "kinds", "customer_id", "branch_id", "order_id"],
        select(
            literal(look.at, DateTime(timezone=True)),
            literal(look.reader.account_id, BigInteger),
            literal(look.reader.person_id, BigInteger),
            literal(purpose, Text),
            found.c.kinds,
            found.c.customer_id,
            found.c.branch_id,
            found.c.id,
        ).where(func.cardinality(found.c.kinds) > 0),
    )
    return query.add_cte(written.cte("written"))


def those(kinds: Collection[str]) -> ColumnElement[list[str]]:
    """Kinds as an SQL array."""
    return literal(sorted(kinds), ARRAY(Text))


async def reads(
    session: AsyncSession, *, customer_id: int | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[PersonalRead]:
    """The trail, or what of it is about one customer, newest first; `after` is an (id,)."""
    query = select(PersonalRead)
    if customer_id is not None:
        query = query.where(PersonalRead.customer_id == customer_id)
    return (await session.scalars(page(query, (PersonalRead.id, "down"), after=after, limit=limit))).all()


_RECORD = text(
    """
    INSERT INTO personal_reads (at, account_id, reader_id, purpose, reason, kinds, customer_id, person_id,
                                distributor_id, brand_id, branch_id, order_id)
    SELECT :at, :account_id, :reader_id, :purpose, :reason, kinds, customer_id, person_id,
           distributor_id, brand_id, branch_id, order_id
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS found (
        kinds text[], customer_id bigint, person_id bigint, distributor_id bigint, brand_id bigint, branch_id bigint,
        order_id bigint)
    """
)
