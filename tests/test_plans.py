"""Plans: resolved, saved as versions, compared, activated, told in words."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, orders
from s2b2c.commissions import plans
from s2b2c.commissions.documents import PlanDocument, parse, write
from s2b2c.commissions.plans import FieldChange, RuleChange, activate, check, diff, in_force, named, save
from s2b2c.config import Settings
from s2b2c.db import Database
from s2b2c.errors import BadArgument, InvalidPlan, NotFound, PaysTooFar, Refusal, Refused, WrongState
from tests import factories

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
MINUTE = timedelta(seconds=60)


def a_document(
    *rules: str,
    code: str = "p",
    start: datetime | str = "2026-12-01",
    end: datetime | str | None = None,
    floor: int = 0,
) -> str:
    """A plan document; a rule is a flow mapping, without one everything pays 1200 and 300."""
    header = [f"plan: {code}", f"from: {start.isoformat() if isinstance(start, datetime) else start}"]
    if end is not None:
        header.append(f"to: {end.isoformat() if isinstance(end, datetime) else end}")
    wanted = rules or ("{scheme: levels, level_bps: [1200, 300]}",)
    return "\n".join([*header, f"margin_floor_bps: {floor}", "rules:", *(f"  - {rule}" for rule in wanted)])


async def saved(session: AsyncSession, *rules: str, **header: Any) -> models.Plan:
    return await save(session, await check(session, a_document(*rules, **header)), now=NOW)


async def put_in_force(session: AsyncSession, *rules: str, **header: Any) -> models.Plan:
    plan = await saved(session, *rules, **header)
    return await activate(session, plan.id, now=NOW, account_id=None)


async def refusal(work: Any) -> Refusal:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.refusal


async def problems(session: AsyncSession, document: str) -> list[str]:
    refused = await refusal(check(session, document))
    assert isinstance(refused, InvalidPlan)
    return [str(problem) for problem in refused.problems]


async def _rows(session: AsyncSession) -> Sequence[Any]:
    plan_rows = await session.scalars(text("SELECT to_jsonb(p) FROM plans p ORDER BY id"))
    return [*plan_rows, *(await session.scalars(text("SELECT to_jsonb(r) FROM rules r ORDER BY id")))]


async def _catalogue(session: AsyncSession) -> models.Variant:
    """Tiers tier-1 to tier-3; brand 绒溪小厨 with one variant of the category 猫粮."""
    for rank in (1, 2, 3):
        await factories.a_tier(session, rank=rank)
    return await factories.a_variant(session, brand=await factories.a_brand(session, "绒溪小厨"), category="猫粮")


async def _codes(session: AsyncSession, variant: models.Variant) -> tuple[str, str]:
    product = await session.get_one(models.Product, variant.product_id)
    return product.code, variant.sku


async def test_resolved_are_rows_of_the_table(session: AsyncSession) -> None:
    variant = await _catalogue(session)
    product, sku = await _codes(session, variant)
    brand = "brand: 绒溪小厨"
    plan = await check(
        session,
        a_document(
            "{scheme: levels, level_bps: [1200, 0, 300, 0]}",
            "{category: 猫粮, scheme: fixed, level_amounts: [500]}",
            f"{{{brand}, scheme: levels, base: margin, level_bps: [0]}}",
            f"{{{brand}, product_code: {product}, scheme: spread, depth: 3, compress: true}}",
            f"{{{brand}, sku: {sku}, scheme: differential, tier_bps: {{tier-2: 7, tier-1: 9, tier-3: 0}}, same_tier_bps: 5, depth: 4}}",
        ),
    )
    columns: dict[str, Any] = {
        "plan_id": 0, "variant_id": None, "product_id": None, "category": None, "brand_id": None, "base": "paid",
        "level_bps": [], "level_amounts": [], "tier_bps": [], "same_tier_bps": 0, "compress": False,
    }  # fmt: skip
    assert plan.rules == [
        {**columns, "id": 1, "scheme": "levels", "level_bps": [1200, 0, 300], "depth": 3},
        {**columns, "id": 2, "category": "猫粮", "scheme": "fixed", "level_amounts": [500], "depth": 1},
        {**columns, "id": 3, "brand_id": variant.brand_id, "scheme": "levels", "base": "margin", "depth": 0},
        {**columns, "id": 4, "product_id": variant.product_id, "scheme": "spread", "depth": 3, "compress": True},
        {
            **(columns | {"id": 5, "variant_id": variant.id, "scheme": "differential"}),
            "tier_bps": [9, 7],
            "same_tier_bps": 5,
            "depth": 4,
        },
    ]
    assert {*plan.rules[0]} == {column.name for column in models.Rule.__table__.columns}
    assert plan.paid_positions == 4


async def test_names_that_stand_for_nothing(session: AsyncSession) -> None:
    product, sku = await _codes(session, await _catalogue(session))
    other = await factories.a_variant(session)
    _, other_sku = await _codes(session, other)
    assert await problems(
        session,
        a_document(
            "{category: 狗粮, scheme: spread, depth: 1}",
            "{scheme: differential, brand: 无名, tier_bps: {tier-1: 1, tier-9: 0, '\\': 2}, depth: 1}",
            f"{{brand: 绒溪小厨, product_code: {sku}, scheme: spread, depth: 1}}",
            f"{{brand: 绒溪小厨, sku: {other_sku}, scheme: spread, depth: 1}}",
            f"{{brand: 绒溪小厨, product_code: {product}, scheme: spread, depth: 1}}",
            "{scheme: spread, depth: 1}",
            f"{{brand: 绒溪小厨, product_code: {product}, scheme: fixed, level_amounts: []}}",
            "{scheme: levels, level_bps: []}",
            end="2026-12-01",
        ),
    ) == [
        "to: must come after from",
        "rules[0].category: no product has the category 狗粮",
        "rules[1].brand: there is no brand 无名",
        "rules[1].tier_bps.tier-9: there is no tier tier-9",
        r"rules[1].tier_bps.\: there is no tier \ ".strip(),
        f"rules[2].product_code: brand 绒溪小厨 has no product {sku}",
        f"rules[3].sku: brand 绒溪小厨 has no sku {other_sku}",
        "rules[6]: has the scope of rules[4]",
        "rules[7]: has the scope of rules[5]",
    ]


async def test_a_draft_is_the_next_version_of_its_code(session: AsyncSession) -> None:
    first = await saved(session, code="first")
    assert (first.version, first.state, first.paid_positions) == (1, "draft", 2)
    assert first.during == Range(datetime(2026, 11, 30, 16, tzinfo=UTC), None)
    assert (first.created_at, first.activated_at, first.max_paid_positions) == (NOW, None, None)
    assert (await saved(session, code="other")).version == 1
    before = await _rows(session)
    assert (await saved(session, code="first")).id == first.id
    assert (
        await saved(session, "{scheme: levels, base: paid, level_bps: [1200, 300, 0]}", code="first")
    ).id == first.id
    assert await _rows(session) == before
    second = await saved(session, code="first", floor=1)
    assert (second.version, second.margin_floor_bps) == (2, 1)
    assert (await saved(session, code="first")).version == 3


async def test_the_order_of_rules_says_nothing(session: AsyncSession) -> None:
    await _catalogue(session)
    rules = ("{scheme: spread, depth: 1}", "{category: 猫粮, scheme: levels, level_bps: [1]}")
    first = await saved(session, *rules)
    assert (await saved(session, *reversed(rules))).id == first.id


async def test_a_refused_document_saves_nothing(session: AsyncSession) -> None:
    before = await _rows(session)
    assert isinstance(await refusal(saved(session, "{brand: 无名, scheme: spread, depth: 1}")), InvalidPlan)
    assert await _rows(session) == before


async def test_two_who_save_the_same_code_at_once(db: Database) -> None:
    async with db.write() as first, db.write() as second:
        plan = await saved(first)
        late = asyncio.create_task(refusal(saved(second, floor=1)))
        await asyncio.sleep(0.2)
        assert not late.done()
        await first.commit()
        assert isinstance(await late, WrongState)
    async with db.read() as session:
        assert [row["id"] for row in await _rows(session) if "code" in row] == [plan.id]


async def test_activated_with_what_the_platform_allowed(session: AsyncSession) -> None:
    account = models.Account(role="operator")
    session.add(account)
    await session.flush()
    draft = await saved(session)
    plan = await activate(session, draft.id, now=NOW, account_id=account.id)
    kept = (plan.state, plan.activated_at, plan.activated_by, plan.max_paid_positions, plan.override_reason)
    assert kept == ("active", NOW, account.id, 2, None)
    stored = await plans.by_id(session, plan.id)
    assert stored is not None
    assert (stored.by, stored.plan) == ("operator", plan)
    assert isinstance(await refusal(activate(session, plan.id, now=NOW, account_id=None)), WrongState)
    assert isinstance(await refusal(activate(session, 2**40, now=NOW, account_id=None)), NotFound)


TOO_FAR = ("{scheme: levels, level_bps: [1]}", "{category: 猫粮, scheme: spread, depth: 3}")


async def test_a_plan_that_pays_too_far_needs_a_reason(session: AsyncSession) -> None:
    await _catalogue(session)
    draft = await saved(session, *TOO_FAR)
    before = await _rows(session)
    assert await refusal(activate(session, draft.id, now=NOW, account_id=None)) == PaysTooFar(
        "p@1 pays 3 positions and the platform allows 2: a shorter chain reduces risk under 禁止传销条例 Art. 7. "
        "Shorten it, or override this in writing: the reason stays on record.",
        3,
        2,
    )
    for blank in ("", " ", "\u3000", "a\nb", "a\0", "\ud800", "x" * 501):
        refused = await refusal(activate(session, draft.id, now=NOW, account_id=None, override_reason=blank))
        assert isinstance(refused, BadArgument)
    assert await _rows(session) == before
    plan = await activate(session, draft.id, now=NOW, account_id=None, override_reason="试" * 500)
    assert (plan.max_paid_positions, plan.override_reason) == (2, "试" * 500)


async def test_a_reason_where_none_is_needed_is_refused(session: AsyncSession) -> None:
    draft = await saved(session)
    before = await _rows(session)
    refused = await refusal(activate(session, draft.id, now=NOW, account_id=None, override_reason="好"))
    assert isinstance(refused, BadArgument)
    assert await _rows(session) == before


async def test_the_setting_is_what_counts(session: AsyncSession, monkeypatch: pytest.MonkeyPatch) -> None:
    await _catalogue(session)
    monkeypatch.setattr(plans, "settings", lambda: Settings(max_paid_positions=1))
    refused = await refusal(put_in_force(session))
    assert isinstance(refused, PaysTooFar)
    assert (refused.paid_positions, refused.max_paid_positions) == (2, 1)
    monkeypatch.setattr(plans, "settings", lambda: Settings(max_paid_positions=3))
    assert (await put_in_force(session, *TOO_FAR)).max_paid_positions == 3


async def test_the_plan_in_force_ends_where_the_next_begins(session: AsyncSession) -> None:
    first = await put_in_force(session, code="first", start="2026-01-01")
    second = await put_in_force(session, code="second", start=NOW + MINUTE)
    await session.refresh(first)
    assert first.during.upper == second.during.lower == NOW + MINUTE
    assert second.during.upper is None
    for at, expected in ((NOW + MINUTE - timedelta(microseconds=1), "first@1"), (NOW + MINUTE, "second@1")):
        found = await in_force(session, at)
        assert found is not None
        assert found.name == expected


async def test_activation_in_time(session: AsyncSession) -> None:
    """What may take over from what, with a plan in force from 2026-01-01 and one from 2027-01-01 to 2027-02-01."""
    await put_in_force(session, code="first", start="2026-01-01", end="2027-01-01")
    await put_in_force(session, code="second", start="2027-01-01", end="2027-02-01")
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"start": NOW + MINUTE - timedelta(microseconds=1), "end": "2027-01-01"}, "at least 60 seconds from now"),
        ({"start": "2026-06-01", "end": "2026-07-01"}, "at least 60 seconds from now"),
        ({"start": "2026-12-01"}, "second@1 is in force from 2027-01-01 00:00 in Shanghai"),
        ({"start": "2026-12-01", "end": "2027-01-02"}, "second@1 is in force from 2027-01-01 00:00 in Shanghai"),
        ({"start": "2027-01-01"}, "second@1 is in force from 2027-01-01 00:00 in Shanghai"),
        ({"start": "2025-01-01"}, "first@1 is in force from 2026-01-01 00:00 in Shanghai"),
        ({"start": "2026-12-01", "end": "2026-12-02"}, "first@1 would go on after `to`, 2026-12-02 00:00 in Shanghai"),
        ({"start": "2027-01-15", "end": "2027-01-20"}, "second@1 would go on after `to`"),
        ({"start": "2025-01-01", "end": "2026-01-01"}, None),
        ({"start": "2027-02-01"}, None),
    ]
    for number, (span, said) in enumerate(cases):
        draft = await saved(session, code=f"case-{number}", **span)
        before = await _rows(session)
        if said is None:
            await activate(session, draft.id, now=NOW, account_id=None)
        else:
            refused = await refusal(activate(session, draft.id, now=NOW, account_id=None))
            assert isinstance(refused, WrongState)
            assert said in refused.message
            assert await _rows(session) == before
    within = await put_in_force(session, code="within", start="2026-12-01", end="2027-01-01")
    assert within.during.upper == datetime(2026, 12, 31, 16, tzinfo=UTC)
    first = await named(session, "first")
    assert first.plan.during.upper == within.during.lower


async def test_a_passing_plan_and_the_return_of_the_one_before(session: AsyncSession) -> None:
    """December has its own plan: first the old one is activated again from January on, then December's."""
    await put_in_force(session, code="year", start="2026-01-01")
    december = await saved(session, code="december", start="2026-12-01", end="2027-01-01")
    refused = await refusal(activate(session, december.id, now=NOW, account_id=None))
    assert "first activate a version of it from then on" in refused.message
    again = await put_in_force(session, code="year", start="2027-01-01")
    assert again.version == 2
    await activate(session, december.id, now=NOW, account_id=None)
    names = []
    for month in ("2026-11-30T16:00Z", "2026-11-30T15:59Z", "2026-12-31T15:59Z", "2026-12-31T16:00Z"):
        found = await in_force(session, datetime.fromisoformat(month))
        names.append(found and found.name)
    assert names == ["december@1", "year@1", "december@1", "year@2"]


