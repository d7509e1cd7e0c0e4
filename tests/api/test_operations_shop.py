"""The operations of customers on the sample network."""

from tests.api.answers import check
from tests.api.client import Api


async def test_the_front_of_a_store(sample: Api) -> None:
    await check(sample, "shop/Storefront", slug="hangzhou", first=2, statements=3)
