"""The oracle against every worked number of the commission rules, and against some worked by hand."""

from collections.abc import Hashable, Sequence
from dataclasses import replace

import pytest

from tests.properties.oracle import (
    Line,
    LineState,
    Member,
    Plan,
    Refund,
    Rule,
    Scope,
    Share,
    applicable,
    available,
    shares,
)

# 2 x 4990 - 81 = 9899 paid, 5200 supply, 4699 margin.
LINE = Line(
    variant="V",
    product="P",
    category="C",
    brand="B",
    quantity=2,
    unit_price=4990,
    discount=81,
    supply_price=2600,
    tier_costs={"district": 4200, "city": 3900, "province": 3500},
)
TIER_BPS: dict[Hashable, int] = {"a": 800, "b": 1200, "c": 1500}


def chain(*tiers: str, blocked: Sequence[int] = (), state: str = "suspended") -> list[Member]:
    return [Member(f"m{k}", tier, state if k in blocked else "active") for k, tier in enumerate(tiers)]


def levels(*bps: int, margin: bool = False, compress: bool = False) -> Rule:
    return Rule("everything", None, "levels", "margin" if margin else "paid", level_bps=bps, compress=compress)


def fixed(*amounts: int, compress: bool = False) -> Rule:
    return Rule("everything", None, "fixed", "paid", level_amounts=amounts, compress=compress)


def differential(depth: int, *, same_tier_bps: int = 50, compress: bool = False, margin: bool = False) -> Rule:
    return Rule(
        "everything",
        None,
        "differential",
        "margin" if margin else "paid",
        tier_bps=TIER_BPS,
        same_tier_bps=same_tier_bps,
        depth=depth,
        compress=compress,
    )


def spread(depth: int = 3, *, compress: bool = False) -> Rule:
    return Rule("everything", None, "spread", "paid", depth=depth, compress=compress)


def run(rule: Rule, upline: Sequence[Member], line: Line = LINE, floor: int = 0) -> list[Share]:
    return shares(Plan((rule,), floor), upline, line)


def amounts(rows: Sequence[Share]) -> list[int]:
    return [row.amount for row in rows]


def platform(rows: Sequence[Share], line: Line = LINE) -> int:
    return LineState.start(line, rows).platform


def test_the_line_of_the_worked_example() -> None:
    assert (LINE.paid, LINE.supply) == (9899, 5200)
    assert run(levels(1, margin=True), chain("a"))[0].base_amount == 4699


# Worked numbers of the rules

DISTRICT_UP = ("district", "city", "province")


@pytest.mark.parametrize(
    ("rule", "upline", "expected", "kept"),
    [
        (levels(1200, 300), chain("a", "a"), [1187, 296], 3216),
        (levels(1200, 300, margin=True), chain("a", "a"), [563, 140], 3996),
        (differential(4), chain("a", "b", "b", "c"), [791, 395, 49, 296], 3168),
        (spread(), chain(*DISTRICT_UP), [1499, 600, 800], 1800),
        # With somebody blocked.
        (levels(1200, 300, 100), chain("a", "a", "a", blocked=[1]), [1187, 0, 98], 3414),
        (levels(1200, 300, 100, compress=True), chain("a", "a", "a", blocked=[1]), [1187, 296], 3216),
        (spread(), chain(*DISTRICT_UP, blocked=[1]), [1499, 0, 800], 2400),
        (spread(compress=True), chain(*DISTRICT_UP, blocked=[1]), [1499, 1400], 1800),
        # The bonus of the same tier.
        (differential(4), chain("a", "a", "b", "b"), [791, 49, 395, 0], 3464),
        (differential(3), chain("b", "a", "b"), [1187, 0, 49], 3463),
        # A cost that is not known.
        (spread(), chain("district", "unknown", "province"), [1499, 0, 1400], 1800),
    ],
)
def test_shares(rule: Rule, upline: list[Member], expected: list[int], kept: int) -> None:
    rows = run(rule, upline)
    assert amounts(rows) == expected
    assert platform(rows) == kept
    assert [row.position for row in rows] == list(range(len(expected)))


def test_spread_below_the_sellers_cost() -> None:
    line = replace(LINE, discount=1980)
    rows = run(spread(), chain(*DISTRICT_UP), line)
    assert line.paid == 8000
    assert amounts(rows) == [0, 600, 800]
    assert [row.outcome for row in rows] == ["zero", "earned", "earned"]
    assert platform(rows, line) == 1400


