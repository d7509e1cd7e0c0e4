"""What brands and the platform may not do with products, and what customers see of a withdrawal."""

from typing import Any

from sqlalchemy import select

from s2b2c import models
from s2b2c.api.types.ids import encode, key_of
from tests.api.client import Api
from tests.api.shopping import Json, Shop, a_buyer, a_shop, done, paid, refuses
from tests.api.test_operations_products import NEW, a_variant

NOTHING = encode("product", 999_999)


async def _ready(api: Api) -> tuple[Shop, str, str, str, Json]:
    """A shop, the tokens of two brands and of an operator, and a product that the first brand may make."""
    shop = await a_shop(api)
    async with api.db.read() as session:
        tiers = (await session.scalars(select(models.Tier.id).order_by(models.Tier.rank))).all()
    costs = [{"tier": encode("tier", tier), "cost": 3000} for tier in tiers]
    new = {**NEW, "variants": [a_variant("N-1", tierCosts=costs)]}
    return shop, await shop.brand(0), await shop.brand(1), await api.token("operator"), new


async def _review(api: Api, operator: str) -> str:
    answer = await api.run("operator/ProductReviews", operator)
    (edge,) = answer["data"]["operator"]["productReviews"]["edges"]
    return str(edge["node"]["id"])


async def test_what_a_brand_may_not_make(api: Api) -> None:
    _, brand, other, _, new = await _ready(api)
    made = await done(api, "brand/CreateProduct", brand, input=new)
    variant = new["variants"][0]
    cheap = {**variant, "sku": "N-2", "minPrice": 2599}
    twice = {**variant, "sku": "N-2", "options": [{"name": "规格", "value": "1"}] * 2}
    nowhere = {**variant, "sku": "N-2", "tierCosts": [{"tier": encode("tier", 999), "cost": 3000}]}
    for kind, wrong in (
        ("AlreadyTaken", {}),
        ("AlreadyTaken", {"code": "N"}),
        ("BadArgument", {"code": " "}),
        ("BadArgument", {"code": "N", "images": ["ftp://x"]}),
        ("BadArgument", {"code": "N", "variants": []}),
        ("InvalidPrices", {"code": "N", "variants": [cheap]}),
        ("BadArgument", {"code": "N", "variants": [twice]}),
        ("NotFound", {"code": "N", "variants": [nowhere]}),
    ):
        await refuses(api, kind, "brand/CreateProduct", brand, input={**new, **wrong})
    for kind, variants in (
        ("AlreadyTaken", [variant]),
        ("InvalidPrices", [cheap]),
        ("BadArgument", []),
        ("NotFound", [nowhere]),
    ):
        await refuses(api, kind, "brand/AddVariants", brand, product=made["id"], variants=variants)
    mine = {**variant, "sku": "N-9"}
    for key in (made["id"], NOTHING):
        await refuses(api, "NotFound", "brand/AddVariants", other, product=key, variants=[mine])
        refused = await refuses(api, "NotFound", "brand/ReviseProduct", other, input={"product": key, "title": "x"})
        assert refused["message"] == "There is no such product: read the products again."
        for operation in ("SubmitProduct", "TakeBackProduct"):
            await refuses(api, "NotFound", f"brand/{operation}", other, product=key)
    # Another brand may use the same code and SKU.
    assert (await done(api, "brand/CreateProduct", other, input=new))["state"] == "DRAFT"


async def test_what_may_not_be_revised_or_reviewed(api: Api) -> None:
    _, brand, _, operator, new = await _ready(api)
    key = (await done(api, "brand/CreateProduct", brand, input=new))["id"]
    await refuses(api, "WrongState", "brand/TakeBackProduct", brand, product=key)
    await refuses(api, "BadArgument", "brand/ReviseProduct", brand, input={"product": key})
    await refuses(api, "BadArgument", "brand/ReviseProduct", brand, input={"product": key, "title": "\x01"})
    for operation in ("SubmitProduct", "TakeBackProduct"):
        await refuses(api, "BadArgument", f"brand/{operation}", brand, product="garbage")
    assert (await done(api, "brand/SubmitProduct", brand, product=key))["state"] == "IN_REVIEW"
    await refuses(api, "WrongState", "brand/SubmitProduct", brand, product=key)
    await refuses(api, "WrongState", "brand/ReviseProduct", brand, input={"product": key, "title": "x"})
    revision = await _review(api, operator)
    nothing = encode("revision", 999_999)
    await refuses(api, "NotFound", "operator/ApproveProduct", operator, revision=nothing)
    await refuses(api, "NotFound", "operator/RejectProduct", operator, revision=nothing, reason="不")
    await refuses(api, "BadArgument", "operator/ApproveProduct", operator, revision=key)
    await refuses(api, "BadArgument", "operator/RejectProduct", operator, revision=revision, reason="")
    assert (await done(api, "brand/TakeBackProduct", brand, product=key))["state"] == "DRAFT"
    await refuses(api, "WrongState", "operator/ApproveProduct", operator, revision=revision)
    await refuses(api, "WrongState", "operator/RejectProduct", operator, revision=revision, reason="不")


