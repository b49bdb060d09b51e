"""Columns -> whylogs bytes, and back. The one module that touches whylogs.

whylogs 1.6.4 is a file format and sketches to us, not a detector. What is met here: it does not import with numpy 2
where text is involved (`numpy.unicode_`), reports usage unless told not to, takes ten times as long through pandas,
loses updates from several threads (a view is built whole, by one), turns one infinite value into NaN moments, and
merges metadata by overwriting. Its quantiles are approximate and not reproducible, so no verdict reads them.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from whylogs.core import DatasetProfileView
    from whylogs.core.view.column_profile_view import ColumnProfileView

LONGEST = 128  # characters of a level that whylogs keeps


def profile_bytes(frame: pl.DataFrame, *, at: datetime, metadata: Mapping[str, str]) -> bytes:
    """Return `frame` as a serialized `DatasetProfileView` of standard metrics; `at` is aware, the window's start."""
    view_class = _view_class()
    columns = {name: _text(frame[name]) if _is_text(frame[name]) else _numeric(frame[name]) for name in frame.columns}
    view = view_class(columns=columns, dataset_timestamp=at, creation_timestamp=at, metadata=dict(metadata))
    return view.serialize()


def merge_bytes(first: bytes, second: bytes, *, metadata: Mapping[str, str]) -> bytes:
    """Return the merged profile; `metadata` replaces that of both."""
    view_class = _view_class()
    merged = view_class.deserialize(first).merge(view_class.deserialize(second))
    merged.metadata.clear()
    merged.metadata.update(metadata)
    return merged.serialize()


def metadata_of(data: bytes) -> dict[str, str]:
    """Return the metadata of a serialized profile.

    Raises:
        whylogs.core.errors.DeserializationError: If `data` is no whylogs profile.
    """
    return dict(_view_class().deserialize(data).metadata)


def _view_class() -> type["DatasetProfileView"]:
    """Import whylogs with its numpy alias back and its usage report off."""
    if not hasattr(np, "unicode_"):
        np.unicode_ = np.str_  # type: ignore[attr-defined]
    os.environ["WHYLOGS_NO_ANALYTICS"] = "1"
    from whylogs.core import DatasetProfileView

    return DatasetProfileView


def _is_text(series: pl.Series) -> bool:
    return series.dtype in (pl.String, pl.Categorical, pl.Enum)


def _numeric(series: pl.Series) -> "ColumnProfileView":
    from whylogs.core.metrics import ColumnCountsMetric, DistributionMetric, TypeCountersMetric
    from whylogs.core.preprocessing import PreprocessedColumn
    from whylogs.core.view.column_profile_view import ColumnProfileView

    values = series.cast(pl.Float64).to_numpy()
    finite = values[np.isfinite(values)]
    column = PreprocessedColumn()
    column.len = len(values)
    column.null_count = int(np.isnan(values).sum())
    column.nan_count = column.null_count - series.null_count()
    column.inf_count = len(values) - len(finite) - column.null_count
    column.numpy.floats = finite
    metrics = {
        "counts": ColumnCountsMetric.zero(),
        "types": TypeCountersMetric.zero(),
        "distribution": DistributionMetric.zero(),
    }
    for metric in metrics.values():
        metric.columnar_update(column)
    return ColumnProfileView(metrics, success_count=len(finite))


def _text(series: pl.Series) -> "ColumnProfileView":
    from whylogs.core.metrics import (
        CardinalityMetric,
        ColumnCountsMetric,
        FrequentItemsMetric,
        TypeCountersMetric,
    )
    from whylogs.core.view.column_profile_view import ColumnProfileView

    found = series.cast(pl.String).drop_nulls().value_counts(name="rows")
    levels, rows = found[series.name].to_list(), found["rows"].to_list()
    counts, types = ColumnCountsMetric.zero(), TypeCountersMetric.zero()
    items, cardinality = FrequentItemsMetric.zero(), CardinalityMetric.zero()
    counts.n.set(series.len())
    counts.null.set(series.null_count())
    types.string.set(sum(rows))
    for level, weight in zip(levels, rows, strict=True):
        items.frequent_strings.value.update(level[:LONGEST], weight)
    cardinality.hll.value.update_str_list(levels)
    metrics = {"counts": counts, "types": types, "frequent_items": items, "cardinality": cardinality}
    return ColumnProfileView(metrics, success_count=sum(rows))
