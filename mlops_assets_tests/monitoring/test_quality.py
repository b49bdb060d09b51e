"""Metrics with their intervals and maturity: against what is known by hand, and against other people's formulas."""

import numpy as np
import pytest
from scipy import stats

from mlops_assets.monitoring.quality import measured
from mlops_assets.training.intervals import f1, mean, ranking, root_mean, share
from mlops_assets.training.metrics import auc

NAN = float("nan")


def honest(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are exactly right, and labels drawn with them."""
    scores = random.uniform(0.05, 0.95, rows)
    return (random.random(rows) < scores).astype(float), scores


@pytest.mark.parametrize(("hits", "of"), [(0, 20), (7, 20), (20, 20), (900, 1000)])
def test_a_share_has_wilsons_interval(hits: int, of: int):
    found, known = share(hits, of), stats.binomtest(hits, of).proportion_ci(method="wilson")

    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((hits / of, known.low, known.high), abs=1e-7)


def test_a_mean_has_students_interval_and_its_root_the_rooted_one():
    values = np.array([1.0, 4.0, 9.0, 2.0, 6.0])
    known = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))

    found, rooted = mean(values, rows=8), root_mean(values, rows=8)

    assert found is not None
    assert rooted is not None
    assert (found.low, found.high) == pytest.approx(known)
    assert (found.labels, found.rows, found.maturity) == (5, 8, 0.625)
    assert (rooted.value, rooted.high) == pytest.approx((values.mean() ** 0.5, known[1] ** 0.5))


def test_of_nothing_there_is_no_figure_and_of_one_value_no_interval():
    assert share(0, 0) is mean(np.array([]), rows=3) is f1(0, 0, labels=0, rows=3) is None
    assert (alone := mean(np.array([2.0]), rows=3)) is not None
    assert (alone.value, alone.low) == (2.0, None)


def test_the_interval_of_an_auc_is_as_wide_as_the_bootstraps():
    random = np.random.default_rng(3)
    labels, scores = honest(random, 400)
    drawn = [auc(labels[rows], scores[rows]) for rows in random.integers(0, 400, (2000, 400))]

    found = ranking(labels == 1, scores, rows=400)

    assert found is not None
    assert found.value == pytest.approx(float(auc(labels, scores)))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.01)


@pytest.mark.parametrize(("labels", "scores", "value"), [([0, 0, 1, 1], [1, 2, 3, 4], 1.0), ([0, 1], [0.5, 0.5], 0.5)])
def test_an_auc_without_any_spread_has_the_interval_of_few_rows(labels: list[int], scores: list[float], value: float):
    found = ranking(np.array(labels) == 1, np.array(scores, dtype=float), rows=4)

    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == value
    assert found.high - found.low > 0.5


@pytest.mark.parametrize(
    "name", ["auc", "accuracy", "precision", "recall", "f1", "log_loss", "calibration_in_the_large"]
)
def test_intervals_hold_what_they_are_about_in_95_of_100_windows(name: str):
    random = np.random.default_rng(11)
    truth = measured("binary", *honest(random, 400_000))[name].value

    found = [measured("binary", *honest(random, 150))[name] for _ in range(400)]

    held = np.mean([each.low <= truth <= each.high for each in found])  # type: ignore[operator]
    assert 0.92 <= held <= 0.98


def test_a_metric_is_as_mature_as_the_labels_of_the_rows_that_it_is_about():
    """Of six rows four are labelled; of the three that were called positive, two are."""
    found = measured("binary", np.array([1, 0, 1, 0, NAN, NAN]), np.array([0.9, 0.8, 0.2, 0.1, 0.7, 0.3]))

    assert (found["accuracy"].labels, found["accuracy"].rows) == (4, 6)
    assert (found["precision"].labels, found["precision"].rows) == (2, 3)
    assert (found["recall"].value, found["recall"].maturity) == (0.5, pytest.approx(4 / 6))


def test_calibration_error_is_the_gap_of_the_bins_weighted_by_their_rows():
    """Two scores: at 0.2 a quarter of four rows is positive, at 0.9 half of two."""
    labels, scores = np.array([1, 0, 0, 0, 1, 0]), np.array([0.2] * 4 + [0.9] * 2)

    found = measured("binary", labels.astype(float), scores)

    assert found["calibration_error"].value == pytest.approx((4 * 0.05 + 2 * 0.4) / 6)
    assert found["calibration_in_the_large"].value == pytest.approx(2 / 6 - 2.6 / 6)


def test_scores_that_are_right_stay_under_what_chance_shows_and_overconfident_ones_do_not():
    random = np.random.default_rng(5)
    pairs = [honest(random, 500) for _ in range(300)]

    right = [measured("binary", *pair) for pair in pairs]
    labels, scores = honest(random, 500)
    sure = measured("binary", labels, np.where(scores > 0.5, 0.97, 0.03))

    under = np.mean([each["calibration_error"].value <= each["calibration_error_by_chance"].value for each in right])
    assert 0.92 <= under <= 0.98
    assert sure["calibration_error"].value > 3 * sure["calibration_error_by_chance"].value


def test_errors_of_values_say_their_direction():
    found = measured("regression", np.array([1.0, 2.0, NAN]), np.array([2.0, 4.0, 9.0]))

    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {"rmse": 2.5**0.5, "mae": 1.5, "bias": 1.5}
    )
    assert found["bias"].maturity == pytest.approx(2 / 3)


def test_macro_metrics_of_classes_have_an_interval_that_narrows_with_rows():
    random = np.random.default_rng(0)

    def width(rows: int) -> float:
        labels = random.integers(0, 4, rows).astype(float)
        outputs = np.where(random.random(rows) < 0.7, labels, random.integers(0, 4, rows))
        found = measured("multiclass", labels, outputs)["f1"]
        assert found.low is not None
        assert found.high is not None
        assert found.low < 0.775 < found.high
        return found.high - found.low

    assert width(2500) < width(100) / 3
