"""A thousand moves, suspensions, eliminations, reinstatements and touches, twelve at a time, in a larger network."""

import random
from datetime import timedelta

from s2b2c.db import Database
from tests.test_offboarding_at_once import NOW, a_forest, is_sound, storm


async def test_a_thousand_at_once_leave_the_tree_whole(db: Database) -> None:
    rng = random.Random(2026)
    ids = await a_forest(db, 80, rng)
    done = {"move": 0, "suspend": 0, "eliminate": 0, "reinstate": 0, "touch": 0}
    start = NOW
    while done["move"] + done["eliminate"] < 1_000 or done["reinstate"] < 100:
        start += timedelta(hours=1)
        for what, number in (await storm(db, ids, 500, rng, start)).items():
            done[what] += number
        async with db.snapshot() as session:
            await is_sound(session)