async def test_two_activations_at_once(db: Database) -> None:
    async with db.write() as session:
        await put_in_force(session, code="old", start="2026-01-01")
        drafts = [(await saved(session, code=code)).id for code in ("one", "two")]

    async def attempt(plan_id: int) -> str:
        try:
            async with db.write() as session:
                await activate(session, plan_id, now=NOW, account_id=None)
        except Refused as error:
            return error.refusal.code
        return "done"

    assert sorted(await asyncio.gather(*map(attempt, drafts))) == ["WRONG_STATE", "done"]
    async with db.read() as session:
        rows = [(row["code"], row["state"]) for row in await _rows(session) if "code" in row]
        assert sorted(state for _, state in rows) == ["active", "active", "draft"]


async def test_an_activation_against_who_takes_no_lock(db: Database) -> None:
    """The exclusion constraint decides, and its loser is refused like any other; nothing of it is done."""
    async with db.write() as session:
        old = await put_in_force(session, code="old", start="2026-01-01", end="2026-12-01")
        ours = (await saved(session, code="ours")).id
    async with db.write() as other:
        await factories.a_plan(other, during=Range(datetime(2026, 12, 1, tzinfo=UTC), None))
        async with db.write() as session:
            late = asyncio.create_task(refusal(activate(session, ours, now=NOW, account_id=None)))
            await asyncio.sleep(0.2)
            assert not late.done()
            await other.commit()
            refused = await late
            assert isinstance(refused, WrongState)
            assert refused.message.startswith("Another plan came into force at the same moment")
            await session.rollback()
    async with db.read() as session:
        assert (await session.get_one(models.Plan, ours)).state == "draft"
        assert (await session.get_one(models.Plan, old.id)).during.upper == datetime(2026, 11, 30, 16, tzinfo=UTC)