def test_what_a_differential_row_says() -> None:
    rows = run(differential(4), chain("a", "b", "b", "c"))
    assert [row.rate_bps for row in rows] == [800, 400, 50, 300]
    assert {row.base_amount for row in rows} == {9899}


@pytest.mark.parametrize(
    ("share", "refunds", "taken"),
    [(0, [3300, 3300, 3299], [395, 396, 396]), (1, [3300, 3300, 3299], [98, 99, 99])],
)
def test_clawbacks_of_the_first_levels_row(share: int, refunds: list[int], taken: list[int]) -> None:
    rows = run(levels(1200, 300), chain("a", "a"))
    state = LineState.start(LINE, rows)
    assert [state.refund(Refund(amount=amount)).clawed[share] for amount in refunds] == taken
    assert sum(taken) == rows[share].amount
    assert state.net_shares == [0, 0]
    assert (state.supply, state.platform) == (5200, -5200)


def test_floor_of_4000() -> None:
    rows = run(levels(1200, 300), chain("a", "a"), floor=4000)
    assert available(LINE, 4000) == 739
    assert amounts(rows) == [591, 147]
    assert [row.uncapped for row in rows] == [1187, 296]
    assert [row.outcome for row in rows] == ["capped", "capped"]
    state = LineState.start(LINE, rows)
    assert state.platform == 3961
    assert state.refund(Refund(amount=3300)).clawed[0] == 197
    assert state.refund(Refund()).clawed[0] == 394


@pytest.mark.parametrize(("before", "expected"), [(None, [4949, 4950]), (1000, [4949, 3950])])
def test_units_one_by_one(before: int | None, expected: list[int]) -> None:
    state = LineState.start(LINE, run(levels(1200, 300), chain("a", "a")))
    if before is not None:
        state.refund(Refund(amount=before))
    assert [state.refund(Refund(quantity=1)).amount for _ in range(2)] == expected
    assert (state.left, state.units, state.net_shares) == (0, 2, [0, 0])


# Which rule

PRECEDENCE: list[tuple[list[tuple[Scope, str | None]], int | None]] = [
    ([], None),
    ([("variant", "other"), ("product", "other"), ("category", "other"), ("brand", "other")], None),
    ([("everything", None)], 0),
    ([("everything", None), ("everything", None)], 1),
    ([("brand", "B"), ("everything", None)], 0),
    ([("everything", None), ("category", "C"), ("brand", "B")], 1),
    ([("product", "P"), ("category", "C"), ("brand", "B")], 0),
    ([("brand", "B"), ("variant", "V"), ("product", "P")], 1),
    ([("variant", "V"), ("variant", "other"), ("variant", "V"), ("product", "P")], 2),
    ([("product", "V"), ("category", "P"), ("brand", "C"), ("variant", "B")], None),
]


@pytest.mark.parametrize(("named", "expected"), PRECEDENCE)
def test_precedence(named: list[tuple[Scope, str | None]], expected: int | None) -> None:
    plan = Plan(tuple(replace(levels(100), scope=scope, target=target) for scope, target in named))
    assert applicable(plan, LINE) == expected
    assert [row.rule for row in shares(plan, chain("a"), LINE)] == ([] if expected is None else [expected])


def test_a_line_without_a_category_is_in_none() -> None:
    plan = Plan((replace(levels(100), scope="category", target=None),))
    assert applicable(plan, replace(LINE, category=None)) is None


def test_a_rule_of_zero_rates_stops_the_search() -> None:
    plan = Plan((levels(1200), replace(levels(0, 0), scope="variant", target="V")))
    assert applicable(plan, LINE) == 1
    assert shares(plan, chain("a", "a"), LINE) == []


def test_no_plan_all_to_the_platform() -> None:
    assert shares(None, chain("a"), LINE) == []
    assert platform([]) == 4699


# How far


@pytest.mark.parametrize(
    ("rule", "positions"),
    [
        (levels(0, 300, 0, 0), 2),
        (levels(0, 0), 0),
        (fixed(0, 0, 5, 0), 3),
        (levels(1, 1, 1, 1, 1, 1), 4),
        (differential(2), 2),
        (differential(0), 0),
        (spread(9), 4),
        (replace(levels(100), depth=3), 1),
    ],
)
def test_depth(rule: Rule, positions: int) -> None:
    assert len(run(rule, chain("a", "a", "a", "a"))) == positions


