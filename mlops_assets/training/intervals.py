"""Hits, pairs and amounts -> a figure with its 95% interval, by closed forms."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.training.metrics import auc

Floats = NDArray[np.float64]
Z = 1.959964  # the normal quantile of 0.975


class Measured(Struct, frozen=True, kw_only=True):
    """A figure that rests on `labels` of the `rows` that it is about; `low` and `high` are its 95% interval, if any."""

    value: float
    low: float | None = None
    high: float | None = None
    labels: int
    rows: int

    @property
    def maturity(self) -> float:
        """The share of rows that have a label, in [0, 1]."""
        return self.labels / self.rows if self.rows else 0.0


def share(hits: int, of: int, *, labels: int | None = None, rows: int | None = None) -> Measured | None:
    """Return hits / of with Wilson's interval (J. Am. Stat. Assoc. 22, 1927); None of nothing."""
    if not of:
        return None
    found, spread = hits / of, Z**2 / of
    middle = (found + spread / 2) / (1 + spread)
    half = sqrt(found * (1 - found) * spread + spread**2 / 4) / (1 + spread)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    rests = of if labels is None else labels
    return Measured(
        value=found, low=min(low, found), high=max(high, found), labels=rests, rows=rests if rows is None else rows
    )


def mean(values: Floats, *, rows: int) -> Measured | None:
    """Return the mean of one value a row, with Student's interval (Biometrika 6, 1908), which one value has not."""
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

    count = len(values)
    if not count:
        return None
    found = float(values.mean())
    if count == 1:
        return Measured(value=found, labels=1, rows=rows)
    half = float(stdtrit(count - 1, 0.975)) * float(values.std(ddof=1)) / sqrt(count)
    return Measured(value=found, low=found - half, high=found + half, labels=count, rows=rows)


def root_mean(squares: Floats, *, rows: int) -> Measured | None:
    """Return the root of a mean of squares; its interval is that of the mean, rooted."""
    found = mean(squares, rows=rows)
    if found is None or found.low is None or found.high is None:
        return None if found is None else Measured(value=sqrt(found.value), labels=found.labels, rows=rows)
    low, high = sqrt(max(found.low, 0.0)), sqrt(found.high)
    return Measured(value=sqrt(found.value), low=low, high=high, labels=found.labels, rows=rows)


def f1(hits: int, errors: int, *, labels: int, rows: int) -> Measured | None:
    """Return 2TP / (2TP + errors), errors being FP + FN; None if nothing was called or is positive.

    F1 = 2J / (1 + J) with Jaccard's J = TP / (TP + errors), which is a share and has Wilson's interval.
    """
    found = share(hits, hits + errors)
    if found is None or found.low is None or found.high is None:
        return None
    value, low, high = (2 * each / (1 + each) for each in (found.value, found.low, found.high))
    return Measured(value=value, low=low, high=high, labels=labels, rows=rows)


def ranking(positive: NDArray[np.bool_], scores: Floats, *, rows: int) -> Measured | None:
    """Return the AUC with DeLong's interval on the logit scale; None for a single class.

    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); Pepe, The Statistical Evaluation of Medical Tests (2003),
    for the logit. Where no two pairs disagree, the variance is 0 and says nothing: then it is Wilson's interval, on as
    many rows as the smaller class has.
    """
    from scipy.special import expit, logit  # pyright: ignore[reportMissingTypeStubs]

    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(above) or not len(below):
        return None
    value = float(auc(positive.astype(np.float64), scores))
    variance = _variance(_won(above, below)) + _variance(1 - _won(below, above))
    if variance > 0 and 0 < value < 1:
        half = Z * sqrt(variance) / (value * (1 - value))
        low, high = (float(expit(logit(value) + side * half)) for side in (-1, 1))
        return Measured(value=value, low=low, high=high, labels=len(scores), rows=rows)
    smaller = min(len(above), len(below))
    known = share(round(value * smaller), smaller)
    assert known is not None
    return Measured(value=value, low=known.low, high=known.high, labels=len(scores), rows=rows)


def _won(mine: Floats, others: Floats) -> Floats:
    """Return for each of `mine` the share of `others` below it, ties counting half; `others` are sorted."""
    below = np.searchsorted(others, mine, "left") + np.searchsorted(others, mine, "right")
    return below / (2 * len(others))


def _variance(placements: Floats) -> float:
    return float(placements.var(ddof=1)) / len(placements) if len(placements) > 1 else 0.0