async def test_past_commissions_stay_as_they_are(session: AsyncSession) -> None:
    owner = await factories.a_distributor(session, parent=await factories.a_distributor(session))
    store = await factories.a_store(session, owner)
    variant = await factories.a_variant(session)
    await put_in_force(session, code="old", start="2026-01-01")

    async def pay(at: datetime) -> list[Any]:
        order = await factories.an_order(session, store, (variant, 2, 4990, 81), placed_at=at)
        await orders.pay(session, [(order.branch_id, order.id, at)], rail="import")
        found = await session.execute(
            text(
                "SELECT p.code, c.position, c.amount FROM commissions c JOIN rules r ON r.id = c.rule_id "
                "JOIN plans p ON p.id = r.plan_id JOIN order_lines l ON l.id = c.line_id AND l.branch_id = c.branch_id "
                "WHERE l.order_id = :order ORDER BY c.position"
            ),
            {"order": order.id},
        )
        return [tuple(row) for row in found]

    assert await pay(NOW) == [("old", 0, 1187), ("old", 1, 296)]
    before = (await session.scalars(text("SELECT to_jsonb(c) FROM commissions c ORDER BY id"))).all()
    await put_in_force(session, "{scheme: fixed, level_amounts: [500, 100]}", code="new", start=NOW + MINUTE)
    assert (await session.scalars(text("SELECT to_jsonb(c) FROM commissions c ORDER BY id"))).all() == before
    assert await pay(NOW + MINUTE - timedelta(seconds=1)) == [("old", 0, 1187), ("old", 1, 296)]
    assert await pay(NOW + MINUTE) == [("new", 0, 1000), ("new", 1, 200)]


