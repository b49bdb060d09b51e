"""Windows whose distribution is known: 20 normal columns and 5 of ten levels.

What ordinary windows differ by (`World`) and what then changes (`Change`) is drawn once a window as its `Shape`, from
which rows are drawn here, and exact counts without rows in `drift_counts`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.windows import Grid

NUMBERS, TEXTS = 20, 5
SHARES = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01])
LEVELS = (*(f"v{level}" for level in range(len(SHARES))), "new")
SEASONAL = 5  # columns
START = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
GRID = Grid(every="day", start=START)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class World:
    """What ordinary windows differ by, in sd: means by `jitter`, and with the weekday by `season`.

    With `factors` the numbers share six causes; `pair` is the correlation of the first two of them, if not.
    """

    jitter: float = 0.0
    heavy: bool = False
    season: float = 0.0
    factors: bool = False
    pair: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to the first column of its kind; decoupled are the first two, their own distributions unchanged."""

    shift: float = 0.0
    scale: float = 1.0
    new_level: float = 0.0
    missing: float = 0.0
    decoupled: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """The distribution of one window: means, sds and correlation of numbers, shares of levels, share missing."""

    means: Floats
    sds: Floats
    correlation: Floats
    levels: Floats
    missing: float


NOTHING = Change()


def shape(world: World, change: Change, day: int, random: np.random.Generator) -> Shape:
    """Return the distribution of the window of `day`."""
    noise = random.standard_t(4, NUMBERS) / np.sqrt(2) if world.heavy else random.normal(size=NUMBERS)
    means = world.jitter * noise
    means[:SEASONAL] += world.season * np.sin(2 * np.pi * day / 7)
    means[0] += change.shift
    sds = np.ones(NUMBERS)
    sds[0] = change.scale
    odds = SHARES * np.exp(2 * world.jitter * random.normal(size=(TEXTS, len(SHARES))))
    levels = np.hstack([odds / odds.sum(axis=1, keepdims=True), np.zeros((TEXTS, 1))])
    levels[0] *= 1 - change.new_level
    levels[0, -1] = change.new_level
    return Shape(means=means, sds=sds, correlation=_correlation(world, change), levels=levels, missing=change.missing)


def table(of: Shape, rows: int, day: int, random: np.random.Generator) -> pl.DataFrame:
    """Return a window's rows, spread evenly over its day."""
    values = random.normal(size=(rows, NUMBERS))
    if not np.array_equal(of.correlation, np.eye(NUMBERS)):
        values = values @ np.linalg.cholesky(of.correlation).T
    values = of.means + of.sds * values
    if of.missing:
        values[random.random(rows) < of.missing, 0] = np.nan
    texts = [random.choice(len(LEVELS), rows, p=shares) for shares in of.levels]
    begins, step = START + timedelta(days=day), timedelta(days=1) / rows
    return pl.DataFrame(
        {
            "at": pl.datetime_range(begins, begins + (rows - 1) * step, step, eager=True),
            **{f"n{i}": values[:, i] for i in range(NUMBERS)},
            **{f"t{i}": np.array(LEVELS)[found] for i, found in enumerate(texts)},
        }
    )


def weekday(day: int) -> int:
    """Return the place of `day` in the week, Mondays are 0."""
    return GRID.phase(GRID.key(START + timedelta(days=day)))


def _correlation(world: World, change: Change) -> Floats:
    found = np.eye(NUMBERS)
    if world.factors:
        loadings = np.random.default_rng(5).normal(size=(NUMBERS, 6))
        covariance = loadings @ loadings.T + 0.36 * np.eye(NUMBERS)
        found = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    elif world.pair:
        found[0, 1] = found[1, 0] = world.pair
    if change.decoupled:
        found[:2] = found[:, :2] = 0.0
        np.fill_diagonal(found, 1.0)
    return found
