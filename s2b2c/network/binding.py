"""Whose customer a customer is (锁客): what touches do to bindings, and the links that say who shared."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self, cast

from sqlalchemy import ColumnElement, DateTime, Select, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c.config import settings
from s2b2c.db import BY_KEY, AnyRow, page
from s2b2c.errors import NotFound, Refused, WrongState
from s2b2c.models import Binding, Distributor, Listing, Product, RefusedTouch, ShareLink, Store
from s2b2c.network.tree import EARNING
from s2b2c.sql import statements

Outcome = Literal["bound", "kept", "taken_over", "refused"]
"""The customer was free; it belonged to who was touched already; it changed hands; it stays somebody else's."""

CODE_BYTES = 8


class Policy(NamedTuple):
    """Who gets a customer that several distributors reach. The days are of `window`, and are n x 86400 s."""

    name: Literal["first_touch", "last_touch", "window"]
    days: int
    protection_days: int

    @classmethod
    def of_settings(cls) -> Self:
        ours = settings()
        return cls(ours.binding_policy, ours.binding_days, ours.binding_protection_days)

    def parameters(self) -> dict[str, Any]:
        """Those of the block `touch` in sql/bindings.sql."""
        return {"policy": self.name, "binding_days": self.days, "protection_days": self.protection_days}


class Touch(NamedTuple):
    """What an opened link came to; the seller is whose customer it is now."""

    store_id: int
    seller_id: int
    outcome: Outcome


_ELIMINATION = "hashtext('s2b2c.elimination')"
_KEEP_OUT_TOUCHES = text(f"SELECT pg_advisory_xact_lock({_ELIMINATION})")


async def keep_out_touches(session: AsyncSession) -> None:
    """Until the end of the transaction nobody locks a customer, and so nobody is bound; who did is waited for.

    It is a statement of its own: the next one sees all that touches have done. What follows is short: all orders wait.
    """
    await session.execute(_KEEP_OUT_TOUCHES)


async def lock_customers(session: AsyncSession, customer_ids: Sequence[int]) -> set[int]:
    """Until the end of the transaction nobody else changes whose customers these are; every touch locks them first.

    It is a statement of its own, so that the next one sees what whoever held it before has done. All that follow look
    up by keys (`db.BY_KEY`). Returns who of them is there and was not erased.
    """
    found = await session.scalars(_LOCK_CUSTOMERS, {"customer_ids": customer_ids})
    return set(found)


async def lock_customer(session: AsyncSession, customer_id: int) -> None:
    """Raises Refused(NotFound)."""
    if not await lock_customers(session, [customer_id]):
        raise Refused(NO_CUSTOMER)


NO_CUSTOMER = NotFound("There is no such customer: sign in again.")
_LOCK_CUSTOMERS = text(
    f"""
    SELECT c.id
    FROM (SELECT {BY_KEY}, pg_advisory_xact_lock_shared({_ELIMINATION})) AS setting
    CROSS JOIN (SELECT id FROM unnest(CAST(:customer_ids AS bigint[])) AS asked (id) ORDER BY id) AS asked
    CROSS JOIN LATERAL (SELECT id FROM customers WHERE id = asked.id AND erased_at IS NULL FOR NO KEY UPDATE) AS c
    """  # noqa: S608  all of it stands in the code
)


async def touch(
    session: AsyncSession,
    customer_id: int,
    store_slug: str,
    *,
    product_id: int | None = None,
    share_code: str | None = None,
    policy: Policy,
    now: datetime,
) -> Touch:
    """A customer opens a link to a store or to a product in it: the touch of who shared it, or of the store's owner.

    Who shared counts while it is active or on watch. A product that has left the store since a link to it was shared
    is no reason to refuse. A store that closed as its owner was eliminated leads on, as `moved_to` tells; the link of
    somebody else to it counts for who shared it still. Raises Refused(NotFound) for a store that is not open and leads
    nowhere, a share link that is not of this store, a product that the open store does not list.
    """
    if not store_slug.isprintable():
        raise Refused(_NO_STORE)
    if share_code is not None and not share_code.isprintable():
        raise Refused(_NO_LINK)
    await lock_customer(session, customer_id)
    opened = (
        await session.execute(
            statements("bindings")["open_link"],
            {
                "customer_id": customer_id,
                "slug": store_slug,
                "product_id": product_id,
                "share_code": share_code,
                "house": settings().house_store,
                "now": now,
                **policy.parameters(),
            },
        )
    ).one_or_none()
    if opened is None:
        raise Refused(_NO_STORE)
    if opened.refusal is not None:
        raise Refused(_NO_LINK if opened.refusal == "no link" else _NO_PRODUCT)
    return Touch(opened.store_id, opened.seller_id, cast(Outcome, opened.outcome))


async def moved_to(session: AsyncSession, slug: str) -> str | None:
    """Where the links of a closed store lead, as the slug of an open one: the oldest of whose customers its own are
    since its owner was eliminated, else the platform's (setting `house_store`). None for a store that is open, is not
    there, was closed in another way, or has nowhere to lead to."""
    if not slug.isprintable():
        return None
    found: str | None = await session.scalar(
        statements("bindings")["moved_to"], {"slug": slug, "house": settings().house_store}
    )
    return found


