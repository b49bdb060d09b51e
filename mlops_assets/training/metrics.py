"""Labels and scores -> how good a model is.

Every metric takes labels, shape (rows,), scores (probability of the positive class or value, shape (rows,); for a
multiclass task shape (rows, classes)) and optional weights. Weights of shape (resamples, rows) give one value per
resample, which is how the gate's bootstrap asks a thousand times at once. What is not defined (no rows, AUC of one
class) is NaN.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.model import Task

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats, Floats | None], Floats]
HIGHER_IS_BETTER = frozenset({"auc", "accuracy", "f1"})
_SMALLEST = float(np.finfo(np.float64).eps)


def auc(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the chance that a positive row scores above a negative one, ties counting half, in [0, 1].

    Mann-Whitney U / (positives x negatives): Hanley and McNeil, Radiology 143 (1982).
    """
    counts = np.ones(len(labels)) if weights is None else weights
    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    below = np.cumsum(counts[..., negatives], axis=-1)
    below = np.concatenate([np.zeros((*below.shape[:-1], 1)), below], axis=-1)
    ranked, asked = scores[negatives], scores[positives]
    won = below[..., np.searchsorted(ranked, asked, "left")] + below[..., np.searchsorted(ranked, asked, "right")]
    each = counts[..., positives]
    return _ratio(np.einsum("...i,...i->...", each, won) / 2, each.sum(-1) * below[..., -1])


def accuracy(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the share of rows whose likeliest class is right, in [0, 1]; a probability of 0.5 counts as positive."""
    return _mean(_decided(scores) == labels, weights)


def f1(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return 2TP / (2TP + FP + FN) at threshold 0.5, in [0, 1]: van Rijsbergen, Information Retrieval (1979)."""
    decided = _decided(scores)
    hits, errors = decided * labels, decided != labels
    doubled = 2 * _sum(hits, weights)
    return _ratio(doubled, doubled + _sum(errors, weights))


def log_loss(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean of -ln(probability given to what happened), in [0, 36.1]: Good, J. R. Stat. Soc. B 14 (1952).

    Probabilities are clipped to [2.2e-16, 1 - 2.2e-16], so that one wrong certainty is not infinite.
    """
    return _mean(_surprise(labels, scores), weights)


def brier(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean squared error of the probability, in [0, 1]: Brier, Monthly Weather Review 78 (1950)."""
    return _mean((scores - labels) ** 2, weights)


def rmse(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the root of the mean squared error, in the label's unit."""
    return np.sqrt(_mean((scores - labels) ** 2, weights))


def mae(labels: Floats, scores: Floats, weights: Floats | None = None) -> Floats:
    """Return the mean absolute error, in the label's unit."""
    return _mean(np.abs(scores - labels), weights)


METRICS: dict[Task, dict[str, Metric]] = {
    "binary": {"auc": auc, "accuracy": accuracy, "f1": f1, "log_loss": log_loss, "brier": brier},
    "multiclass": {"accuracy": accuracy, "log_loss": log_loss},
    "regression": {"rmse": rmse, "mae": mae},
}


def metric_named(task: Task, name: str) -> Metric:
    """Return the metric `name` of a task.

    Raises:
        LookupError: If the task has no such metric; the message lists those it has.
    """
    if name not in METRICS[task]:
        raise LookupError(f"no metric {name!r} of a {task} label; known metrics: {', '.join(METRICS[task])}")
    return METRICS[task][name]


def measure(task: Task, labels: Floats, scores: Floats) -> dict[str, float]:
    """Return every metric of the task by name."""
    return {name: float(metric(labels, scores, None)) for name, metric in METRICS[task].items()}


def losses(task: Task, labels: Floats, scores: Floats) -> Floats:
    """Return each row's loss, shape (rows,): squared error in a regression, else -ln(probability of what happened)."""
    return (scores - labels) ** 2 if task == "regression" else _surprise(labels, scores)


def _surprise(labels: Floats, scores: Floats) -> Floats:
    several = scores.ndim == 2
    given = scores[np.arange(len(labels)), labels.astype(int)] if several else np.where(labels, scores, 1 - scores)
    return -np.log(np.clip(given, _SMALLEST, 1 - _SMALLEST))


def _decided(scores: Floats) -> Floats:
    return (scores.argmax(axis=1) if scores.ndim == 2 else scores >= 0.5).astype(np.float64)


def _sum(values: NDArray[np.generic], weights: Floats | None) -> Floats:
    floats = values.astype(np.float64)
    return np.asarray(floats.sum() if weights is None else weights @ floats)


def _mean(values: NDArray[np.generic], weights: Floats | None) -> Floats:
    return _ratio(_sum(values, weights), np.asarray(len(values) if weights is None else weights.sum(-1)))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole != 0)
