"""The long form of tests/api/test_foreign_ids.py: 10,000 ids that are not for who asks, over all roles and fields."""

import pytest

from tests.api.client import Api
from tests.api.conftest import own_sample, sample_template
from tests.api.foreign import leaks_nothing

__all__ = ["own_sample", "sample_template"]
SEEDS, DRAWS = 4, 2_500


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_ten_thousand_foreign_ids_lead_nowhere(own_sample: Api, seed: int) -> None:
    assert await leaks_nothing(own_sample, seed=seed, draws=DRAWS) > DRAWS // 6
