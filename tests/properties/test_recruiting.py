"""The ranking of applications in SQL equals one by counting pairs, wherever the rows lie."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, recruiting
from s2b2c.recruiting import Weights
from tests.recruits import a_person, a_seat, a_world, apply, told

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
CRITERIA = ("experience_months", "audience", "declared_output")
small = st.integers(0, 3)


class Told(NamedTuple):
    """What somebody tells of itself, what was found out of it, its rating, and after how many minutes it came."""

    declared: tuple[int, int, int]
    verified: tuple[int | None, int | None, int | None]
    rating: int | None
    minute: int


any_told = st.builds(
    Told,
    st.tuples(small, small, small),
    st.tuples(*[st.none() | small] * 3),
    st.none() | small,
    st.integers(0, 2),
)


def by_hand(all_told: list[Told], weights: Weights) -> list[tuple[int, int]]:
    """(index, score) from the best, by counting each pair."""
    n = len(all_told)
    numbers = [
        (
            *(own if own is not None else said for said, own in zip(it.declared, it.verified, strict=True)),
            it.rating or 0,
        )
        for it in all_told
    ]
    scores = []
    for mine in numbers:
        total = 0
        for one, weight in enumerate(weights):
            worse = sum(it[one] < mine[one] for it in numbers)
            equal = sum(it[one] == mine[one] for it in numbers) - 1
            total += weight * (5000 if n == 1 else 10000 * (2 * worse + equal) // (2 * (n - 1)))
        scores.append(total // 10000)
    return sorted(enumerate(scores), key=lambda it: (-it[1], all_told[it[0]].minute, it[0]))


@given(
    all_told=st.lists(any_told, min_size=1, max_size=9),
    cuts=st.lists(st.integers(0, 10_000), min_size=3, max_size=3).map(sorted),
    moved=st.randoms(use_true_random=False),
)
async def test_the_ranking_is_that_of_an_oracle(
    session: AsyncSession, all_told: list[Told], cuts: list[int], moved: Any
) -> None:
    async with session.begin_nested() as example:
        weights = Weights(cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], 10_000 - cuts[2])
        world = await a_world(session)
        seat_id = await a_seat(session, world, weights=weights)
        how: dict[str, Any] = {"account_id": world.account_id, "now": NOW}
        ids = []
        for number, it in enumerate(all_told):
            months, audience, output = it.declared
            new = told(months=months, audience=audience, output=output)
            person_id = await a_person(session, number)
            ids.append(await apply(session, seat_id, person_id, new, now=NOW + timedelta(minutes=it.minute)))
            for criterion, found in zip(CRITERIA, it.verified, strict=True):
                if found is not None:
                    named: Any = criterion
                    await recruiting.verify(session, ids[-1], named, found, "合同", **how)
            if it.rating is not None:
                await recruiting.review(session, ids[-1], it.rating, "面谈", **how)
        expected = [(ids[index], score) for index, score in by_hand(all_told, weights)]
        for _ in range(2):
            ranked = await recruiting.ranked(session, seat_id, after=None, limit=50)
            assert [(it.id, it.score) for it in ranked] == expected
            for key in moved.sample(ids, len(ids)):  # each row is written anew, elsewhere
                await session.execute(
                    update(models.SeatApplication).where(models.SeatApplication.id == key).values(reason=None)
                )
        await example.rollback()
