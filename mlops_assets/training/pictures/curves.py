"""Held-out labels and scores -> the numbers behind a model's pictures: ROC, calibration, confusion, residuals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.intervals import Measured, f1, mean, ranking, root_mean, share
from mlops_assets.training.metrics import losses
from mlops_assets.training.model import Task

BINS = 10
CURVE = 60  # points of a drawn curve
DOTS = 250  # rows of a drawn scatter

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Roc:
    """The false and true positive rates at each threshold, from (0, 0) to (1, 1)."""

    false_positive: Floats
    true_positive: Floats


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Rows of like scores: their mean score, and the share of them that were right with its 95% interval."""

    rows: int
    score: float
    share: Measured


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """What happened against what was predicted, of some rows evenly spread, and all rows' errors in bins."""

    actual: Floats
    predicted: Floats
    edges: Floats
    counts: Counts


def roc(labels: Floats, scores: Floats) -> Roc | None:
    """Return the ROC curve; None for a single class."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each score, its last row
    hits = np.cumsum(labels[order] == 1)[last]
    false = last + 1 - hits
    if not hits[-1] or not false[-1]:
        return None
    return Roc(
        false_positive=np.append(0.0, false / false[-1]),
        true_positive=np.append(0.0, hits / hits[-1]),
    )


def thinned(curve: Roc, points: int = CURVE) -> Roc:
    """Return at most `points` of a curve, at even distances along it, with its ends."""
    x, y = curve.false_positive, curve.true_positive
    along: Floats = np.cumsum(np.append(0.0, np.abs(np.diff(x)) + np.abs(np.diff(y))))
    steps: Floats = np.linspace(0, float(along[-1]), points)
    at = np.unique(np.searchsorted(along, steps))
    return Roc(false_positive=x[at], true_positive=y[at])


def calibration(right: NDArray[np.bool_], scores: Floats, bins: int = BINS) -> list[Bin]:
    """Return bins of equally many rows, by ascending score; equal scores stay together, so there may be fewer.

    Nguyen and O'Connor, EMNLP (2015).
    """
    edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins)) if len(scores) else np.empty(0)
    place = np.searchsorted(edges, scores, "right")
    rows, total = np.bincount(place), np.bincount(place, scores)
    hits = np.bincount(place, right)
    found = [(int(n), float(s / n), share(int(h), int(n))) for n, s, h in zip(rows, total, hits, strict=True) if n]
    return [Bin(rows=n, score=score, share=measured) for n, score, measured in found if measured is not None]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean over rows of |share that was right - mean score| of the row's bin, in [0, 1].

    Naeini, Cooper and Hauskrecht, AAAI (2015).
    """
    rows = sum(each.rows for each in bins)
    return sum(each.rows * abs(each.share.value - each.score) for each in bins) / rows if rows else float("nan")


def confusion(labels: Floats, chosen: Floats, classes: int) -> Counts:
    """Return how many rows of each class (down) were called each class (across), shape (classes, classes)."""
    places = labels.astype(np.int64) * classes + chosen.astype(np.int64)
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def residuals(actual: Floats, predicted: Floats, dots: int = DOTS, bins: int = 24) -> Residuals:
    """Return at most `dots` rows, and the errors (predicted less actual) in bins; the outer bins hold the far ones."""
    at = np.unique(np.linspace(0, len(actual) - 1, min(dots, len(actual))).astype(np.int64))
    errors = predicted - actual
    reach = float(np.quantile(np.abs(errors), 0.99)) or 1.0
    counts, edges = np.histogram(np.clip(errors, -reach, reach), bins, (-reach, reach))
    return Residuals(actual=actual[at], predicted=predicted[at], edges=edges, counts=counts)


def held_out(task: Task, metric: str, labels: Floats, scores: Floats) -> Measured | None:
    """Return a metric of `training.metrics` on held-out rows with its 95% interval; None where it is not defined."""
    rows = len(labels)
    chosen = scores.argmax(axis=1) if scores.ndim == 2 else (scores >= 0.5).astype(np.int64)
    right = int((chosen == labels).sum())
    hits = int(((labels == 1) & (chosen == 1)).sum())
    found = {
        "auc": lambda: ranking(labels == 1, scores, rows=rows),
        "accuracy": lambda: share(right, rows),
        "f1": lambda: f1(hits, rows - right, labels=rows, rows=rows),
        "log_loss": lambda: mean(losses(task, labels, scores), rows=rows),
        "brier": lambda: mean((scores - labels) ** 2, rows=rows),
        "rmse": lambda: root_mean((scores - labels) ** 2, rows=rows),
        "mae": lambda: mean(np.abs(scores - labels), rows=rows),
    }
    return found[metric]()
