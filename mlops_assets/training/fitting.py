"""Rows in time order -> a trained model: split, learn, choose how far back to look, score the held-out rows.

What is common to all trainers; what differs is their `Learner`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.training.machine import CPU, Machine
from mlops_assets.training.metrics import measure
from mlops_assets.training.model import (
    ColumnSpec,
    Matrix,
    ModelSpec,
    Predictor,
    Task,
    is_text,
    label_codes,
    label_names,
    to_matrix,
)
from mlops_assets.training.split import FEWEST, Split, filled, split

Params = Mapping[str, int | float | str | bool]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSet:
    """Rows to learn from, oldest first.

    `windows` says how many rows lie in each window, oldest first; empty means one window. With `forget`, validation
    chooses how many of the newest windows to learn from. Rows without a time (`ordered=False`) are shuffled by the seed
    before they are split. `inputs` and `transform` are handed on to the model's spec.
    """

    features: pl.DataFrame
    labels: pl.Series
    task: Task
    windows: tuple[int, ...] = ()
    forget: bool = False
    ordered: bool = True
    inputs: Mapping[str, ColumnSpec] = field(default_factory=dict[str, ColumnSpec])
    transform: str | None = None
    machine: Machine = CPU


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """A matrix of features, shape (rows, features), and the labels beside it, shape (rows,)."""

    matrix: Matrix
    labels: Matrix

    def part(self, rows: slice) -> "Rows":
        """Return a view of some rows."""
        return Rows(matrix=self.matrix[rows], labels=self.labels[rows])


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What one learner made of one set of rows.

    `loss` is the validation loss, `gains` what each feature is worth, `gpu_s` how long GPUs were used, in s.
    """

    model_bytes: bytes
    loss: float
    history: dict[str, list[float]]
    gains: list[float]
    params: dict[str, int | float | str | bool]
    architecture: dict[str, str | list[int]] = field(default_factory=dict[str, str | list[int]])
    gpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A kind of model: how it is fitted on (rows, validation rows), and how its bytes predict."""

    kind: str
    fit: Callable[[ModelSpec, Rows, Rows, Params, int, Machine], Learned]
    load: Callable[[ModelSpec, bytes], Predictor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A model and how well it did on the held-out rows, which it never saw.

    `holdout` are their positions in the training set, `scores` what the stored model says of them, `metrics` how that
    compares with their labels. `history` is one value per iteration or epoch. `rows_used` counts fitted and validation
    rows, `windows_used` the newest windows (of those with rows) that they are from.
    """

    model_bytes: bytes
    spec: ModelSpec
    metrics: dict[str, float]
    history: dict[str, list[float]]
    holdout: NDArray[np.int64]
    scores: Matrix
    rows_used: int
    windows_used: int
    params: dict[str, int | float | str | bool]
    gpu_s: float = 0.0


def train(data: TrainingSet, params: Params, seed: int, learner: Learner) -> Trained:
    """Return the model that `learner` makes of `data`; the same input gives the same bytes on CPU.

    Raises:
        ValueError: If the rows are too few, or the labels are missing or not of the declared kind.
    """
    order = np.arange(data.features.height)
    if not data.ordered:
        order = np.random.default_rng(seed).permutation(order)
        data = replace(data, features=data.features[order], labels=data.labels[order])
    windows = filled(data.windows or (data.features.height,))
    spec = _spec(data, windows, learner.kind)
    rows = Rows(matrix=to_matrix(data.features, spec), labels=label_codes(data.labels, spec))
    choices = range(1, len(windows) + 1) if data.forget else (len(windows),)
    tried = {used: _learn(learner, spec, rows, split(windows, used), params, seed, data.machine) for used in choices}
    used = min(tried, key=lambda count: tried[count].loss)
    cut, learned = split(windows, used), tried[used]
    held = rows.part(cut.holdout)
    spec = msgspec.structs.replace(
        spec, importance=_shares(spec.features, learned.gains), architecture=learned.architecture
    )
    scores = learner.load(spec, learned.model_bytes)(held.matrix)
    return Trained(
        model_bytes=learned.model_bytes,
        spec=spec,
        metrics=measure(data.task, held.labels, scores),
        history=learned.history,
        holdout=order[cut.holdout],
        scores=scores,
        rows_used=cut.validation.stop - cut.fit.start,
        windows_used=used,
        params=learned.params,
        gpu_s=sum(each.gpu_s for each in tried.values()),
    )


def _learn(
    learner: Learner, spec: ModelSpec, rows: Rows, cut: Split, params: Params, seed: int, machine: Machine
) -> Learned:
    fit = rows.part(cut.fit)
    if spec.task != "regression" and len(np.unique(fit.labels)) < 2:
        only = spec.classes[int(fit.labels[0])]
        raise ValueError(f"all {len(fit.labels)} rows to learn from are labelled {only!r}; right is two classes")
    return learner.fit(spec, fit, rows.part(cut.validation), params, seed, machine)


def _spec(data: TrainingSet, windows: tuple[int, ...], kind: str) -> ModelSpec:
    height = data.features.height
    if height < FEWEST or sum(windows) != height or len(data.labels) != height:
        found = f"{height} rows, {len(data.labels)} labels, {sum(windows)} rows in windows"
        raise ValueError(f"found {found}; right is one number, {FEWEST} or more")
    if data.labels.null_count() or (data.labels.dtype.is_float() and not data.labels.is_finite().all()):
        raise ValueError("a label is missing or not finite; leave rows without a label out of the training set")
    before = data.features[: split(windows, 1).holdout.start]
    texts = [name for name, dtype in data.features.schema.items() if is_text(dtype)]
    return ModelSpec(
        kind=kind,
        task=data.task,
        classes=_classes(data.labels, data.task),
        inputs=dict(data.inputs),
        features=data.features.columns,
        categories={name: before[name].cast(pl.String).drop_nulls().unique().sort().to_list() for name in texts},
        transform=data.transform,
    )


def _classes(labels: pl.Series, task: Task) -> list[str]:
    if task == "regression":
        if not labels.dtype.is_numeric():
            raise ValueError(f"the label of a regression is {labels.dtype}; right is a number")
        return []
    found = label_names(labels).unique().to_list()
    found.sort(key=float if labels.dtype.is_numeric() else None)
    if len(found) < 2 or (task == "binary" and len(found) > 2):
        right = "two, or `kind: multiclass`" if task == "binary" else "two or more"
        raise ValueError(f"a {task} label has {len(found)} classes ({', '.join(found[:5])}); right is {right}")
    return found


def _shares(features: list[str], gains: list[float]) -> dict[str, float]:
    """Return each feature's share of the gain; equal shares where nothing is gained."""
    positive = np.maximum(gains, 0.0)
    shares = positive / positive.sum() if positive.sum() > 0 else np.full(len(features), 1 / max(len(features), 1))
    return dict(zip(features, shares.tolist(), strict=True))