async def test_what_may_not_be_withdrawn_or_listed_again(api: Api) -> None:
    shop, brand, other, operator, new = await _ready(api)
    draft = (await done(api, "brand/CreateProduct", brand, input=new))["id"]
    key = encode("product", shop.variants[0].product_id)
    for product in (key, NOTHING):
        await refuses(api, "NotFound", "brand/WithdrawProduct", other, product=product, reason="停产")
        await refuses(api, "NotFound", "brand/RelistProduct", other, product=product)
        answer = await api.run("brand/WithdrawalPreview", other, product=product)
        assert answer["data"]["brand"]["withdrawalPreview"] is None
    await refuses(api, "WrongState", "brand/WithdrawProduct", brand, product=draft, reason="停产")
    await refuses(api, "BadArgument", "brand/WithdrawProduct", brand, product=key, reason=" ")
    await refuses(api, "BadArgument", "brand/RelistProduct", brand, product="garbage")
    await done(api, "operator/WithdrawProduct", operator, product=key, reason="抽检不合格")
    await refuses(api, "WrongState", "brand/RelistProduct", brand, product=key)
    # What is not on offer is reviewed as it is.
    assert (await done(api, "brand/SubmitProduct", brand, product=key))["state"] == "DELISTED"
    approved = await done(api, "operator/ApproveProduct", operator, revision=await _review(api, operator))
    assert (approved["state"], approved["diff"], approved["product"]["state"]) == ("APPROVED", [], "LISTED")


async def test_stock_is_the_brands_own(api: Api) -> None:
    shop, brand, _, _, _ = await _ready(api)
    own, foreign = (encode("variant", shop.variants[number].id) for number in (0, 1))
    results = (
        await done(
            api,
            "brand/SetStock",
            brand,
            variants=[
                {"variant": foreign, "add": 1},
                {"variant": own, "add": -1},
                {"variant": encode("variant", 10**9), "stock": 1},
            ],
        )
    )["results"]
    assert [it["__typename"] for it in results] == ["NotFound", "StockLevel", "NotFound"]
    assert results[1]["stock"] == 99
    assert {key: value for key, value in results[0].items() if key != "id"} == results[2]
    both = {"variant": own, "add": 1, "stock": 1}
    for wrong in ([], [both], [{"variant": own}], [{"variant": own, "add": 1}] * 2, [{"variant": "x", "add": 1}]):
        await refuses(api, "BadArgument", "brand/SetStock", brand, variants=wrong)


async def test_what_customers_see_of_a_withdrawal(api: Api) -> None:
    """Carts say so, unpaid orders are cancelled with all that is in them, and what was paid is shipped."""
    shop, brand, _, _, _ = await _ready(api)
    one, two = await a_buyer(shop), await a_buyer(shop)
    unpaid = await one.places(shop.line(0, 2), shop.line(1))
    bought = await two.places(shop.line(0))
    await paid(api, bought)
    key = encode("product", shop.variants[0].product_id)
    reach = (await api.run("brand/WithdrawalPreview", brand, product=key))["data"]["brand"]["withdrawalPreview"]
    amount = {"amount": 9980, "currency": "CNY"}  # of its own two units; the other line is another brand's
    assert reach == {"stores": 1, "distributors": 1, "orders": 1, "amount": amount}
    withdrawn = await done(api, "brand/WithdrawProduct", brand, product=key, reason="配方升级")
    assert withdrawn == {"__typename": "WithdrawalReach", **reach}

    async def state(token: str, order: Json) -> Any:
        return (await api.run("shop/Order", token, id=order["id"]))["data"]["shop"]["me"]["order"]["state"]

    assert (await state(one.token, unpaid), await state(two.token, bought)) == ("CANCELLED", "PAID")
    cart = (await api.run("shop/Cart", None, store=shop.id, lines=[shop.line(0), shop.line(1)]))["data"]["shop"]["cart"]
    assert [line["problem"] for line in cart["lines"]] == ["NOT_ON_OFFER", None]
    assert cart["canBeOrdered"] is False
    wanted = {"store": shop.id, "lines": [shop.line(0)], "address": one.address, "token": "again"}
    refused = await done(api, "shop/PlaceOrder", one.token, input=wanted)
    assert refused["__typename"] == "NotOnOffer"
    to_ship = (await api.run("brand/SupplyOrders", brand))["data"]["brand"]["supplyOrders"]["edges"]
    assert len(to_ship) == 1
    told = (await api.run("partner/Notices", await shop.seller()))["data"]["partner"]["notices"]["edges"]
    assert [edge["node"]["text"] for edge in told] == [
        f"「{await _title(api, key)}」已停止供应，已从你的 1 家店铺下架，未付款的订单已取消：配方升级"
    ]
    async with api.db.read() as session:
        (event,) = (await session.scalars(select(models.ProductEvent))).all()
        stocks = (await session.scalars(select(models.Variant.stock).order_by(models.Variant.id))).all()
    assert (event.kind, event.reason) == ("withdrawn", "配方升级")
    assert event.facts == {"stores": 1, "distributors": 1, "orders": 1, "amount": 9980}
    assert stocks == [99, 100, 100]


async def _title(api: Api, product: str) -> str:
    async with api.db.read() as session:
        return (await session.get_one(models.Product, key_of("product", product))).title
