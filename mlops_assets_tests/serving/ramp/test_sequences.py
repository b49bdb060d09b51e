"""Whoever looks after every request is fooled no more often than was promised, and still sees what is there."""

from bisect import bisect_left
from math import log

import numpy as np
import pytest

from mlops_assets.serving.ramp.sequences import Mean, bounded_difference, difference, higher_mean, higher_share, slower
from mlops_assets.serving.ramp.shift import Scores, index, parts_of, shifted

CHANCE = 0.1  # large, so that a few hundred runs show whether it is kept
RUNS = 100
ENOUGH = log(1 / CHANCE)


def promised(fooled: int, runs: int = RUNS) -> bool:
    """Whether `fooled` of `runs` is within what a chance of `CHANCE` gives in 999 of 1,000 cases."""
    return fooled <= runs * CHANCE + 3.1 * (runs * CHANCE * (1 - CHANCE)) ** 0.5


@pytest.mark.parametrize(("first", "second", "margin"), [(0.02, 0.01, 0.01), (0.5, 0.5, 0.0), (0.0, 0.0, 0.0)])
def test_an_error_rate_within_the_margin_fools_nobody_who_looks_after_every_request(
    first: float, second: float, margin: float
):
    draw, fooled = np.random.default_rng(1), 0
    for _ in range(RUNS):
        a, b = draw.random(400) < first, draw.random(8_000) < second
        hits, others = a.cumsum().tolist(), b.cumsum().tolist()[19::20]
        fooled += any(
            higher_share((hits[at], others[at]), (at + 1, 20 * (at + 1)), margin) >= ENOUGH for at in range(0, 400, 4)
        )

    assert promised(fooled)


def test_a_higher_error_rate_is_seen_after_a_few_requests():
    assert higher_share((4, 4), (6, 3_800), 0.01) > log(1_000)
    assert higher_share((1, 4), (2, 3_800), 0.01) < log(1_000)
    assert higher_share((0, 0), (0, 3_800), 0.01) < 0
    assert higher_share((5, 0), (5, 0), 0.01) < 0  # nothing to compare with


BOUNDS = [round(1.125**place) for place in range(20, 100)]


def binned(latency: np.ndarray) -> list[int]:
    counts = [0] * len(BOUNDS)
    for each in latency.tolist():
        counts[min(bisect_left(BOUNDS, each), len(BOUNDS) - 1)] += 1
    return counts


def test_a_latency_within_the_margin_fools_nobody():
    draw, fooled = np.random.default_rng(2), 0
    for _ in range(40):
        a, b = 1.5 * draw.lognormal(6, 0.5, 300), draw.lognormal(6, 0.5, 6_000)
        looks = [(binned(a[:at]), binned(b[: 20 * at])) for at in range(20, 301, 20)]
        fooled += any(slower(mine, others, BOUNDS, 1.5) >= ENOUGH for mine, others in looks)

    assert promised(fooled, 40)


def test_a_latency_over_the_margin_is_seen():
    draw = np.random.default_rng(3)
    mine, others = binned(3 * draw.lognormal(6, 0.5, 200)), binned(draw.lognormal(6, 0.5, 4_000))

    assert slower(mine, others, BOUNDS, 1.5) > log(1_000)
    assert slower(others, mine, BOUNDS, 1.5) < 0
    assert slower(mine, [], BOUNDS, 1.5) < 0
    assert slower([0] * 79 + [200], others, BOUNDS, 1.5) > log(1_000)  # beyond the last bound


def scored(draw: np.random.Generator, shares: list[float], count: int) -> Scores:
    return Scores(bins=dict(enumerate(draw.multinomial(count, shares).tolist())))


def test_scores_that_differ_by_the_margin_fool_nobody():
    draw, fooled, even = np.random.default_rng(4), 0, [0.2] * 5
    other = [0.09, 0.14, 0.2, 0.25, 0.32]
    margin = index([1e6 * share for share in other], [1e6 * share for share in even])
    for _ in range(40):
        a, b = draw.choice(5, 400, p=other), draw.choice(5, 4_000, p=even)
        looks = range(50, 401, 50)
        fooled += any(
            shifted(
                Scores(bins=dict(enumerate(np.bincount(a[:at], minlength=5).tolist()))),
                Scores(bins=dict(enumerate(np.bincount(b[: 10 * at], minlength=5).tolist()))),
                margin,
            )
            >= ENOUGH
            for at in looks
        )

    assert promised(fooled, 40)


