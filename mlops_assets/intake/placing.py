"""Rows as read -> the rows of each segment and window, and the rows that belong nowhere, with the reason."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from mlops_assets.intake.cells import DTYPES, read
from mlops_assets.product import ModelProduct
from mlops_assets.windows import ALL, Grid

Partition = tuple[str, str]  # segment, window


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The rows of each partition by time and key, with `_key`, `_time`, `_segment`; the others, with `_reason`."""

    partitions: dict[Partition, pl.DataFrame]
    unplaced: pl.DataFrame


def split(frame: pl.DataFrame, product: ModelProduct) -> Placed:
    """Return `frame` cut into the product's segments and windows; its own columns stay as they were read.

    Without a key column, a row's key is its time (and segment), numbered where that repeats, so that an inserted row
    leaves the keys of other windows alone; without a time either, it is its position in the segment.
    """
    source, grid = product.source, product.windows
    zone = grid.timezone if grid else "UTC"
    time = read(frame[source.time], "datetime", zone) if source.time else pl.lit(None, DTYPES["datetime"])
    segment = frame[source.segment].cast(pl.String) if source.segment else pl.lit(ALL)
    rows = frame.with_columns(_time=time, _segment=segment)
    fits = rows.select(_fits(product)).to_series()
    unplaced = rows.filter(~fits).with_columns(_reason=_reason(product)).drop("_time", "_segment")
    placed = rows.filter(fits)
    placed = placed.with_columns(
        _key=_key(placed, product), _window=grid.expression(pl.col("_time")) if grid else pl.lit(ALL)
    )
    if product.label.annotator is not None:
        placed, scattered = _whole_items(placed)
        unplaced = pl.concat([unplaced, scattered.select(unplaced.columns)])
    cut = placed.partition_by("_segment", "_window", as_dict=True, maintain_order=True)
    partitions = {(str(segment), str(window)): _sorted(rows.drop("_window")) for (segment, window), rows in cut.items()}
    return Placed(partitions=dict(sorted(partitions.items())), unplaced=unplaced)


def _whole_items(placed: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of items that lie in one segment and window, and those of others, with the reason."""
    scattered = pl.struct("_segment", "_window").n_unique().over("_key") > 1
    told = placed.with_columns(_scattered=scattered)
    reason = pl.format("the judgements of item '{}' lie in several segments or windows; right is one", "_key")
    apart = told.filter("_scattered").with_columns(_reason=reason)
    return told.filter(~pl.col("_scattered")).drop("_scattered"), apart


def _fits(product: ModelProduct) -> pl.Expr:
    """Return whether a row lies in a declared segment and window."""
    fits = pl.col("_segment").is_in(product.segments).fill_null(False)
    if product.windows is None:
        return fits
    start, end = span(product.windows)
    fits &= (pl.col("_time") >= start).fill_null(False)
    return fits if end is None else fits & (pl.col("_time") < end)


def _reason(product: ModelProduct) -> pl.Expr:
    """Return why a row lies in none."""
    source = product.source
    reasons = [pl.lit(None, pl.String)]
    if source.time and product.windows:
        start, end = span(product.windows)
        cell, time = pl.col(source.time).cast(pl.String).fill_null(""), pl.col("_time")
        problem = pl.when(time.is_null()).then(pl.lit("is no time; right is ISO 8601, as 2026-01-31T12:00:00Z"))
        problem = problem.when(time < start).then(pl.lit(f"is before the first window, {start:%Y-%m-%d %H:%M}"))
        if end is not None:
            problem = problem.when(time >= end).then(
                pl.lit(f"is after the last window, which ends {end:%Y-%m-%d %H:%M}")
            )
        reasons.append(pl.format("{}: '{}' {}", pl.lit(source.time), cell, problem))
    if source.segment:
        known = f"is no segment; known: {', '.join(product.segments)}"
        reasons.append(
            pl.format("{}: '{}' {}", pl.lit(source.segment), pl.col("_segment").fill_null(""), pl.lit(known))
        )
    return pl.coalesce(reasons)


def _sorted(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows by time and key, so that their order in the source does not matter."""
    return rows.sort("_time", "_key", maintain_order=True)


def span(grid: Grid) -> tuple[datetime, datetime | None]:
    """Return when the first window of `grid` starts, and when the last whole one before its end does end."""
    start = grid.bounds(grid.key(grid.start))[0]
    return start, None if grid.end is None else grid.bounds(grid.key(grid.end))[0]


def _key(rows: pl.DataFrame, product: ModelProduct) -> pl.Expr:
    if product.source.key:
        return pl.col(product.source.key).cast(pl.String)
    segment = pl.lit("") if product.segments == (ALL,) else pl.col("_segment") + "-"
    if product.source.time is None:
        position = pl.int_range(pl.len()).over("_segment").cast(pl.String).str.zfill(6)
        return pl.format("{}row-{}", segment, position)
    time = pl.format("{}{}", segment, pl.col("_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"))
    if rows.select(pl.struct("_segment", "_time").is_unique().all()).item():
        return time
    nth = pl.int_range(pl.len()).over("_segment", "_time")
    return pl.when(nth == 0).then(time).otherwise(pl.format("{}#{}", time, nth + 1))
