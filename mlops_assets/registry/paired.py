"""Two models on the same rows -> by how much one is better, with the paired bootstrap's interval."""

from dataclasses import dataclass

import numpy as np

from mlops_assets.registry.criteria.influence import influence
from mlops_assets.training.metrics import Floats, Metric, auc

RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
UNDEFINED = 0.05  # share of resamples that may lack a class before the interval means nothing
BARS = 40
MANY, OF_EACH = 20_000, 1_000  # rows, and of each class, from which on a resample's AUC is taken to first order
_AT_ONCE = 2_000_000  # weights held at once


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much the first model is better than the `other`, whose metric that is.

    `lower` and `upper` are the ends of the 95% interval; None where too many resamples lack a class. `spread` is what a
    histogram of the resamples is drawn from: its two ends, then 40 counts.
    """

    value: float
    other: float
    lower: float | None = None
    upper: float | None = None
    spread: tuple[float, ...] = ()


def difference(metric: Metric, labels: Floats, first: Floats, other: Floats, *, sign: int, seed: int) -> Difference:
    """Return by how much the scores `first` are better than `other`; `sign` is -1 for a metric of which less is better.

    The interval is the percentile one of 1,000 paired resamples: Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), chapter 13. Where the models are equally good it lies wholly above 0 in one case of forty.
    """
    against = float(metric(labels, other, None))
    value = sign * (float(metric(labels, first, None)) - against)
    drawn = sign * _drawn(metric, labels, first, other, seed)
    if np.isnan(drawn).mean() > UNDEFINED:
        return Difference(value=value, other=against)
    drawn = drawn[~np.isnan(drawn)]
    lower, upper = np.quantile(drawn, INTERVAL).tolist()
    counts, edges = np.histogram(drawn, BARS)
    spread = (float(edges[0]), float(edges[-1]), *counts.astype(float).tolist())
    return Difference(value=value, other=against, lower=lower, upper=upper, spread=spread)


def _drawn(metric: Metric, labels: Floats, first: Floats, other: Floats, seed: int) -> Floats:
    many = metric is auc and len(labels) >= MANY and min((labels == 1).sum(), (labels != 1).sum()) >= OF_EACH
    both = [influence("binary", "auc", labels, each) for each in (first, other)] if many else []
    if len(both) == 2 and both[0] is not None and both[1] is not None:
        return both[0].value - both[1].value + resampled_means(both[0].rows - both[1].rows, seed)
    return resampled(metric, labels, first, other, seed)


def resampled_means(values: Floats, seed: int) -> Floats:
    """Return the mean of `values` in each of 1,000 resamples, shape (1000,)."""
    random, rows = np.random.default_rng(seed), len(values)
    return np.array([values[random.integers(0, rows, rows)].mean() for _ in range(RESAMPLES)])


def resampled(metric: Metric, labels: Floats, first: Floats, other: Floats, seed: int) -> Floats:
    """Return the metric of `first` less that of `other` in each of 1,000 resamples of the rows, shape (1000,).

    A resample is how often each row was drawn; both models are measured with the same counts.
    """
    random, rows = np.random.default_rng(seed), len(labels)
    step = max(1, _AT_ONCE // rows)
    differences: list[Floats] = []
    for begin in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - begin)
        places = random.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        weights = np.bincount(places.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)
        differences.append(metric(labels, first, weights) - metric(labels, other, weights))
    return np.concatenate(differences)
