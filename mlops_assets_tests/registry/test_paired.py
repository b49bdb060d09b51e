"""The paired bootstrap: its interval holds the true difference as often as it says, and never promotes a tie."""

import numpy as np
import pytest

from mlops_assets.registry.criteria.influence import error, influence
from mlops_assets.registry.gate import judge
from mlops_assets.registry.paired import INTERVAL, difference, resampled
from mlops_assets.rules import Gate
from mlops_assets.training.metrics import METRICS, auc, log_loss
from mlops_assets_tests.registry.subjects import Floats, noisy
from mlops_assets_tests.registry.test_gate import champion, evidence

WORLDS = 200


def rivals(seed: int, rows: int) -> tuple[Floats, Floats, Floats]:
    """Labels and the scores of two models that are equally good, and err differently."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(rows) < 0.4).astype(float)
    first, other = (1 / (1 + np.exp(-(labels + draw.normal(size=rows)))) for _ in range(2))
    return labels, first, other


@pytest.mark.parametrize("metric", [auc, log_loss])
def test_of_two_hundred_comparisons_of_equals_about_nineteen_in_twenty_intervals_hold_zero(metric):
    found = [difference(metric, *rivals(world, 120), sign=1, seed=world) for world in range(WORLDS)]

    held = np.mean([each.lower <= 0 <= each.upper for each in found])
    better = np.mean([each.lower > 0 for each in found])
    assert 0.90 <= held <= 0.99  # 0.95 is promised; 200 worlds tell it to within 0.03
    assert better <= 0.06  # 0.025 is promised


@pytest.mark.parametrize("rows", [10, 20, 40])
def test_few_rows_promote_an_equal_no_oftener(rows: int):
    found = [difference(auc, *rivals(world, rows), sign=1, seed=world) for world in range(WORLDS)]

    assert np.mean([each.lower is not None and each.lower > 0 for each in found]) <= 0.06


def test_a_copy_of_the_champion_is_refused_and_a_negative_margin_lets_it_pass():
    copy, old = evidence(skill=1.0), champion(skill=1.0)

    refused = judge(copy, old, Gate(floor=0.5), 0, task="binary")
    allowed = judge(copy, old, Gate(floor=0.5, margin=-0.01), 0, task="binary")

    assert (refused.answer, refused.difference, refused.lower, refused.upper) == ("refuse", 0, 0, 0)
    assert "better by 0, 95% interval [0, 0], which does not clear the margin 0" in refused.reasons[0]
    assert allowed.promote


def test_scores_that_are_all_alike_are_worth_a_half_and_are_not_better_than_themselves():
    labels, scores = noisy(200)

    found = difference(auc, labels, np.full(200, 0.3), scores, sign=1, seed=0)
    tied = difference(auc, labels, np.full(200, 0.3), np.full(200, 0.9), sign=1, seed=0)

    assert found.value == pytest.approx(0.5 - float(auc(labels, scores)))
    assert found.upper < 0
    assert (tied.value, tied.lower, tied.upper) == (0, 0, 0)


def test_a_class_with_too_few_rows_has_no_interval_and_promotes_nothing():
    labels = np.zeros(100)
    labels[:2] = 1
    scores = np.linspace(1, 0, 100)

    found = difference(auc, labels, scores, scores[::-1].copy(), sign=1, seed=0)
    wide = difference(auc, np.zeros(100), scores, scores[::-1].copy(), sign=1, seed=0)

    assert (found.value, found.lower, found.upper) == (pytest.approx(1.0, abs=0.05), None, None)
    assert np.isnan(wide.value)
    assert wide.lower is None


def test_an_auc_of_many_rows_is_resampled_to_first_order_and_has_the_same_interval():
    labels, first, other = rivals(0, 20_000)

    quick = difference(auc, labels, first, other, sign=1, seed=1)
    exact = np.quantile(resampled(auc, labels, first, other, 2), INTERVAL)

    assert [quick.lower, quick.upper] == pytest.approx(exact.tolist(), abs=0.1 * (quick.upper - quick.lower))


@pytest.mark.parametrize("name", METRICS["binary"])
def test_influences_give_the_standard_error_that_resampling_gives(name: str):
    labels, scores = noisy(800, skill=1.5)

    found = influence("binary", name, labels, scores)
    drawn = resampled(METRICS["binary"][name], labels, scores, scores * 0 + 0.1, 0)  # the second hardly varies
    second = influence("binary", name, labels, scores * 0 + 0.1)

    assert found is not None
    assert second is not None
    assert abs(found.rows.mean()) < 1e-9
    assert error(found.rows - second.rows) == pytest.approx(drawn.std(), rel=0.1)


def test_influences_of_errors_give_the_standard_error_of_their_root():
    labels, scores = noisy(800)

    found = influence("regression", "rmse", labels, scores)

    draws = np.random.default_rng(0).integers(0, 800, (1000, 800))
    assert error(found.rows) == pytest.approx(np.sqrt(((labels - scores) ** 2)[draws].mean(1)).std(), rel=0.1)
