"""A product leaves the market (撤架), and comes back."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.catalogue.events import record
from s2b2c.catalogue.indexing import mark_stale
from s2b2c.catalogue.locking import lock_product
from s2b2c.catalogue.reviews import MAX_REASON_LENGTH, reopen, tell_brand
from s2b2c.errors import Refused, WrongState, check_line
from s2b2c.models import Account, Listing, Product, ProductEvent, Store
from s2b2c.sql import statements


class Reach(NamedTuple):
    """The stores that list a product, and how many distributors own them."""

    stores: int
    distributors: int


async def reach(session: AsyncSession, product_id: int, *, brand_id: int | None) -> Reach | None:
    """What a withdrawal of this product would take out of stores; None where it is not the brand's."""
    query = (
        select(Product.id, func.count(Listing.store_id), func.count(Store.distributor_id.distinct()))
        .outerjoin(Listing, Listing.product_id == Product.id)
        .outerjoin(Store, Store.id == Listing.store_id)
        .where(Product.id == product_id)
        .group_by(Product.id)
    )
    if brand_id is not None:
        query = query.where(Product.brand_id == brand_id)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Reach(row[1], row[2])


async def withdraw(
    session: AsyncSession, product_id: int, reason: str, *, brand_id: int | None, now: datetime, account_id: int
) -> Reach:
    """Take a listed product off the market: it leaves all stores, each owner is told once, with the reason.

    What was in review goes back to the brand, so that no approval lists it again against its wish; where the platform
    withdraws (`brand_id` is None) the brand is told. Whoever calls cancels the orders that wait for payment, and then
    records the event. Raises Refused: BadArgument for a reason that cannot be kept, NotFound, WrongState for a product
    that is not listed.
    """
    check_line("reason", reason, MAX_REASON_LENGTH)
    product = await lock_product(session, product_id, brand_id=brand_id)
    if product.state != "listed":
        raise Refused(WrongState("Only a listed product can be withdrawn."))
    await reopen(session, product, now=now)
    product.state = "delisted"
    await session.flush()
    await session.execute(statements("products")["lock_stores"], {"product_id": product_id})
    left = await session.execute(
        statements("products")["leave_stores"],
        {"product_id": product_id, "title": product.title, "reason": reason, "now": now, "account_id": account_id},
    )
    if brand_id is None:
        await tell_brand(session, product, "product_delisted", now=now, reason=reason)
    return Reach(*left.one())


async def relist(
    session: AsyncSession, product_id: int, *, brand_id: int | None, now: datetime, account_id: int
) -> None:
    """Put a delisted product on offer again, as it is: stores choose it anew.

    Whoever withdrew it may do so, and nobody else: what the platform withdrew a brand submits for review instead.
    Raises Refused(NotFound, WrongState).
    """
    product = await lock_product(session, product_id, brand_id=brand_id)
    if product.state != "delisted":
        raise Refused(WrongState("Only a delisted product can be listed again."))
    role = await session.scalar(
        select(Account.role)
        .join(ProductEvent, ProductEvent.account_id == Account.id)
        .where(ProductEvent.product_id == product_id, ProductEvent.kind == "withdrawn")
        .order_by(ProductEvent.id.desc())
        .limit(1)
    )
    if brand_id is None and role == "brand":
        raise Refused(WrongState("The brand withdrew it: only the brand can offer it again."))
    if brand_id is not None and role != "brand":
        raise Refused(WrongState("The platform withdrew it: submit the product for review."))
    product.state = "listed"
    await mark_stale(session, product_id)
    await record(session, product_id, "listed", now=now, account_id=account_id)
    if brand_id is None:
        await tell_brand(session, product, "product_relisted", now=now)
