"""Scored rows -> inference ids that are the same whenever the same row is scored by the same model.

An id is a UUIDv7 of the row's time (and so of its window), whose 74 random bits come from a sha256 of the row, and one
of product, segment and model's record. So a row that is scored twice is one prediction, and a changed row, or the same
row by another model, is another.
"""

from hashlib import sha256

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mlops_assets.evidence.content import row_digests

_BYTES, _TEXT = 16, 36
_DASHES = (8, 13, 18, 23)
_Matrix = NDArray[np.uint8]


def row_ids(rows: pl.DataFrame, at: pl.Series, *scored_in: str) -> pl.Series:
    """Return the inference ids of `rows`, of which every column counts; `at` are their times, UTC and without nulls."""
    random = row_digests(rows)[:, :10] ^ _salt(scored_in)
    ms = at.dt.epoch("ms").to_numpy().astype(">u8").view(np.uint8).reshape(-1, 8)
    ids = np.concatenate([ms[:, 2:], random], axis=1)
    ids[:, 6] = (ids[:, 6] & 0x0F) | 0x70  # version 7
    ids[:, 8] = (ids[:, 8] & 0x3F) | 0x80  # variant of RFC 9562
    return _texts(ids)


def id_bytes(ids: pl.Series) -> _Matrix:
    """Return the 16 bytes of each id, shape (rows, 16)."""
    joined = ids.str.replace_all("-", "", literal=True).str.join("").item() or ""
    return np.frombuffer(bytes.fromhex(joined), np.uint8).reshape(-1, _BYTES)


def _salt(scored_in: tuple[str, ...]) -> _Matrix:
    return np.frombuffer(sha256("\n".join(scored_in).encode()).digest()[:10], np.uint8)


def _texts(ids: _Matrix) -> pl.Series:
    """Return ids as canonical text, made at once: a million take a tenth of a second."""
    count = len(ids)
    letters = np.full((count, _TEXT), ord("-"), np.uint8)
    places = [place for place in range(_TEXT) if place not in _DASHES]
    letters[:, places] = np.frombuffer(ids.tobytes().hex().encode(), np.uint8).reshape(count, 2 * _BYTES)
    offsets = np.arange(count + 1, dtype=np.int64) * _TEXT
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(letters.tobytes())]  # pyright: ignore
    array = pa.Array.from_buffers(pa.large_string(), count, buffers)  # pyright: ignore
    return pl.Series("inference_id", array, pl.String)  # pyright: ignore
