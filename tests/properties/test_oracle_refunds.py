"""Refunds of the oracle: what one takes back, in any number of parts, and what cannot be refunded."""

import copy
import random
from dataclasses import replace

import pytest

from tests.properties.oracle import Effect, LineState, Refund, Rule, Scheme
from tests.properties.test_oracle_numbers import DISTRICT_UP, LINE, amounts, chain, fixed, levels, run


def first_levels() -> LineState:
    return LineState.start(LINE, run(levels(1200, 300), chain("a", "a")))


@pytest.mark.parametrize(
    ("refund", "effect", "supply", "kept"),
    [
        # 1187 * 4949 / 9899 = 593.4; 296 * 4949 / 9899 = 147.99.
        (Refund(quantity=1), Effect(4949, 1, 0, [593, 147]), 5200, -993),
        (Refund(quantity=1, goods_back=True), Effect(4949, 1, 2600, [593, 147]), 2600, 1607),
        (Refund(quantity=2, goods_back=True), Effect(9899, 2, 5200, [1187, 296]), 0, 0),
        (Refund(), Effect(9899, 2, 0, [1187, 296]), 5200, -5200),
        (Refund(goods_back=True), Effect(9899, 2, 5200, [1187, 296]), 0, 0),
        # 119.9 and 29.9.
        (Refund(amount=1000), Effect(1000, 0, 0, [119, 29]), 5200, 2364),
        (Refund(amount=1000, goods_back=True), Effect(1000, 0, 0, [119, 29]), 5200, 2364),
        (Refund(amount=1000, brand_amount=400), Effect(1000, 0, 400, [119, 29]), 4800, 2764),
        (Refund(amount=9899, brand_amount=5200), Effect(9899, 0, 5200, [1187, 296]), 0, 0),
    ],
)
def test_one_refund(refund: Refund, effect: Effect, supply: int, kept: int) -> None:
    state = first_levels()
    assert state.refund(refund) == effect
    assert (state.refunded, state.units, state.clawed) == (effect.amount, effect.units, effect.clawed)
    assert (state.supply, state.platform) == (supply, kept)


def test_the_rest_after_a_part() -> None:
    state = first_levels()
    state.refund(Refund(quantity=1, goods_back=True))
    assert state.refund(Refund(goods_back=True)) == Effect(4950, 1, 2600, [594, 149])
    assert (state.supply, state.net_shares, state.platform) == (0, [0, 0], 0)


def test_goods_give_back_at_most_the_supply_left() -> None:
    state = first_levels()
    state.refund(Refund(amount=100, brand_amount=3000))
    assert state.refund(Refund(quantity=2, goods_back=True)).supply_back == 2200
    assert (state.supply, state.platform) == (0, 0)


def test_units_when_little_or_no_money_is_left() -> None:
    state = first_levels()
    state.refund(Refund(amount=9000))
    assert state.refund(Refund(quantity=1)).amount == 899
    assert state.refund(Refund(quantity=1, goods_back=True)) == Effect(0, 1, 2600, [0, 0])


def test_a_reversed_refund_gives_back_by_the_same_formula() -> None:
    state = first_levels()
    first = state.refund(Refund(amount=3300))
    second = state.refund(Refund(amount=3300))
    assert (first.clawed, second.clawed) == ([395, 98], [396, 99])
    # Back to the target of 3300, so the first refund's reversal gives back what the second one took.
    assert state.reverse(first) == Effect(-3300, 0, 0, [-396, -99])
    assert state.reverse(second) == Effect(-3300, 0, 0, [-395, -98])
    assert state == first_levels()


def test_the_last_units_after_a_reversal_get_all_that_is_left() -> None:
    state = first_levels()
    first = state.refund(Refund(quantity=1, goods_back=True))
    state.refund(Refund(quantity=1))
    assert state.reverse(first) == Effect(-4949, -1, -2600, [-594, -148])
    assert (state.refunded, state.units, state.supply, state.net_shares) == (4950, 1, 5200, [594, 148])
    # The formula would say 4950.
    assert state.refund(Refund(quantity=1)).amount == 4949


def test_the_last_units_get_more_than_the_formula_when_an_amount_came_back() -> None:
    state = first_levels()
    first = state.refund(Refund(amount=9000))
    assert state.refund(Refund(quantity=1)).amount == 899
    state.reverse(first)
    # The formula would say 4950.
    assert state.refund(Refund(quantity=1)).amount == 9000
    assert (state.left, state.net_shares) == (0, [0, 0])


