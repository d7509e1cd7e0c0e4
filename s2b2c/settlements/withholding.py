"""Tax that the platform withholds from persons who work for it (代扣代缴).

`none` withholds nothing; `business` neither: the payee invoices the platform. `cn_labour_cumulative` is the cumulative
method of STA Announcement 2025-16 (国家税务总局公告2025年第16号) for labour income of people on internet platforms:

    tax = (income - 20 % of income - 5000.00 yuan x months - other deductions) x rate - quick deduction
          - withheld so far

All of it is cumulative over the calendar year of the day of payment, on this platform. Rate and quick deduction are
those of the table of comprehensive income of the Individual Income Tax Law (个人所得税法), by the cumulative taxable
income, with inclusive bounds. Tax is rounded half up to the fen once, on the cumulative figure; it is never below 0,
and never more than a statement earns. What refunds take back lowers the income of the month in which it is settled; too
much withheld earlier is not paid back, but counts from then on.

`months` counts the months with income above 0 so far (`income_months`). The announcement speaks of consecutive months:
with `restart_after_gap` a month without income starts the count anew. Which of the two is right for you, a person must
decide; ask your tax office.
"""

from datetime import date, datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.errors import BadArgument, NotFound, Refused
from s2b2c.models import Distributor, TaxDeduction, WithholdingPolicy
from s2b2c.money import MAX_AMOUNT

Policy = Literal["none", "business", "cn_labour_cumulative"]


async def set_policy(
    session: AsyncSession, distributor_id: int, policy: Policy, *, starts_on: date, by: int | None, now: datetime
) -> WithholdingPolicy:
    """Withhold tax from a distributor by this policy, from what is paid on `starts_on` on. What it was stays on record.

    Raises Refused(NotFound).
    """
    await _must_exist(session, distributor_id)
    made = WithholdingPolicy(distributor_id=distributor_id, policy=policy, starts_on=starts_on, set_at=now, set_by=by)
    session.add(made)
    await session.flush()
    return made


async def set_deduction(
    session: AsyncSession, distributor_id: int, month: date, amount: int, *, by: int | None, now: datetime
) -> None:
    """What else a distributor may deduct for a month, in fen, in place of what was said before.

    Raises Refused: BadArgument, and NotFound.
    """
    if month.day != 1:
        raise Refused(BadArgument(f"month is {month}, but is named by its first day."))
    if not 0 <= amount <= MAX_AMOUNT:
        raise Refused(BadArgument(f"amount is {amount}, but a deduction is 0 to {MAX_AMOUNT} fen."))
    await _must_exist(session, distributor_id)
    said = {"amount": amount, "set_at": now, "set_by": by}
    given = insert(TaxDeduction).values(distributor_id=distributor_id, month=month, **said)
    await session.execute(given.on_conflict_do_update(index_elements=["distributor_id", "month"], set_=said))


async def _must_exist(session: AsyncSession, distributor_id: int) -> None:
    if await session.scalar(select(Distributor.id).where(Distributor.id == distributor_id)) is None:
        raise Refused(NotFound("There is no such distributor."))
