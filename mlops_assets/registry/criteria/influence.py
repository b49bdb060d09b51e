"""A metric and its rows -> how much each row moves it, from which standard errors follow for any part of the rows.

A metric of n rows is, but for terms that vanish as n grows, its true value plus the mean of the rows' influences
(Hampel, J. Am. Stat. Assoc. 69, 1974). So its variance is that of the influences over n, and the difference of two
metrics that share rows has the difference of their influences. For the AUC this is DeLong's variance.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from mlops_assets.training.metrics import Floats, metric_named
from mlops_assets.training.model import Task

SURE = 0.05  # that chance alone brings any of the figures that are looked at together beyond its limit


@dataclass(frozen=True, kw_only=True, eq=False)
class Influence:
    """A metric's value, and each row's influence on it, shape (rows,), in the metric's unit."""

    value: float
    rows: Floats


def influence(task: Task, name: str, labels: Floats, scores: Floats) -> Influence | None:
    """Return the value of the metric `name` and its rows' influences; None where it is not defined.

    Raises:
        LookupError: If the task has no such metric.
    """
    value = float(metric_named(task, name)(labels, scores, None)) if len(labels) else float("nan")
    if not np.isfinite(value):
        return None
    if name == "auc":
        return Influence(value=value, rows=_ranked(labels == 1, scores, value))
    if name == "f1":
        doubled = 2.0 * ((scores >= 0.5) & (labels == 1))
        whole = doubled + ((scores >= 0.5) != (labels == 1))
        return Influence(value=value, rows=(doubled - value * whole) / whole.mean())
    if name == "rmse":
        squares = (scores - labels) ** 2
        return Influence(value=value, rows=(squares - squares.mean()) / (2 * value) if value else np.zeros(len(labels)))
    each = _each(name, labels, scores)
    return Influence(value=value, rows=each - each.mean())


def sure(alike: int) -> float:
    """Return how many standard errors are beyond chance where `alike` figures are looked at (Bonferroni)."""
    return NormalDist().inv_cdf(1 - SURE / 2 / max(alike, 1))


def error(influences: Floats) -> float:
    """Return the standard error of the figure whose rows' influences these are."""
    return float(np.sqrt((influences**2).sum()) / len(influences))


def _ranked(positive: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats, value: float) -> Floats:
    """Return each row's share of rows of the other class that it is ranked rightly against, less the AUC, weighed."""
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    rows = np.empty(len(scores))
    rows[positive] = (_below(below, scores[positive]) - value) / positive.mean()
    rows[~positive] = (1 - _below(above, scores[~positive]) - value) / (~positive).mean()
    return rows


def _below(ranked: Floats, asked: Floats) -> Floats:
    """Return the share of `ranked` below each of `asked`, ties counting half."""
    return (np.searchsorted(ranked, asked, "left") + np.searchsorted(ranked, asked, "right")) / (2 * len(ranked))


def _each(name: str, labels: Floats, scores: Floats) -> Floats:
    """Return the rows' values of a metric that is their mean."""
    if name == "accuracy":
        decided = scores.argmax(axis=1) if scores.ndim == 2 else scores >= 0.5
        return (decided == labels).astype(np.float64)
    if name == "mae":
        return np.abs(scores - labels)
    if name == "brier":
        return (scores - labels) ** 2
    from mlops_assets.training.metrics import losses

    return losses("binary", labels, scores)
