"""Rows in time order -> a trained model: split, learn, choose how far back to look, score the held-out rows.

What is common to all trainers; what differs is their `Learner`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.machine import Machine
from mlops_assets.training.metrics import measure
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, label_codes, to_matrix
from mlops_assets.training.split import Split, split
from mlops_assets.training.training_set import TrainingSet, order_of, spec_of

Params = Mapping[str, int | float | str | bool]


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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a search. `loss` is the task's on the validation rows; None if it failed, for `problem`."""

    kind: str
    params: dict[str, int | float | str | bool]
    loss: float | None
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    history: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    problem: str = ""
    won: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A model and how well it did on the held-out rows, which it never saw.

    `holdout` are their positions in the training set, `scores` what the stored model says of them, `metrics` how that
    compares with their labels. `history` is one value per iteration or epoch. `rows_used` counts fitted and validation
    rows, `windows_used` the newest windows (of those with rows) that they are from. `validation` are the positions of
    the rows that only chose among models. A model that won a search has all its `trials`, in order; `cut_short` says
    that time ended it.
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
    validation: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    trials: tuple[Trial, ...] = ()
    cut_short: bool = False


def as_recorded(params: Params) -> dict[str, int | float | str | bool]:
    """Return parameters as a record has them: JSON knows one kind of number, so 1.0 is 1 when they are read again."""
    return {name: int(value) if _is_whole(value) else value for name, value in params.items()}


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer() and abs(value) < 2**53


def train(data: TrainingSet, params: Params, seed: int, learner: Learner) -> Trained:
    """Return the model that `learner` makes of `data`; the same input gives the same bytes on CPU.

    Raises:
        ValueError: If the rows are too few, or the labels are missing or not of the declared kind.
    """
    spec = spec_of(data, seed, learner.kind)
    order, windows = order_of(data, seed), data.filled
    if not data.ordered:
        data = replace(data, features=data.features[order], labels=data.labels[order])
    rows = Rows(matrix=to_matrix(data.features, spec), labels=label_codes(data.labels, spec))
    choices = range(1, len(windows) + 1) if data.forget else (len(windows),)
    tried = {
        used: _learn(learner, spec, rows, split(windows, used), params, seed, _own(data, used)) for used in choices
    }
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
        validation=order[cut.validation],
    )


def _own(data: TrainingSet, used: int) -> Machine:
    """Return the machine with a folder of its own for each choice of windows, so that none resumes from another."""
    folder = data.machine.checkpoints
    return replace(data.machine, checkpoints=folder / f"windows-{used}") if folder and data.forget else data.machine


def _learn(
    learner: Learner, spec: ModelSpec, rows: Rows, cut: Split, params: Params, seed: int, machine: Machine
) -> Learned:
    fit = rows.part(cut.fit)
    if spec.task != "regression" and len(np.unique(fit.labels)) < 2:
        only = spec.classes[int(fit.labels[0])]
        raise ValueError(f"all {len(fit.labels)} rows to learn from are labelled {only!r}; right is two classes")
    return learner.fit(spec, fit, rows.part(cut.validation), params, seed, machine)


def _shares(features: list[str], gains: list[float]) -> dict[str, float]:
    """Return each feature's share of the gain; equal shares where nothing is gained."""
    positive = np.maximum(gains, 0.0)
    shares = positive / positive.sum() if positive.sum() > 0 else np.full(len(features), 1 / max(len(features), 1))
    return dict(zip(features, shares.tolist(), strict=True))
