"""The long form of tests/test_payout_storm.py: 500 payouts, ten of finance, ten workers, and worker processes that die."""

import pytest

from s2b2c.config import settings
from tests import payout_storm
from tests.bench.world import Shape

SIZE = payout_storm.Size(Shape(5, 25, 450), brands=20, orders=700, users=10, workers=10, processes=3, kills=12)


@pytest.mark.parametrize("seed", [1, 2])
async def test_500_payouts(database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(settings(), "payout_limit", payout_storm.LIMIT)
    async with payout_storm.staged(database_url, SIZE, seed=seed) as story:
        await payout_storm.play(story, seed=seed, patience_s=1_200)
        await payout_storm.check(story)
