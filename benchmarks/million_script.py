"""What one would write without a platform: read, validate, join and keep each week, train on all, look at the AUC."""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import lightgbm
import numpy as np
import pandera.polars as pa
import polars as pl
from sklearn.metrics import roc_auc_score

TEXT = ("car", "zipcode")
FEATURES = ("salary", "commission", "age", "elevel", "car", "zipcode", "hvalue", "hyears", "loan")
PARAMS = {"objective": "binary", "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
SCHEMA = pa.DataFrameSchema(
    {
        "application_id": pa.Column(pl.String, unique=True),
        "applied_at": pa.Column(pl.Datetime("us", "UTC")),
        "salary": pa.Column(pl.Float64, pa.Check.ge(0)),
        "commission": pa.Column(pl.Float64),
        "age": pa.Column(pl.Int64, [pa.Check.ge(18), pa.Check.le(100)]),
        "elevel": pa.Column(pl.Int64),
        "car": pa.Column(pl.String),
        "zipcode": pa.Column(pl.String),
        "hvalue": pa.Column(pl.Float64),
        "hyears": pa.Column(pl.Int64),
        "loan": pa.Column(pl.Float64, pa.Check.ge(0)),
    }
)


def train(source: Path, kept: Path) -> float:
    """Write each week's labelled rows and the model to `kept`, and return the AUC on the newest rows."""
    frame = pl.read_parquet(source)
    labels = frame.select("application_id", "approved")
    rows = frame.drop("approved").with_columns(week=pl.col("applied_at").dt.truncate("1w").dt.strftime("%Y-%m-%d"))
    weeks = rows.sort("applied_at", "application_id").partition_by("week", as_dict=True, include_key=False)
    for (week,), part in weeks.items():
        valid = SCHEMA.validate(part, lazy=True)
        valid.join(labels, on="application_id", maintain_order="left").write_parquet(kept / f"{week}.parquet")
    parts = [pl.read_parquet(file) for file in sorted(kept.glob("*.parquet"))]
    return fitted(pl.concat(parts), newest=parts[-1].height, model=kept / "model.txt", params=PARAMS, rounds=300)


def fitted(
    rows: pl.DataFrame, *, newest: int, model: Path, params: Mapping[str, str | int | bool], rounds: int
) -> float:
    """Train on all but the newest rows, keep the model, and return the AUC on those."""
    levels = {name: rows[name].unique().sort() for name in TEXT}
    coded = [pl.col(name).replace_strict(levels[name], range(len(levels[name]))) for name in TEXT]
    matrix = rows.with_columns(coded).select(FEATURES).cast(pl.Float64).to_numpy()
    labels = rows["approved"].to_numpy().astype(np.float64)
    held = len(labels) - round(0.2 * newest)
    fitted = held - round(0.16 * newest)
    text = [FEATURES.index(name) for name in TEXT]
    training = lightgbm.Dataset(matrix[:fitted], labels[:fitted], categorical_feature=text)
    validation = lightgbm.Dataset(matrix[fitted:held], labels[fitted:held], reference=training)
    stop = lightgbm.early_stopping(20, verbose=False)
    booster = lightgbm.train(dict(params), training, rounds, valid_sets=[validation], callbacks=[stop])
    booster.save_model(model)
    return float(roc_auc_score(labels[held:], booster.predict(matrix[held:], num_threads=1)))


if __name__ == "__main__":
    for path in sys.argv[1:]:  # a small file first, so that what is done once in a process does not count
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            train(Path(path), Path(folder))
            taken = time.perf_counter() - began
    print(taken)
