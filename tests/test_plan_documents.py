"""Plan documents: what they may say, what is wrong with them, and that they come back as they went."""

import json
import re
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from s2b2c.commissions import reading
from s2b2c.commissions.documents import PlanDocument, RuleDocument, Scope, parse, write
from s2b2c.config import CHECKOUT
from s2b2c.errors import InvalidPlan, Refused

WHOLE = """
plan: standard            # the code
from: 2026-12-01
to: 2027-01-01
margin_floor_bps: 1500
rules:
  - scheme: levels
    level_bps: [1200, 0, 300, 0, 0]
  - category: 猫粮
    scheme: levels
    base: margin
    level_bps: [0]
  - {brand: 绒溪小厨, scheme: fixed, level_amounts: [500, 100]}
  - {brand: 绒溪小厨, product_code: RX01, scheme: spread, depth: 3, compress: true}
  - brand: 绒溪小厨
    sku: "012"
    scheme: differential
    base: margin
    tier_bps: {province: 1500, city: 1200, district: 800}
    same_tier_bps: 50
    depth: 4
"""
RULES = [
    RuleDocument(Scope(), "levels", 3, level_bps=[1200, 0, 300]),
    RuleDocument(Scope(category="猫粮"), "levels", 0, base="margin"),
    RuleDocument(Scope(brand="绒溪小厨"), "fixed", 2, level_amounts=[500, 100]),
    RuleDocument(Scope(brand="绒溪小厨", product_code="RX01"), "spread", 3, compress=True),
    RuleDocument(
        Scope(brand="绒溪小厨", sku="012"),
        "differential",
        4,
        base="margin",
        tier_bps={"province": 1500, "city": 1200, "district": 800},
        same_tier_bps=50,
    ),
]
PLAN = PlanDocument(
    "standard", datetime(2026, 11, 30, 16, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC), 1500, RULES
)


def problems(text: str) -> list[str]:
    """What is wrong with a document, as the command line tells it."""
    with pytest.raises(Refused) as refused:
        parse(text)
    assert isinstance(refused.value.refusal, InvalidPlan)
    return [str(problem) for problem in refused.value.refusal.problems]


def a_plan(rule: str) -> str:
    return f"plan: p\nfrom: 2026-12-01\nrules:\n  - {rule}\n"


def test_every_scheme_and_scope() -> None:
    assert parse(WHOLE) == PLAN


