"""The long form of tests/test_payout_kills.py: a SIGKILL at every step of a payout and of closing a period."""

import pytest

from s2b2c.db import Database
from tests.test_payout_kills import (
    CLOSING,
    KILLS,
    Scene,
    closing_dies_and_is_done_again,
    dies_and_the_next_goes_on,
    fake,
    gateway,
    run_id,
    scene,
)

__all__ = ["fake", "gateway", "run_id", "scene"]


@pytest.mark.parametrize("name", KILLS)
async def test_a_worker_dies(scene: Scene, run_id: int, name: str) -> None:
    await dies_and_the_next_goes_on(scene, run_id, KILLS[name])


@pytest.mark.parametrize("name", CLOSING)
async def test_closing_dies(db: Database, database_url: str, name: str) -> None:
    await closing_dies_and_is_done_again(db, database_url, name)
