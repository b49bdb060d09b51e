"""Tables whose distribution is known: twelve columns, of which nine numbers and three of text."""

import numpy as np
import polars as pl

from mlops_assets.training.bins import count
from mlops_assets.training.reference import Reference, reference

NUMBERS, TEXTS = 9, 3
SHARES = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01])
LEVELS = np.array([f"v{level}" for level in range(10)])


def table(random: np.random.Generator, rows: int, *, windows: int = 1, jitter: float = 0.0, tails: bool = False):
    """Normal numbers and skewed levels; each of `windows` has its own means, which vary by `jitter` sd."""
    return pl.concat(_window(random, rows, jitter, tails) for _ in range(windows))


def coupled(random: np.random.Generator, rows: int, *, break_up: bool = False) -> pl.DataFrame:
    """Nine numbers that share three causes; broken up, the first keeps its own distribution but not its company."""
    loadings = np.random.default_rng(5).normal(size=(3, NUMBERS))
    values = random.normal(size=(rows, 3)) @ loadings + 0.6 * random.normal(size=(rows, NUMBERS))
    if break_up:
        values[:, 0] = random.permutation(values[:, 0])
    return pl.DataFrame({f"n{i}": values[:, i] for i in range(NUMBERS)})


def reference_of(rows: pl.DataFrame, rows_per_window: int) -> Reference:
    """The reference of rows that are in time order."""
    return reference(rows.with_row_index("_at"), at="_at", rows_per_window=rows_per_window, seed=0)


def counts(rows: pl.DataFrame, seen: Reference):
    return count(rows, seen.bins)


def _window(random: np.random.Generator, rows: int, jitter: float, tails: bool) -> pl.DataFrame:
    noise = random.standard_t(4, NUMBERS) / np.sqrt(2) if tails else random.normal(size=NUMBERS)
    values = random.normal(size=(rows, NUMBERS)) + jitter * noise
    numbers = {f"n{i}": values[:, i] for i in range(NUMBERS)}
    return pl.DataFrame({**numbers, **{f"t{i}": random.choice(LEVELS, rows, p=SHARES) for i in range(TEXTS)}})
