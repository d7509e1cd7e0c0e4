"""A shop, its customers and brands, and what they do at their doors."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import db, models, orders
from s2b2c.api.types.ids import decode, encode
from tests import factories
from tests.api.client import Api

PRICES = (4990, 3000, 1500)
"""In fen, of what the store sells; each of another brand."""

Json = dict[str, Any]

PERSON = {
    "legalName": "王芳芳",
    "identityNumber": "11010519491231002X",
    "bankName": "招商银行 杭州文三路支行",
    "bankAccount": "6222021234567890128",
}
COMPANY = {
    "legalName": "澄露生物科技有限公司",
    "identityNumber": "91350100M000100Y43",
    "bankName": "中国工商银行 福州鼓楼支行",
    "bankAccount": "1402027109600012345",
}
"""To whom money goes; the numbers are the examples of GB 11643-1999 and GB 32100-2015."""


@dataclass
class Shop:
    api: Api
    top: models.Distributor
    owner: models.Distributor
    store: models.Store
    brands: list[models.Brand]
    variants: list[models.Variant]

    @property
    def id(self) -> str:
        return encode("store", self.store.id)

    def line(self, number: int, quantity: int = 1, **more: object) -> Json:
        return {"variant": encode("variant", self.variants[number].id), "quantity": quantity, **more}

    async def seller(self) -> str:
        return await self.api.token("distributor", distributor=self.owner.code)

    async def brand(self, number: int) -> str:
        return await self.api.token("brand", brand=self.brands[number].name)


@dataclass
class Buyer:
    """A customer with an address, by its token."""

    shop: Shop
    token: str
    address: str

    async def places(self, *lines: Json, **changes: object) -> Json:
        """What `placeOrder` answers."""
        wanted = {
            "store": self.shop.id,
            "lines": lines or [self.shop.line(0, 2), self.shop.line(1)],
            "address": self.address,
            "token": "one",
            **changes,
        }
        return await done(self.shop.api, "shop/PlaceOrder", self.token, input=wanted)


async def done(api: Api, operation: str, token: str | None, **variables: Any) -> Json:
    """What the one field of a mutation answers."""
    answer = await api.run(operation, token, **variables)
    assert "errors" not in answer, answer
    (payload,) = answer["data"].values()
    assert isinstance(payload, dict)
    return payload


async def nodes(api: Api, operation: str, token: str | None, *path: str, **variables: Any) -> list[Json]:
    """The rows of the list that an answer holds at this path."""
    found: Any = await api.run(operation, token, **variables)
    assert "errors" not in found, found
    found = found["data"]
    for name in path:
        found = found[name]
    return [edge["node"] for edge in found["edges"]]


async def a_shop(api: Api, *, stock: int = 100) -> Shop:
    """A store whose owner stands below another one, with a variant of each of three brands; 12 % and 3 % are paid."""
    async with api.db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        for rank in (1, 2, 3):
            await factories.a_tier(session, rank=rank)
        top = await factories.a_distributor(session)
        owner = await factories.a_distributor(session, rank=2, parent=top)
        store = await factories.a_store(session, owner)
        brands, variants = [], []
        for position, price in enumerate(PRICES, start=1):
            brands.append(await factories.a_brand(session))
            variants.append(
                await factories.a_variant(
                    session,
                    brand=brands[-1],
                    price=price,
                    stock=stock,
                    supply_price=1000,
                    tier_costs=(1100, 1200, 1300),
                )
            )
            await factories.a_listing(session, store, variants[-1].product_id, price=price, position=position)
    return Shop(api, top, owner, store, brands, variants)


HOME = {"recipient": "王小明", "phone": "13800001234", "region": "上海市 浦东新区", "street": "世纪大道1号"}


async def a_buyer(shop: Shop, **changes: str) -> Buyer:
    """A guest, at home at HOME or somewhere else."""
    token = (await done(shop.api, "shop/EnterAsGuest", None))["token"]
    address = {**HOME, **changes}
    saved = await done(shop.api, "shop/SaveAddress", token, input=address)
    return Buyer(shop, token, saved["id"])


async def written(api: Api) -> list[str]:
    """Every row of every table, as text."""
    async with api.db.read() as session:
        found: list[str] = []
        for table in db.Base.metadata.tables:
            rows = await session.scalars(text(f"SELECT to_jsonb(t) FROM {table} t"))
            found += sorted(f"{table} {row}" for row in rows)
    return found


async def refuses(api: Api, kind: str, operation: str, token: str | None, **variables: Any) -> Json:
    """What a mutation answers that is refused with a member of its union, and has changed nothing."""
    before = await written(api)
    payload = await done(api, operation, token, **variables)
    assert payload["__typename"] == kind, payload
    assert await written(api) == before, operation
    return payload


def key_of_order(order: Json) -> orders.OrderKey:
    branch_id, order_id = decode("order", order["id"], length=2)
    return branch_id, order_id


async def pay(session: AsyncSession, order: Json, *, at: datetime | None = None) -> None:
    """As Stripe's event does, without a payment of ours."""
    assert await orders.pay(session, [(*key_of_order(order), at or datetime.now(UTC))], rail="stripe") == 1


async def paid(api: Api, order: Json) -> None:
    """The order as if a PaymentIntent had been paid, and we had been told."""
    branch_id, order_id = key_of_order(order)
    now = datetime.now(UTC)
    async with api.db.write() as session:
        session.add(
            models.Payment(
                branch_id=branch_id,
                order_id=order_id,
                method="intent",
                amount=order["total"]["amount"],
                state="succeeded",
                intent_id=f"pi_{order_id}",
                created_at=now,
                succeeded_at=now,
            )
        )
        await pay(session, order, at=now)


async def grow_old(api: Api, age: timedelta) -> None:
    """Every order that waits to be paid was placed so long ago."""
    async with api.db.write() as session:
        await session.execute(
            update(models.Order)
            .where(models.Order.state == "placed")
            .values(placed_at=models.Order.placed_at - age, due_at=models.Order.due_at - age)
        )


async def supply_orders(shop: Shop, number: int, **variables: object) -> list[Json]:
    """What a brand of the shop ships."""
    return await nodes(shop.api, "brand/SupplyOrders", await shop.brand(number), "brand", "supplyOrders", **variables)


async def ships(shop: Shop, number: int, *parcels: Json) -> Json:
    return await done(shop.api, "brand/ShipParcels", await shop.brand(number), parcels=list(parcels))


async def ships_all(shop: Shop, *numbers: int) -> None:
    """These brands ship all that waits for them."""
    for number in numbers:
        waiting = await supply_orders(shop, number)
        parcels = [
            {"supplyOrder": it["id"], "carrier": "顺丰", "trackingNo": f"SF{it['orderNo']}-{number}"} for it in waiting
        ]
        assert await ships(shop, number, *parcels) == {"shipped": len(parcels)}
