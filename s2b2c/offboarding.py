"""Off-boarding (清退) in one transaction, and reinstating: who leaves, where all it had goes, and how that comes back.

Whether somebody may be eliminated is decided elsewhere. What becomes of what it had:

- Its open stores close; their links lead to a store of the new home (`network.moved_to`). Listings stay, for the record
  and for reinstating. The new home is the nearest upline that is active or on watch.
- Its customers are bound to the new home under the same policy for as long as was left; without one they are free.
- Its direct downlines, in whatever state, stand below the new home with all below them; without one they become roots.
- No money moves: what it has earned matures and is settled and paid as before, and its statements are final ones, whose
  net is paid below the minimum too.
- Orders that are placed and not paid stay: the customer was promised these goods at these prices, the brand ships
  them, and they expire by themselves (`pay_minutes`). Their seller is blocked as they are paid, so its share stays
  with the platform.
- Its sessions end and no token of it is carried on. Whoever signs in as it anew, for as long as one access token lasts,
  comes in as an applicant does: it sees itself, its notices, its statements and payouts, may dispute statements, and
  may say where its money goes. Nothing else: no store, no customer, no order, no figure of anybody below.

Reinstating gives back what nobody has moved since: a downline that has stood where the elimination put it all the
time, a customer whom nobody has won since, a store that it closed. What a later elimination of the new home moved on
counts as moved. Both lock as everywhere: the tree, touches of customers, then distributors and stores by id.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Result, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c import commissions, network
from s2b2c.config import settings
from s2b2c.db import AnyRow, page
from s2b2c.errors import NotFound, Refused, WrongState
from s2b2c.models import (
    Account,
    Distributor,
    Elimination,
    EliminationBinding,
    EliminationMove,
    SettlementRun,
    Statement,
)
from s2b2c.sql import statements

BEFORE = ("watch", "suspended")
"""From which states somebody is eliminated."""
_MOVED = {"left": "上级已退出网络 (upline eliminated)", "back": "上级已恢复 (upline reinstated)"}
"""Why a downline was moved: the reason of the upline is nobody else's business."""


async def eliminate(
    session: AsyncSession,
    distributor_id: int,
    *,
    reason: str,
    now: datetime,
    account_id: int,
    person_id: int | None = None,
) -> Elimination:
    """watch or suspended -> eliminated, with all that follows; see above. The record of it, with its counts.

    It counts from `now`, or right after the last change of whom it concerns where a clock was ahead. Raises
    Refused(BadArgument, NotFound, WrongState).
    """
    network.check_text("reason", reason, 200)
    leaver = await _lock(session, distributor_id, None, now)
    if leaver.state not in BEFORE:
        raise Refused(
            WrongState(f"{leaver.code} is {leaver.state}; only one that is {' or '.join(BEFORE)} can be eliminated.")
        )
    earned = await commissions.earnings(session, distributor_id, leaver.at)
    who = {"distributor_id": distributor_id, "home_id": leaver.home_id, "at": leaver.at, "now": leaver.at}
    who |= {"account_id": account_id, "reason": reason}
    opened = {
        **{name: who[name] for name in ("distributor_id", "home_id", "at", "account_id", "reason")},
        "person_id": person_id,
        "state_before": leaver.state,
        "debt": leaver.debt,
        "pending": earned.pending,
        "matured": earned.available,
    }
    who["elimination_id"] = await session.scalar(statements("offboarding")["open"], opened)
    moved = {"old_parent": leaver.name, "new_parent": leaver.home_name, "reason": _MOVED["left"]}
    below = (
        await _run(
            session, "leave", {**who, "above": leaver.above, "moved_reason": _MOVED["left"], "facts": json.dumps(moved)}
        )
    ).one()
    counts = {
        "members": below.members,
        "downlines": below.downlines,
        "stores": (await _run(session, "close_stores", who)).scalar_one(),
        "customers": (await _run(session, "hand_over", who)).scalar_one(),
        "sessions": (await _run(session, "end_sessions", who)).scalar_one(),
    }
    await _run(session, "count", {**who, **counts})
    facts = {**{name: counts[name] for name in ("stores", "customers", "downlines")}, "reason": reason}
    facts |= {"home": leaver.home_name, "open_amount": earned.pending + earned.available}
    told: dict[int, tuple[str, Mapping[str, Any]]] = {distributor_id: ("eliminated", facts)}
    if leaver.home_id is not None and (counts["customers"] or below.downlines):
        told[leaver.home_id] = (
            "took_over",
            {"name": leaver.name, "customers": counts["customers"], "downlines": below.downlines},
        )
    await _tell(session, told, leaver.at)
    return await session.get_one(Elimination, who["elimination_id"], populate_existing=True)


