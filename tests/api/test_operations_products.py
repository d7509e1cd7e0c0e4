"""The operations on products, of brands and of the platform, on the sample network."""

from typing import Any

from sqlalchemy import text

from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.operations import check

BRAND = "绒溪小厨"


async def the_product(api: Api) -> str:
    """The id of the first product of the brand."""
    query = text("SELECT min(p.id) FROM products p JOIN brands b ON b.id = p.brand_id WHERE b.name = :brand")
    async with api.db.read() as session:
        return encode("product", await session.scalar(query, {"brand": BRAND}))


def a_variant(sku: str, **changes: Any) -> dict[str, Any]:
    return {
        "sku": sku,
        "options": [{"name": "规格", "value": "1kg"}],
        "stock": 5,
        "supplyPrice": 2600,
        "suggestedPrice": 4990,
        "minPrice": 4000,
        "maxPrice": 6000,
        "tierCosts": [{"tier": encode("tier", rank), "cost": 3000 + 100 * rank} for rank in (1, 2, 3)],
        **changes,
    }


NEW = {
    "code": "NEW-1",
    "title": "冻干猫粮",
    "category": "猫粮",
    "tonalities": ["天然"],
    "audiences": ["幼猫"],
    "images": ["https://img.example/1.jpg", "https://img.example/2.jpg"],
    "description": "每一口都是肉。",
    "variants": [a_variant("NEW-1-1"), a_variant("NEW-1-2")],
}


async def test_what_a_brand_reads(sample: Api) -> None:
    token = await sample.token("brand", brand=BRAND)
    key = await the_product(sample)
    await check(sample, "brand/Product", token, id=key, statements=4)
    await check(sample, "brand/Product", token, case="not-there", id=encode("product", 999_999), statements=2)
    await check(sample, "brand/Tiers", token, statements=2)
    await check(sample, "brand/WithdrawalPreview", token, product=key, statements=3)


async def test_what_the_platform_reads(sample: Api) -> None:
    token = await sample.token("operator")
    await check(sample, "operator/Products", token, search="猫", first=2, statements=3)
    await sample.run("operator/Products", token, first=100)
    assert len(sample.statements) == 3
    await check(sample, "operator/WithdrawalPreview", token, product=await the_product(sample), statements=3)


async def test_a_product_from_its_draft_to_the_market(own_sample: Api) -> None:
    api = own_sample
    brand, operator = await api.token("brand", brand=BRAND), await api.token("operator")
    made = await check(api, "brand/CreateProduct", brand, input=NEW, statements=9, most=9)
    key = made["data"]["createProduct"]["id"]
    # The lock of the brand, the lock of the product, tiers, the variants, the product as it is, and its variants.
    await check(api, "brand/AddVariants", brand, product=key, variants=[a_variant("NEW-1-3")], statements=7, most=7)
    changes = {"product": key, "title": "冻干生骨肉猫粮", "description": ""}
    await check(api, "brand/ReviseProduct", brand, input=changes, statements=7, most=7)
    await check(api, "brand/SubmitProduct", brand, product=key, statements=8, most=8)
    await check(api, "brand/TakeBackProduct", brand, product=key, statements=10, most=10)
    await api.run("brand/SubmitProduct", brand, product=key)
    waiting = await check(api, "operator/ProductReviews", operator, statements=3)
    (edge,) = waiting["data"]["operator"]["productReviews"]["edges"]
    reason = "请补一张配料表的图片"
    await check(
        api, "operator/RejectProduct", operator, revision=edge["node"]["id"], reason=reason, statements=11, most=11
    )
    await api.run("brand/SubmitProduct", brand, product=key)
    (edge,) = (await api.run("operator/ProductReviews", operator))["data"]["operator"]["productReviews"]["edges"]
    await check(api, "operator/ApproveProduct", operator, revision=edge["node"]["id"], statements=12, most=12)
    await check(api, "brand/Product", brand, case="approved", id=key, statements=4)
    await check(api, "brand/ProductReviews", brand, id=key, first=2, statements=3)
    await check(api, "brand/ProductEvents", brand, id=key, events=20, statements=4)
    answer = await api.run("brand/Notices", brand, unreadOnly=True)
    kinds = [edge["node"]["kind"] for edge in answer["data"]["brand"]["notices"]["edges"]]
    assert kinds[:2] == ["PRODUCT_APPROVED", "PRODUCT_REJECTED"]


async def test_many_reviews_are_three_statements(own_sample: Api) -> None:
    brand, operator = await own_sample.token("brand", brand=BRAND), await own_sample.token("operator")
    for number in range(3):
        new = {**NEW, "code": f"NEW-{number}", "variants": [a_variant(f"NEW-{number}")]}
        made = await own_sample.run("brand/CreateProduct", brand, input=new)
        await own_sample.run("brand/SubmitProduct", brand, product=made["data"]["createProduct"]["id"])
    answer = await own_sample.run("operator/ProductReviews", operator)
    assert len(own_sample.statements) == 3
    assert len(answer["data"]["operator"]["productReviews"]["edges"]) == 3


async def test_stock_and_withdrawal(own_sample: Api) -> None:
    api = own_sample
    brand, operator, key = await api.token("brand", brand=BRAND), await api.token("operator"), await the_product(api)
    product = (await api.run("brand/Product", brand, id=key))["data"]["brand"]["product"]
    first = product["variants"][0]
    counted = {"variant": first["id"], "stock": 7, "seen": first["stock"]}
    await check(api, "brand/SetStock", brand, variants=[counted], statements=2)
    stale = await check(api, "brand/SetStock", brand, case="stale", variants=[counted], statements=2)
    assert stale["data"]["setStock"]["results"][0]["__typename"] == "WrongState"
    reach = (await api.run("brand/WithdrawalPreview", brand, product=key))["data"]["brand"]["withdrawalPreview"]
    done = await check(api, "brand/WithdrawProduct", brand, product=key, reason="配方升级", statements=11, most=11)
    assert {"__typename": "WithdrawalReach", **reach} == done["data"]["withdrawProduct"]
    await check(api, "brand/RelistProduct", brand, product=key, statements=7, most=7)
    await check(api, "operator/WithdrawProduct", operator, product=key, reason="抽检不合格", statements=12, most=12)
    await check(api, "operator/RelistProduct", operator, product=key, statements=8, most=8)
    await check(api, "operator/ProductEvents", operator, search=product["code"], statements=4)
