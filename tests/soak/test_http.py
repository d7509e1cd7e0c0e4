"""The long form of tests/api/test_generated.py: five hundred requests a root field, and some of each find their way in."""

from tests.api.client import Api
from tests.api.conftest import own_sample, sample_template  # noqa: F401  fixtures
from tests.api.generated import ask_what_is_generated


async def test_what_is_generated_breaks_nothing(own_sample: Api) -> None:  # noqa: F811  the fixture
    told = await ask_what_is_generated(own_sample, examples=500)
    assert [field for field, codes in told.items() if not codes["data"]] == []