async def reinstate(
    session: AsyncSession,
    distributor_id: int,
    *,
    reason: str,
    now: datetime,
    account_id: int,
    person_id: int | None = None,
) -> Elimination:
    """eliminated -> active where it stands, with all that nobody has moved since. The record of its elimination.

    Its parent may have come to anything. Raises Refused(BadArgument, NotFound, WrongState), WrongState also for one
    whose elimination is not on record: it was imported so.
    """
    network.check_text("reason", reason, 200)
    await network.lock_tree(session)
    query = select(Elimination).where(Elimination.distributor_id == distributor_id, Elimination.reinstated_at.is_(None))
    undone = await session.scalar(query, execution_options={"populate_existing": True})
    comer = await _lock(session, distributor_id, None if undone is None else undone.id, now)
    if comer.state != "eliminated":
        raise Refused(WrongState(f"{comer.code} is {comer.state}, not eliminated: there is nothing to undo."))
    if undone is None:
        raise Refused(WrongState(f"{comer.code} was imported as eliminated: there is no record that could be undone."))
    home = await session.get(Distributor, undone.home_id) if undone.home_id is not None else None
    who = {"distributor_id": distributor_id, "elimination_id": undone.id, "at": comer.at, "now": comer.at}
    who |= {"account_id": account_id, "reason": reason, "person_id": person_id, "home_id": undone.home_id}
    who |= {"eliminated_at": undone.at, "ancestors": comer.ancestors, "moved_reason": _MOVED["back"]}
    moved = {"old_parent": home and home.name, "new_parent": comer.name, "reason": _MOVED["back"]}
    counts = {
        "downlines": (await _run(session, "come_back", {**who, "facts": json.dumps(moved)})).scalar_one(),
        "stores": (await _run(session, "open_stores", who)).scalar_one(),
        "customers": (await _run(session, "take_back", who)).scalar_one(),
    }
    await _run(session, "undo", who)
    await _tell(session, {distributor_id: ("elimination_undone", {**counts, "reason": reason})}, comer.at)
    return await session.get_one(Elimination, undone.id, populate_existing=True)


class Record(NamedTuple):
    """An elimination with whom it is about; nobody is None."""

    elimination: Elimination
    distributor: Distributor
    home: Distributor | None
    by: Account
    undone_by: Account | None


class ClosedStore(NamedTuple):
    """A store that an elimination closed, and where its links lead now: None while it is open, or if nowhere."""

    id: int
    slug: str
    title: str
    region: str
    is_open: bool
    moved_to: str | None


class Document(NamedTuple):
    """All that an elimination was, and what has become of it since. Amounts are fen."""

    record: Record
    stores: list[ClosedStore]
    downlines: Sequence[AnyRow]
    """Rows as of `downlines`."""
    customers_back: int
    open: commissions.Earnings
    """Where its commissions stand now."""
    statements: Sequence[AnyRow]
    """Rows as of `statements_since`."""


def _records() -> Select[*tuple[Any, ...]]:
    leaver, home, by, undone_by = aliased(Distributor), aliased(Distributor), aliased(Account), aliased(Account)
    return (
        select(Elimination, leaver, home, by, undone_by)
        .join(leaver, leaver.id == Elimination.distributor_id)
        .join(by, by.id == Elimination.account_id)
        .outerjoin(home, home.id == Elimination.home_id)
        .outerjoin(undone_by, undone_by.id == Elimination.reinstated_by)
        .execution_options(populate_existing=True)  # what moves everybody goes round the session
    )


async def list_eliminations(
    session: AsyncSession, *, open_only: bool = False, after: tuple[int, ...] | None, limit: int
) -> list[Record]:
    """Newest first; `after` is an (id,)."""
    query = _records()
    if open_only:
        query = query.where(Elimination.reinstated_at.is_(None))
    rows = await session.execute(page(query, (Elimination.id, "down"), after=after, limit=limit))
    return [Record(*row) for row in rows]


async def elimination(session: AsyncSession, elimination_id: int) -> Record | None:
    row = (await session.execute(_records().where(Elimination.id == elimination_id))).one_or_none()
    return None if row is None else Record(*row)


