"""Cells as read -> values of a type: null where a cell is blank or does not fit."""

from typing import Literal

import polars as pl

ColumnType = Literal["int", "float", "str", "bool", "datetime", "image"]
DTYPES: dict[ColumnType, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "str": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
    "image": pl.Binary(),
}
BLANK = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")  # no value, in a column that is not text
TIMES = tuple(f"%Y-%m-%d{between}{clock}" for between in "T " for clock in ("%H:%M:%S%.f", "%H:%M"))
ZONED = tuple(f"%Y-%m-%d{between}%H:%M:%S%.f%#z" for between in "T ")


def read(cells: pl.Series, type_: ColumnType, timezone: str = "UTC") -> pl.Series:
    """Return `cells` as `type_`. A time is ISO 8601; without an offset it is read in `timezone`.

    Of an image it is the name of its file, which `intake.image_files` reads.
    """
    dtype = cells.dtype
    if type_ in ("str", "image"):
        return cells.cast(pl.String)
    if dtype == pl.String:
        return _patient(cells, type_, timezone)
    if dtype.is_temporal() != (type_ == "datetime") or dtype.is_nested():
        return pl.Series(cells.name, [None], DTYPES[type_]).new_from_index(0, len(cells))
    if dtype.is_float():
        fits = cells.is_finite() & (cells == cells.floor()) if type_ == "int" else cells.is_finite()
        cells = cells.set(~fits, None)
    if isinstance(dtype, pl.Date) or (isinstance(dtype, pl.Datetime) and dtype.time_zone is None):
        return _in_zone(cells.cast(pl.Datetime("us"), strict=False), timezone)
    return cells.cast(DTYPES[type_], strict=False)


def blank(cells: pl.Series, type_: ColumnType) -> pl.Series:
    """Return which cells hold no value. An empty or 'NA' cell holds one in a column of text, else none."""
    if cells.dtype == pl.String and type_ not in ("str", "image"):
        return cells.is_null() | cells.str.strip_chars().is_in(BLANK)
    return cells.is_null() | cells.is_nan() if cells.dtype.is_float() else cells.is_null()


def label_text(labels: pl.Series) -> pl.Series:
    """Return labels as names of classes: 1, 1.0, '1' and '1.0' are '1', True and 'True' 'true', blanks null."""
    text = labels.cast(pl.String).str.strip_chars()
    distinct = text.unique().to_frame("text").filter(~pl.col("text").is_in(BLANK))
    number = pl.col("text").cast(pl.Float64, strict=False)
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 2**53)
    lower = pl.col("text").str.to_lowercase()
    named = pl.when(whole).then(number.cast(pl.Int64, strict=False).cast(pl.String))
    named = named.when(lower.is_in(["true", "false"])).then(lower).otherwise("text")
    names = distinct.with_columns(named.alias("name"))
    return text.replace_strict(names["text"], names["name"], default=None, return_dtype=pl.String)


def _patient(cells: pl.Series, type_: ColumnType, timezone: str) -> pl.Series:
    """Return text read as it is; only what cannot be read so is trimmed and read again."""
    values = _text_as(cells, type_, timezone)
    missed = values.is_null() & cells.is_not_null()
    if not missed.any():
        return values
    trimmed = cells.filter(missed).str.strip_chars()
    again = _text_as(trimmed.set(trimmed.is_in(BLANK), None), type_, timezone)
    return values.scatter(missed.arg_true(), again)


def _text_as(text: pl.Series, type_: ColumnType, timezone: str) -> pl.Series:
    if type_ == "int":
        return text.cast(pl.Int64, strict=False)
    if type_ == "float":
        number = text.cast(pl.Float64, strict=False)
        return number.set(~number.is_finite(), None)
    if type_ == "bool":
        values = {"true": True, "false": False, "1": True, "0": False}
        return text.str.to_lowercase().replace_strict(values, default=None, return_dtype=pl.Boolean)
    return _times(text, timezone)


def _times(text: pl.Series, timezone: str) -> pl.Series:
    """Return times by the first form that reads them; a later form is only tried on what is left."""
    values = pl.Series(text.name, [None], DTYPES["datetime"]).new_from_index(0, len(text))
    for form in (*TIMES, "%Y-%m-%d", *ZONED):
        left = values.is_null() & text.is_not_null()
        if not left.any():
            break
        read = text.filter(left).str.to_datetime(form, strict=False, time_unit="us")
        values = values.scatter(left.arg_true(), _in_zone(read, timezone))
    return values


def _in_zone(times: pl.Series, timezone: str) -> pl.Series:
    """Return times as UTC. Of an hour that a clock repeats it is the first; one that it skips is null."""
    if getattr(times.dtype, "time_zone", None) is None:
        times = times.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return times.dt.convert_time_zone("UTC")
