"""A storm of kills: whenever an import dies, the next one ends where a clean one does."""

import asyncio
import random
import time

import pytest

from s2b2c.imports.kinds import KINDS
from tests.commands import cli, snapshot_of, start
from tests.test_cli import SAMPLE

KILLS = 25


@pytest.mark.parametrize("seed", range(2))
async def test_kills_at_any_moment_end_in_one_clean_state(
    database_url: str, other_database_url: str, seed: int
) -> None:
    moments = random.Random(seed)
    for kind in KINDS:
        path = str(SAMPLE / f"{kind}.csv")
        started = time.monotonic()
        cli(other_database_url, "import", kind, path)
        lasts = time.monotonic() - started
        for _ in range(KILLS if kind == "orders" else KILLS // 5):
            process = start(database_url, "import", kind, path)
            await asyncio.sleep(moments.uniform(0.3, 1.0) * lasts)
            process.kill()
            process.communicate()
        cli(database_url, "import", kind, path)
    assert await snapshot_of(database_url) == await snapshot_of(other_database_url)
    assert "Every invariant holds." in cli(database_url, "audit")