async def test_changes_rule_by_rule(session: AsyncSession) -> None:
    await _catalogue(session)
    await put_in_force(
        session,
        "{scheme: levels, level_bps: [1200, 300]}",
        "{category: 猫粮, scheme: spread, depth: 2}",
        "{brand: 绒溪小厨, scheme: fixed, level_amounts: [500]}",
        code="old",
        start="2026-01-01",
    )
    new = await check(
        session,
        a_document(
            "{brand: 绒溪小厨, scheme: fixed, level_amounts: [500]}",
            "{scheme: differential, tier_bps: {tier-1: 9, tier-2: 0}, depth: 2, compress: true}",
            "{brand: 绒溪小厨, sku: x, scheme: levels, level_bps: [7]}".replace("x", (await _sku(session))),
            floor=500,
            end="2027-01-01",
        ),
    )
    changes = await plans.diff_in_force(session, new.document)
    assert changes.against == "old@1"
    assert changes.header == [
        FieldChange("plan", "old", "p"),
        FieldChange("from", "2026-01-01", "2026-12-01"),
        FieldChange("margin_floor_bps", "0", "500"),
        FieldChange("to", None, "2027-01-01"),
    ]
    sku = await _sku(session)
    assert changes.rules == [
        RuleChange(
            "changed",
            "everything",
            [
                FieldChange("scheme", "levels", "differential"),
                FieldChange("level_bps", "[1200, 300]", None),
                FieldChange("tier_bps", None, "{tier-1: 9}"),
                FieldChange("depth", None, "2"),
                FieldChange("compress", None, "true"),
            ],
        ),
        RuleChange(
            "removed", "category 猫粮", [FieldChange("scheme", "spread", None), FieldChange("depth", "2", None)]
        ),
        RuleChange(
            "added",
            f"brand 绒溪小厨, sku {sku}",
            [
                FieldChange("scheme", None, "levels"),
                FieldChange("base", None, "paid"),
                FieldChange("level_bps", None, "[7]"),
            ],
        ),
    ]
    assert str(changes) == (
        "  plan: old -> p\n  from: 2026-01-01 -> 2026-12-01\n  margin_floor_bps: 0 -> 500\n  to: 2027-01-01\n"
        "~ everything\n    scheme: levels -> differential\n    level_bps: [1200, 300] -> nothing\n"
        "    tier_bps: {tier-1: 9}\n    depth: 2\n    compress: true\n"
        f"- category 猫粮\n+ brand 绒溪小厨, sku {sku}\n    scheme: levels\n    base: paid\n    level_bps: [7]"
    )
    stored = await named(session, "old@1")
    assert not diff(stored, stored.document)
    assert diff(None, parse(a_document())).against is None


