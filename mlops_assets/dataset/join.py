"""Rows of the source, rows that were served, and labels -> the rows to learn from, as of a moment."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlops_assets.annotations.labels import item_key
from mlops_assets.product import ModelProduct

INPUT = "input."
OWN = ("_key", "_time", "_segment", "_origin")


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Labelled rows: `_key`, `_time`, `_segment`, `_origin`, the source's columns, `_label`, `_known_since`.

    `as_of` is the newest time at which one of the labels became known, never the clock.
    """

    rows: pl.DataFrame
    as_of: datetime | None
    labelled: int
    unlabelled: int
    tied: int


def source_rows(typed: pl.DataFrame, product: ModelProduct) -> pl.DataFrame:
    """Return typed rows of the source without label, annotator, key and subject; features may read time and segment."""
    label, source = product.label, product.source
    dropped = [name for name in (label.column, label.annotator, source.key, source.subject) if name]
    kept = [name for name in typed.columns if name not in (*dropped, *OWN)]
    return typed.select("_key", "_time", "_segment", pl.lit("source").alias("_origin"), *kept)


def with_served(rows: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` and the rows of sealed `predictions` whose key is not among them, by time and key.

    Of several predictions for one key the last counts. A column that was not in the request is null.
    """
    fields = {name.removeprefix(INPUT): name for name in predictions.columns if name.startswith(INPUT)}
    columns = [name for name in rows.columns if name not in OWN]
    served = predictions.sort("at", "inference_id").select(
        item_key().alias("_key"),
        pl.col("at").alias("_time"),
        pl.col("segment").alias("_segment"),
        pl.lit("served").alias("_origin"),
        *(_served(name, fields.get(name), rows.schema[name]) for name in columns),
    )
    new = served.join(rows, on="_key", how="anti").unique("_key", keep="last")
    return pl.concat([rows, new]).sort("_time", "_key", maintain_order=True)


def join_labels(rows: pl.DataFrame, labels: pl.DataFrame) -> Joined:
    """Return the rows that have a label, in their order; rows without one, or with a tied one, are counted."""
    known = labels.select("_key", _label="label", _known_since="known_since")
    both = rows.join(known, on="_key", how="inner", maintain_order="left")
    labelled = both.filter(pl.col("_label").is_not_null())
    as_of = labelled["_known_since"].max()
    return Joined(
        rows=labelled,
        as_of=as_of if isinstance(as_of, datetime) else None,
        labelled=labelled.height,
        unlabelled=rows.height - both.height,
        tied=both.height - labelled.height,
    )


def _served(name: str, field: str | None, dtype: pl.DataType) -> pl.Expr:
    cell = pl.lit(None) if field is None else pl.col(field)
    return cell.cast(dtype, strict=False).alias(name)
