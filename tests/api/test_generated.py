"""The short form of tests/soak/test_http.py: what schemathesis makes up breaks nothing."""

from tests.api.client import Api
from tests.api.generated import ask_what_is_generated


async def test_what_is_generated_breaks_nothing(own_sample: Api) -> None:
    told = await ask_what_is_generated(own_sample, examples=8)
    assert sum(codes["data"] for codes in told.values()) > 100