def test_a_zero_has_its_row() -> None:
    rows = run(levels(0, 300), chain("a", "b"))
    assert rows == [
        Share(0, "m0", "a", 0, 9899, 0, 0, 0, "zero"),
        Share(1, "m1", "b", 0, 9899, 300, 296, 296, "earned"),
    ]


# Blocked and compressed


@pytest.mark.parametrize(
    ("state", "earns"),
    [("active", True), ("watch", True), ("suspended", False), ("eliminated", False), ("applied", False)],
)
def test_who_earns(state: str, earns: bool) -> None:  # noqa: FBT001
    upline = chain("a", "a", blocked=[1], state=state)
    row = run(levels(1200, 300), upline)[1]
    assert (row.uncapped, row.amount, row.outcome) == ((296, 296, "earned") if earns else (296, 0, "blocked"))
    assert len(run(levels(1200, 300, compress=True), upline)) == (2 if earns else 1)


@pytest.mark.parametrize(
    ("rule", "upline", "expected", "uncapped", "names"),
    [
        # Not compressed: cut to 2, and the second is blocked. Compressed: dropped first, then cut.
        (differential(2), chain("a", "b", "c", blocked=[1]), [791, 0], [791, 395], ["m0", "m1"]),
        (differential(2, compress=True), chain("a", "b", "c", blocked=[1]), [791, 692], [791, 692], ["m0", "m2"]),
        # A blocked one counts in the running maximum: 1500 - 1200, not 1500 - 800.
        (differential(3), chain("a", "b", "c", blocked=[1]), [791, 0, 296], [791, 395, 296], ["m0", "m1", "m2"]),
        # A blocked one uses up the bonus.
        (differential(3), chain("b", "b", "b", blocked=[1]), [1187, 0, 0], [1187, 49, 0], ["m0", "m1", "m2"]),
        (differential(3, compress=True), chain("b", "b", "b", blocked=[1]), [1187, 49], [1187, 49], ["m0", "m2"]),
        # The seller is never dropped.
        (levels(1200, 300, compress=True), chain("a", "a", blocked=[0]), [0, 296], [1187, 296], ["m0", "m1"]),
        (
            levels(1200, 300, compress=True),
            chain("a", "a", "a", "a", blocked=[0, 1, 2]),
            [0, 296],
            [1187, 296],
            ["m0", "m3"],
        ),
        # A blocked seller's rate and cost count all the same.
        (differential(2), chain("a", "b", blocked=[0]), [0, 395], [791, 395], ["m0", "m1"]),
        (spread(), chain(*DISTRICT_UP, blocked=[0]), [0, 600, 800], [1499, 600, 800], ["m0", "m1", "m2"]),
        # A blocked zero is blocked.
        (spread(), chain("city", "district", blocked=[1]), [2099, 0], [2099, 0], ["m0", "m1"]),
    ],
)
def test_blocked(rule: Rule, upline: list[Member], expected: list[int], uncapped: list[int], names: list[str]) -> None:
    rows = run(rule, upline)
    assert amounts(rows) == expected
    assert [row.uncapped for row in rows] == uncapped
    assert [row.name for row in rows] == names
    blocked = {member.name for member in upline if member.state == "suspended"}
    assert {row.name for row in rows if row.outcome == "blocked"} == blocked & set(names)


# Differential and spread at their edges


@pytest.mark.parametrize(
    ("rule", "tiers", "expected"),
    [
        # A tier that is not named has rate 0, and 0 equal to 0 is no bonus.
        (differential(3), ("x", "x", "a"), [0, 0, 800]),
        (differential(4), ("x", "a", "x", "a"), [0, 800, 0, 50]),
        # Once a line, though the maximum goes on rising.
        (differential(5), ("a", "b", "b", "c", "c"), [800, 400, 50, 300, 0]),
        # The bonus is not added to the maximum.
        (differential(4), ("a", "a", "b", "c"), [800, 50, 400, 300]),
        # Lower than the highest below: nothing, and no bonus for being equal to a lower one.
        (differential(4), ("a", "c", "a", "b"), [800, 700, 0, 0]),
        (differential(2, same_tier_bps=0), ("a", "a"), [800, 0]),
        # Beyond the depth there is nothing.
        (differential(1), ("a", "a"), [800]),
    ],
)
def test_differential_rates(rule: Rule, tiers: tuple[str, ...], expected: list[int]) -> None:
    rows = run(rule, chain(*tiers))
    assert [row.rate_bps for row in rows] == expected
    assert amounts(rows) == [9899 * rate // 10000 for rate in expected]


def test_differential_on_the_margin() -> None:
    # 4699 * 8 %, 4 %, 0.5 % = 375.92, 187.96, 23.495.
    rows = run(differential(3, margin=True), chain("a", "b", "b"))
    assert amounts(rows) == [375, 187, 23]
    assert {row.base_amount for row in rows} == {4699}


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        # Nothing known below: 0, and from there on it is known.
        (("unknown", "city", "province"), [0, 0, 800]),
        (("unknown", "unknown", "province"), [0, 0, 0]),
        (("district", "unknown", "unknown"), [1499, 0, 0]),
        # A dearer tier above earns nothing and leaves the minimum where it was.
        (("city", "district", "province"), [2099, 0, 800]),
        (("city", "city", "province"), [2099, 0, 800]),
    ],
)
def test_spread_steps(tiers: tuple[str, ...], expected: list[int]) -> None:
    rows = run(spread(), chain(*tiers))
    assert amounts(rows) == expected
    assert {(row.base_amount, row.rate_bps) for row in rows} == {(None, None)}