async def _sku(session: AsyncSession) -> str:
    return (await session.scalars(select(models.Variant.sku))).one()


async def test_plans_by_name(session: AsyncSession) -> None:
    await saved(session, code="a")
    await saved(session, code="a", floor=1)
    await saved(session, code='"a@2"', floor=7)
    await saved(session, code='"a@9"', floor=8)
    names = {name: (await named(session, name)).plan.margin_floor_bps for name in ("a", "a@1", "a@2", "a@9", "a@2@1")}
    assert names == {"a": 1, "a@1": 0, "a@2": 1, "a@9": 8, "a@2@1": 7}
    for name in ("b", "a@3", "a@", "@1", "a@" + "9" * 30, "a\0", ""):
        assert isinstance(await refusal(named(session, name)), NotFound)


RULES = st.lists(
    st.one_of(
        st.builds(lambda bps: {"scheme": "levels", "level_bps": [*bps, 1]}, st.lists(st.integers(0, 3000), max_size=2)),
        st.builds(lambda sums: {"scheme": "fixed", "level_amounts": [*sums, 1]}, st.lists(st.integers(0, 10**12), max_size=2)),
        st.builds(
            lambda bps, same, depth: {"scheme": "differential", "tier_bps": [*bps, 1], "same_tier_bps": same, "depth": depth},
            st.lists(st.integers(0, 10_000), max_size=2), st.integers(0, 10_000), st.integers(1, 100),
        ),
        st.builds(lambda depth: {"scheme": "spread", "depth": depth}, st.integers(1, 100)),
    ).flatmap(lambda rule: st.fixed_dictionaries({
        **{name: st.just(value) for name, value in rule.items()},
        "base": st.sampled_from(["paid", "margin"] if rule["scheme"] in {"levels", "differential"} else ["paid"]),
        "compress": st.booleans(),
    })),
    max_size=5,
)  # fmt: skip
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone


