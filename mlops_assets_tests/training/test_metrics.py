"""Metrics against closed forms and against counting; a weight of k says the row k times."""

import numpy as np
import pytest

from mlops_assets.training.metrics import (
    METRICS,
    accuracy,
    auc,
    brier,
    f1,
    log_loss,
    losses,
    measure,
    metric_named,
    rmse,
)
from mlops_assets.training.model import Task

YES_AND_NO = np.array([0.0, 0.0, 1.0, 1.0])
SCORES = np.array([0.1, 0.6, 0.6, 0.9])


def drawn(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return 300 labels, scores with ties, and counts from 0 to 3."""
    random = np.random.default_rng(7)
    labels = random.integers(0, 2 if task == "binary" else 3, 300).astype(float)
    scores = random.dirichlet([1, 1, 1], 300) if task == "multiclass" else random.random(300).round(2)
    return labels, scores, random.integers(0, 4, 300).astype(float)


def test_auc_counts_pairs_and_halves_ties():
    pairs = [(1.0 if up > down else 0.5 if up == down else 0.0) for up in SCORES[2:] for down in SCORES[:2]]

    assert auc(YES_AND_NO, SCORES) == np.mean(pairs) == 0.875


def test_threshold_metrics_on_a_confusion_matrix():
    assert accuracy(YES_AND_NO, SCORES) == 0.75
    assert f1(YES_AND_NO, SCORES) == pytest.approx(2 * 2 / (2 * 2 + 1 + 0))


def test_probability_metrics_are_their_formulas():
    given = np.array([0.9, 0.4, 0.6, 0.9])

    assert log_loss(YES_AND_NO, SCORES) == pytest.approx(-np.log(given).mean())
    assert brier(YES_AND_NO, SCORES) == pytest.approx(((1 - given) ** 2).mean())
    assert log_loss(np.array([2.0, 0.0]), np.array([[0.2, 0.2, 0.6], [0.5, 0.2, 0.3]])) == pytest.approx(
        -np.log([0.6, 0.5]).mean()
    )


def test_a_certainty_that_was_wrong_costs_much_but_not_everything():
    assert log_loss(np.array([1.0]), np.array([0.0])) == pytest.approx(-np.log(np.finfo(float).eps))


def test_a_normal_shift_has_the_auc_of_its_closed_form():
    random = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], 50_000)

    assert auc(labels, random.normal(labels)) == pytest.approx(0.76025, abs=0.005)  # Phi(1 / sqrt 2)


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, metrics in METRICS.items() for name in metrics])
def test_a_weight_is_a_count_and_resamples_are_measured_at_once(task: Task, name: str):
    labels, scores, counts = drawn(task)
    repeated = np.repeat(np.arange(300), counts.astype(int))
    metric = metric_named(task, name)

    at_once = metric(labels, scores, np.stack([counts, np.ones(300)]))

    np.testing.assert_allclose(
        at_once, [metric(labels[repeated], scores[repeated], None), metric(labels, scores, None)]
    )


@pytest.mark.parametrize("rows", [slice(0, 0), slice(0, 2)])
def test_what_is_not_defined_is_not_a_number(rows: slice):
    assert np.isnan(auc(YES_AND_NO[rows], SCORES[rows]))


def test_the_mean_of_the_losses_is_the_metric():
    labels, scores, _ = drawn("binary")

    assert losses("binary", labels, scores).mean() == pytest.approx(float(log_loss(labels, scores)))
    assert losses("regression", labels, scores).mean() == pytest.approx(float(rmse(labels, scores)) ** 2)


def test_each_task_has_its_metrics_and_says_which():
    assert list(measure("regression", YES_AND_NO, SCORES)) == ["rmse", "mae"]
    with pytest.raises(LookupError, match="no metric 'auc' of a multiclass label; known metrics: accuracy, log_loss"):
        metric_named("multiclass", "auc")