def test_the_plan_in_the_readme() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (CHECKOUT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert [rule.scheme for rule in parse(shown).rules] == ["levels", "differential"]


def test_json_says_the_same() -> None:
    raw = yaml.safe_load(WHOLE)
    for indent in (None, 2):
        assert parse("\ufeff \n" + json.dumps(raw, default=str, indent=indent, ensure_ascii=indent is None)) == PLAN


def test_what_is_written_reads_the_same() -> None:
    assert write(PLAN) == (
        "plan: standard\nfrom: 2026-12-01\nto: 2027-01-01\nmargin_floor_bps: 1500\nrules:\n"
        "  - scheme: levels\n    base: paid\n    level_bps: [1200, 0, 300]\n"
        "  - category: 猫粮\n    scheme: levels\n    base: margin\n    level_bps: []\n"
        "  - brand: 绒溪小厨\n    scheme: fixed\n    level_amounts: [500, 100]\n"
        "  - brand: 绒溪小厨\n    product_code: RX01\n    scheme: spread\n    depth: 3\n    compress: true\n"
        '  - brand: 绒溪小厨\n    sku: "012"\n    scheme: differential\n    base: margin\n'
        "    tier_bps: {province: 1500, city: 1200, district: 800}\n    same_tier_bps: 50\n    depth: 4\n"
    )
    assert parse(write(PLAN)) == PLAN


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-12-01", datetime(2026, 11, 30, 16, tzinfo=UTC)),
        ('"2026-12-01"', datetime(2026, 11, 30, 16, tzinfo=UTC)),
        ("2026-12-01T08:00:00+08:00", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-12-01 08:00+08:00", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-12-01T08:00:00.25Z", datetime(2026, 12, 1, 8, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_day_of_shanghai_or_a_time_with_its_zone(written: str, expected: datetime) -> None:
    plan = parse(f"plan: p\nfrom: {written}\nrules: []")
    assert plan.start == expected
    assert parse(write(plan)).start == expected


DAY = "must be a day like 2026-12-01 (in Shanghai) or a time with its zone like 2026-12-01T08:00:00+08:00, from the year 2000 to 2999"


@pytest.mark.parametrize(
    "written",
    ["2026-12-01T08:00:00", "2026-13-01", "2026-W49-2", "20261201", "1999-12-31", "3000-01-01", "", "7", "[]", "true"],
)
def test_what_is_no_time(written: str) -> None:
    assert problems(f"plan: p\nfrom: {written}\nrules: []") == [f"from: {DAY}"]
    assert problems(f"plan: p\nfrom: 2026-12-01\nto: {written}\nrules: []") == [f"to: {DAY}"]


BPS = "must be a whole number from 0 to 10000"
CODE = "must be text of 1 to 64 characters on one line"
NAME = "must be text of 1 to 200 characters on one line"
KEYS = "category, brand, product_code, sku, compress, scheme"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("7", "rules[0]: must be a mapping"),
        ("{}", "rules[0].scheme: is missing; it is one of levels, fixed, differential, spread"),
        ("{scheme: level}", "rules[0].scheme: must be one of levels, fixed, differential, spread"),
        ("{scheme: [levels]}", "rules[0].scheme: must be one of levels, fixed, differential, spread"),
        ("{scheme: levels}", "rules[0].level_bps: is missing"),
        ("{scheme: levels, level_bps: 1200}", "rules[0].level_bps: must be a list of at most 100 basis points"),
        (f"{{scheme: levels, level_bps: {[0] * 101}}}", "rules[0].level_bps: must be a list of at most 100 basis points"),
        ("{scheme: levels, level_bps: [1, 10001]}", f"rules[0].level_bps[1]: {BPS}"),
        ("{scheme: levels, level_bps: [-1]}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: [12.0]}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: [1e3]}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: [.inf]}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: ['12']}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: [true]}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: [~]}", f"rules[0].level_bps[0]: {BPS}"),
        (f"{{scheme: levels, level_bps: [{'9' * 5000}]}}", f"rules[0].level_bps[0]: {BPS}"),
        ("{scheme: levels, level_bps: [9000, 1001]}", "rules[0].level_bps: adds up to 10001, more than 10000 basis points"),
        ("{scheme: levels, level_bps: [1], base: Paid}", "rules[0].base: must be paid or margin"),
        ("{scheme: levels, level_bps: [1], base: []}", "rules[0].base: must be paid or margin"),
        ("{scheme: levels, level_bps: [1], compress: 1}", "rules[0].compress: must be true or false"),
        ("{scheme: levels, level_bps: [1], compress: yes}", "rules[0].compress: must be true or false"),
        (
            "{scheme: levels, level_bps: [1], depth: 3}",
            f"rules[0].depth: is no key of a rule of the scheme levels, which has {KEYS}, base, level_bps",
        ),
        (
            "{scheme: fixed, level_amounts: [1], base: paid}",
            f"rules[0].base: is no key of a rule of the scheme fixed, which has {KEYS}, level_amounts",
        ),
        (
            "{scheme: fixed, level_amounts: [1000000000001]}",
            "rules[0].level_amounts[0]: must be a whole number from 0 to 1000000000000",
        ),
        ("{scheme: fixed, level_amounts: {}}", "rules[0].level_amounts: must be a list of at most 100 amounts in fen"),
        ("{scheme: spread, depth: 0}", "rules[0].depth: must be a whole number from 1 to 100"),
        ("{scheme: spread, depth: 101}", "rules[0].depth: must be a whole number from 1 to 100"),
        ("{scheme: differential, tier_bps: {city: 10001}, depth: 1}", f"rules[0].tier_bps.city: {BPS}"),
        ("{scheme: differential, tier_bps: {'': 1}, depth: 1}", f"rules[0].tier_bps.'': {CODE}"),
        (
            "{scheme: differential, tier_bps: {1: 1}, depth: 1}",
            "rules[0].tier_bps: has the key 1: put keys that look like numbers in quotes",
        ),
        (
            "{scheme: differential, tier_bps: [1], depth: 1}",
            "rules[0].tier_bps: must be a mapping of tier codes to basis points, like {province: 1500, city: 1200}",
        ),
        ("{scheme: differential, tier_bps: {}, same_tier_bps: 10001, depth: 1}", f"rules[0].same_tier_bps: {BPS}"),
        ("{scheme: differential, depth: 1}", "rules[0].tier_bps: is missing"),
        ("{scheme: spread, depth: 1, brand: 12}", "rules[0].brand: must be text: put it in quotes"),
        ("{scheme: spread, depth: 1, brand: b, sku: 012}", "rules[0].sku: must be text: put it in quotes"),
        ("{scheme: spread, depth: 1, brand: }", f"rules[0].brand: {NAME}"),
        ("{scheme: spread, depth: 1, category: ' '}", f"rules[0].category: {NAME}"),
        (f"{{scheme: spread, depth: 1, category: {'x' * 201}}}", f"rules[0].category: {NAME}"),
        ('{scheme: spread, depth: 1, category: "a\\nb"}', f"rules[0].category: {NAME}"),
        ('{scheme: spread, depth: 1, brand: b, sku: "a\\0"}', f"rules[0].sku: {CODE}"),
        ("{scheme: spread, depth: 1, brand: b, category: c}", "rules[0]: is for a category or for a brand, not for both"),
        (
            "{scheme: spread, depth: 1, brand: b, product_code: c, sku: d}",
            "rules[0]: is for a product (product_code) or for a variant (sku), not for both",
        ),
        ("{scheme: spread, depth: 1, sku: d}", "rules[0]: names a product_code or sku but not its brand"),
        ("{scheme: spread, depth: 1, depth: 2}", "rules[0].depth: stands here twice"),
        ("{scheme: spread, depth: 1, <<: {brand: b}}", f"rules[0].<<: is no key of a rule of the scheme spread, which has {KEYS}, depth"),
    ],
)  # fmt: skip
def test_what_a_rule_may_not_say(rule: str, said: str) -> None:
    assert problems(a_plan(rule)) == [said]


def test_every_problem_is_told_in_the_order_of_the_document() -> None:
    assert problems(
        """
        rules:
          - scheme: differential
            depth: 0
            tier_bps: {city: 1.5, province: -1}
            same_tier_bps: "1"
          - scheme: levels
            sku: x
          - scheme: spread
        plan: 7
        margin_floor_bps: 10001
        plan: 8
        wrong: 1
        """
    ) == [
        "rules[0].depth: must be a whole number from 1 to 100",
        f"rules[0].tier_bps.city: {BPS}",
        f"rules[0].tier_bps.province: {BPS}",
        f"rules[0].same_tier_bps: {BPS}",
        "rules[1]: names a product_code or sku but not its brand",
        "rules[1].level_bps: is missing",
        "rules[2].depth: is missing",
        "plan: must be text: put it in quotes",
        "plan: stands here twice",
        f"margin_floor_bps: {BPS}",
        "wrong: is no key of a plan, which has plan, from, to, margin_floor_bps, rules",
        "from: is missing",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the document is empty"),
        ("# nothing\n", "the document is empty"),
        ("[]", "the document must be a mapping with the keys plan, from and rules"),
        ("plan", "the document must be a mapping with the keys plan, from and rules"),
        ("plan: &a [*a]", "line 1, column 7: anchors (&) and aliases (*) are not read; write it out"),
        ("plan: *a", "line 1, column 7: anchors (&) and aliases (*) are not read; write it out"),
        ("plan: !!int 3", "line 1, column 7: tags like tag:yaml.org,2002:int are not read"),
        ("plan: a\n---\nplan: b", "line 2, column 1: a second document begins; a file holds one plan"),
        ("plan: [", "line "),
        ("plan: 'a", "line "),
        ("[" * 100_000, "line 1, column 7: lists and mappings stand in one another, more than 6 deep"),
        ('{"a": ' * 40_000, "lists and mappings stand in one another, more than 6 deep"),
        ('{"a": ' * 7 + "1" + "}" * 7, "a.a.a.a.a.a: lists and mappings stand in one another, more than 6 deep"),
        ('{"plan": 1,}', "line 1, column 1"),
        ("{plan: 1}", "line 1, column 2: is no JSON: Expecting property name enclosed in double quotes"),
        ('{"plan": "\\ud800"}', "plan: holds half of a letter, which no text may hold"),
        ('{"\\ud800": 1}', "holds half of a letter, which no text may hold"),
        ("plan: \ud800", "the document is no YAML: it holds letters that no text may hold"),
        ("x" * (256 * 1024 + 1), "the document is longer than 256 KiB"),
        ("猫" * 100_000, "the document is longer than 256 KiB"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    (told,) = problems(text)
    assert told.startswith(said)
    assert "is no YAML: " in told or said != "line "


def test_a_billion_laughs_are_none() -> None:
    laughs = "a: &a [ha]\n" + "\n".join(f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert problems(laughs) == ["line 1, column 4: anchors (&) and aliases (*) are not read; write it out"]


def test_odd_keys_are_shown_so_that_every_terminal_can() -> None:
    told = problems('plan: p\nfrom: 2026-12-01\nrules: []\n"a\\nb": 1\n? [x]\n: 2\n' + "k" * 300 + ": 3\n")
    assert [text.partition(":")[0] for text in told] == [
        "has the key ['x']",
        r"'a\nb'",
        "k" * 60 + "…",
    ]


def _fuzzed() -> st.SearchStrategy[str]:
    """Text, and documents that are nearly right: a part of a good one replaced, cut or doubled."""
    pieces = st.sampled_from(
        [
            *WHOLE.split(),
            *"&*!{}[],:#|>-?%@`'\"\n\t",
            "!!binary",
            "---",
            "...",
            "1e999",
            "\\ud800",
            "\x00",
            "\ud800",
            "9" * 50,
        ]
    )
    cuts = st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), st.lists(pieces, max_size=3).map(" ".join))
    bent = st.lists(cuts, min_size=1, max_size=3)

    def bend(changes: list[tuple[int, int, str]]) -> str:
        text = WHOLE
        for place, length, more in changes:
            text = text[:place] + more + text[place + length :]
        return text

    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WHOLE.split()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.sampled_from(
            ["plan", "from", "to", "rules", "scheme", "tier_bps", "level_bps", "depth", "brand"]), inner, max_size=4),
    )  # fmt: skip
    raw = st.dictionaries(st.sampled_from(["plan", "from", "to", "rules", "x"]), values)
    return st.text() | bent.map(bend) | raw.map(json.dumps)


