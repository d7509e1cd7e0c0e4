"""Tax withheld from persons: the numbers of the domain, and a year worked by hand. Yuan here, fen in the database."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, settlements
from s2b2c.audit import audit
from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.settlements import Terms
from tests import factories

TERMS = Terms()


async def a_person(session: AsyncSession, policy: str = "cn_labour_cumulative") -> models.Distributor:
    """A distributor with this policy since 2025."""
    person = await factories.a_distributor(session)
    now = datetime(2025, 1, 1, tzinfo=UTC)
    await settlements.set_policy(
        session,
        person.id,
        policy,  # type: ignore[arg-type]  # one of them
        starts_on=date(2025, 1, 1),
        by=None,
        now=now,
    )
    return person


async def paid(
    session: AsyncSession, person: models.Distributor, pay_on: date, income: int, terms: Terms = TERMS
) -> models.Statement:
    """The statement by which a person earns so many yuan on a day, closed."""
    now = datetime.combine(pay_on, time(4), UTC)
    dated = pay_on - timedelta(days=1)
    await settlements.adjust(
        session,
        distributor_id=person.id,
        amount=income * 100,
        dated=dated,
        reason="奖励",
        by=None,
        now=now,
    )
    settled = await settlements.settle(session, cutoff=now, now=now, terms=terms)
    assert settled is not None
    await factories.a_closed_run(session, settled.run_id, now)
    found = await session.scalar(
        select(models.Statement).where(
            models.Statement.run_id == settled.run_id, models.Statement.distributor_id == person.id
        )
    )
    assert found is not None
    assert found.adjustments == income * 100
    return found


async def withheld(session: AsyncSession, incomes: Sequence[tuple[date, int]], terms: Terms = TERMS) -> list[int]:
    """In fen, of each payment to one person."""
    person = await a_person(session)
    return [(await paid(session, person, day, income, terms)).withheld for day, income in incomes]


def months(*incomes: int) -> list[tuple[date, int]]:
    """On the 10th of January, February, ..."""
    return [(date(2026, month, 10), income) for month, income in enumerate(incomes, start=1)]


@pytest.mark.parametrize(
    ("incomes", "tax"),
    [
        ((10_000, 10_000), [90_00, 90_00]),
        ((60_000, 60_000, 60_000, 60_000), [1780_00, 4300_00, 4300_00, 7100_00]),
        ((10_000, -4_000, 10_000, 10_000), [90_00, 0, 0, 84_00]),
        ((6_250,), [0]),
        ((6_251,), [2]),  # 0.80 yuan at 3 % are 2.4 fen
    ],
)
async def test_the_numbers_of_the_domain(session: AsyncSession, incomes: tuple[int, ...], tax: list[int]) -> None:
    assert await withheld(session, months(*incomes)) == tax


YEAR = [
    (date(2026, 1, 10), 8_000),
    (date(2026, 3, 10), 30_000),
    (date(2026, 4, 10), -2_000),
    (date(2026, 5, 10), 50_000),
    (date(2026, 12, 31), 20_000),
    (date(2027, 1, 5), 10_000),
]


@pytest.mark.parametrize(
    ("rule", "tax"),
    [
        # Cumulative income 8000, 38000, 36000, 86000, 106000; months 1, 2, 2, 3, 4; taxable 1400, 20400, -, 53800, 64800;
        # tax so far 42, 612, 612, 2860 (10 % less 2520), 3960. In January 2027 a new year begins.
        ("income_months", [42_00, 570_00, 0, 2248_00, 1100_00, 90_00]),
        # Months since the last one without income: 1, 1, -, 1, 1; taxable 1400, 25400, -, 63800, 79800; tax so far 42, 762,
        # 762, 3860, 5460.
        ("restart_after_gap", [42_00, 720_00, 0, 3098_00, 1600_00, 90_00]),
    ],
)
async def test_a_year_with_gaps_a_clawback_and_a_payment_in_december(
    session: AsyncSession, rule: str, tax: list[int]
) -> None:
    terms = Terms(months_rule=rule)  # type: ignore[arg-type]  # one of them
    assert await withheld(session, YEAR, terms) == tax


async def test_a_month_counts_once(session: AsyncSession) -> None:
    """1000 earn nothing taxable; with 9000 more in the month (8000 - 5000) x 3 % are due."""
    days = [(date(2026, 1, 10), 1_000), (date(2026, 1, 20), 9_000), (date(2026, 2, 10), 10_000)]
    assert await withheld(session, days) == [0, 90_00, 90_00]


async def test_more_is_never_withheld_than_is_earned(session: AsyncSession) -> None:
    """After a loss in a month of its own, what is due for all the year is more than the little that is earned."""
    person = await a_person(session)
    terms = Terms(months_rule="restart_after_gap")
    days = [(date(2026, 1, 10), 50_000), (date(2026, 2, 10), 50_000), (date(2026, 3, 10), -1), (date(2026, 4, 10), 100)]
    found = [await paid(session, person, day, income, terms) for day, income in days]
    # Taxable 35000, 70000, -, 75079.20; tax 1050, 4480, -, 4987.92: 507.92 are due of 100.
    assert [it.withheld for it in found] == [1050_00, 3430_00, 0, 100_00]
    assert (found[3].net, found[3].payout) == (0, 0)


async def test_what_else_may_be_deducted(session: AsyncSession) -> None:
    person = await a_person(session)
    said = {"by": None, "now": datetime(2026, 1, 1, tzinfo=UTC)}
    await settlements.set_deduction(session, person.id, date(2026, 1, 1), 5_000_00, **said)  # type: ignore[arg-type]
    await settlements.set_deduction(session, person.id, date(2026, 1, 1), 1_000_00, **said)  # type: ignore[arg-type]
    await settlements.set_deduction(session, person.id, date(2026, 2, 1), 500_00, **said)  # type: ignore[arg-type]
    # Taxable 2000, then 16000 - 10000 - 1500.
    taxes = [(await paid(session, person, day, 10_000)).withheld for day, _ in months(1, 1)]
    assert taxes == [60_00, 75_00]
    for refusal, month, amount, whose in (
        (BadArgument, date(2026, 1, 2), 1, person.id),
        (BadArgument, date(2026, 1, 1), -1, person.id),
        (NotFound, date(2026, 1, 1), 1, 10**9),
    ):
        with pytest.raises(Refused) as refused:
            await settlements.set_deduction(session, whose, month, amount, **said)  # type: ignore[arg-type]
        assert isinstance(refused.value.refusal, refusal)


async def test_a_policy_begins_on_its_day(session: AsyncSession) -> None:
    person = await a_person(session, "business")
    await settlements.set_policy(
        session,
        person.id,
        "cn_labour_cumulative",
        starts_on=date(2026, 2, 10),
        by=None,
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    found = [await paid(session, person, day, 10_000) for day, _ in [*months(1, 1), (date(2026, 2, 9), 1)][::2]]
    assert [(it.withholding, it.withheld) for it in found] == [("business", 0), ("business", 0)]
    of_february = await paid(session, person, date(2026, 2, 10), 10_000)
    assert (of_february.withholding, of_february.withheld) == ("cn_labour_cumulative", 90_00)
    nobody = await factories.a_distributor(session)
    assert (await paid(session, nobody, date(2026, 2, 11), 10_000)).withholding == "none"
    assert [breach for breach in await audit(session) if breach.check.startswith("statement")] == []


@pytest.mark.parametrize(
    ("taxable", "tax"),
    [
        (-1, 0),
        (0, 0),
        (36_000, 1_080_00),
        (144_000, 11_880_00),
        (300_000, 43_080_00),
        (420_000, 73_080_00),
        (660_000, 145_080_00),
        (960_000, 250_080_00),
        (960_001, 250_080_45),
    ],
)
async def test_brackets(session: AsyncSession, taxable: int, tax: int) -> None:
    """In yuan; at each bound both brackets give the same. Income is 1.25 times what is taxable."""
    found = await session.scalar(select(func.labour_tax(taxable * 125, 0, date(2026, 1, 1))))
    assert found == tax


@pytest.mark.parametrize(("income", "tax"), [(20, 0), (21, 1), (62, 1), (63, 2)])
async def test_half_a_fen_is_rounded_up(session: AsyncSession, income: int, tax: int) -> None:
    """16 fen at 3 % are 0.48; 16.8 are 0.504; 49.6 are 1.488; 50.4 are 1.512."""
    assert await session.scalar(select(func.labour_tax(income, 0, date(2026, 1, 1)))) == tax


async def test_no_bracket_no_tax(session: AsyncSession) -> None:
    assert await session.scalar(select(func.labour_tax(10**9, 0, date(2018, 12, 31)))) == 0
