"""Links that say who shared them: whose touch opening one is, and who may share what."""

import asyncio
import re
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, network
from s2b2c.db import Database
from s2b2c.errors import NotFound, Refusal, Refused, WrongState
from s2b2c.network.binding import _NO_LINK, _NO_PRODUCT, _NO_STORE
from tests import factories
from tests.test_binding import DAY, FIRST, LAST, NOON, WINDOW, Street, a_street
from tests.test_concurrency import are_waiting
from tests.test_worker import until

NOWHERE = 2**40


@pytest.fixture
async def street(session: AsyncSession) -> Street:
    return await a_street(session)


async def rows(session: AsyncSession) -> list[object]:
    """All that touches and links write."""
    found: list[object] = []
    for table in ("bindings", "refused_touches", "share_links"):
        found += (await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t ORDER BY id"))).all()
    return found


async def refusal_of(session: AsyncSession, call: Any) -> Refusal:
    """Why it is refused; nothing has changed."""
    before = await rows(session)
    with pytest.raises(Refused) as refused:
        await call
    assert await rows(session) == before
    return refused.value.refusal


async def test_a_shared_link_is_the_touch_of_who_shared_it(session: AsyncSession, street: Street) -> None:
    """B shares the store of A: the customer is B's, and what B did is on record where it is refused."""
    variant = await factories.a_variant(session)
    await factories.a_listing(session, street.a, variant.product_id)
    b = street.b.distributor_id
    link = await network.share(session, street.a.id, b, product_id=variant.product_id, now=NOON - DAY)
    assert await street.opens(session, street.a, 0 * DAY, LAST, share_code=link.code) == "bound"
    (held,) = await network.binding_history(session, street.customer_id, after=None, limit=10)
    assert (held.distributor_id, held.share_link_id) == (b, link.id)
    assert await street.opens(session, street.a, DAY, LAST) == "taken_over"
    assert await street.opens(session, street.a, 2 * DAY, FIRST, share_code=link.code) == "refused"
    (refused,) = await network.refusals(session, b, "refused", after=None, limit=10)
    assert refused._mapping == {
        "id": refused.id,
        "at": NOON + 2 * DAY,
        "customer_id": street.customer_id,
        "distributor_id": b,
        "holder_id": street.a.distributor_id,
        "protected_until": None,
        "store_id": street.a.id,
        "product_id": variant.product_id,
        "share_code": link.code,
        "shared_at": NOON - DAY,
    }
    assert await network.refusals(session, street.a.distributor_id, "held", after=None, limit=10) == [refused]
    assert await network.refusals(session, street.a.distributor_id, "refused", after=None, limit=10) == []
    assert await network.refusals(session, b, "held", after=None, limit=10) == []


@pytest.mark.parametrize(
    ("state", "counts"), [("active", True), ("watch", True), ("suspended", False), ("eliminated", False)]
)
async def test_who_shared_counts_while_it_earns(
    session: AsyncSession,
    street: Street,
    state: str,
    counts: bool,  # noqa: FBT001  a column of the table above
) -> None:
    """Else it is the touch of the store's owner, by the same link."""
    link = await network.share(session, street.a.id, street.b.distributor_id, now=NOON)
    sharer = await session.get_one(models.Distributor, street.b.distributor_id)
    sharer.state = state
    await session.flush()
    assert await street.opens(session, street.a, 0 * DAY, share_code=link.code) == "bound"
    (held,) = await network.binding_history(session, street.customer_id, after=None, limit=10)
    assert held.distributor_id == (street.b if counts else street.a).distributor_id
    assert held.share_link_id == link.id


async def test_links_that_lead_nowhere(session: AsyncSession, street: Street) -> None:
    a, b, customer_id = street
    link = await network.share(session, a.id, b.distributor_id, now=NOON)
    variant = await factories.a_variant(session)
    await factories.a_listing(session, b, variant.product_id)
    b.state = "closed"
    await session.flush()

    async def refused(store: models.Store | str, customer: int = customer_id, **link: Any) -> Refusal:
        slug = store if isinstance(store, str) else store.slug
        return await refusal_of(session, network.touch(session, customer, slug, policy=WINDOW, now=NOON, **link))

    for store in (b, "nowhere", "", "\0", "\ud800"):
        assert await refused(store) == _NO_STORE
    assert await refused(b, share_code=link.code, product_id=variant.product_id) == _NO_STORE
    for code in ("nothing", "", "\0", "\ud800", link.code.swapcase() + "!"):
        assert await refused(a, share_code=code) == _NO_LINK
    for product_id in (variant.product_id, NOWHERE, 0):
        assert await refused(a, product_id=product_id) == _NO_PRODUCT
    assert isinstance(await refused(a, customer=NOWHERE), NotFound)

    b.state = "open"
    await session.flush()
    assert await refused(b, share_code=link.code) == _NO_LINK


async def test_a_product_that_left_the_store_since_it_was_shared(session: AsyncSession, street: Street) -> None:
    variant = await factories.a_variant(session)
    listing = await factories.a_listing(session, street.a, variant.product_id)
    link = await network.share(session, street.a.id, street.b.distributor_id, product_id=variant.product_id, now=NOON)
    await session.delete(listing)
    await session.flush()
    opened = street.opens(session, street.a, 0 * DAY, share_code=link.code, product_id=variant.product_id)
    assert await opened == "bound"


async def test_sharing_twice_gives_the_same_link(session: AsyncSession, street: Street) -> None:
    a, b, _ = street
    variants = [await factories.a_variant(session) for _ in range(2)]
    for position, variant in enumerate(variants, start=1):
        await factories.a_listing(session, a, variant.product_id, position=position)
    wanted = [(who, what) for who in (a, b) for what in (None, *(variant.product_id for variant in variants))]
    links = [await network.share(session, a.id, who.distributor_id, product_id=what, now=NOON) for who, what in wanted]
    again = [
        await network.share(session, a.id, who.distributor_id, product_id=what, now=NOON + DAY) for who, what in wanted
    ]
    assert [link.id for link in again] == [link.id for link in links]
    assert [(link.store_id, link.distributor_id, link.product_id, link.created_at) for link in again] == [
        (a.id, who.distributor_id, what, NOON) for who, what in wanted
    ]
    assert len({link.id for link in links}) == len({link.code for link in links}) == 6
    assert all(re.fullmatch(r"[\w-]{11}", link.code, re.ASCII) for link in links)


async def test_who_may_share_what(session: AsyncSession, street: Street) -> None:
    a, b, _ = street
    shown, delisted = [await factories.a_variant(session) for _ in range(2)]
    for position, variant in enumerate((shown, delisted), start=1):
        await factories.a_listing(session, a, variant.product_id, position=position)
    owner = await session.get_one(models.Distributor, a.distributor_id)
    above, below = owner.ancestors[1], (await factories.a_distributor(session, parent=owner)).id
    for distributor_id in (above, below, b.distributor_id, owner.id):
        link = await network.share(session, a.id, distributor_id, product_id=shown.product_id, now=NOON)
        assert link.distributor_id == distributor_id

    async def refused(store_id: int, distributor_id: int, product_id: int | None = None) -> Refusal:
        call = network.share(session, store_id, distributor_id, product_id=product_id, now=NOON)
        return await refusal_of(session, call)

    elsewhere = (await factories.a_distributor(session)).id
    for store_id, distributor_id in ((a.id, elsewhere), (a.id, NOWHERE), (NOWHERE, owner.id)):
        assert await refused(store_id, distributor_id) == _NO_STORE
    (await session.get_one(models.Product, delisted.product_id)).state = "delisted"
    await session.flush()
    for product_id in (delisted.product_id, NOWHERE):
        assert await refused(a.id, owner.id, product_id) == _NO_PRODUCT
    assert await refused(b.id, owner.id, shown.product_id) == _NO_PRODUCT
    owner.state = "suspended"
    await session.flush()
    assert isinstance(await refused(a.id, owner.id, shown.product_id), WrongState)
    a.state = "closed"
    await session.flush()
    assert await refused(a.id, below) == _NO_STORE


async def test_sharing_twice_at_once_gives_the_same_link(db: Database, database_url: str) -> None:
    async with db.write() as session:
        street = await a_street(session)

    async def share() -> str:
        async with db.write() as session:
            return (await network.share(session, street.a.id, street.b.distributor_id, now=NOON + DAY)).code

    async with db.write() as session:
        code = (await network.share(session, street.a.id, street.b.distributor_id, now=NOON)).code
        waiting = asyncio.create_task(share())
        await until(lambda: are_waiting(database_url, 1))
    assert await waiting == code
