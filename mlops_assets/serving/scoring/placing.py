"""Rows of a table as read -> their time, segment and monitoring window; rows that belong to none, with the reason."""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from mlops_assets.intake.cells import DTYPES, read
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.intake.sources import SourceError
from mlops_assets.product import ModelProduct

PLACED = ("_time", "_key", "_segment", "_window")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # of a UUIDv7


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which columns of a table name a row's time, key and segment, where it has them."""

    time: str | None
    key: str | None
    segment: str | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where rows go that do not say it themselves: a segment, a time."""

    segment: str | None = None
    at: datetime | None = None


def declared_roles(product: ModelProduct) -> Roles:
    """Return the columns that `scores` names, else those of `source`."""
    source, scores = product.source, product.scores
    time = scores.time if scores and scores.time else source.time
    return Roles(time=time, key=scores.key if scores and scores.key else source.key, segment=source.segment)


def zone_of(product: ModelProduct) -> str:
    """Return the timezone in which times without an offset are read."""
    return product.windows.timezone if product.windows else "UTC"


def placed(rows: pl.DataFrame, product: ModelProduct, roles: Roles, place: Place) -> tuple[pl.DataFrame, pl.Series]:
    """Return `rows` with `_time` (whole ms), `_key`, `_segment`, `_window`, and why a row has no place, null if it has.

    A row of an unknown segment goes to the declared fallback, if there is one.
    """
    grid, zone = product.grid, zone_of(product)
    time = read(rows[roles.time], "datetime", zone) if roles.time else pl.lit(place.at, DTYPES["datetime"])
    named = rows[roles.segment].cast(pl.String) if roles.segment and place.segment is None else None
    known = pl.col("_segment").is_in(product.segments)
    found = rows.with_columns(
        _time=(time.dt.truncate("1ms")),
        _key=rows[roles.key].cast(pl.String) if roles.key else pl.lit(None, pl.String),
        _segment=pl.lit(place.segment or product.segments[0]) if named is None else named,
    )
    if product.fallback is not None:
        found = found.with_columns(_segment=pl.when(known).then("_segment").otherwise(pl.lit(product.fallback)))
    start = max(grid.bounds(grid.key(grid.start))[0], _EARLIEST)
    problem = pl.coalesce(_no_time(roles, start), _no_segment(roles, product), pl.lit(None, pl.String))
    reasons = found.select(problem.alias("refused")).to_series()
    return found.with_columns(_window=grid.expression(pl.col("_time"))), reasons


def keyed(rows: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    """Return placed rows with a `_key`, if need be made of the time as the source's keys are.

    Without a key column, a row's key is its time (and segment), numbered where that repeats; without a time, none.
    """
    if roles.key is not None or roles.time is None or not rows.height:
        return rows
    segment = pl.lit("") if roles.segment is None else pl.col("_segment") + "-"
    time = pl.format("{}{}", segment, pl.col("_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"))
    nth = pl.int_range(pl.len()).over("_segment", "_time")
    return rows.with_columns(_key=pl.when(nth == 0).then(time).otherwise(pl.format("{}#{}", time, nth + 1)))


def check_roles(roles: Roles, known: list[str], table: str) -> None:
    """Check that a table has the columns that place its rows.

    Raises:
        SourceError: At the first that is missing; it names the nearest.
    """
    for role, name in (("time", roles.time), ("key", roles.key), ("segment", roles.segment)):
        if name is not None and name not in known:
            near = did_you_mean(name, known)
            raise SourceError(f"{table}: no column {name!r}{near} for the {role}; columns: {', '.join(known)}")


def _no_time(roles: Roles, start: datetime) -> pl.Expr:
    cell = pl.col(roles.time).cast(pl.String).fill_null("") if roles.time else pl.lit("")
    right = pl.lit("is no time; right is ISO 8601, as 2026-01-31T12:00:00Z")
    early = pl.lit(f"is before the first monitoring window, {start:%Y-%m-%d %H:%M}")
    problem = pl.when(pl.col("_time").is_null()).then(right).when(pl.col("_time") < start).then(early)
    return pl.format("{}: '{}' {}", pl.lit(roles.time or "time"), cell, problem)


def _no_segment(roles: Roles, product: ModelProduct) -> pl.Expr:
    known = pl.col("_segment").is_in(product.segments).fill_null(False)
    told = pl.lit(f"is no segment; known: {', '.join(product.segments)}")
    cell = pl.col("_segment").fill_null("")
    return pl.when(~known).then(pl.format("{}: '{}' {}", pl.lit(roles.segment or "segment"), cell, told))