@given(_fuzzed())
def test_any_text_is_a_document_or_refused(text: str) -> None:
    """With either of PyYAML's two parsers: not every machine has the fast one."""
    for loader in {yaml.SafeLoader, reading._LOADER}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "_LOADER", loader)
            try:
                plan: PlanDocument | None = parse(text)
            except Refused as error:
                plan, refusal = None, error.refusal
                assert isinstance(refusal, InvalidPlan)
                assert all(str(problem).encode() for problem in refusal.problems)
                assert refusal.problems
            assert plan is None or parse(write(plan)) == plan


BPS_ = st.integers(0, 10_000)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: not text.isspace()
)
SCOPES = st.one_of(
    st.just(Scope()),
    NAMES.map(lambda category: Scope(category=category)),
    NAMES.map(lambda brand: Scope(brand=brand)),
    st.tuples(NAMES, NAMES).map(lambda names: Scope(brand=names[0], product_code=names[1])),
    st.tuples(NAMES, NAMES).map(lambda names: Scope(brand=names[0], sku=names[1])),
)
LISTS = st.lists(st.integers(0, 3333), max_size=2).map(lambda numbers: [*numbers, 1])
BASES = st.sampled_from(["paid", "margin"])
TIERS = st.dictionaries(NAMES, st.integers(1, 10_000), max_size=4)
DOCUMENT_RULES = st.one_of(
    st.builds(lambda scope, base, bps, c: RuleDocument(scope, "levels", len(bps), base=base, level_bps=bps, compress=c), SCOPES, BASES, LISTS, st.booleans()),
    st.builds(lambda scope, sums, c: RuleDocument(scope, "fixed", len(sums), level_amounts=sums, compress=c), SCOPES, LISTS, st.booleans()),
    st.builds(lambda scope, base, tiers, bps, depth, c: RuleDocument(scope, "differential", depth, base=base, tier_bps=tiers, same_tier_bps=bps, compress=c), SCOPES, BASES, TIERS, BPS_, st.integers(1, 100), st.booleans()),
    st.builds(lambda scope, depth, c: RuleDocument(scope, "spread", depth, compress=c), SCOPES, st.integers(1, 100), st.booleans()),
)  # fmt: skip
MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(2999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis adds the zone


@given(NAMES, MOMENTS, st.none() | MOMENTS, BPS_, st.lists(DOCUMENT_RULES, max_size=4))
def test_any_document_comes_back_as_it_went(
    code: str, start: datetime, end: datetime | None, floor: int, rules: list[RuleDocument]
) -> None:
    plan = PlanDocument(code, start, end, floor, rules)
    assert parse(write(plan)) == plan
