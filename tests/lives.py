"""Customers who have signed in and bought, and how one is erased."""

from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import select, text

from s2b2c import accounts, audit, customers, models, network, orders, privacy
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.customers import NewAddress
from s2b2c.db import Database
from s2b2c.orders import Cart, CartLine, Refund, RefundedLine
from s2b2c.privacy import Reader
from tests import factories
from tests.signing import OTHER_PHONE, PHONE, SECRET, Door

POLICY = network.Policy("window", 30, 7)
HOME = NewAddress("王小明", "13600006789", "上海市 浦东新区", "世纪大道1号")
SECRETS = (*HOME[:4], PHONE, OTHER_PHONE, "o-1", "太晚了")


class Shelf(NamedTuple):
    store: models.Store
    variant: models.Variant
    owner: models.Distributor


class Known(NamedTuple):
    """A customer who has signed in, with its tokens and its address."""

    viewer: accounts.Viewer
    customer_id: int
    person_id: int
    access_token: str
    refresh_token: str
    address_id: int


async def a_shelf(db: Database) -> Shelf:
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200]})
        store = await factories.a_store(session)
        variant = await factories.a_variant(session)
        await factories.a_listing(session, store, variant.product_id)
        return Shelf(store, variant, await session.get_one(models.Distributor, store.distributor_id))


async def a_customer(door: Door, phone: str = PHONE, **how: Any) -> Known:
    one = await door.with_code(phone, **how)
    viewer = await door.viewer(one.access_token)
    assert viewer.customer_id is not None
    assert viewer.person_id is not None
    async with door.db.write() as session:
        address = await customers.save_address(session, viewer.customer_id, HOME)
    assert one.access_token is not None
    return Known(viewer, viewer.customer_id, viewer.person_id, one.access_token, one.refresh_token, address.id)


def a_cart(shelf: Shelf, who: Known, number: str = "one") -> Cart:
    return Cart(who.customer_id, shelf.store.id, number, [CartLine(shelf.variant.id, 2)], who.address_id)


async def place(door: Door, shelf: Shelf, who: Known, number: str = "one") -> Any:
    async with door.db.write() as session:
        (placed,) = await orders.place(session, [a_cart(shelf, who, number)], policy=POLICY, now=door.now)
    return placed


async def steps(door: Door, placed: Any, upto: str) -> None:
    """Go on with an order until it has come to this."""
    key = (placed.branch_id, placed.id)
    async with door.db.write() as session:
        if upto == "cancelled":
            await orders.cancel(session, [(*key, door.now)])
            return
        await orders.pay(session, [(*key, door.now)], rail="import")
        if upto in {"shipped", "received"}:
            await session.execute(text("UPDATE orders SET state = 'shipped', shipped_at = :now"), {"now": door.now})
        if upto == "received":
            await orders.receive(session, [(*key, door.now)], complete_days=7)
        if upto == "completed":
            await orders.complete(session, [(*key, door.now)], hold_days=7)
        if upto in {"refunded", "half refunded"}:
            line = RefundedLine(1, quantity=2 if upto == "refunded" else 1, goods_back=True)
            await orders.refund(session, [Refund(*key, "r", door.now, [line])])


async def rows(db: Database) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    async with db.snapshot() as session:
        return {
            table: sorted(map(str, await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t"))))
            for table in models.Order.metadata.tables
        }


async def erase(door: Door, who: Known) -> None:
    async with door.db.write() as session:
        await privacy.erase(session, who.person_id, reader=Reader(), at=door.now)


async def breaches(db: Database) -> list[str]:
    """What the audit finds: these worlds are made without histories."""
    async with db.snapshot() as session:
        return [str(breach) for breach in await audit.audit(session)]


async def a_full_life(door: Door) -> tuple[Shelf, Known]:
    """A customer that has bought, asked for a refund, is known by a phone and by WeChat, and was invited twice."""
    shelf = await a_shelf(door.db)
    guest = await a_guest(door)
    who = await a_customer(door, guest_token=guest)
    async with door.db.write() as session:
        await people.find_or_make(session, {"phone": PHONE, "openid": "app:o-1", "unionid": "u-1"}, door.now)
    for token, upto in (("one", "completed"), ("two", "cancelled"), ("three", "refunded")):
        await steps(door, await place(door, shelf, who, token), upto)
    async with door.db.write() as session:
        order = (await session.scalars(select(models.Order).where(models.Order.state == "completed"))).one()
        payment = models.Payment(
            branch_id=order.branch_id, order_id=order.id, method="intent", amount=9980, state="succeeded",
            intent_id="pi_1", created_at=door.now, succeeded_at=door.now,
        )  # fmt: skip
        session.add(payment)
        await session.flush()
        session.add(
            models.RefundRequest(
                branch_id=order.branch_id,
                order_id=order.id,
                payment_id=payment.id,
                lines=[],
                amount=1,
                state="failed",
                reason="太晚了",
                account_id=who.viewer.account_id,
                requested_at=door.now,
            )
        )
        operator = accounts.Viewer(await account_of(session, "operator"), "operator")
        for role in ("finance", "operator"):
            await accounts.invite(session, operator, PHONE, role=role, now=door.now)
    return shelf, who


async def a_guest(door: Door) -> str:
    async with door.db.write() as session:
        return await accounts.guest(session, SECRET, door.now, timedelta(days=90))
