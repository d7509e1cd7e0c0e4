"""A payee says no to its statement while the run is reviewed, and finance answers."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow, page
from s2b2c.errors import NotFound, Refused, WrongState, check_line
from s2b2c.models import Adjustment, Brand, Dispute, Distributor, SettlementRun, Statement
from s2b2c.settlements.adjusting import MAX_REASON_LENGTH, adjust
from s2b2c.settlements.reading import RUN
from s2b2c.sql import statements


async def dispute(
    session: AsyncSession,
    statement_id: int,
    reason: str,
    *,
    distributor_id: int | None = None,
    brand_id: int | None = None,
    by: int | None,
    now: datetime,
) -> AnyRow:
    """Say what is wrong with one's own statement, once; a row as of `disputes`.

    Raises Refused: BadArgument, NotFound when it is no statement of theirs that they are shown, and WrongState when
    its run is not under review any more, or they have disputed it.
    """
    check_line("reason", reason, MAX_REASON_LENGTH)
    found = (
        await session.execute(
            select(SettlementRun.id, SettlementRun.state)
            .join(Statement, Statement.run_id == SettlementRun.id)
            .where(
                Statement.id == statement_id,
                Statement.distributor_id.is_not_distinct_from(distributor_id),
                Statement.brand_id.is_not_distinct_from(brand_id),
                SettlementRun.state != "draft",
            )
            # Who approves it waits until this is written down; others who dispute theirs do not.
            .with_for_update(read=True, of=SettlementRun)
        )
    ).one_or_none()
    if found is None:
        raise Refused(NotFound("You have no such statement: read your statements again."))
    if found.state != "reviewed":
        raise Refused(WrongState(f"The run is {found.state}: a statement is disputed while its run is under review."))
    opened = insert(Dispute).values(
        run_id=found.id,
        statement_id=statement_id,
        distributor_id=distributor_id,
        brand_id=brand_id,
        reason=reason,
        opened_at=now,
        opened_by=by,
    )
    dispute_id = await session.scalar(opened.on_conflict_do_nothing().returning(Dispute.id))
    if dispute_id is None:
        raise Refused(WrongState("You have disputed this statement already: read the answer there."))
    return await _row(session, dispute_id)


async def answer(
    session: AsyncSession,
    dispute_id: int,
    said: str,
    *,
    amount: int | None = None,
    dated: date | None = None,
    by: int | None,
    now: datetime,
) -> AnyRow:
    """Answer a dispute, and tell its payee; a row as of `disputes`.

    Without an `amount` it is rejected, and the statement stays as it is. With one, in fen and below 0 to take, it is
    accepted: an adjustment of it, of the day `dated` (today), goes into the next run, and so does the statement.

    Raises Refused: BadArgument, NotFound, and WrongState when it is answered already.
    """
    check_line("answer", said, MAX_REASON_LENGTH)
    found = await session.get(Dispute, dispute_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise Refused(NotFound("There is no such dispute: read them again."))
    if found.outcome is not None:
        raise Refused(WrongState("It is answered already: read it again."))
    payee: dict[str, Any] = {"distributor_id": found.distributor_id, "brand_id": found.brand_id}
    if amount is not None:
        day = dated or now.astimezone(SHANGHAI).date()
        made = await adjust(session, **payee, amount=amount, dated=day, reason=said, by=by, now=now)
        found.adjustment_id = made.id
    found.outcome = "rejected" if amount is None else "accepted"
    found.answer, found.answered_at, found.answered_by = said, now, by
    await session.flush()
    await session.execute(statements("settlements")["tell_answered"], {"dispute_id": dispute_id})
    return await _row(session, dispute_id)


async def disputes(
    session: AsyncSession, *, waiting_only: bool, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """Disputes, the first one first; `after` is an (id,).

    Rows of (id, distributor_id, brand_id, payee, payee_id, code, name, reason, opened_at, opened_by, outcome, answer,
    answered_at, answered_by, left_at, statement_id, adjusted, adjusted_on, run): `payee` is "distributor" or "brand",
    `adjusted` the amount of the adjustment in fen, `run` as of `statements_of`.
    """
    query = _disputes()
    if waiting_only:
        query = query.where(Dispute.outcome.is_(None))
    return (await session.execute(page(query, (Dispute.id, "up"), after=after, limit=limit))).all()


async def disputes_of(session: AsyncSession, statement_ids: Sequence[int]) -> dict[int, AnyRow]:
    """By statement, where it is disputed; rows as of `disputes`."""
    rows = await session.execute(_disputes().where(Dispute.statement_id.in_(statement_ids)))
    return {row.statement_id: row for row in rows}


async def own_disputes(
    session: AsyncSession,
    *,
    distributor_id: int | None = None,
    brand_id: int | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[AnyRow]:
    """What one payee disputed, newest first; rows as of `disputes`, `after` is an (id,)."""
    query = _disputes().where(_of(distributor_id, brand_id))
    return (await session.execute(page(query, (Dispute.id, "down"), after=after, limit=limit))).all()


def _of(distributor_id: int | None, brand_id: int | None) -> ColumnElement[bool]:
    return Dispute.brand_id == brand_id if distributor_id is None else Dispute.distributor_id == distributor_id


async def _row(session: AsyncSession, dispute_id: int) -> AnyRow:
    return (await session.execute(_disputes().where(Dispute.id == dispute_id))).one()


def _disputes() -> Select[*tuple[Any, ...]]:
    columns = (
        *(Dispute.id, Dispute.distributor_id, Dispute.brand_id, Dispute.reason, Dispute.opened_at, Dispute.opened_by),
        *(Dispute.outcome, Dispute.answer, Dispute.answered_at, Dispute.answered_by, Dispute.left_at),
        *(Dispute.statement_id, Dispute.run_id),
    )
    return (
        select(
            *columns,
            case((Dispute.brand_id.is_(None), "distributor"), else_="brand").label("payee"),
            func.coalesce(Dispute.distributor_id, Dispute.brand_id).label("payee_id"),
            func.coalesce(Distributor.code, Brand.name).label("code"),
            func.coalesce(Distributor.name, Brand.name).label("name"),
            Adjustment.amount.label("adjusted"),
            Adjustment.dated.label("adjusted_on"),
            Bundle("run", *RUN),
        )
        .join(SettlementRun, SettlementRun.id == Dispute.run_id)
        .outerjoin(Distributor, Distributor.id == Dispute.distributor_id)
        .outerjoin(Brand, Brand.id == Dispute.brand_id)
        .outerjoin(Adjustment, Adjustment.id == Dispute.adjustment_id)
    )