async def share(
    session: AsyncSession, store_id: int, distributor_id: int, *, product_id: int | None = None, now: datetime
) -> ShareLink:
    """The link by which a distributor shares a store, or a product in it: the same one whenever it asks.

    Whoever stands in the branch of the store's owner may share it. Raises Refused: NotFound for a store that is not
    open or of another branch, or a product that it does not show; WrongState while the distributor may not sell.
    """
    owner, sharer = aliased(Distributor), aliased(Distributor)
    shown = (
        select(Listing.product_id)
        .join(Product, Product.id == Listing.product_id)
        .where(Listing.store_id == Store.id, Listing.product_id == product_id, Product.state == "listed")
    )
    of_this = (
        (ShareLink.store_id == Store.id)
        & ShareLink.product_id.is_not_distinct_from(product_id)
        & (ShareLink.distributor_id == sharer.id)
    )
    query: Select[*tuple[Any, ...]] = (
        select(sharer.state, shown.exists().label("is_shown"), ShareLink)
        .select_from(Store)
        .join(owner, owner.id == Store.distributor_id)
        .join(sharer, (sharer.id == distributor_id) & (sharer.branch_id == owner.branch_id))
        .outerjoin(ShareLink, of_this)
        .where(Store.id == store_id, Store.state == "open")
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise Refused(_NO_STORE)
    state, is_shown, link = found
    if state not in EARNING:
        raise Refused(WrongState(f"You are {state}: only active distributors may share links."))
    if product_id is not None and not is_shown:
        raise Refused(_NO_PRODUCT)
    if link is not None:
        return cast(ShareLink, link)
    values = {"store_id": store_id, "product_id": product_id, "distributor_id": distributor_id}
    new = (
        insert(ShareLink)
        .values(**values, code=secrets.token_urlsafe(CODE_BYTES), created_at=now)
        .on_conflict_do_nothing(index_elements=list(values))
        .returning(ShareLink)
    )
    link = await session.scalar(new)
    if link is None:  # the same distributor asked twice at once
        link = (await session.execute(query)).one()[2]
    return cast(ShareLink, link)


async def binding_of(session: AsyncSession, customer_id: int, at: datetime) -> Binding | None:
    """Whose customer it was at a time; None when it was free."""
    return await session.scalar(_bindings(customer_id).where(_holds(at)))


async def binding_history(
    session: AsyncSession, customer_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[Binding]:
    """The bindings of a customer, newest first; `after` is an (id,)."""
    query = _bindings(customer_id)
    return (await session.scalars(page(query, (Binding.id, "down"), after=after, limit=limit))).all()


async def own_customers(
    session: AsyncSession, distributor_id: int, *, now: datetime, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Who is bound to a distributor now, newest first; `after` is an (id,).

    Rows of (id, customer_id, since, until, protected_until), the id of the binding; None for a time that never comes.
    """
    query: Select[*tuple[Any, ...]] = select(
        Binding.id,
        Binding.customer_id,
        func.lower(Binding.during).label("since"),
        func.upper(Binding.during).label("until"),
        Binding.protected_until,
    ).where(Binding.distributor_id == distributor_id, _holds(now))
    return (await session.execute(page(query, (Binding.id, "down"), after=after, limit=limit))).all()


async def refusals(
    session: AsyncSession,
    distributor_id: int,
    side: Literal["held", "refused"],
    *,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """The evidence of one side, newest first: touches that were refused for its customers, or its own; `after`: (id,).

    Rows of (id, at, customer_id, distributor_id, holder_id, protected_until, store_id, product_id, share_code,
    shared_at); the distributor was refused, `protected_until` is as it stood, None where the first touch protects.
    """
    query: Select[*tuple[Any, ...]] = (
        select(
            RefusedTouch.id,
            RefusedTouch.at,
            RefusedTouch.customer_id,
            RefusedTouch.distributor_id,
            Binding.distributor_id.label("holder_id"),
            RefusedTouch.protected_until,
            RefusedTouch.store_id,
            RefusedTouch.product_id,
            ShareLink.code.label("share_code"),
            ShareLink.created_at.label("shared_at"),
        )
        .join(
            Binding,
            (Binding.id == RefusedTouch.binding_id) & (Binding.customer_id == RefusedTouch.customer_id),
        )
        .outerjoin(ShareLink, ShareLink.id == RefusedTouch.share_link_id)
        .where((Binding if side == "held" else RefusedTouch).distributor_id == distributor_id)
    )
    return (await session.execute(page(query, (RefusedTouch.id, "down"), after=after, limit=limit))).all()


_NO_STORE = NotFound("There is no such store, or it is closed: look for another one.")
_NO_LINK = NotFound("There is no such share link to this store: open the store without it.")
_NO_PRODUCT = NotFound("The store does not show this product: read its listings again.")


def _bindings(customer_id: int) -> Select[Binding]:
    # What touches change goes round the session.
    return select(Binding).where(Binding.customer_id == customer_id).execution_options(populate_existing=True)


def _holds(at: datetime) -> ColumnElement[bool]:
    return Binding.during.contains(literal(at, DateTime(timezone=True)))
