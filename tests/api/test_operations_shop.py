"""The operations of customers on the sample network."""

from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.operations import check


async def test_the_front_of_a_store(sample: Api) -> None:
    await check(sample, "shop/Storefront", slug="hangzhou", first=2, statements=3)
    answer = await sample.run("shop/Storefront", slug="hangzhou", first=100)
    assert len(answer["data"]["shop"]["store"]["listings"]["edges"]) > 20
    assert len(sample.statements) == 3


async def test_one_product(sample: Api) -> None:
    await check(sample, "shop/Product", slug="hangzhou", id=encode("product", 45), statements=4)
