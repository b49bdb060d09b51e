"""LightGBM as it is meant: native categories, missing values, early stopping in time's order, one history per round."""

import numpy as np
import polars as pl
import pytest

from mlops_assets.rules import Compute, Trainer
from mlops_assets.training import gbdt
from mlops_assets.training.fitting import Trained
from mlops_assets.training.plan import plan_of
from mlops_assets.training.training_set import TrainingSet, parts
from mlops_assets_tests.houses import HOUSES

ODD = ["b", "d", "f", "h"]


def rows(labels: pl.Expr, *, count: int = 1000, flipped: slice = slice(0, 0)) -> TrainingSet:
    """`letter` is a to h, `gaps` is a number or missing, `x` a number. Where `flipped`, the label is the opposite."""
    random = np.random.default_rng(5)
    gaps = np.where(random.random(count) < 0.5, np.nan, random.normal(size=count))
    frame = pl.DataFrame(
        {
            "letter": random.choice(list("abcdefgh"), count),
            "gaps": pl.Series(gaps, nan_to_null=True),
            "x": random.normal(size=count),
        }
    )
    label = frame.select(labels.cast(int).alias("label"))["label"].to_numpy().copy()
    label[flipped] = 1 - label[flipped]
    return TrainingSet(features=frame, labels=pl.Series(label), task="binary")


def fitted(data: TrainingSet, **params: int | float | str) -> Trained:
    return gbdt.fit(data, params, 0)


def test_one_split_divides_categories_that_are_no_range():
    stump = fitted(rows(pl.col("letter").is_in(ODD)), num_leaves=2, num_iterations=1)

    assert stump.metrics["auc"] == 1
    assert b"num_cat=1" in stump.model_bytes


def test_one_split_divides_what_is_missing_from_what_is_not():
    stump = fitted(rows(pl.col("gaps").is_null()), num_leaves=2, num_iterations=1)

    assert stump.metrics["auc"] == 1
    assert stump.spec.importance["gaps"] == 1


def test_the_rows_to_stop_by_lie_between_those_to_learn_from_and_those_held_out():
    cut = parts(rows(pl.col("x") > 0), 0)

    assert cut.fit.max() < cut.validation.min() <= cut.validation.max() < cut.holdout.min()
    assert (len(cut.fit), len(cut.validation), len(cut.holdout)) == (640, 160, 200)


def test_training_stops_when_the_validation_rows_gain_no_more_and_keeps_the_best_round():
    data = rows(pl.col("x") + 0.7 * pl.col("gaps").fill_null(0) > 0)

    trained = fitted(data, early_stopping_round=5)

    [losses] = trained.history.values()
    best = int(trained.params["best_iteration"])
    assert len(losses) == best + 5 < 300
    assert losses[best - 1] == min(losses)
    assert trained.model_bytes.count(b"\nTree=") == best


def test_what_stops_it_is_the_validation_rows_alone():
    honest = fitted(rows(pl.col("x") > 0))
    misled = fitted(rows(pl.col("x") > 0, flipped=slice(640, 800)))
    held_out = fitted(rows(pl.col("x") > 0, flipped=slice(800, 1000)))

    assert misled.params["best_iteration"] == 1 < int(honest.params["best_iteration"])
    assert held_out.model_bytes == honest.model_bytes


@pytest.mark.parametrize("params", [{"early_stopping_round": 0}, {"boosting": "dart"}])
def test_without_early_stopping_every_round_is_kept(params: dict[str, int | str]):
    trained = fitted(rows(pl.col("x") > 0), num_iterations=30, **params)

    assert [len(each) for each in trained.history.values()] == [30]
    assert trained.params["best_iteration"] == 30


def test_what_lightgbm_refuses_is_told_without_its_own_paths():
    with pytest.raises(ValueError, match=r"^lightgbm: Check failed: \(num_leaves\) > \(1\)$"):
        fitted(rows(pl.col("x") > 0), num_leaves=1)


@pytest.mark.parametrize(
    ("cpu", "params", "threads"), [(1, {}, None), (1.9, {}, None), (4, {}, 4), (2.5, {}, 2), (4, {"num_threads": 1}, 1)]
)
def test_it_computes_on_as_many_threads_as_it_has_whole_cpus(cpu: float, params: dict[str, int], threads: int | None):
    product = HOUSES.model_copy(update={"trainer": Trainer(params=dict(params)), "compute": Compute(cpu=cpu)})

    assert plan_of(product, "bath").trainer.params.get("num_threads") == threads
