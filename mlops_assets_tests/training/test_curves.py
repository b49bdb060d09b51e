"""The numbers behind a model's pictures: against scikit-learn's, and against what is known by hand."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, roc_curve

from mlops_assets.training.metrics import METRICS
from mlops_assets.training.pictures.curves import (
    calibration,
    calibration_error,
    confusion,
    held_out,
    residuals,
    roc,
    thinned,
)


def scored(rows: int = 2000, *, decimals: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are exactly right, many of them equal, and labels drawn with them."""
    random = np.random.default_rng(5)
    scores = random.beta(1, 4, rows).round(decimals)
    return (random.random(rows) < scores).astype(float), scores


def test_the_roc_curve_is_scikit_learns():
    labels, scores = scored()
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)

    found = roc(labels, scores)

    assert found is not None
    np.testing.assert_allclose(found.false_positive, false)
    np.testing.assert_allclose(found.true_positive, true)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_roc_curve(label: float):
    assert roc(np.full(5, label), np.arange(5.0)) is None


def test_a_thinned_curve_keeps_its_ends_and_its_area():
    labels, scores = scored(20_000, decimals=6)
    whole = roc(labels, scores)
    assert whole is not None

    few = thinned(whole, 60)

    assert len(few.false_positive) <= 60
    assert (few.false_positive[0], few.true_positive[0]) == (0, 0)
    assert (few.false_positive[-1], few.true_positive[-1]) == (1, 1)
    area = np.trapezoid(few.true_positive, few.false_positive)
    assert area == pytest.approx(np.trapezoid(whole.true_positive, whole.false_positive), abs=0.003)


def test_calibration_is_in_bins_of_equally_many_rows_as_scikit_learns():
    labels, scores = scored(decimals=12)
    shares, means = calibration_curve(labels, scores, n_bins=10, strategy="quantile")

    bins = calibration(labels == 1, scores)

    assert [each.rows for each in bins] == [200] * 10
    np.testing.assert_allclose([each.share.value for each in bins], shares)
    np.testing.assert_allclose([each.score for each in bins], means)
    assert all((b.share.low or 0) <= b.share.value <= (b.share.high or 1) for b in bins)


def test_equal_scores_stay_in_one_bin_and_the_error_is_how_far_it_is_off():
    bins = calibration(np.array([True, True, True, False]), np.full(4, 0.5))

    assert [(each.rows, each.score, each.share.value) for each in bins] == [(4, 0.5, 0.75)]
    assert calibration_error(bins) == pytest.approx(0.25)


def test_confusion_is_scikit_learns_also_where_a_class_is_never_called():
    random = np.random.default_rng(1)
    labels, chosen = random.integers(0, 4, 300), random.integers(0, 3, 300)

    found = confusion(labels.astype(float), chosen.astype(float), 4)

    np.testing.assert_array_equal(found, confusion_matrix(labels, chosen, labels=range(4)))


def test_residuals_count_every_row_and_draw_some():
    actual = np.arange(1000.0)
    predicted = actual + np.where(actual == 0, -900.0, 1.0)

    found = residuals(actual, predicted, dots=100)

    assert found.counts.sum() == 1000
    assert len(found.actual) == 100
    assert (found.actual[0], found.actual[-1]) == (0, 999)
    assert found.counts[0] == 1  # the one far off


@pytest.mark.parametrize(("task", "metric"), [(task, name) for task, known in METRICS.items() for name in known])
def test_a_metric_with_its_interval_is_the_metric(task, metric: str):
    labels, scores = scored()
    if task == "multiclass":
        scores = np.column_stack([1 - scores, scores / 2, scores / 2])

    found = held_out(task, metric, labels, scores)

    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(float(METRICS[task][metric](labels, scores, None)))
    assert found.low < found.value < found.high
