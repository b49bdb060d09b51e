"""A table -> its content root: one hash over schema, row count and every row, stable across library versions.

Columns in declared order; each row becomes fixed-width bytes: ints and µs timestamps as int64, floats as float64 with
one NaN and no -0.0, text as length and 40 bytes or a digest, bytes (files) as their sha256, nulls as zeros and a
bitmap. Leaf = sha256(row); 1,024 leaves make a group; the root is sha256 over schema, row count and groups, so a row
can be proven with its group alone.
"""

from hashlib import blake2b, sha256

import numpy as np
import polars as pl

BATCH = 16_384  # rows at a time: what is encoded stays in the cache of a core
GROUP = 1_024
_INLINE = 40  # bytes of text that stand in the row itself: keys and UUIDs (36) do, so that few cells need a digest
_DIGEST = 32
_Bytes = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


def content_root(frame: pl.DataFrame) -> str:
    """Return the content root of `frame` as 64 hex digits; the order of rows and columns counts.

    Raises:
        TypeError: If a column is neither integer, float, bool, text, bytes nor a date or time.
    """
    width = sum(_width(name, dtype) for name, dtype in frame.schema.items()) + (frame.width + 7) // 8
    groups: list[bytes] = []
    for start in range(0, frame.height, BATCH):
        rows = _rows(frame[start : start + BATCH], width).tobytes()
        leaves = b"".join([sha256(rows[at : at + width]).digest() for at in range(0, len(rows), width)])
        groups += [sha256(leaves[at : at + 32 * GROUP]).digest() for at in range(0, len(leaves), 32 * GROUP)]
    schema = repr(schema_of(frame)).encode()
    return sha256(schema + frame.height.to_bytes(8, "little") + b"".join(groups)).hexdigest()


def row_digests(frame: pl.DataFrame) -> _Bytes:
    """Return the sha256 of each row's values, shape (rows, 32); it does not depend on the other rows.

    Raises:
        TypeError: As `content_root` does.
    """
    width = sum(_width(name, dtype) for name, dtype in frame.schema.items()) + (frame.width + 7) // 8
    leaves: list[bytes] = []
    for start in range(0, frame.height, BATCH):
        rows = _rows(frame[start : start + BATCH], width).tobytes()
        leaves += [sha256(rows[at : at + width]).digest() for at in range(0, len(rows), width)]
    return np.frombuffer(b"".join(leaves), np.uint8).reshape(-1, _DIGEST)


def schema_of(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """Return the columns and their types in our own type names."""
    return [(name, _type_name(name, dtype)) for name, dtype in frame.schema.items()]


def _type_name(column: str, dtype: pl.DataType) -> str:
    if dtype == pl.String:
        return "str"
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "float"
    if dtype in (pl.Date, pl.Datetime):
        return "datetime"
    if dtype == pl.Binary:
        return "bytes"
    raise TypeError(f"column {column!r} is {dtype}; a snapshot holds int, float, bool, str, bytes and datetime")


def _width(column: str, dtype: pl.DataType) -> int:
    return {"str": 1 + _INLINE, "bool": 1, "bytes": _DIGEST}.get(_type_name(column, dtype), 8)


def _rows(frame: pl.DataFrame, width: int) -> _Bytes:
    """Return `frame` as fixed-width bytes, shape (rows, width), the null bitmap last."""
    out = np.zeros((frame.height, width), np.uint8)
    bitmap = width - (frame.width + 7) // 8
    at = 0
    for position, series in enumerate(frame.iter_columns()):
        size = _width(series.name, series.dtype)
        out[:, at : at + size] = _cells(series)
        if series.null_count():
            out[:, bitmap + position // 8] |= series.is_null().to_numpy().astype(np.uint8) << (position % 8)
        at += size
    return out


def _cells(series: pl.Series) -> _Bytes:
    if series.dtype == pl.String:
        return _text(series)
    if series.dtype == pl.Boolean:
        return series.fill_null(False).to_numpy().astype(np.uint8).reshape(-1, 1)
    if series.dtype == pl.Binary:
        digests = (bytes(_DIGEST) if cell is None else sha256(cell).digest() for cell in series)
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST)
    if series.dtype.is_float():
        floats = series.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
        floats = np.where(np.isnan(floats), np.nan, floats)
        return floats.astype("<f8").view(np.uint8).reshape(-1, 8)
    physical = series.cast(pl.Datetime("us")).to_physical() if series.dtype.is_temporal() else series.cast(pl.Int64)
    return np.ascontiguousarray(physical.fill_null(0).to_numpy(), "<i8").view(np.uint8).reshape(-1, 8)


def _text(series: pl.Series) -> _Bytes:
    """Return 41 bytes a cell: the length and UTF-8 padded to 40, or 255 and the blake2b-128 of longer text."""
    cells = series.fill_null("")
    lengths = cells.str.len_bytes().to_numpy()
    long = lengths > _INLINE
    out = np.zeros((len(cells), 1 + _INLINE), np.uint8)
    out[:, 0] = np.where(long, 255, lengths)
    if long.any():
        digests = [blake2b(cell, digest_size=16).digest() for cell in cells.filter(long).cast(pl.Binary)]
        out[long, 1:17] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
        cells, lengths = cells.set(pl.Series(long), ""), np.where(long, 0, lengths)
    longest = int(lengths.max(initial=0))
    text = np.frombuffer(cells.str.join("").cast(pl.Binary).item(), np.uint8)
    if len(text) == len(cells) * longest:  # all of one length
        out[:, 1 : 1 + longest] = text.reshape(len(cells), longest)
    else:
        out[:, 1 : 1 + longest][np.arange(longest) < lengths[:, None]] = text
    return out