def test_scores_that_differ_by_more_are_seen_wherever_they_lie():
    draw = np.random.default_rng(5)
    low = (100 * draw.beta(2, 60, 4_000)).astype(int)  # rare positives: all scores are small
    high = (100 * draw.beta(2, 20, 400)).astype(int)
    mine = Scores(bins=dict(enumerate(np.bincount(high).tolist())))
    others = Scores(bins=dict(enumerate(np.bincount(low).tolist())))

    assert shifted(mine, others, 0.25) > log(1_000)
    assert shifted(others, others, 0.25) < 0
    assert shifted(Scores(bins={}), others, 0.25) < 0


def test_two_models_of_few_leaves_each_whose_scores_lie_about_each_other_do_not_differ():
    champion = Scores(bins={73: 283, 20: 275})
    canary = Scores(bins={69: 80, 77: 132, 39: 46, 32: 87, 73: 37, 21: 67, 22: 49})

    assert index(*parts_of(canary, champion)) < 0.01
    assert shifted(canary, champion, 0.25) < 0
    assert shifted(Scores(bins={20: 40, 73: 440}), champion, 0.25) > log(1_000)


def test_beside_a_champion_that_always_says_the_same_only_something_far_from_it_is_a_shift():
    always = Scores(bins={73: 600})

    assert shifted(Scores(bins={70: 100, 76: 100}), always, 0.25) < 0
    assert shifted(Scores(bins={20: 200}), always, 0.25) > log(1_000)


def test_what_may_have_been_counted_several_times_weighs_less():
    draw = np.random.default_rng(6)
    others, mine = scored(draw, [0.2] * 5, 4_000), {4: 400}

    assert shifted(Scores(bins=mine), others, 0.25) > log(1_000)
    assert shifted(Scores(bins=mine, weight=0.05), others, 0.25) < 0


def brier(draw: np.random.Generator, rate: float, count: int) -> np.ndarray:
    """Losses of a sound model whose probabilities spread about `rate`."""
    said = np.clip(rate * draw.lognormal(0, 0.5, count), 0, 1)
    return ((draw.random(count) < said) - said) ** 2


@pytest.mark.parametrize(("rate", "ratio"), [(0.005, 4), (0.005, 19), (0.02, 19), (0.4, 4)])
def test_equal_losses_of_rare_classes_fool_nobody_from_the_first_outcome_on(rate: float, ratio: int):
    draw, fooled = np.random.default_rng(8), [0, 0]
    for _ in range(25):
        a, b = brier(draw, rate, 1_000), brier(draw, rate, ratio * 1_000)
        looks = [(mean(a[:at]), mean(b[: ratio * at])) for at in (1, 2, 5, 10, 20, *range(100, 1_001, 300))]
        fooled[0] += any(higher_mean(mine, others, 0) >= ENOUGH for mine, others in looks)
        fooled[1] += any(higher_mean(others, mine, 0) >= ENOUGH for mine, others in looks)

    assert all(promised(each, 25) for each in fooled)


def test_the_exact_interval_is_what_no_evidence_is_against_and_grows_narrow():
    few, many = (
        bounded_difference(
            Mean(count=count, mean=0.2, variance=0.02), Mean(count=9 * count, mean=0.1, variance=0.02), 0.1
        )
        for count in (100, 10_000)
    )
    nobody = Mean(count=0, mean=0.0, variance=0.0)

    assert few.low < many.low < 0.1 < many.high < few.high
    assert many.high - many.low < 0.03
    one = Mean(count=1, mean=1.0, variance=0.0), Mean(count=19, mean=0.0, variance=0.0)
    assert (bounded_difference(*one, 0.1).low, bounded_difference(*one, 0.1).high) == (pytest.approx(-0.1, abs=0.3), 1)
    assert higher_mean(nobody, one[0], 0) < 0


def test_a_higher_loss_is_seen_also_where_all_losses_are_small():
    champion = Mean(count=3_800, mean=0.005, variance=0.004)

    assert higher_mean(Mean(count=200, mean=0.3, variance=0.1), champion, 0.05) > log(400)
    assert higher_mean(Mean(count=200, mean=0.06, variance=0.02), champion, 0.05) < 0


def test_the_interval_of_a_difference_holds_at_every_look_also_for_skewed_losses():
    draw, missed = np.random.default_rng(7), 0
    for _ in range(RUNS):
        a, b = draw.exponential(0.5, 1_000), draw.exponential(0.4, 4_000)
        for at in range(50, 1_001, 25):
            found = difference(mean(a[:at]), mean(b[: 4 * at]), CHANCE)
            if not found.low <= 0.1 <= found.high:
                missed += 1
                break

    assert promised(missed)
    assert found.high - found.low < 0.2


def mean(values: np.ndarray) -> Mean:
    return Mean(count=len(values), mean=float(values.mean()), variance=float(values.var()))