@given(RULES, MOMENTS, st.integers(0, 10**9), st.integers(0, 10_000))
async def test_a_stored_plan_written_and_saved_again_is_the_same_version(
    session: AsyncSession, rules: list[dict[str, Any]], start: datetime, length: int, floor: int
) -> None:
    async with session.begin_nested() as savepoint:
        variant = await _catalogue(session)
        scopes: list[dict[str, Any]] = [
            *({}, {"category": "猫粮"}, {"brand_id": variant.brand_id}),
            *({"product_id": variant.product_id}, {"variant_id": variant.id}),
        ]
        during = Range(start, start + timedelta(seconds=length) if length else None)
        scoped = [{**scope, **rule} for scope, rule in zip(scopes, rules, strict=False)]
        plan = await factories.a_plan(session, *scoped, margin_floor_bps=floor, state="draft", during=during)
        before = await _rows(session)
        stored = await named(session, plan.code)
        again = await check(session, write(stored.document))
        assert again.document == stored.document
        assert (await save(session, again, now=NOW)).id == plan.id
        assert await _rows(session) == before
        # What the database keeps of the document is what it kept of the plan.
        copy = PlanDocument(
            "copy", *(getattr(stored.document, name) for name in ("start", "end", "margin_floor_bps", "rules"))
        )
        made = await save(session, await plans.resolve(session, copy), now=NOW)
        told = text("SELECT to_jsonb(r) - 'id' - 'plan_id' FROM rules r WHERE plan_id = :plan ORDER BY id")
        kept = [(await session.scalars(told, {"plan": one.id})).all() for one in (plan, made)]
        assert kept[0] == kept[1]
        assert made.paid_positions == plan.paid_positions
        await savepoint.rollback()
