"""What is seen of payouts. Amounts are fen."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow, page
from s2b2c.models import Brand, Distributor, File, Payout, PayoutAttempt


class StateTotal(NamedTuple):
    """How many payouts of a run are in a state, and what they come to."""

    state: str
    payouts: int
    amount: int


async def of_run(
    session: AsyncSession, run_id: int, *, states: Collection[str], after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """The payouts of a run in one of these states (of any where none is named), the first one first; `after` is an
    (id,).

    Rows of the columns of `Payout`, with `payee` ("distributor" or "brand"), `payee_id`, `code` and `name` of whom it
    is for.
    """
    query = _payouts().where(Payout.run_id == run_id)
    if states:
        query = query.where(Payout.state.in_(states))
    return (await session.execute(page(query, (Payout.id, "up"), after=after, limit=limit))).all()


async def waiting(session: AsyncSession, run_id: int, *, limit: int) -> Sequence[AnyRow]:
    """Those that wait for somebody: failed, held, or for an approval; rows as of `of_run`."""
    query = _payouts().where(Payout.run_id == run_id, Payout.state.in_(("pending", "failed")))
    needs = (Payout.state == "failed") | Payout.hold.is_not(None)
    query = query.where(needs | (Payout.needs_approval & Payout.approved_at.is_(None)))
    return (await session.execute(query.order_by(Payout.id).limit(limit))).all()


async def payout(session: AsyncSession, payout_id: int) -> AnyRow | None:
    """A row as of `of_run`."""
    return (await session.execute(_payouts().where(Payout.id == payout_id))).one_or_none()


async def of_statements(session: AsyncSession, statement_ids: Sequence[int]) -> dict[int, AnyRow]:
    """By statement, where it has a payout; rows as of `of_run`."""
    rows = await session.execute(_payouts().where(Payout.statement_id.in_(statement_ids)))
    return {row.statement_id: row for row in rows}


async def attempts_of(session: AsyncSession, payout_ids: Sequence[int]) -> dict[int, list[AnyRow]]:
    """By payout its attempts, the first one first; of the proof its file, with name and SHA-256."""
    rows = await session.execute(
        select(
            *(column for column in PayoutAttempt.__table__.columns),
            File.name.label("proof_name"),
            File.sha256.label("proof_sha256"),
        )
        .outerjoin(File, File.id == PayoutAttempt.proof_file_id)
        .where(PayoutAttempt.payout_id.in_(payout_ids))
        .order_by(PayoutAttempt.payout_id, PayoutAttempt.number)
    )
    found: dict[int, list[AnyRow]] = {}
    for row in rows:
        found.setdefault(row.payout_id, []).append(row)
    return found


async def totals_of(session: AsyncSession, run_ids: Sequence[int]) -> dict[int, list[StateTotal]]:
    """By run what its payouts come to, state by state, in the order of the words."""
    rows = await session.execute(
        select(Payout.run_id, Payout.state, func.count(), cast(func.sum(Payout.amount), BigInteger))
        .where(Payout.run_id.in_(run_ids))
        .group_by(Payout.run_id, Payout.state)
        .order_by(Payout.run_id, Payout.state)
    )
    found: dict[int, list[StateTotal]] = {}
    for run_id, state, payouts, amount in rows:
        found.setdefault(run_id, []).append(StateTotal(state, payouts, amount))
    return found


def _payouts() -> Select[*tuple[Any, ...]]:
    return (
        select(
            *(column for column in Payout.__table__.columns),
            case((Payout.brand_id.is_(None), "distributor"), else_="brand").label("payee"),
            func.coalesce(Payout.distributor_id, Payout.brand_id).label("payee_id"),
            func.coalesce(Distributor.code, Brand.name).label("code"),
            func.coalesce(Distributor.name, Brand.name).label("name"),
        )
        .outerjoin(Distributor, Distributor.id == Payout.distributor_id)
        .outerjoin(Brand, Brand.id == Payout.brand_id)
    )
