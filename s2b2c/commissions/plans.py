"""Plans (分佣方案): checked against the database, saved as drafts, compared, and put in force."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from asyncpg.exceptions import ExclusionViolationError
from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.commissions.documents import PlanDocument, RuleDocument, Scope, cut, parse, written
from s2b2c.commissions.reading import Problem, shown
from s2b2c.config import SHANGHAI, settings
from s2b2c.errors import BadArgument, NotFound, PaysTooFar, Refused, WrongState
from s2b2c.models import Account, Plan
from s2b2c.sql import statements

NOTICE_TIME = timedelta(seconds=60)
"""How long before it takes over a plan is activated at least: payments read the plan in force without a lock, so the
change is committed before it takes effect."""


class Resolved(NamedTuple):
    """A plan whose every name stands for something."""

    document: PlanDocument
    rules: list[dict[str, Any]]
    """The columns of table `rules`, with ids from 1 in the order of the document, of plan 0."""

    @property
    def paid_positions(self) -> int:
        """The longest chain that one of its rules pays."""
        return max((rule["depth"] for rule in self.rules), default=0)


async def check(session: AsyncSession, document: str) -> Resolved:
    """A YAML or JSON document, read and resolved. Raises Refused(InvalidPlan)."""
    return await resolve(session, parse(document))


async def resolve(session: AsyncSession, document: PlanDocument) -> Resolved:
    """The keys behind the names of a document. Raises Refused(InvalidPlan) with every problem."""
    scopes = [{"n": number, **rule.scope._asdict()} for number, rule in enumerate(document.rules)]
    rows = await session.execute(
        statements("plans")["names"].columns(ranks=JSONB), {"scopes": json.dumps(scopes, ensure_ascii=False)}
    )
    problems = list[Problem]()
    if document.start is not None and document.end is not None and document.end <= document.start:
        problems.append((("to",), "must come after from"))
    rules, seen = [], dict[Scope, int]()
    for number, (rule, row) in enumerate(zip(document.rules, rows, strict=True)):
        if (first := seen.setdefault(rule.scope, number)) != number:
            problems.append((("rules", number), f"has the scope of rules[{first}]"))
        ranks: Mapping[str, int] = row.ranks or {}
        problems += ((("rules", number, *path), message) for path, message in _missing(rule, row, ranks))
        rates = {ranks[tier]: bps for tier, bps in rule.tier_bps.items() if tier in ranks}
        numbers = asdict(rule)
        del numbers["scope"]
        rules.append(
            {
                **numbers,
                "id": number + 1,
                "plan_id": 0,
                "category": rule.scope.category,
                "variant_id": row.variant_id,
                "product_id": row.product_id,
                "brand_id": None if rule.scope.product_code or rule.scope.sku else row.brand_id,
                "tier_bps": cut([rates.get(rank, 0) for rank in range(1, max(rates, default=0) + 1)]),
            }
        )
    document.refuse(problems)
    return Resolved(document, rules)


def _missing(rule: RuleDocument, row: Any, ranks: Mapping[str, int]) -> Iterator[Problem]:
    scope = rule.scope
    if scope.category is not None and not row.has_category:
        yield ("category",), f"no product has the category {shown(scope.category)}"
    if scope.brand is not None and row.brand_id is None:
        yield ("brand",), f"there is no brand {shown(scope.brand)}"
    elif scope.product_code is not None and row.product_id is None:
        yield ("product_code",), f"brand {shown(scope.brand)} has no product {shown(scope.product_code)}"
    elif scope.sku is not None and row.variant_id is None:
        yield ("sku",), f"brand {shown(scope.brand)} has no sku {shown(scope.sku)}"
    for tier in rule.tier_bps:
        if tier not in ranks:
            yield ("tier_bps", tier), f"there is no tier {shown(tier)}"


class Stored(NamedTuple):
    """A plan of the database, and what a document of it says."""

    plan: Plan
    by: str | None
    """The role of who activated it."""
    document: PlanDocument

    @property
    def name(self) -> str:
        return f"{self.plan.code}@{self.plan.version}"


async def by_id(session: AsyncSession, plan_id: int) -> Stored | None:
    return await _one(session, _stored(Plan.id == plan_id))


async def named(session: AsyncSession, name: str) -> Stored:
    """The plan CODE@VERSION, or the newest version of CODE. Raises Refused(NotFound)."""
    code, _, version = name.rpartition("@")
    found = None
    if version.isascii() and version.isdigit() and len(version) < 19 and name.isprintable():
        found = await _one(session, _stored(and_(Plan.code == code, Plan.version == int(version))))
    if found is None and name.isprintable():
        found = await _newest(session, name)
    if found is not None:
        return found
    raise Refused(NotFound(f"There is no plan {shown(name)}: name a file, CODE or CODE@VERSION."))


async def in_force(session: AsyncSession, at: datetime) -> Stored | None:
    """The active plan of that time."""
    return await _one(session, _stored(and_(Plan.state == "active", Plan.during.contains(at))))


async def _newest(session: AsyncSession, code: str) -> Stored | None:
    return await _one(session, _stored(Plan.code == code).order_by(Plan.version.desc()).limit(1))


def _stored(condition: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    rules = literal_column(f"({statements('plans')['rules'].text})", JSONB).label("rules")
    return select(Plan, Account.role, rules).outerjoin(Account, Account.id == Plan.activated_by).where(condition)


async def _one(session: AsyncSession, query: Select[*tuple[Any, ...]]) -> Stored | None:
    row = (await session.execute(query.execution_options(populate_existing=True))).one_or_none()
    if row is None:
        return None
    plan, by, rules = row
    document = PlanDocument(
        plan.code,
        plan.during.lower,
        plan.during.upper,
        plan.margin_floor_bps,
        [
            RuleDocument(
                Scope(*(rule.pop(name) for name in Scope._fields)), **{**rule, "tier_bps": dict(rule["tier_bps"])}
            )
            for rule in rules
        ],
    )
    return Stored(plan, by, document)


class FieldChange(NamedTuple):
    """Values as a document has them; None where it says nothing."""

    field: str
    before: str | None
    after: str | None


class RuleChange(NamedTuple):
    kind: Literal["added", "removed", "changed"]
    scope: str
    fields: list[FieldChange]


class Changes(NamedTuple):
    """What one plan says otherwise than another; rules are the same when they are for the same."""

    against: str | None
    """CODE@VERSION; None: there was no plan."""
    header: list[FieldChange]
    rules: list[RuleChange]

    def __bool__(self) -> bool:
        return bool(self.header or self.rules)

    def __str__(self) -> str:
        signs = {"added": "+", "removed": "-", "changed": "~"}
        lines = [f"  {change}" for change in map(_arrow, self.header)]
        for rule in self.rules:
            lines.append(f"{signs[rule.kind]} {rule.scope}")
            if rule.kind != "removed":
                lines += [f"    {_arrow(change)}" for change in rule.fields]
        return "\n".join(lines)


def _arrow(change: FieldChange) -> str:
    after = "nothing" if change.after is None else change.after
    return f"{change.field}: {after}" if change.before is None else f"{change.field}: {change.before} -> {after}"


def diff(before: Stored | None, after: PlanDocument) -> Changes:
    """What `after` says otherwise than the plan `before`."""
    if before is None:
        return Changes(None, _fields({}, _header(after)), list(_rules([], after.rules)))
    old = before.document
    return Changes(before.name, _fields(_header(old), _header(after)), list(_rules(old.rules, after.rules)))


async def diff_in_force(session: AsyncSession, plan: PlanDocument) -> Changes:
    """What a plan says otherwise than the one in force as it begins."""
    return diff(None if plan.start is None else await in_force(session, plan.start), plan)


def _header(plan: PlanDocument) -> dict[str, Any]:
    said = {"plan": plan.code, "from": plan.start, "to": plan.end, "margin_floor_bps": plan.margin_floor_bps}
    return {name: value for name, value in said.items() if value is not None}


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    return [
        FieldChange(name, *(written(said[name]) if name in said else None for said in (before, after)))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def _rules(before: list[RuleDocument], after: list[RuleDocument]) -> Iterator[RuleChange]:
    old, new = ({rule.scope: rule.says() for rule in rules} for rules in (before, after))
    for scope in {**old, **new}:
        if scope not in new:
            yield RuleChange("removed", str(scope), _fields(old[scope], {}))
        elif scope not in old:
            yield RuleChange("added", str(scope), _fields({}, new[scope]))
        elif fields := _fields(old[scope], new[scope]):
            yield RuleChange("changed", str(scope), fields)


async def save(session: AsyncSession, plan: Resolved, *, now: datetime) -> Plan:
    """Keep a plan as a draft: the next version of its code. What the newest version says already is not saved again.

    Raises Refused(WrongState) when somebody saves a version of the same code at the same moment.
    """
    document = plan.document
    newest = await _newest(session, document.code)
    if newest is not None and not diff(newest, document):
        return newest.plan
    saved: Plan | None = (
        await session.scalars(
            select(Plan).from_statement(statements("plans")["save"]),
            {
                "code": document.code,
                "version": newest.plan.version + 1 if newest else 1,
                "start": document.start,
                "end": document.end,
                "margin_floor_bps": document.margin_floor_bps,
                "paid_positions": plan.paid_positions,
                "now": now,
                "rules": json.dumps(plan.rules, ensure_ascii=False),
            },
        )
    ).one_or_none()
    if saved is None:
        raise Refused(
            WrongState(f"Somebody saved a version of {document.code} at the same moment: look at it, then try again.")
        )
    return saved


async def activate(
    session: AsyncSession, plan_id: int, *, now: datetime, account_id: int | None, override_reason: str | None = None
) -> Plan:
    """Put a draft in force for its range; the active plan in force as it begins ends there.

    A plan that pays a longer chain than the setting `max_paid_positions` needs an `override_reason`, which is kept. No
    commission that was ever written changes: each names its rule.

    Raises Refused(NotFound, WrongState, PaysTooFar or BadArgument).
    """
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('s2b2c.plans'))"))
    itself = select(Plan.during).where(Plan.id == plan_id).scalar_subquery()
    active = and_(Plan.state == "active", Plan.during.overlaps(itself))
    found = await session.scalars(
        select(Plan)
        .where(or_(Plan.id == plan_id, active))
        .order_by(func.lower(Plan.during).nulls_first())
        .execution_options(populate_existing=True)
    )
    overlapping = list(found)
    plan = next((one for one in overlapping if one.id == plan_id), None)
    if plan is None:
        raise Refused(NotFound("There is no such plan: choose one of the list of plans."))
    if plan.state != "draft":
        raise Refused(WrongState(f"{_name(plan)} is active already: change its document and activate the new version."))
    overlapping.remove(plan)
    max_paid_positions = settings().max_paid_positions
    _check_chain(plan, max_paid_positions, override_reason)
    before = _before(plan, overlapping, now)
    try:
        rows = await session.scalars(
            select(Plan).from_statement(statements("plans")["activate"]).execution_options(populate_existing=True),
            {
                "plan_id": plan_id,
                "before_id": before.id if before else None,
                "start": plan.during.lower,
                "now": now,
                "account_id": account_id,
                "max_paid_positions": max_paid_positions,
                "override_reason": override_reason,
            },
        )
        activated: Plan = rows.one()
    except IntegrityError as error:
        if isinstance(error.driver_exception, ExclusionViolationError):
            raise Refused(
                WrongState("Another plan came into force at the same moment: look at the plans, then try again.")
            ) from error
        raise
    return activated


def _name(plan: Plan) -> str:
    return f"{plan.code}@{plan.version}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M} in Shanghai"


def _check_chain(plan: Plan, max_paid_positions: int, override_reason: str | None) -> None:
    """Whether the platform lets a plan pay so far (合规). Raises Refused(PaysTooFar or BadArgument)."""
    if override_reason is None:
        if plan.paid_positions > max_paid_positions:
            raise Refused(
                PaysTooFar(
                    f"{_name(plan)} pays {plan.paid_positions} positions and the platform allows {max_paid_positions}: "
                    "a shorter chain reduces risk under 禁止传销条例 Art. 7. Shorten it, or override this in writing: "
                    "the reason stays on record.",
                    plan.paid_positions,
                    max_paid_positions,
                )
            )
    elif plan.paid_positions <= max_paid_positions:
        raise Refused(
            BadArgument(
                f"{_name(plan)} pays {plan.paid_positions} positions of the {max_paid_positions} that the platform "
                "allows: nothing is to be overridden. Leave the reason out."
            )
        )
    elif not override_reason.strip() or len(override_reason) > 500 or not override_reason.isprintable():
        raise Refused(BadArgument("The reason must be 1 to 500 printable characters, not all of them blank."))


def _before(plan: Plan, overlapping: list[Plan], now: datetime) -> Plan | None:
    """Of the active plans that overlap it the one that it takes over from. Raises Refused(WrongState)."""
    start, end = plan.during.lower, plan.during.upper
    assert start is not None, "a document says when its plan begins"
    for other in overlapping:
        if other.during.lower is not None and other.during.lower >= start:
            raise Refused(
                WrongState(
                    f"{_name(other)} is in force from {_time(other.during.lower)}, inside the time of {_name(plan)}: "
                    "let `to` be that moment or `from` a later one."
                )
            )
    if not overlapping:
        return None
    (before,) = overlapping
    if start < now + NOTICE_TIME:
        raise Refused(
            WrongState(
                f"{_name(plan)} takes over from {_name(before)}, whose orders are paid as it says: `from` must be at "
                f"least {NOTICE_TIME.seconds} seconds from now, not {_time(start)}."
            )
        )
    if end is not None and (before.during.upper is None or before.during.upper > end):
        raise Refused(
            WrongState(
                f"{_name(before)} would go on after `to`, {_time(end)}: first activate a version of it from then on."
            )
        )
    return before
