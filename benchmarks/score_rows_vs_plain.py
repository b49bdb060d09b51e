"""A million rows of a table scored, with ids, checked inputs and log, beside polars and `Booster.predict` alone."""

import io
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import fastest
from benchmarks.results import Result, result
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.serving.scoring.answering import Answerer, Scorer
from mlops_assets.serving.scoring.keeping import Keeping
from mlops_assets.serving.scoring.placing import Place, declared_roles, placed
from mlops_assets.serving.scoring.reading import parts
from mlops_assets.training import gbdt
from mlops_assets.training.fitting import Trained
from mlops_assets.training.model import ColumnSpec
from mlops_assets.training.training_set import TrainingSet
from mlops_assets.windows import ALL, Grid

AIM = 2.0  # times as long
ROWS, COLUMNS, TREES, ROUNDS = 1_000_000, 10, 100, 3
NAMES = [f"x{number}" for number in range(COLUMNS)]
START = datetime(2026, 1, 5, tzinfo=UTC)
PRODUCT = ModelProduct(
    name="calls",
    source=Source(path="calls.parquet", time="at", key="id"),
    label=Label(column="good"),
    windows=Grid(every="week", start=START),
    features=tuple(NAMES),
)


def measure() -> list[Result]:
    """Return µs a row for each, and how many rows a second ours are; both read Parquet and write Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        file, model = _table(Path(folder) / "calls.parquet"), _model()
        ours, theirs = fastest(ROUNDS, lambda: _scored(file, model), lambda: _plain(file, model))
    beside = "polars.read_parquet, Booster.predict, write_parquet"
    return [
        result(
            "score_rows_vs_plain", 1e6 * ours / ROWS, "µs", beside=beside, beside_figure=1e6 * theirs / ROWS, aim=AIM
        ),
        result("score_rows_vs_plain/rows", ROWS / ours, "rows/s"),
    ]


def _table(file: Path) -> Path:
    draw = np.random.default_rng(0)
    at = pl.lit(START) + pl.duration(milliseconds=80 * pl.int_range(pl.len()))
    rows = pl.DataFrame({"id": np.arange(ROWS), **{name: draw.normal(size=ROWS) for name in NAMES}})
    rows.with_columns(at=at, id=pl.col("id").cast(pl.String)).write_parquet(file)
    return file


def _model() -> Trained:
    draw = np.random.default_rng(1)
    rows = pl.DataFrame({name: draw.normal(size=5_000) for name in NAMES})
    labels = (rows["x0"] + rows["x1"] * rows["x2"] > 0).cast(int)
    inputs = {name: ColumnSpec(type="float") for name in NAMES}
    data = TrainingSet(features=rows, labels=labels, task="binary", inputs=inputs)
    return gbdt.fit(data, {"num_iterations": TREES, "early_stopping_round": 0}, 0)


def _scored(file: Path, model: Trained) -> float:
    began = time.perf_counter()
    by = Answerer(PRODUCT.name, ALL, 1, "0" * 64, "1" * 64, model.spec, model.model_bytes, Keeping())
    scorer, done = Scorer(by), 0
    for part in parts(str(file), Path("/")):
        rows, wrong = placed(part.rows, PRODUCT, declared_roles(PRODUCT), Place())
        answers = scorer.answers(rows.filter(wrong.is_null()))
        answers.rows.write_parquet(io.BytesIO(), compression="zstd", compression_level=1)
        done += answers.rows.height
    if done != ROWS:
        raise RuntimeError(f"{done} of {ROWS} rows were scored")
    return time.perf_counter() - began


def _plain(file: Path, model: Trained) -> float:
    from lightgbm import Booster

    began, cores = time.perf_counter(), os.cpu_count() or 1  # as ours
    rows = pl.read_parquet(file)
    output = Booster(model_str=model.model_bytes.decode()).predict(rows.select(NAMES).to_numpy(), num_threads=cores)
    rows.with_columns(output=pl.Series(np.asarray(output))).write_parquet(io.BytesIO(), compression="zstd")
    return time.perf_counter() - began
