from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from mlops_assets.detection.loss import judge_loss
from mlops_assets.detection.verdict import Verdict
from mlops_assets.monitoring.late_labels import with_labels
from mlops_assets.monitoring.performance import Performance, performance
from mlops_assets.parts import Value
from mlops_assets.training.model import ModelSpec
from mlops_assets.training.reference import LossReference

BINARY = ModelSpec(kind="lightgbm", task="binary", classes=["0", "1"], features=["x"])
SEVERAL = ModelSpec(kind="lightgbm", task="multiclass", classes=["a", "b", "c"], features=["x"])
VALUE = ModelSpec(kind="lightgbm", task="regression", features=["x"])
HELD_OUT = LossReference(mean=0.40, sd=0.3, rows=2_000)


def at(hour: int) -> datetime:
    return datetime(2026, 3, 2, hour, tzinfo=UTC)


def predictions(outputs: list[float]) -> pl.DataFrame:
    """Predictions with ids p0, p1, … and keys k0, k1, …"""
    rows = len(outputs)
    ids = {"inference_id": [f"p{i}" for i in range(rows)], "key": [f"k{i}" for i in range(rows)]}
    return pl.DataFrame({**ids, "output": outputs})


def labelled(outputs: list[float], labels: list[str | None]) -> pl.DataFrame:
    return predictions(outputs).with_columns(label=pl.Series(labels, dtype=pl.String))


def concept(found: Performance, reference: LossReference | None) -> Verdict:
    return judge_loss(found.losses, found.quality.rows, reference).verdict


def metrics(found: Performance) -> dict[str, float]:
    return {name: each.value for name, each in found.quality.metrics.items()}


def scored(random: np.random.Generator, rows: int, *, honest: bool = True, known: float = 1.0) -> pl.DataFrame:
    """Probabilities that keep their word, or, if not honest, that hold for the opposite label."""
    output = random.uniform(0.02, 0.98, rows)
    happened = random.random(rows) < (output if honest else 1 - output)
    label = np.where(random.random(rows) < known, happened.astype(int).astype(str), None)
    return labelled(output.tolist(), label.tolist())


def test_outcomes_join_by_id_and_the_last_one_counts():
    outcomes = pl.DataFrame(
        {
            "inference_id": ["p1", "p0", "p1"],
            "label": ["1", "0", "0"],
            "received_at": [at(1), at(1), at(5)],
            "by": "api",
        }
    )

    assert with_labels(predictions([0.1, 0.9, 0.5]), outcomes=outcomes)["label"].to_list() == ["0", "0", None]


def test_labels_join_by_key_and_an_outcome_goes_first():
    outcomes = pl.DataFrame({"inference_id": ["p0"], "label": ["1"], "received_at": [at(1)]})
    labels = pl.DataFrame({"key": ["k0", "k1", "k1", None], "label": [0, 0, 1, 1]})

    joined = with_labels(predictions([0.1, 0.9, 0.5]), outcomes=outcomes, labels=labels)

    assert joined["label"].to_list() == ["1", "1", None]
    assert joined.columns == ["inference_id", "key", "output", "label"]


def test_a_label_for_two_predictions_of_one_key_goes_to_both():
    twice = predictions([0.1, 0.9]).with_columns(key=pl.lit("k0"))

    joined = with_labels(twice, labels=pl.DataFrame({"key": ["k0"], "label": [1]}))

    assert joined["label"].to_list() == ["1", "1"]


def test_without_any_label_nothing_has_matured():
    found = performance(with_labels(predictions([0.1])), BINARY)

    assert (found.quality.matured, found.quality.share, found.quality.metrics) == (0, 0.0, {})


