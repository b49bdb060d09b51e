"""`check_trainer` and `check_features` pass what is right, and name what is wrong with the rest."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.testing import check_features, check_trainer, example
from mlops_assets.training import gbdt
from mlops_assets.training.networks import network
from mlops_assets_tests.training import lonely_trainer, odd_loaders, own_trainers


def test_the_shipped_trainers_and_a_users_own_are_right():
    check_trainer(gbdt.fit, params={"num_iterations": 10})
    check_trainer(network.fit, params={"epochs": 3})
    check_trainer(own_trainers.ridge)
    check_trainer(own_trainers.whole, example(200), {"ridge": 0.5}, 7)


def test_the_rows_to_try_have_what_is_hard():
    data = example()

    missing = data.features.null_count().row(0, named=True)
    assert missing["size"] > 20 < missing["street"] < missing["empty"] == data.features.height
    assert "new" in data.features["street"].tail(20).to_list()
    assert "new" not in data.features["street"].head(380).to_list()
    assert data.labels.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("fit", "problem"),
    [
        (own_trainers.clock, "a second fit in the same process made other bytes.*right is no clock"),
        (own_trainers.unseeded, "a second fit in the same process made other bytes"),
        (own_trainers.hashed, "a fit in another process made other bytes"),
        (own_trainers.relabels, "the trainer changed the labels that it was given; right is to work on a copy"),
        (own_trainers.adds_a_column, "changed the columns that it was given: .*became .*label"),
        (own_trainers.fills_a_column, "the trainer changed the column 'size' that it was given"),
        (own_trainers.sets_a_parameter, r"changed its parameters: \{\} became \{'ridge': 3\}"),
        (own_trainers.pickled, "model_bytes is a pickle, which runs code where it is loaded"),
        (odd_loaders.in_memory, "in another process the model cannot be loaded, or trained again: KeyError"),
        (
            odd_loaders.in_this_process,
            "loaded in another process the model predicts otherwise: row 0",
        ),
        (odd_loaders.among_others, r"a row is scored 0\.\d+ alone, 0\.\d+ among others"),
        (odd_loaders.not_finite, "a row of which everything is missing is scored nan; right is a finite number"),
        (lonely_trainer.fit, "no function 'mlops_assets_tests.training.lonely_trainer.load_predictor'"),
        (
            lambda features, params, seed: None,
            "<lambda> cannot be found by its name",
        ),
    ],
)
def test_what_is_wrong_with_a_trainer_is_named(fit: Callable[..., object], problem: str):
    with pytest.raises(AssertionError, match=problem):
        check_trainer(fit)  # type: ignore[arg-type]


def square(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(square=pl.col("size") ** 2)


def ranked(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(ranked=pl.col("size").rank())


def test_features_that_look_at_other_rows_are_named():
    frame = example().features

    check_features(square, frame)
    with pytest.raises(AssertionError, match=re.escape('expression col("size").rank()')):
        check_features(ranked, frame)


def test_the_trainer_of_the_documentation_can_be_relied_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    documentation = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    [written] = [block for block in re.findall(r"```python\n(.*?)```", documentation, re.DOTALL) if "PARAMS =" in block]
    (tmp_path / "odds.py").write_text(written)
    monkeypatch.syspath_prepend(tmp_path)

    check_trainer(importlib.import_module("odds").fit, params={"strength": 0.1})
