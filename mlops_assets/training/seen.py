"""A column of rows, read once: its numbers sorted, or its levels counted. Exact counts and sketches both start here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers:
    """Numbers or bools: `values` in the order of rows, missing ones as NaN; `finite` ones ascending."""

    name: str
    dtype: pl.DataType
    values: Floats
    finite: Floats
    null: int
    nan: int
    inf: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """Text: how many rows have each level."""

    name: str
    counted: Mapping[str, int]
    rows: int
    null: int


def seen_in(series: pl.Series) -> Numbers | Levels | None:
    """Return a column as what it is, numbers or text; None if it is neither."""
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        return numbers_in(series)
    return levels_in(series) if series.dtype in (pl.String, pl.Categorical, pl.Enum) else None


def numbers_in(series: pl.Series) -> Numbers:
    """Return the numbers of a column; one sort serves all that needs their order."""
    values = series.cast(pl.Float64).to_numpy()
    ordered = np.sort(values)  # -inf first; inf, then NaN last
    first = int(np.searchsorted(ordered, -np.inf, side="right"))
    last, known = (int(place) for place in np.searchsorted(ordered, [np.inf, np.nan]))
    null = series.null_count()
    return Numbers(
        name=series.name,
        dtype=series.dtype,
        values=values,
        finite=ordered[first:last],
        null=null,
        nan=len(values) - known - null,
        inf=known - (last - first),
    )


def levels_in(series: pl.Series) -> Levels:
    """Return the levels of a column of text."""
    text = series.cast(pl.String)
    found = text.drop_nulls().value_counts(name="rows")
    counted = dict(zip(found[series.name].to_list(), found["rows"].to_list(), strict=True))
    return Levels(name=series.name, counted=counted, rows=text.len(), null=text.null_count())