def test_quality_of_a_binary_model_is_known_by_hand():
    found = performance(labelled([0.9, 0.8, 0.3, 0.6, 0.5], ["1", "1", "1", "0", None]), BINARY)

    quality, values = found.quality, metrics(found)
    assert (quality.rows, quality.matured, quality.share) == (5, 4, 0.8)
    assert values["accuracy"] == 0.5
    assert values["precision"] == pytest.approx(2 / 3)
    assert values["recall"] == pytest.approx(2 / 3)
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["auc"] == pytest.approx(2 / 3)
    assert values["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.36) / 4)
    assert values["calibration_in_the_large"] == pytest.approx((0.1 + 0.2 + 0.7 - 0.6) / 4)
    assert found.losses.tolist() == pytest.approx((-np.log([0.9, 0.8, 0.3, 0.4])).tolist())


def test_what_one_class_alone_cannot_define_is_left_out():
    values = metrics(performance(labelled([0.9, 0.8], ["1", "1"]), BINARY))

    assert "auc" not in values
    assert values["accuracy"] == 1.0


def test_several_classes_and_values_are_judged_by_what_the_log_keeps():
    classes = performance(labelled([0.0, 2.0, 1.0], ["a", "b", "b"]), SEVERAL)
    values = performance(labelled([1.0, 3.0], ["2", "3.0"]), VALUE)

    by_hand = {"accuracy": 2 / 3, "precision": (1 + 1 + 0) / 3, "recall": (1 + 0.5) / 2, "f1": (1 + 2 / 3 + 0) / 3}
    assert metrics(classes) == pytest.approx(by_hand)
    assert classes.losses.tolist() == [0, 1, 0]
    assert metrics(values) == pytest.approx({"rmse": 0.5**0.5, "mae": 0.5, "bias": -0.5})
    assert values.losses.tolist() == [1, 0]


def test_a_label_that_is_no_class_of_the_model_is_counted_as_foreign():
    quality = performance(labelled([0.9, 0.8], ["yes", "1"]), BINARY).quality

    assert (quality.matured, quality.foreign, quality.share) == (1, 1, 0.5)


def test_a_relation_that_holds_is_no_concept_drift_more_often_than_promised():
    random = np.random.default_rng(0)
    before = performance(scored(random, 5_000), BINARY).losses
    reference = LossReference(mean=float(before.mean()), sd=float(before.std()), rows=5_000)

    states = [concept(performance(scored(random, 200), BINARY), reference).state for _ in range(300)]

    assert states.count("drift") <= 6  # 300 windows at 1%, and chance


def test_a_relation_turned_round_is_concept_drift_though_inputs_and_scores_are_as_before():
    random = np.random.default_rng(0)
    found = performance(scored(random, 200, honest=False), BINARY)

    verdict = concept(found, HELD_OUT)

    assert (verdict.state, verdict.kind) == ("drift", "concept")
    assert verdict.words.startswith("concept drift: loss ")
    assert "on 200 matured rows, 0.4 held out" in verdict.words
    assert "cannot be seen before labels mature" in verdict.words


@pytest.mark.parametrize(
    ("rows", "known", "reference", "words"),
    [
        (400, 0.5, HELD_OUT, "% of 400 rows have a label, needs 80%"),
        (30, 1.0, HELD_OUT, "30 matured labels, needs 40"),
        (0, 1.0, HELD_OUT, "0 matured labels, needs 40"),
        (400, 1.0, None, "0 held-out losses, needs 50"),
    ],
)
def test_before_enough_labels_there_is_no_verdict(rows, known, reference, words):
    found = performance(scored(np.random.default_rng(0), rows, honest=False, known=known), BINARY)

    verdict = concept(found, reference)

    assert verdict.state == "cannot tell"
    assert words in verdict.words
    assert "cannot be seen before labels mature" in verdict.words


def test_a_loss_that_windows_differ_by_anyway_is_no_drift():
    random = np.random.default_rng(0)
    found = performance(scored(random, 2_000), BINARY)
    live = float(found.losses.mean())
    steady = LossReference(mean=live - 0.1, sd=0.3, rows=5_000)

    assert concept(found, steady).state == "drift"
    assert concept(found, LossReference(mean=live - 0.1, sd=0.3, rows=5_000, between=0.1)).state == "ok"


@pytest.mark.parametrize(("rows", "known", "words"), [(100, 0.7, "70% of 100 rows"), (39, 1.0, "39 matured labels")])
def test_labels_suffice_from_80_percent_of_the_rows_and_40_labels_on(rows, known, words):
    labels = ["1" if place < known * rows else None for place in range(rows)]

    assert words in (performance(labelled([0.9] * rows, labels), BINARY).quality.immature or "")
    assert performance(labelled([0.9] * 50, ["1"] * 40 + [None] * 10), BINARY).quality.immature is None


@pytest.mark.parametrize(("own", "worth"), [(None, 90), (0.8, 0)])
def test_money_goes_by_the_models_own_threshold_and_without_one_by_that_of_the_amounts(own: float | None, worth: float):
    value = Value(true_positive=100, false_positive=-10, threshold=0.6)

    found = performance(labelled([0.7, 0.7], ["1", "0"]), replace(BINARY, threshold=own), value=value)

    assert metrics(found)["value_total"] == worth
