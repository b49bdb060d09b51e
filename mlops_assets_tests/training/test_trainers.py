"""Both trainers keep one contract: they learn, say what they saw, and make the same bytes again."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mlops_assets.training.fitting import Params, TrainingSet
from mlops_assets.training.model import Task, label_codes, to_matrix
from mlops_assets.training.trainers import load_predictor, trainer_named

QUICK: dict[str, Params] = {"lightgbm": {"num_iterations": 40}, "torch": {"epochs": 15}}
KINDS = pytest.mark.parametrize("kind", ["lightgbm", "torch"])


def rows(count: int = 900, *, flipped: int = 0) -> TrainingSet:
    """Three windows; the label is `x > 0`, or 1 where `c` is "b". `noise` says nothing, and a fifth of it is null.

    In the first `flipped` rows the label is the opposite.
    """
    random = np.random.default_rng(3)
    x, c = random.normal(size=count), random.choice(["a", "b", "c"], count)
    label = ((x > 0) | (c == "b")) ^ (np.arange(count) < flipped)
    noise = pl.Series(np.where(random.random(count) < 0.2, np.nan, random.normal(size=count)), nan_to_null=True)
    return TrainingSet(
        features=pl.DataFrame({"x": x, "c": c, "noise": noise}),
        labels=pl.Series(label.astype(int)),
        task="binary",
        windows=(count // 3, count // 3, count - 2 * (count // 3)),
    )


def several(data: TrainingSet) -> TrainingSet:
    x = data.features["x"]
    names = pl.select(
        pl.when(x > 0.5).then(pl.lit("high")).when(x > -0.5).then(pl.lit("middle")).otherwise(pl.lit("low"))
    )
    return replace(data, labels=names.to_series(), task="multiclass")


@KINDS
def test_it_learns_what_there_is_to_learn(kind: str):
    trained = trainer_named(kind)(rows(), QUICK[kind], 0)

    assert trained.metrics["auc"] > 0.97
    assert trained.spec.importance["noise"] < 0.1
    assert sum(trained.spec.importance.values()) == pytest.approx(1)
    assert trained.history


@KINDS
def test_the_same_rows_make_the_same_bytes_and_are_left_alone(kind: str):
    data = rows()
    before = data.features.clone()

    first, second = (trainer_named(kind)(data, QUICK[kind], 0) for _ in range(2))

    assert first.model_bytes == second.model_bytes
    assert first.spec == second.spec
    assert data.features.equals(before)


@KINDS
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_stored_model_says_the_same_of_the_held_out_rows(kind: str, task: Task):
    data = several(rows()) if task == "multiclass" else replace(rows(), task=task)
    trained = trainer_named(kind)(data, QUICK[kind], 0)

    matrix = to_matrix(data.features[trained.holdout.tolist()], trained.spec)
    scores = load_predictor(trained.spec, trained.model_bytes)(matrix)

    np.testing.assert_array_equal(scores, trained.scores)
    assert scores.shape == ((len(matrix), 3) if task == "multiclass" else (len(matrix),))
    assert load_predictor(trained.spec, trained.model_bytes)(matrix[:0]).shape[0] == 0


@KINDS
def test_classes_are_named_and_scored_in_their_order(kind: str):
    data = several(rows())

    trained = trainer_named(kind)(data, QUICK[kind], 0)

    labels = label_codes(data.labels, trained.spec)[trained.holdout]
    assert trained.spec.classes == ["high", "low", "middle"]
    assert (trained.scores.argmax(axis=1) == labels).mean() == trained.metrics["accuracy"] > 0.8
    np.testing.assert_allclose(trained.scores.sum(axis=1), 1)


@KINDS
def test_an_unseen_category_and_a_missing_number_get_a_finite_answer(kind: str):
    trained = trainer_named(kind)(rows(), QUICK[kind], 0)
    odd = pl.DataFrame(
        {"x": [None, 1.0], "c": ["unseen", None], "noise": [None, None]}, schema_overrides={"x": pl.Float64}
    )

    scores = load_predictor(trained.spec, trained.model_bytes)(to_matrix(odd, trained.spec))

    assert np.isfinite(scores).all()


def test_forgetting_drops_the_windows_from_before_a_change():
    data = replace(rows(flipped=300), forget=True)

    trained = trainer_named("lightgbm")(data, QUICK["lightgbm"], 0)

    assert trained.windows_used == 2
    assert trained.rows_used == 600 - len(trained.holdout)
    assert trained.metrics["auc"] > trainer_named("lightgbm")(replace(data, forget=False), {}, 0).metrics["auc"]


def test_the_held_out_rows_are_the_newest_and_do_not_touch_the_model():
    data = rows()
    trained = trainer_named("lightgbm")(data, {}, 0)
    flipped = data.labels.to_numpy().copy()
    flipped[trained.holdout] = 1 - flipped[trained.holdout]

    again = trainer_named("lightgbm")(replace(data, labels=pl.Series(flipped)), {}, 0)

    assert trained.holdout.tolist() == list(range(800, 900))
    assert again.model_bytes == trained.model_bytes
    assert again.metrics["auc"] == pytest.approx(1 - trained.metrics["auc"])


def test_rows_without_a_time_are_shuffled_before_they_are_split():
    data = rows()
    order = data.labels.arg_sort().to_list()
    sorted_by_label = replace(data, features=data.features[order], labels=data.labels[order], windows=(), ordered=False)

    trained = trainer_named("lightgbm")(sorted_by_label, {}, 0)

    assert trained.metrics["auc"] > 0.97
    assert sorted_by_label.labels[trained.holdout.tolist()].n_unique() == 2


def without(**changes: object) -> TrainingSet:
    return replace(rows(60), windows=(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (without(labels=pl.Series([1] * 60)), r"a binary label has 1 classes \(1\); right is two, or"),
        (without(labels=pl.Series([0, 1, 2] * 20)), r"a binary label has 3 classes \(0, 1, 2\); right is two, or"),
        (without(labels=pl.Series([0] * 30 + [1] * 30)), "all 27 rows to learn from are labelled '0'"),
        (without(labels=pl.Series([0, None] * 30)), "a label is missing or not finite"),
        (without(labels=pl.Series(["a"] * 60), task="regression"), "the label of a regression is String"),
        (replace(rows(60), windows=(10, 10)), "60 rows, 60 labels, 20 rows in windows"),
        (replace(rows(6), windows=(6,)), "6 rows.*right is one number, 10 or more"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(data: TrainingSet, problem: str):
    with pytest.raises(ValueError, match=problem):
        trainer_named("lightgbm")(data, {}, 0)


def test_an_unknown_trainer_or_parameter_is_named():
    with pytest.raises(LookupError, match="no trainer 'xgb'; known trainers: lightgbm, torch"):
        trainer_named("xgb")
    with pytest.raises(LookupError, match=r"no parameter 'num_leavs' .* \(did you mean 'num_leaves'\?\); known: "):
        trainer_named("lightgbm", {"num_leavs": 3})


def test_an_all_missing_column_is_learned_around():
    data = rows()
    empty = replace(data, features=data.features.with_columns(noise=pl.lit(None, pl.Float64)))

    for kind in ("lightgbm", "torch"):
        assert trainer_named(kind)(empty, QUICK[kind], 0).metrics["auc"] > 0.97


def test_a_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(ModuleNotFoundError, match=r"needs torch.*pip install 'mlops-assets\[torch\]'"):
        trainer_named("torch")(rows(60), {}, 0)


def test_the_trainers_load_no_library_before_they_train():
    heavy = ["dagster", "lightgbm", "mlflow", "pandas", "safetensors", "sklearn", "torch"]
    code = "import sys, json, mlops_assets.training.trainers; print(json.dumps(sorted(sys.modules)))"

    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)

    assert not set(heavy) & set(loaded)
