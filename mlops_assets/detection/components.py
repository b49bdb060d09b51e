"""Counts of windows -> a few smooth numbers per column and window, each with its sampling variance.

A numeric column gives four Legendre components over its bins, which answer to a change of mean, spread, skew and tails
(Neyman's smooth test, Skandinavisk Aktuarietidskrift 20, 1937), and the shares of missing, infinite and out-of-range
values. A text column, and a numeric one of few values, gives the share of each level. Shares are on the arcsine scale,
where their variance is 1 / 4n whatever they are (Anscombe, Biometrika 35, 1948). The numeric inputs together give the
reconstruction error of the reference's principal components, which answers to a lost correlation, and the distance
between correlation matrices, which answers to a new one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import Legendre
from numpy.typing import NDArray

from mlops_assets.training.bins import Bins, ColumnCounts, Counts, NumericBins, TextBins
from mlops_assets.training.reference import PREDICTION

SMOOTH = 4
FEW = 5  # numeric columns of at most this many filled bins are judged by the share of each
JOINT = ""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Component:
    """One number per window, shape (windows,), and its sampling variance. A joint one has no single column: "".

    `what` names it: mean, spread, shape, missing, infinite, outside, `level …`, other, unseen, and of the joint ones
    reconstruction or correlation. `weight` is its share of the false alarms; the weights of all components sum to 1.
    """

    column: str
    what: str
    values: Floats
    variances: Floats
    weight: float = 0.0


WEIGHTS = {"mean": 8, "level": 8, "spread": 3, "missing": 2, "outside": 2, "unseen": 2}  # within a column; others 1


def components(windows: Sequence[Counts], bins: Bins, rows_behind: int) -> list[Component]:
    """Return all components of `windows`: the last one is live, the others are a reference of `rows_behind` rows."""
    found: list[Component] = []
    for part in (*bins.numeric, *bins.text):
        columns = [window.columns[part.column] for window in windows]
        found += _numeric(part, columns) if isinstance(part, NumericBins) else _text(part, columns)
    rows = np.array([window.rows for window in windows], dtype=np.float64)
    errors = reconstruction(windows, bins, rows_behind)
    if errors is not None:
        total = errors.sum(axis=1)
        variances = total.var(ddof=1) * rows.mean() / rows
        found.append(Component(column=JOINT, what="reconstruction", values=total, variances=variances))
    distances = correlation_distance(windows, bins)
    if distances is not None:
        size = np.log(distances.sum(axis=(1, 2)) * rows)
        size[-1] -= np.log(
            (1 + rows[-1] / rows_behind) / (1 + 1 / len(rows[:-1]))
        )  # resampled windows share their rows
        found.append(Component(column=JOINT, what="correlation", values=size, variances=np.full(len(size), 1e-12)))
    return _weighted(found)


def _weighted(found: Sequence[Component]) -> list[Component]:
    """Return components with weights: columns share alike; within one, a moved mean or level is what mostly matters."""
    kinds = [(each.column, each.what.split()[0]) for each in found]
    alike = Counter(kinds)
    totals: dict[str, float] = {}
    raw = [WEIGHTS.get(what, 1) / alike[column, what] for column, what in kinds]
    for (column, _), weight in zip(kinds, raw, strict=True):
        totals[column] = totals.get(column, 0.0) + weight
    return [replace(each, weight=raw[i] / totals[each.column] / len(totals)) for i, each in enumerate(found)]


def joint_columns(bins: Bins) -> list[str]:
    """Return the numeric inputs whose correlation is watched."""
    return [part.column for part in bins.numeric if part.sd > 0 and part.column != PREDICTION]


def reconstruction(windows: Sequence[Counts], bins: Bins, rows_behind: int) -> Floats | None:
    """Return each input's share of the reconstruction error, shape (windows, inputs); None if no two go together.

    A window is standardized by its own means and sds, so that only dependence counts, and projected on the principal
    components of all *other* windows: one that helped to fit them would look better than it is. Kept are components
    that independent inputs would not give: eigenvalues above (1 + sqrt(inputs / rows))² (Marchenko and Pastur, 1967).
    """
    watched = [i + 1 for i, part in enumerate(bins.numeric) if part.column in joint_columns(bins)]
    if len(watched) < 2:
        return None
    grams = [window.matrix()[np.ix_([0, *watched], [0, *watched])] for window in windows]
    total = np.sum(grams, axis=0)
    edge = (1 + np.sqrt(len(watched) / rows_behind)) ** 2
    kept = min(int((np.linalg.eigvalsh(_correlation(total)) > edge).sum()), len(watched) - 1)
    return np.array([_errors(gram, total - gram, kept) for gram in grams]) if kept else None


def correlation_distance(windows: Sequence[Counts], bins: Bins) -> Floats | None:
    """Return how far each window's correlations are, squared, from the mean of all others' (windows, inputs, inputs).

    None if fewer than two inputs vary.
    """
    watched = [i + 1 for i, part in enumerate(bins.numeric) if part.column in joint_columns(bins)]
    if len(watched) < 2:
        return None
    places = np.ix_([0, *watched], [0, *watched])
    found = np.array([_correlation(window.matrix()[places]) for window in windows])
    others = (found.sum(axis=0) - found) / (len(windows) - 1)
    return np.maximum((found - others) ** 2, 1e-18)


def mean_and_sd(window: Counts, bins: Bins, column: str) -> tuple[float, float]:
    """Return mean and sd of a numeric column in a window, in sd from training's mean; NaN without values."""
    place = next(i for i, part in enumerate(bins.numeric) if part.column == column) + 1
    valid = window.columns[column].valid
    if not valid:
        return float("nan"), float("nan")
    gram = window.matrix()
    mean = gram[0, place] / valid
    return float(mean), float(np.sqrt(max(gram[place, place] / valid - mean**2, 0.0)))


