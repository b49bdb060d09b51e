"""Estimates from scores alone: near what labels show later, unless the relation changed; nothing to alarm about."""

import numpy as np
import pytest

from mlops_assets.monitoring.estimates import BLIND, Estimates, estimates
from mlops_assets.monitoring.quality import measured

NAN = float("nan")


def overconfident(random: np.random.Generator, rows: int, *, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores that are twice as sure as they should be; `moved` shifts the inputs."""
    logit = random.normal(moved, 1.5, rows)
    return (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(float), 1 / (1 + np.exp(-2 * logit))


def estimated(held: tuple[np.ndarray, np.ndarray], scores: np.ndarray) -> Estimates:
    return estimates("binary", *held, scores, seed=1)


def values(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {name: each.value for name, each in measured("binary", labels, scores).items()}


@pytest.mark.parametrize("moved", [0.0, 1.0])
def test_estimates_of_uncalibrated_scores_are_near_what_labels_show_also_when_the_inputs_have_moved(moved: float):
    random = np.random.default_rng(2)
    held, (labels, scores) = overconfident(random, 4000), overconfident(random, 4000, moved=moved)

    found = estimated(held, scores)

    real = values(labels, scores)
    assert {name: each.value for name, each in found.metrics.items()} == pytest.approx(
        {name: real[name] for name in ("accuracy", "precision", "recall", "f1", "auc")}, abs=0.025
    )
    assert (found.held_out, found.words) == (4000, BLIND)


def test_intervals_mostly_hold_what_labels_show():
    random, held = np.random.default_rng(4), []
    for _ in range(40):
        labels, scores = overconfident(random, 300)
        found = estimated(overconfident(random, 500), scores).metrics["accuracy"]
        held.append(found.low <= values(labels, scores)["accuracy"] <= found.high)

    assert np.mean(held) >= 0.8


def test_a_relation_turned_round_is_not_seen():
    random = np.random.default_rng(2)
    held, (labels, scores) = overconfident(random, 2000), overconfident(random, 2000)

    found = estimated(held, scores).metrics["accuracy"]

    assert found.low > 0.7
    assert values(1 - labels, scores)["accuracy"] < 0.3


def test_the_same_seed_estimates_the_same():
    random = np.random.default_rng(2)
    held, (_, scores) = overconfident(random, 500), overconfident(random, 100)

    assert estimated(held, scores) == estimated(held, scores)


def test_of_classes_a_call_is_right_as_often_as_calls_of_its_class_were():
    held_calls = np.repeat([0.0, 1.0], 200)
    held_labels = np.concatenate([np.repeat([0.0, 1.0], [180, 20]), np.repeat([1.0, 0.0], [100, 100])])

    found = estimates("multiclass", held_labels, held_calls, np.repeat([0.0, 1.0], [300, 100]), seed=0)

    assert found.metrics["accuracy"].value == pytest.approx(0.75 * 0.9 + 0.25 * 0.5, abs=0.01)
    assert list(found.metrics) == ["accuracy"]


def test_errors_of_values_follow_how_large_they_are():
    """A value errs by a tenth of itself."""
    random = np.random.default_rng(1)
    held, live = random.uniform(10, 100, 1000), random.uniform(60, 100, 500)
    truth = held * (1 + random.normal(0, 0.1, 1000))

    found = estimates("regression", truth, held, live, seed=0).metrics

    errors = live * random.normal(0, 0.1, 500)
    assert found["mae"].value == pytest.approx(np.abs(errors).mean(), rel=0.15)
    assert found["rmse"].low < np.sqrt((errors**2).mean()) < found["rmse"].high


@pytest.mark.parametrize(
    ("rows", "positives", "live", "words"),
    [
        (299, 150, 10, "no estimates: 299 held-out rows to calibrate on, needs 300"),
        (400, 19, 10, "no estimates: 19 held-out rows of the rarer class to calibrate on, needs 20"),
        (400, 200, 0, "no estimates: no predictions in this window"),
    ],
)
def test_where_there_is_too_little_to_calibrate_on_it_is_said(rows: int, positives: int, live: int, words: str):
    labels = np.array([1.0] * positives + [0.0] * (rows - positives) + [NAN] * 50)

    found = estimates("binary", labels, np.linspace(0, 1, rows + 50), np.full(live, 0.5), seed=0)

    assert (found.metrics, found.words) == ({}, words)
