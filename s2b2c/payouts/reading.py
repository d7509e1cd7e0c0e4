"""What is seen of payouts. Amounts are fen."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow, page
from s2b2c.models import Brand, Distributor, File, Payout, PayoutAttempt

LONG_UNKNOWN = timedelta(hours=1)
"""After which a person looks at a payout of which Stripe has told nothing: it is looked up every few seconds."""


class StateTotal(NamedTuple):
    """How many payouts of a run are in a state, and what they come to."""

    state: str
    payouts: int
    amount: int


async def of_run(
    session: AsyncSession,
    run_id: int,
    *,
    states: Collection[str] = (),
    rails: Collection[str] = (),
    holds: Collection[str] = (),
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """The payouts of a run in one of these states, by one of these rails and held for one of these reasons (any where
    none is named), the first one first; `after` is an (id,).

    Rows of the columns of `Payout`, with `payee` ("distributor" or "brand"), `payee_id`, `code` and `name` of whom it
    is for.
    """
    query = _payouts().where(Payout.run_id == run_id)
    for column, words in ((Payout.state, states), (Payout.rail, rails), (Payout.hold, holds)):
        if words:
            query = query.where(column.in_(words))
    return (await session.execute(page(query, (Payout.id, "up"), after=after, limit=limit))).all()


async def waiting(session: AsyncSession, run_id: int, *, now: datetime, limit: int) -> Sequence[AnyRow]:
    """Those that need somebody: failed, held, for an approval, or unknown for `LONG_UNKNOWN`; rows as of `of_run`."""
    attempt = PayoutAttempt
    long_unknown = (
        select(attempt.id)
        .where(attempt.payout_id == Payout.id, attempt.state == "unknown", attempt.created_at < now - LONG_UNKNOWN)
        .exists()
    )
    needs = (Payout.state == "failed") | Payout.hold.is_not(None) | ((Payout.state == "unknown") & long_unknown)
    query = _payouts().where(Payout.run_id == run_id, needs | (Payout.needs_approval & Payout.approved_at.is_(None)))
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
