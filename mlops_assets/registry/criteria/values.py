"""A column -> the parts that it cuts the rows into: one for each value, of numbers one for each quarter of the rows."""

from itertools import pairwise

import numpy as np
import polars as pl

from mlops_assets.chart import number

UNKNOWN = "unknown"
FEW = 10  # values of a column of numbers up to which each is a part


def parts(values: pl.Series) -> pl.Series:
    """Return the name of each row's part; a missing value is `unknown`."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    if not values.dtype.is_numeric() or values.n_unique() <= FEW + 1:
        return _names(values).fill_null(UNKNOWN)
    edges = np.unique(np.quantile(values.drop_nulls().to_numpy(), (0, 0.25, 0.5, 0.75, 1)))
    places = np.clip(np.searchsorted(edges, values.fill_null(edges[0]).to_numpy(), "left") - 1, 0, len(edges) - 2)
    names = [f"{number(low)} to {number(high)}" for low, high in pairwise(edges.tolist())]
    quarters = pl.Series(values.name, names)[places.tolist()]
    return quarters.set(values.is_null(), UNKNOWN)


def _names(values: pl.Series) -> pl.Series:
    whole = values.dtype.is_float() and values.drop_nulls().floor().equals(values.drop_nulls())
    return (values.cast(pl.Int64) if whole else values).cast(pl.String)