async def newest_of(session: AsyncSession, code: str) -> int:
    """The id of the last elimination of a distributor. Raises Refused(NotFound)."""
    found: int | None = await session.scalar(
        select(func.max(Elimination.id))
        .join(Distributor, Distributor.id == Elimination.distributor_id)
        .where(Distributor.code == code)
    )
    if found is None:
        raise Refused(NotFound(f"No distributor with the code {code} was ever eliminated here."))
    return found


async def downlines(
    session: AsyncSession, elimination_id: int, *, after: tuple[int, ...] | None = None, limit: int | None = None
) -> Sequence[AnyRow]:
    """Whom an elimination moved, by id: rows of (id, code, name, state, is_back, parent), the parent as it is now."""
    moved, parent = aliased(Distributor), aliased(Distributor, name="parent")
    query: Select[*tuple[Any, ...]] = (
        select(moved.id, moved.code, moved.name, moved.state, EliminationMove.is_back, parent)
        .join(moved, moved.id == EliminationMove.distributor_id)
        .outerjoin(parent, parent.id == moved.parent_id)
        .where(EliminationMove.elimination_id == elimination_id)
        .execution_options(populate_existing=True)
    )
    if limit is None:
        return (await session.execute(query.order_by(moved.id))).all()
    return (await session.execute(page(query, (moved.id, "up"), after=after, limit=limit))).all()


async def closed_stores(session: AsyncSession, elimination_id: int) -> list[ClosedStore]:
    """The stores that an elimination closed, by id."""
    rows = await session.execute(
        statements("offboarding")["closed_stores"],
        {"elimination_id": elimination_id, "house": settings().house_store},
    )
    return [ClosedStore(*row) for row in rows]


async def statements_since(session: AsyncSession, elimination_id: int) -> Sequence[AnyRow]:
    """The statements of the eliminated one that were open then or came later, oldest first.

    Rows of (id, cutoff, state, net, payout, is_final), the state of its run.
    """
    query = (
        select(
            Statement.id,
            SettlementRun.cutoff,
            SettlementRun.state,
            Statement.net,
            Statement.payout,
            Statement.is_final,
        )
        .join(SettlementRun, SettlementRun.id == Statement.run_id)
        .join(Elimination, Elimination.distributor_id == Statement.distributor_id)
        .where(
            Elimination.id == elimination_id,
            or_(SettlementRun.cutoff >= Elimination.at, SettlementRun.state.in_(("draft", "reviewed"))),
        )
        .order_by(Statement.id)
    )
    return (await session.execute(query)).all()


async def document(session: AsyncSession, elimination_id: int, now: datetime) -> Document:
    """What happened (清退记录): in a snapshot, for whoever asks for it. Raises Refused(NotFound)."""
    record = await elimination(session, elimination_id)
    if record is None:
        raise Refused(NotFound("There is no such elimination."))
    back = await session.scalar(
        select(func.count()).where(
            EliminationBinding.elimination_id == elimination_id, EliminationBinding.back_id.is_not(None)
        )
    )
    return Document(
        record=record,
        stores=await closed_stores(session, elimination_id),
        downlines=await downlines(session, elimination_id),
        customers_back=back or 0,
        open=await commissions.earnings(session, record.elimination.distributor_id, now),
        statements=await statements_since(session, elimination_id),
    )


async def _lock(session: AsyncSession, distributor_id: int, elimination_id: int | None, now: datetime) -> AnyRow:
    """Whoever takes part is locked; then the distributor as it stands: a row of `offboarding.look`."""
    await network.lock_tree(session)
    await network.keep_out_touches(session)
    who = {"distributor_id": distributor_id, "elimination_id": elimination_id}
    await _run(session, "lock_members", who)
    await _run(session, "lock_stores", who)
    found = await _run(session, "look", {**who, "now": now, "earning": list(network.EARNING)})
    if (row := found.one_or_none()) is None:
        raise Refused(NotFound("There is no such distributor: choose one of the list of distributors."))
    return row


async def _run(session: AsyncSession, name: str, parameters: Mapping[str, Any]) -> Result[Any]:
    return await session.execute(statements("offboarding")[name], parameters)


async def _tell(session: AsyncSession, told: Mapping[int, tuple[str, Mapping[str, Any]]], at: datetime) -> None:
    await _run(
        session,
        "tell",
        {
            "at": at,
            "distributor_ids": list(told),
            "kinds": [kind for kind, _ in told.values()],
            "facts": [json.dumps(facts) for _, facts in told.values()],
        },
    )