def _errors(gram: Floats, others: Floats, kept: int) -> Floats:
    _, vectors = np.linalg.eigh(_correlation(others))
    residual = np.eye(len(vectors)) - vectors[:, -kept:] @ vectors[:, -kept:].T
    return np.diag(residual @ _correlation(gram) @ residual)


def _correlation(gram: Floats) -> Floats:
    mean = gram[0, 1:] / max(gram[0, 0], 1.0)
    covariance = gram[1:, 1:] / max(gram[0, 0], 1.0) - np.outer(mean, mean)
    sd = np.sqrt(np.clip(np.diag(covariance), 0, None))
    safe = np.where(sd > 1e-9, sd, np.inf)
    correlation = covariance / np.outer(safe, safe)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _numeric(part: NumericBins, columns: Sequence[ColumnCounts]) -> Iterator[Component]:
    counts = np.array([column.bins for column in columns], dtype=np.float64)
    rows = np.array([column.valid + column.null + column.inf for column in columns], dtype=np.float64)
    yield _share(part.column, "missing", np.array([column.null for column in columns]), rows)
    yield _share(part.column, "infinite", np.array([column.inf for column in columns]), rows)
    if counts.shape[1] < 3:
        return
    outside, inner = counts[:, 0] + counts[:, -1], counts[:, 1:-1].copy()
    inner[:, 0] += counts[:, 0]
    inner[:, -1] += counts[:, -1]
    yield _share(part.column, "outside", outside, rows)
    filled = np.flatnonzero(inner.sum(axis=0))
    if len(filled) > FEW:
        yield from _smooth(part.column, inner)
    elif len(filled) > 1:
        for place in filled:
            yield _share(part.column, f"level {part.edges[place]:g}", inner[:, place], rows)


def _smooth(column: str, counts: Floats) -> Iterator[Component]:
    pooled = counts.sum(axis=0)  # of all windows, so that the live one is not treated unlike the others
    shares = pooled / pooled.sum()
    middle = np.cumsum(shares) - shares / 2  # mid-rank of each bin, in [0, 1]
    basis: Floats = np.stack([Legendre.basis(degree, domain=[0, 1])(middle) for degree in range(SMOOTH + 1)], axis=1)
    upper = np.linalg.qr(np.sqrt(shares)[:, None] * basis, mode="r")
    scores = (basis @ np.linalg.inv(upper * np.sign(np.diag(upper))[:, None]))[:, 1:]  # orthonormal under the reference
    valid = counts.sum(axis=1)
    means = np.divide(counts @ scores, valid[:, None], out=np.zeros((len(counts), SMOOTH)), where=valid[:, None] > 0)
    for place, what in enumerate(("mean", "spread", "shape", "shape")):
        yield Component(column=column, what=what, values=means[:, place], variances=1 / np.maximum(valid, 1.0))


def _text(part: TextBins, columns: Sequence[ColumnCounts]) -> Iterator[Component]:
    counts = np.array([column.bins for column in columns], dtype=np.float64)
    missing = np.array([column.null for column in columns])
    rows = counts.sum(axis=1) + missing
    yield _share(part.column, "missing", missing, rows)
    for place, level in enumerate((*(f"level {level!r}" for level in part.levels), "other", "unseen")):
        yield _share(part.column, level, counts[:, place], rows)


def _share(column: str, what: str, counts: NDArray[np.generic], rows: Floats) -> Component:
    angle = np.arcsin(np.sqrt((counts.astype(np.float64) + 0.375) / (rows + 0.75)))
    return Component(column=column, what=what, values=angle, variances=0.25 / np.maximum(rows, 1.0))
