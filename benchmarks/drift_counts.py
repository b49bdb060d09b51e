"""The exact counts of a window of 100,000 rows without the rows: bins from multinomials, the Gram matrix from Wishart.

Given the bins, counts of independent columns are multinomial. So is the Gram matrix drawn from its own distribution
(Bartlett, Proc. R. Soc. Edinburgh 53, 1933), apart from the counts: correlations of independent normal columns do not
depend on the columns' own values. A test compares both with the way through rows.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from benchmarks.drift_worlds import GRID, LEVELS, NOTHING, NUMBERS, SEASONAL, TEXTS, Shape, World, shape, weekday
from mlops_assets.training.bins import SCALE, Bins, ColumnCounts, Counts, NumericBins, TextBins, merge
from mlops_assets.training.frozen import EXTREMES, QUANTILES
from mlops_assets.training.reference import Reference

Floats = NDArray[np.float64]


def drawn_reference(world: World, rows: int, windows: int, random: np.random.Generator) -> Reference:
    """Return the reference of `windows` days of `rows` each; its bins have the quantiles of the world, not of rows."""
    bins = bins_of(world, rows * windows)
    return Reference(
        bins=bins,
        windows=[counted(shape(world, NOTHING, day, random), rows, bins, random) for day in range(windows)],
        kind="windows",
        rows=rows * windows,
        scored=0,
        rows_per_window=rows,
        phases=[weekday(day) for day in range(windows)],
        cycle=GRID.cycle,
    )


def bins_of(world: World, rows: int) -> Bins:
    """Return the bins that `rows` of the world would be given, but for chance."""
    edge = (EXTREMES + 0.5) / rows
    quantiles = ndtri(np.r_[edge, np.arange(1, QUANTILES) / QUANTILES, 1 - edge])
    seasons = world.season**2 / 2 * (np.arange(NUMBERS) < SEASONAL)
    numeric = [
        NumericBins(
            column=f"n{i}",
            edges=(quantiles * sd).tolist(),
            low=float(quantiles[0] * sd),
            high=float(quantiles[-1] * sd),
            mean=0.0,
            sd=float(sd),
        )
        for i, sd in enumerate(np.sqrt(1 + world.jitter**2 + seasons))
    ]
    return Bins(numeric=numeric, text=[TextBins(column=f"t{i}", levels=[*LEVELS[:-1]], rare=[]) for i in range(TEXTS)])


def counted(of: Shape, rows: int, bins: Bins, random: np.random.Generator) -> Counts:
    """Return counts distributed as those of `rows` rows.

    Raises:
        ValueError: If the columns are not independent.
    """
    if not np.array_equal(of.correlation, np.eye(NUMBERS)):
        raise ValueError("counts can be drawn of independent columns only, found correlated ones")
    missing = int(random.binomial(rows, of.missing))
    return merge([_drawn(of, rows - missing, bins, random, False), _drawn(of, missing, bins, random, True)])


def _drawn(of: Shape, rows: int, bins: Bins, random: np.random.Generator, missing: bool) -> Counts:
    """Return the counts of rows that all have the first number, or all miss it."""
    columns: dict[str, ColumnCounts] = {}
    for i, part in enumerate(bins.numeric):
        below = ndtr((np.array(part.edges) - of.means[i]) / of.sds[i])
        found = random.multinomial(rows, np.diff(below, prepend=0, append=1)).tolist()
        gone = missing and i == 0
        columns[part.column] = ColumnCounts(bins=[0] * len(found) if gone else found, null=rows if gone else 0)
    for part, shares in zip(bins.text, of.levels, strict=True):
        *known, new = random.multinomial(rows, shares).tolist()
        columns[part.column] = ColumnCounts(bins=[*known, 0, new], null=0)
    return Counts(bins=bins.id, rows=rows, columns=columns, gram=_gram(of, rows, bins, random, missing))


def _gram(of: Shape, rows: int, bins: Bins, random: np.random.Generator, missing: bool) -> list[int]:
    unit = np.array([part.sd for part in bins.numeric]) / SCALE
    there = np.arange(NUMBERS) > (0 if missing else -1)  # a missing value counts as the mean
    spread = there * of.sds / unit
    means = there * (of.means - [part.mean for part in bins.numeric]) / unit
    means = means + spread * random.normal(size=NUMBERS) / np.sqrt(max(rows, 1))
    root = spread[:, None] * _root(rows, random)
    full = np.empty((NUMBERS + 1, NUMBERS + 1))
    full[0, 0], full[1:, 0] = rows, rows * means
    full[1:, 1:] = root @ root.T + rows * np.outer(means, means)
    return np.rint(full[np.tril_indices(NUMBERS + 1)]).astype(np.int64).tolist()


def _root(rows: int, random: np.random.Generator) -> Floats:
    """Return A of which A Aᵀ is the scatter of `rows` standard normal rows about their mean."""
    if rows <= NUMBERS:
        values = random.normal(size=(NUMBERS, rows))
        return values - values.mean(axis=1, keepdims=True) if rows else values
    freedom = rows - 1 - np.arange(NUMBERS)
    return np.tril(random.normal(size=(NUMBERS, NUMBERS)), -1) + np.diag(np.sqrt(random.chisquare(freedom)))
