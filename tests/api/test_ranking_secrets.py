"""What a distributor is sent of rankings: its own figures, its rank and the size of its cohort, and nothing of others."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, money, ranking
from s2b2c.api.types.ids import encode, parts
from tests import factories
from tests.api.client import Api

COUNT, TAIL_BPS = 12, 1700
"""Twelve in a cohort; the last two are its tail."""
TERMS = ranking.Terms(strikes=1, tail_bps=TAIL_BPS, min_orders=900)
"""Everybody has fewer orders, so every rate is shrunk to the mean."""
FIGURES = (
    *("paid", "refunded", "output", "output_before", "orders", "customers", "repeat_customers", "listings"),
    *("listings_sold", "score"),
    *(f"{rate}_bps" for rate in models.ranking.RATES),
    *(f"{rate}_mean_bps" for rate in models.ranking.RATES),
)
"""Of a row of a run: what is nobody else's business. Places and shares follow from the rank in a metric alone."""
IN_WORDS = """{ partner {
    standings { edges { node { metrics { sentence(language: %s) } } } }
    notices { edges { node { text(language: %s) } } } } }"""


def a_score(run_id: int, number: int, one: models.Distributor) -> models.RankingScore:
    """The row of place `number` of twelve, each of its figures like no other's."""
    refunded, orders = 120_000_007 * number, 800 - 9 * number
    paid = 987_654_321 * (COUNT + 1 - number) + refunded
    shares = {f"{metric}_share_bps": 10000 * (COUNT - number) // (COUNT - 1) for metric in models.ranking.METRICS}
    places = {f"{metric}_place": number for metric in models.ranking.METRICS}
    means = {"repeat": 3713, "refund": 1217, "growth": 2339, "sell_through": 4421}
    return models.RankingScore(
        run_id=run_id,
        distributor_id=one.id,
        tier_id=one.tier_id,
        region=one.region,
        home_region=one.region,
        members=COUNT,
        compared=COUNT,
        paid=paid,
        refunded=refunded,
        output=paid - refunded,
        output_before=876_543_209 * (COUNT + 2 - number),
        orders=orders,
        customers=orders - 3,
        repeat_customers=orders - 401,
        listings=orders + 4000,
        listings_sold=orders + 3001,
        **{f"{rate}_bps": mean + 17 * number for rate, mean in means.items()},
        **{f"{rate}_mean_bps": mean for rate, mean in means.items()},
        score=9900 - 611 * number,
        rank=number,
        outcome="tail" if number > COUNT - 2 else "clear",
        **shares,
        **places,
    )


async def a_run(session: AsyncSession, people: list[models.Distributor], policy_id: int, month: int) -> int:
    days = Range(date(2026, month, 1), date(2026, month + 1, 1))
    run = models.RankingRun(policy_id=policy_id, period=days, ranked=COUNT, in_tail=2)
    session.add(run)
    await session.flush()
    session.add_all(a_score(run.id, number, one) for number, one in enumerate(people, start=1))
    await session.flush()
    return run.id


def numbers(value: Any) -> Iterator[int]:
    """Every number, also of texts: yuan in fen and percent in basis points; and what ids and cursors are made of."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif type(value) is int:
        yield abs(value)
    elif isinstance(value, str):
        for whole, decimals, percent in re.findall(r"(\d+)(\.\d+)?(%?)", value):
            if percent:
                yield int(whole) * 100 + int((decimals[1:] + "00")[:2])
            elif re.fullmatch(r"\.\d\d", decimals):
                yield money.parse_yuan(whole + decimals)
            yield int(whole)
        with suppress(ValueError):
            yield from parts(value)[1]


async def test_no_figure_of_another_reaches_a_distributor(api: Api) -> None:
    now = datetime.now(UTC)
    async with api.db.write() as session:
        people = [await factories.a_distributor(session) for _ in range(COUNT)]
        drafted = await ranking.draft(session, "p", TERMS, by=None, now=now)
        policy = await ranking.publish(session, drafted.id, by=None, now=now)
        run_id = await a_run(session, people, policy.id, 8)
        await ranking.act(session, run_id, by=None, account_id=None, now=now)
        unseen = await a_run(session, people, policy.id, 9)
    async with api.db.read() as session:
        rows = {
            row.distributor_id: row
            for row in await session.scalars(select(models.RankingScore).where(models.RankingScore.run_id == run_id))
        }
        case_ids = {row.distributor_id: row.id for row in await session.scalars(select(models.TailCase))}
    own = people[-1]
    mine = {getattr(rows[own.id], name) for name in FIGURES if not name.endswith("_bps")}
    theirs = {getattr(row, name) for key, row in rows.items() if key != own.id for name in FIGURES}
    theirs |= {
        getattr(rows[own.id], name) for name in FIGURES if name.endswith("_bps")
    }  # drawn to the mean: it tells it
    assert len(theirs) > 12 * COUNT
    assert not theirs & mine
    texts = {text for one in people if one is not own for text in (one.code, one.name)}
    ids = {encode("distributor", one.id) for one in people if one is not own}
    ids |= {encode("tail-case", key) for whose, key in case_ids.items() if whose != own.id}

    token = await api.token("distributor", distributor=own.code)
    case = {"case": encode("tail-case", case_ids[own.id])}
    answers = [
        await api.run("partner/Standings", token),
        await api.run("partner/TailCases", token),
        await api.run("partner/Notices", token),
        await api.run("partner/Notices", token, language="EN"),
        await api.run("partner/PlanOwnImprovement", token, **case, words="每周直播"),
        await api.run("partner/Appeal", token, **case, words="仓库被淹"),
        *[await api.ask(IN_WORDS % (language, language), token) for language in ("ZH", "EN")],
    ]
    assert [answer for answer in answers if "errors" in answer] == []
    seen = {number for answer in answers for number in numbers(answer)}
    assert seen & theirs == set()
    assert {rows[own.id].output, rows[own.id].orders, COUNT, rows[own.id].score} <= seen
    told = json.dumps(answers, ensure_ascii=False)
    assert [text for text in texts | ids if text in told] == []
    standings = answers[0]["data"]["partner"]["standings"]["edges"]
    assert [it["node"]["start"] for it in standings] == ["2026-08-01"]  # nobody has acted on September

    # The operator is shown all of it, so it would have been found.
    operator = await api.token("operator")
    full = [await api.run("operator/RankingRun", operator, id=encode("ranking-run", it)) for it in (run_id, unseen)]
    assert theirs <= {number for answer in full for number in numbers(answer)}
    assert [text for text in texts if text not in json.dumps(full, ensure_ascii=False)] == []
