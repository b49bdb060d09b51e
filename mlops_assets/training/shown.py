"""A model's record -> what people see of it: pictures and numbers from its held-out rows, and a few of its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.intake.cells import DTYPES
from mlops_assets.training.intervals import Measured
from mlops_assets.training.metrics import METRICS
from mlops_assets.training.model import ModelSpec, decode_spec, label_codes, to_matrix
from mlops_assets.training.pictures.confusion_plot import confusion_plot
from mlops_assets.training.pictures.curves import (
    Floats,
    calibration,
    calibration_error,
    confusion,
    held_out,
    residuals,
    roc,
)
from mlops_assets.training.pictures.plots import calibration_plot, importance_plot, residuals_plot, roc_plot
from mlops_assets.training.pictures.wrong import wrong_pictures
from mlops_assets.training.trainers import load_predictor

SCORED = 5_000  # newest held-out rows of several classes that are scored again: their record keeps the likeliest only
EXAMPLES = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Pictures (SVG) by name, numbers by name, and the gate's metric with its interval, if it has one."""

    pictures: Mapping[str, str]
    numbers: Mapping[str, float]
    measured: Measured | None


def shown(archive: Archive, held: Held, metric: str) -> Shown:
    """Return what a model's held-out rows show of it; `metric` is the one that gets an interval."""
    spec = decode_spec(archive.data(held, "spec"))
    holdout = archive.table(held, "holdout")
    if spec.task == "multiclass":
        holdout = holdout.tail(SCORED)
    labels, scores = label_codes(holdout["_label"], spec), holdout["_score"].to_numpy()
    if spec.task == "multiclass":
        scores = load_predictor(spec, archive.data(held, "model"))(to_matrix(holdout, spec))
    wrong = wrong_pictures(archive, held, spec, holdout, scores)
    known = np.isfinite(labels)  # a class that came only after training has no place
    labels, scores = labels[known], scores[known]
    measured = held_out(spec.task, metric, labels, scores) if len(labels) else None
    numbers = {name: value for name, value in held.record.facts.items() if name in METRICS[spec.task]}
    found = {name: float(str(value)) for name, value in numbers.items()}
    if measured is not None and measured.low is not None and measured.high is not None:
        found |= {f"{metric} low": measured.low, f"{metric} high": measured.high}
    pictures = {"importance": importance_plot(spec.importance)} if spec.importance else {}
    if len(labels):
        drawn, more = _DRAWN[spec.task](spec, labels, scores)
        pictures, found = {**drawn, **pictures}, {**found, **more}
    return Shown(pictures={**wrong, **pictures}, numbers=found, measured=measured)


def example_inputs(archive: Archive, held: Held, spec: ModelSpec) -> pl.DataFrame:
    """Return a few held-out rows as a request has them: the model's inputs, of the types in its spec."""
    keys = archive.table(held, "holdout").tail(EXAMPLES)
    rows = keys
    if spec.transform is not None:
        features = archive.held(held.record.inputs[-1].record)
        dataset = archive.table(archive.held(features.record.inputs[0].record), "dataset")
        rows = dataset.join(keys.select("_key"), on="_key", how="semi").tail(EXAMPLES)
    return rows.select(_input(name, rows.schema[name], DTYPES[column.type]) for name, column in spec.inputs.items())


def _input(name: str, found: pl.DataType, right: pl.DataType) -> pl.Expr:
    return (pl.col(name).fill_nan(None) if found.is_float() else pl.col(name)).cast(right)


Drawn = tuple[dict[str, str], dict[str, float]]


def _binary(spec: ModelSpec, labels: Floats, scores: Floats) -> Drawn:
    positive, rows, cut = spec.classes[-1], len(labels), spec.threshold or 0.5
    curve, bins = roc(labels, scores), calibration(labels == 1, scores)
    error = calibration_error(bins)
    area = held_out("binary", "auc", labels, scores)
    table = confusion(labels, (scores >= cut).astype(np.float64), 2)
    pictures = {"roc": roc_plot(curve, auc=area.value, rows=rows)} if curve and area else {}
    pictures["calibration"] = calibration_plot(bins, error=error, of=positive)
    said = f"{rows:,} held-out rows; {positive} from a probability of {cut:g} on"
    return {**pictures, "confusion": confusion_plot(table, spec.classes, said=said)}, {"calibration error": error}


def _multiclass(spec: ModelSpec, labels: Floats, scores: Floats) -> Drawn:
    chosen, top = scores.argmax(axis=1).astype(np.float64), scores.max(axis=1)
    bins = calibration(chosen == labels, top)
    error = calibration_error(bins)
    right = float((chosen == labels).mean())
    table = confusion(labels, chosen, len(spec.classes))
    return {
        "calibration": calibration_plot(bins, error=error, of="right, of the likeliest class"),
        "confusion": confusion_plot(table, spec.classes, said=f"{len(labels):,} held-out rows; accuracy {right:.4g}"),
    }, {"calibration error": error}


def _regression(spec: ModelSpec, labels: Floats, scores: Floats) -> Drawn:
    rmse = float(np.sqrt(((scores - labels) ** 2).mean()))
    return {"residuals": residuals_plot(residuals(labels, scores), rmse=rmse, rows=len(labels))}, {}


_DRAWN = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}
