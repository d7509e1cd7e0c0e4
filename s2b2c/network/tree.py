"""The tree of distributors: who joins it, who stands below whom, and who did at any time before."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    Text,
    case,
    false,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow, page
from s2b2c.errors import AlreadyTaken, BadArgument, MakesCycle, NotFound, Refusal, Refused, WrongState
from s2b2c.models import Account, Distributor, DistributorHistory, Store, Tier
from s2b2c.sql import statements

MoveWarning = Literal["parent_below", "orders_placed"]

EARNING = ("active", "watch")
"""The states that earn, and that others can be placed below."""

_STEPS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "application_approved": (("applied",), "active"),
    "application_rejected": (("applied",), "rejected"),
    "suspended": (EARNING, "suspended"),
    "reinstated": (("suspended",), "active"),
}
"""What a distributor is told, from which states, and to which one that leads."""


class Standing(NamedTuple):
    """A distributor and where it stands."""

    id: int
    code: str
    name: str
    state: str
    region: str
    joined_on: date
    ancestors: list[int]
    tier: Tier
    parent: "Distributor | Standing | None"
    members: int | None
    """Everybody below it, in any state. This and the next are None where they were not counted."""
    stores: int | None


class UplineMember(NamedTuple):
    """Who stands above a distributor, `position` steps up, with tier and state of that time."""

    position: int
    id: int
    code: str
    name: str
    state: str
    tier: Tier


class MovePreview(NamedTuple):
    """What a move would change. The counts are of all who would move, the distributor itself among them."""

    members: int
    active_members: int
    stores: int
    orders_placed: int
    old_upline: list[UplineMember]
    new_upline: list[UplineMember]
    """Nobody where the move would be refused."""
    changes_branch: bool
    warnings: list[MoveWarning]
    """The parent stands on a lower tier; orders wait for payment."""
    refusal: Refusal | None


async def lock_tree(session: AsyncSession) -> None:
    """Until the end of the transaction nobody else changes a parent, a tier or a state; whoever does takes this lock.

    Else two moves at once, each below the other, make a cycle. It is a statement of its own: one that waited for the
    lock itself would go on with what it saw before it waited.
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('s2b2c.tree'))"))