def test_fixed_is_for_each_unit() -> None:
    rows = run(fixed(500, 150), chain("a", "a"))
    assert amounts(rows) == [1000, 300]
    assert {(row.base_amount, row.rate_bps) for row in rows} == {(None, None)}
    assert platform(rows) == 3399


def test_margin_is_never_negative() -> None:
    line = replace(LINE, discount=5000)  # 4980 paid, 5200 supply
    rows = run(levels(1200, 300, margin=True), chain("a", "a"), line)
    assert [(row.base_amount, row.amount, row.outcome) for row in rows] == [(0, 0, "zero"), (0, 0, "zero")]
    assert platform(rows, line) == -220


# The floor


@pytest.mark.parametrize(
    ("floor", "expected"),
    [
        (0, 4699),
        (1, 4698),  # 0.9899 is rounded up to 1
        (100, 4600),  # 98.99 is rounded up to 99
        (4000, 739),  # 3959.6 is rounded up to 3960
        (4745, 1),  # 4697.0755 is rounded up to 4698
        (4746, 0),  # 4698.0654 is rounded up to 4699
        (5000, 0),
        (10000, 0),
    ],
)
def test_available(floor: int, expected: int) -> None:
    assert available(LINE, floor) == expected


def test_available_when_the_floor_is_whole() -> None:
    assert available(replace(LINE, discount=80), 2500) == 9900 - 5200 - 2475


FIXED_CAPS: list[tuple[tuple[int, ...], list[int], list[int], list[str], int]] = [
    # 8000 would be paid of 4699: 4000 * 4699 / 8000 = 2349.5.
    ((2000, 2000), [], [2349, 2349], ["capped", "capped"], 1),
    # Only one of them counts, and fits.
    ((2000, 2000), [1], [4000, 0], ["earned", "blocked"], 699),
    # 5000 of 4699 though 2000 are blocked: 2819.4 and 1879.6.
    ((1500, 1000, 1000), [1], [2819, 0, 1879], ["capped", "blocked", "capped"], 1),
    # A zero in a scaled line is a zero.
    ((5000, 0, 1), [], [4698, 0, 0], ["capped", "zero", "capped"], 1),
    # Blocked ones alone scale nothing.
    ((9000, 9000), [0, 1], [0, 0], ["blocked", "blocked"], 4699),
]


@pytest.mark.parametrize(("units", "blocked", "expected", "outcomes", "kept"), FIXED_CAPS)
def test_capping(
    units: tuple[int, ...], blocked: list[int], expected: list[int], outcomes: list[str], kept: int
) -> None:
    rows = run(fixed(*units), chain("a", "a", "a", blocked=blocked))
    assert amounts(rows) == expected
    assert [row.outcome for row in rows] == outcomes
    assert [row.uncapped for row in rows] == [2 * unit for unit in units]
    assert platform(rows) == kept


def test_exactly_what_is_available_is_not_capped() -> None:
    line = replace(LINE, discount=80)  # 9900 paid, 4700 left
    assert [(row.amount, row.outcome) for row in run(fixed(2350), chain("a"), line)] == [(4700, "earned")]
    assert [(row.amount, row.outcome) for row in run(fixed(2351), chain("a"), line)] == [(4700, "capped")]


def test_nothing_available() -> None:
    line = replace(LINE, discount=5000)
    rows = run(levels(1200), chain("a"), line)
    assert [(row.uncapped, row.amount, row.outcome) for row in rows] == [(597, 0, "capped")]
    assert platform(rows, line) == -220
