"""Training rows -> the bins that live rows are counted over, frozen with the model."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.training.bins import Bins, NumericBins, TextBins, kind_of, numbers_of

QUANTILES = 20
LEVELS = 20
EXTREMES = 2  # outermost values at either end that count as out of range; else only live windows would have any
RARE = 5_000  # a column with more levels than these has no closed list of values, so none of them is "unseen"

Floats = NDArray[np.float64]


def freeze_bins(frame: pl.DataFrame, columns: Sequence[str]) -> Bins:
    """Return the bins of `columns`: 20 quantile bins of a numeric one, the 20 most frequent levels of a text one.

    Raises:
        ValueError: If a column is missing, or neither a number nor text.
    """
    numeric: list[NumericBins] = []
    text: list[TextBins] = []
    for name in columns:
        if name not in frame.columns:
            raise ValueError(f"no column {name!r} to freeze bins of; found: {', '.join(frame.columns)}")
        kind = kind_of(frame.schema[name])
        if kind == "text":
            text.append(_text_bins(frame[name]))
        elif kind in ("number", "nothing"):
            numeric.append(_numeric_bins(name, numbers_of(frame[name])))
        else:
            raise ValueError(f"column {name!r} is {frame.schema[name]}; right is a number, a bool or text")
    return Bins(numeric=numeric, text=text)


def _numeric_bins(name: str, values: Floats) -> NumericBins:
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite):
        return NumericBins(column=name, edges=[], low=0.0, high=0.0, mean=0.0, sd=0.0)
    ends = EXTREMES if len(finite) > QUANTILES * EXTREMES else 0
    cuts = finite[np.linspace(ends, len(finite) - 1 - ends, QUANTILES + 1).astype(int)]
    ties = cuts[:-1][cuts[1:] == cuts[:-1]]  # a value that fills a whole bin gets a bin of its own
    edges = np.unique(np.concatenate([cuts, np.nextafter(ties, np.inf), np.nextafter(cuts[-1:], np.inf)]))
    inner_low, inner_high = finite[int(0.001 * (len(finite) - 1))], finite[int(np.ceil(0.999 * (len(finite) - 1)))]
    width = (inner_high - inner_low) or (finite[-1] - finite[0])
    low, high = float(max(finite[0], inner_low - width)), float(min(finite[-1], inner_high + width))
    clipped = np.clip(finite, low, high)
    return NumericBins(
        column=name, edges=edges.tolist(), low=low, high=high, mean=float(clipped.mean()), sd=float(clipped.std())
    )


def _text_bins(series: pl.Series) -> TextBins:
    found = series.cast(pl.String).drop_nulls().value_counts(name="rows")
    levels = found.sort(["rows", series.name], descending=[True, False])[series.name].to_list()
    rare = sorted(levels[LEVELS:])
    return TextBins(column=series.name, levels=levels[:LEVELS], rare=rare if len(rare) <= RARE else None)