def test_money_without_units_is_refunded_as_the_rest() -> None:
    state = first_levels()
    first = state.refund(Refund(amount=1000))
    state.refund(Refund(quantity=2))
    state.reverse(first)
    # 1187 * 8899 / 9899 = 1067.1 and 266.1 were taken.
    assert state.net_shares == [120, 30]
    assert state.refund(Refund(goods_back=True)) == Effect(1000, 0, 0, [120, 30])


def test_a_line_of_nothing_paid() -> None:
    line = replace(LINE, discount=9980)
    rows = run(fixed(100), chain("a"), line)
    assert [(row.uncapped, row.amount, row.outcome) for row in rows] == [(200, 0, "capped")]
    state = LineState.start(line, rows)
    assert state.platform == -5200
    effect = state.refund(Refund(goods_back=True))
    assert effect == Effect(0, 2, 5200, [0])
    assert state.platform == 0
    assert state.reverse(effect) == Effect(0, -2, -5200, [0])
    assert state.platform == -5200


@pytest.mark.parametrize(
    "refund",
    [
        Refund(quantity=2),
        Refund(amount=4951),
        Refund(quantity=0),
        Refund(quantity=-1),
        Refund(amount=0),
        Refund(amount=-1),
        Refund(quantity=1, amount=1),
        Refund(amount=1, brand_amount=2601),
        Refund(amount=1, brand_amount=-1),
        Refund(quantity=1, brand_amount=1),
        Refund(brand_amount=1),
    ],
)
def test_refused_refunds_change_nothing(refund: Refund) -> None:
    state = first_levels()
    state.refund(Refund(quantity=1, goods_back=True))
    before = copy.deepcopy(state)
    with pytest.raises(ValueError, match=r"\w"):
        state.refund(refund)
    assert state == before


def test_nothing_left_is_refused() -> None:
    state = first_levels()
    state.refund(Refund())
    before = copy.deepcopy(state)
    with pytest.raises(ValueError, match="nothing is left"):
        state.refund(Refund())
    assert state == before


@pytest.mark.parametrize(
    "effect",
    [
        Effect(1001, 0, 0, [0, 0]),
        Effect(1000, 1, 0, [0, 0]),
        Effect(1000, 0, 401, [0, 0]),
        Effect(-1000, 0, -400, [-119, -29]),
    ],
)
def test_refused_reversals_change_nothing(effect: Effect) -> None:
    state = first_levels()
    state.refund(Refund(amount=1000, brand_amount=400))
    before = copy.deepcopy(state)
    with pytest.raises(ValueError, match=r"\w"):
        state.reverse(effect)
    assert state == before


SCHEMES: list[Scheme] = ["levels", "fixed", "differential", "spread"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_full_refunds_leave_exactly_nothing(scheme: Scheme) -> None:
    """Whatever the parts and whatever was reversed on the way; `check` runs at every step."""
    dice = random.Random(scheme)
    rule = Rule(
        "everything",
        None,
        scheme,
        "paid",
        level_bps=(1200, 333, 71),
        level_amounts=(401, 97, 13),
        tier_bps={"district": 811, "city": 1203, "province": 1507},
        depth=3,
    )
    for _ in range(100):
        line = replace(LINE, quantity=dice.randint(1, 7), discount=dice.randint(0, 4990))
        state = LineState.start(line, run(rule, chain(*DISTRICT_UP), line, floor=dice.choice([0, 2500])))
        standing: list[Effect] = []
        while state.left > 0 or state.units_left > 0:
            if standing and dice.random() < 0.3:
                state.reverse(standing.pop(dice.randrange(len(standing))))
            elif state.left > 0 and dice.random() < 0.5:
                standing.append(state.refund(Refund(amount=dice.randint(1, state.left))))
            elif state.units_left > 0:
                units = dice.randint(1, state.units_left)
                standing.append(state.refund(Refund(quantity=units, goods_back=dice.random() < 0.5)))
        assert (state.refunded, state.net_shares) == (line.paid, [0, 0, 0])
        while standing:
            state.reverse(standing.pop(dice.randrange(len(standing))))
        assert (state.refunded, state.units, state.supply) == (0, 0, line.supply)
        assert state.net_shares == amounts(state.shares)