async def apply(
    session: AsyncSession,
    *,
    code: str,
    name: str,
    tier_id: int,
    parent_id: int | None,
    region: str,
    now: datetime,
    account_id: int,
) -> Standing:
    """A new distributor in the state applied; until it is approved it has joined on the day of its application.

    Raises Refused(BadArgument, NotFound, WrongState, AlreadyTaken).
    """
    for what, value, most in (("code", code, 64), ("name", name, 200), ("region", region, 200)):
        check_text(what, value, most)
    await lock_tree(session)
    asked = (
        await session.execute(
            select(Tier, Distributor, select(1).where(aliased(Distributor).code == code).exists().label("taken"))
            .outerjoin(Distributor, Distributor.id == parent_id)
            .where(Tier.id == tier_id)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()
    if asked is None:
        raise Refused(NotFound("There is no such tier: choose one of the list of tiers."))
    tier: Tier = asked[0]
    parent: Distributor | None = asked[1]
    if parent_id is not None and parent is None:
        raise Refused(_NO_PARENT)
    if parent is not None and (refusal := _takes_nobody(parent)):
        raise Refused(refusal)
    if asked.taken:
        raise Refused(AlreadyTaken(f"There is a distributor with the code {code} already: choose another code."))
    joined_on = now.astimezone(SHANGHAI).date()
    above = [] if parent is None else parent.ancestors
    key = await session.scalar(
        statements("network")["apply"],
        {
            "code": code,
            "name": name,
            "tier_id": tier_id,
            "parent_id": parent_id,
            "above": above,
            "region": region,
            "joined_on": joined_on,
            "now": now,
            "account_id": account_id,
        },
    )
    assert key is not None
    return Standing(key, code, name, "applied", region, joined_on, [key, *above], tier, parent, members=0, stores=0)


async def approve(session: AsyncSession, distributor_id: int, *, now: datetime, account_id: int) -> Standing:
    """applied -> active, joined today. Raises Refused(NotFound, WrongState).

    Also refused while its parent is neither active nor on watch: it would join below somebody who takes nobody.
    """
    return await _step(session, distributor_id, "application_approved", None, now=now, account_id=account_id)


async def reject(
    session: AsyncSession, distributor_id: int, *, reason: str, now: datetime, account_id: int
) -> Standing:
    """applied -> rejected, for good. Raises Refused(BadArgument, NotFound, WrongState)."""
    return await _step(session, distributor_id, "application_rejected", reason, now=now, account_id=account_id)


async def suspend(
    session: AsyncSession, distributor_id: int, *, reason: str, now: datetime, account_id: int
) -> Standing:
    """active or watch -> suspended; those below stay there. Raises Refused(BadArgument, NotFound, WrongState)."""
    return await _step(session, distributor_id, "suspended", reason, now=now, account_id=account_id)


async def reinstate(
    session: AsyncSession, distributor_id: int, *, reason: str, now: datetime, account_id: int
) -> Standing:
    """suspended -> active, whatever its parent has come to. Raises Refused(BadArgument, NotFound, WrongState)."""
    return await _step(session, distributor_id, "reinstated", reason, now=now, account_id=account_id)


async def _step(
    session: AsyncSession, distributor_id: int, kind: str, reason: str | None, *, now: datetime, account_id: int
) -> Standing:
    """One step of `_STEPS`, with its history and its notice."""
    if reason is not None:
        check_text("reason", reason, 200)
    before, state = _STEPS[kind]
    await lock_tree(session)
    found, since = await _look(session, distributor_id, None)
    distributor = found.get(distributor_id)
    if distributor is None:
        raise Refused(_NOBODY)
    if distributor.state not in before:
        raise Refused(
            WrongState(
                f"{distributor.code} is {distributor.state}; only one that is {' or '.join(before)} becomes {state} so."
            )
        )
    joined_on, facts = distributor.joined_on, {"reason": reason}
    if kind == "application_approved":
        joined_on, facts = now.astimezone(SHANGHAI).date(), {"name": distributor.name, "tier": distributor.tier.name}
        if distributor.parent is not None and (refusal := _takes_nobody(distributor.parent)):
            raise Refused(refusal)
    _check_time(distributor, since, now)
    await session.execute(
        statements("network")["change_state"],
        {
            "state": state,
            "joined_on": joined_on,
            **_record(distributor_id, kind, facts, reason=reason, now=now, account_id=account_id),
        },
    )
    return distributor._replace(state=state, joined_on=joined_on)


async def move(
    session: AsyncSession,
    distributor_id: int,
    parent_id: int | None,
    *,
    reason: str,
    now: datetime,
    account_id: int,
) -> Standing:
    """Put a distributor, with everybody below it, below another one; below nobody, and it begins a branch of its own.

    The one statement that changes it takes any number of members. Their ancestors are new, and so is the upline of
    orders paid from now on; their own parents, tiers, states and histories stay, as do the branches of their orders.
    Raises Refused(BadArgument, NotFound, MakesCycle, WrongState), WrongState also where it stands there already.
    """
    check_text("reason", reason, 200)
    await lock_tree(session)
    found, since = await _look(session, distributor_id, parent_id)
    if refusal := _refusal(found, distributor_id, parent_id):
        raise Refused(refusal)
    mover = found[distributor_id]
    parent = None if parent_id is None else found[parent_id]
    _check_time(mover, since, now)
    facts = {
        "old_parent": mover.parent.name if mover.parent else None,
        "new_parent": parent.name if parent else None,
        "reason": reason,
    }
    above = parent.ancestors if parent else []
    await session.execute(
        statements("network")["move"],
        {
            "parent_id": parent_id,
            "above": above,
            **_record(distributor_id, "moved", facts, reason=reason, now=now, account_id=account_id),
        },
    )
    return mover._replace(parent=parent, ancestors=[distributor_id, *above])


async def preview_move(session: AsyncSession, distributor_id: int, parent_id: int | None) -> MovePreview | None:
    """What `move` would do, or the refusal it would meet; None when there is no such distributor. Two statements."""
    found, _ = await _look(session, distributor_id, parent_id, counted=False)
    mover = found.get(distributor_id)
    if mover is None:
        return None
    counts = (await session.execute(statements("network")["below"], {"distributor_id": distributor_id})).one()
    members, active_members, stores, orders_placed = counts
    refusal = _refusal(found, distributor_id, parent_id)
    parent = found.get(parent_id) if parent_id is not None and refusal is None else None
    above = parent.ancestors if parent else []
    warnings: list[MoveWarning] = []
    if parent is not None and parent.tier.rank > mover.tier.rank:
        warnings.append("parent_below")
    if orders_placed and refusal is None:
        warnings.append("orders_placed")
    return MovePreview(
        members=members,
        active_members=active_members,
        stores=stores,
        orders_placed=orders_placed,
        old_upline=_upline(found, mover.ancestors[1:]),
        new_upline=_upline(found, above),
        changes_branch=refusal is None and mover.ancestors[-1] != (above or [mover.id])[-1],
        warnings=warnings,
        refusal=refusal,
    )


async def uplines_at(
    session: AsyncSession, asked: Sequence[tuple[int, datetime]]
) -> dict[tuple[int, datetime], list[UplineMember]]:
    """Who stood above a distributor at a time, nearest first, by (distributor_id, time).

    Before its application a distributor is not in the answer. The list ends at the first one who was not there yet,
    which happens only where an import says that somebody joined before its parent.
    """
    above = (
        statements("network")["uplines_at"]
        .columns(
            asked_id=BigInteger,
            at=DateTime(timezone=True),
            position=BigInteger,
            distributor_id=BigInteger,
            tier_id=BigInteger,
            state=Text,
        )
        .subquery("above")
    )
    rows = await session.execute(
        select(
            above.c.asked_id,
            above.c.at,
            above.c.position,
            Distributor.id,
            Distributor.code,
            Distributor.name,
            above.c.state,
            Tier,
        )
        .join(Distributor, Distributor.id == above.c.distributor_id)
        .join(Tier, Tier.id == above.c.tier_id)
        .order_by(above.c.asked_id, above.c.at, above.c.position),
        {"distributor_ids": [key for key, _ in asked], "times": [at for _, at in asked]},
    )
    found: dict[tuple[int, datetime], list[UplineMember]] = defaultdict(list)
    for distributor_id, at, *member in rows:
        found[distributor_id, at].append(UplineMember(*member))
    return {key: members[1:] for key, members in found.items()}  # position 0 is the distributor itself


def standings(counted: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """The columns of `Standing`, with the counts of the distributors that are `counted`."""
    parent, member = aliased(Distributor), aliased(Distributor)
    below = select(func.count() - 1).where(member.ancestors.contains(array([Distributor.id])))
    stores = select(func.count()).where(Store.distributor_id == Distributor.id)
    return (
        select(
            Distributor.id,
            Distributor.code,
            Distributor.name,
            Distributor.state,
            Distributor.region,
            Distributor.joined_on,
            Distributor.ancestors,
            Tier,
            parent,
            case((counted, below.scalar_subquery())),
            case((counted, stores.scalar_subquery())),
        )
        .join(Tier, Tier.id == Distributor.tier_id)
        .outerjoin(parent, parent.id == Distributor.parent_id)
        .execution_options(populate_existing=True)  # what changes the tree goes round the session
    )


async def history(
    session: AsyncSession, distributor_id: int, *, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """What a distributor has been, newest first; `after` is an (id,).

    Rows of (id, start, end, state, reason, tier, parent, by); `by` is the account that began it, None for an import.
    """
    tier, parent, account = aliased(Tier, name="tier"), aliased(Distributor, name="parent"), aliased(Account, name="by")
    query: Select[*tuple[Any, ...]] = (
        select(
            DistributorHistory.id,
            func.lower(DistributorHistory.during).label("start"),
            func.upper(DistributorHistory.during).label("end"),
            DistributorHistory.state,
            DistributorHistory.reason,
            tier,
            parent,
            account,
        )
        .join(tier, tier.id == DistributorHistory.tier_id)
        .outerjoin(parent, parent.id == DistributorHistory.parent_id)
        .outerjoin(account, account.id == DistributorHistory.account_id)
        .where(DistributorHistory.distributor_id == distributor_id)
    )
    return (await session.execute(page(query, (DistributorHistory.id, "down"), after=after, limit=limit))).all()


async def _look(
    session: AsyncSession, distributor_id: int, parent_id: int | None, *, counted: bool = True
) -> tuple[dict[int, Standing], datetime | None]:
    """A distributor, another one, and everybody above the two, by id; and since when the first has stood as it does."""
    either = aliased(Distributor)
    involved = select(func.unnest(either.ancestors)).where(or_(either.id == distributor_id, either.id == parent_id))
    rows = await session.execute(
        standings(Distributor.id == distributor_id if counted else false())
        .add_columns(func.lower(DistributorHistory.during))
        .outerjoin(
            DistributorHistory,
            (DistributorHistory.distributor_id == Distributor.id) & func.upper_inf(DistributorHistory.during),
        )
        .where(Distributor.id.in_(involved))
    )
    found, since = {}, None
    for *standing, began in rows:
        found[standing[0]] = Standing(*standing)
        if standing[0] == distributor_id:
            since = began
    return found, since


def _upline(found: Mapping[int, Standing], ancestors: Sequence[int]) -> list[UplineMember]:
    above = [found[key] for key in ancestors]
    return [
        UplineMember(position, one.id, one.code, one.name, one.state, one.tier)
        for position, one in enumerate(above, start=1)
    ]


_NOBODY = NotFound("There is no such distributor: choose one of the list of distributors.")
_NO_PARENT = NotFound("There is no such distributor to stand above it: choose one of the list of distributors.")


def _refusal(found: Mapping[int, Standing], distributor_id: int, parent_id: int | None) -> Refusal | None:
    """Why a distributor cannot move below another one, or below nobody."""
    mover = found.get(distributor_id)
    if mover is None:
        return _NOBODY
    if mover.state in {"rejected", "eliminated"}:
        return WrongState(f"{mover.code} is {mover.state} and has left the network: it cannot be moved.")
    if parent_id is not None:
        parent = found.get(parent_id)
        if parent is None:
            return _NO_PARENT
        if mover.id in parent.ancestors:
            return MakesCycle(
                f"{parent.code} is {mover.code} itself."
                if parent is mover
                else f"{parent.code} stands below {mover.code}: move it away from there first."
            )
        if refusal := _takes_nobody(parent):
            return refusal
    if parent_id == (mover.parent.id if mover.parent else None):
        return WrongState(f"{mover.code} stands there already: nothing would change.")
    return None


def _takes_nobody(parent: Distributor | Standing) -> WrongState | None:
    if parent.state in EARNING:
        return None
    return WrongState(f"{parent.code} is {parent.state}: nobody joins or moves below it. Choose another one above.")


def _check_time(distributor: Standing, since: datetime | None, now: datetime) -> None:
    """A span of history has a length: refused where the one to be ended began just now, or later by another clock."""
    if since is not None and now <= since:
        raise Refused(
            WrongState(f"{distributor.code} was changed by somebody else just now: look again, then try again.")
        )


def check_text(what: str, value: str, most: int) -> None:
    """Raises Refused(BadArgument)."""
    if not value.strip() or len(value) > most or not value.isprintable():
        raise Refused(BadArgument(f"{what} must be 1 to {most} printable characters, not all of them blank."))


def _record(
    distributor_id: int,
    kind: str,
    facts: Mapping[str, str | None],
    *,
    reason: str | None,
    now: datetime,
    account_id: int,
) -> dict[str, Any]:
    """The parameters of the block `recorded`."""
    return {
        "distributor_id": distributor_id,
        "kind": kind,
        "facts": json.dumps(facts, ensure_ascii=False),
        "reason": reason,
        "now": now,
        "account_id": account_id,
    }
