"""A LightGBM training of a table beside calling LightGBM on the same rows, in CPU seconds.

A million rows of 30 numbers; one thread; the same parameters, rounds and rows to fit on, to stop by and to score. Both
start from the same polars table. Ours also checks the labels, keeps histories and a spec, reads the model back from its
text before it scores, and measures. `/step_s` is the whole step of the graph: reading the features, training, the
reference that live windows are judged against, and the record. `python -m benchmarks.train_overhead_lightgbm
ours|bare|step` prints the CPU seconds of one of them in a process that has imported all it needs.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import fastest, python, said
from benchmarks.results import Result, result
from mlops_assets.settings import load_settings

AIM = 1.05
ROUNDS = 3
ROWS, COLUMNS, WARM = 1_000_000, 30, 2_000
TREES = 100
START, WEEK = datetime(2026, 1, 5), timedelta(weeks=1)
NAME = "train_overhead_lightgbm"


def measure() -> list[Result]:
    """Return the CPU seconds of a training and of the whole step, each beside LightGBM's own."""
    ours, bare, step = fastest(ROUNDS, *(partial(_seconds, part) for part in ("ours", "bare", "step")))
    beside = "lightgbm.train and predict, same parameters and rounds"
    return [
        result(NAME, ours, "CPU s", beside=beside, beside_figure=bare),
        result(f"{NAME}/ratio", ours / bare, "", aim=AIM),
        result(f"{NAME}/step_s", step, "CPU s", beside=beside, beside_figure=bare),
    ]


def table(rows: int) -> pl.DataFrame:
    """Return numbers, one in fifty missing, and a label that depends on six of them."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(COLUMNS, rows))
    label = numbers[:6].sum(axis=0) + random.normal(0, 2, rows) > 0
    numbers[random.random(size=numbers.shape) < 0.02] = np.nan
    return pl.DataFrame({f"n{i}": column for i, column in enumerate(numbers)}).with_columns(label=label.astype(int))


def _ours(rows: pl.DataFrame) -> Callable[[], object]:
    from mlops_assets.training.fitting import train
    from mlops_assets.training.gbdt import LIGHTGBM
    from mlops_assets.training.training_set import TrainingSet

    data = TrainingSet(features=rows.drop("label"), labels=rows["label"], task="binary")
    return lambda: train(data, {"num_iterations": TREES}, 0, LIGHTGBM)


def _bare(rows: pl.DataFrame) -> Callable[[], object]:
    from lightgbm import Dataset, early_stopping, record_evaluation, train

    known = {"objective": "binary", "metric": "binary_logloss", "learning_rate": 0.1, "num_threads": 1, "seed": 0}
    fixed = {"deterministic": True, "force_row_wise": True, "verbosity": -1}

    def call() -> object:
        matrix, labels = rows.drop("label").to_numpy(order="c"), rows["label"].to_numpy()
        first, last = round(len(matrix) * 0.64), round(len(matrix) * 0.8)  # as training/split.py does
        fit = Dataset(matrix[:first], labels[:first])
        stop = Dataset(matrix[first:last], labels[first:last], reference=fit)
        callbacks = [early_stopping(20, verbose=False), record_evaluation({})]
        booster = train({**known, **fixed}, fit, num_boost_round=TREES, valid_sets=[stop], callbacks=callbacks)
        return booster.predict(matrix[last:], num_threads=1)

    return call


def _step(rows: pl.DataFrame) -> Callable[[], object]:
    """Write the features of a window, and return the step that makes its model."""
    from mlops_assets.evidence.archive import Archive, Built
    from mlops_assets.evidence.records import Place, Recipe
    from mlops_assets.product import Label, ModelProduct, Source, Trainer
    from mlops_assets.training.step import ModelStep
    from mlops_assets.windows import Grid

    settings = load_settings()  # `said` gave this process a home of its own
    names = [name for name in rows.columns if name != "label"]
    product = ModelProduct(
        name=f"rows_{rows.height}",
        source=Source(path="rows.csv", time="at"),
        label=Label(column="label"),
        windows=Grid(every="week", start=START),
        features=tuple(names),
        trainer=Trainer(params={"num_iterations": TREES}),
    )
    at = pl.datetime_range(START, START + WEEK, WEEK / rows.height, closed="left", time_zone="UTC", eager=True)
    keys = pl.Series("_key", np.arange(rows.height)).cast(pl.String)
    features = rows.select(keys, at.head(rows.height).alias("_time"), pl.col("label").alias("_label"), *names)
    place = Place(product=product.name, stage="features", partition=f"all|{START:%Y-%m-%d}")
    inputs = {name: {"type": "float", "nullable": True} for name in names}
    archive = Archive(settings.home)
    archive.make(
        Recipe(place=place, code="benchmark"),
        [],
        lambda: Built(outputs={"features": features}, facts={"inputs": inputs}),
    )
    step = ModelStep(product=product, archive=archive, settings=settings)
    return lambda: step.make(place.partition)


def _seconds(how: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return float(said(python("-m", "benchmarks.train_overhead_lightgbm", how), load_settings(home=Path(folder))))


def _timed(how: str) -> float:
    made = {"ours": _ours, "bare": _bare, "step": _step}[how]
    made(table(WARM))()
    call = made(table(ROWS))
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    print(f"{_timed(sys.argv[1]):.3f}")
