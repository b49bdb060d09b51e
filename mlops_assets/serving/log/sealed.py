"""Log frames -> the table of predictions: one row each, inputs and features beside it, sorted by inference id."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import polars as pl

from mlops_assets.serving.log.frames import Frame, find_frame, mapped
from mlops_assets.serving.log.ids import parse, text, time_of
from mlops_assets.serving.log.personal import HASHED
from mlops_assets.serving.log.writer import TYPES, Body, Columns, Kind
from mlops_assets.windows import Grid

BASE: dict[str, pl.DataType] = {
    "inference_id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "segment": pl.String(),
    "version": pl.Int64(),
    "variant": pl.String(),
    "deployment": pl.String(),
    "key": pl.String(),
    "writer": pl.String(),
    "seq": pl.Int64(),
    "latency_us": pl.Int64(),
    "status": pl.Int64(),
    "output": pl.Float64(),
}
DIGEST = "features_hash"
CHAMPION, ANSWERED = "champion", 200
INPUT, FEATURE, PROBABILITY = "input.", "feature.", "probability."

_body = msgspec.msgpack.Decoder(Body)
_columns = msgspec.msgpack.Decoder(Columns)


def table(frames: Iterable[tuple[str, Frame]], segment: str | None = None) -> pl.DataFrame:
    """Return the predictions in (writer, frame) pairs, of one segment or of all; without any, no rows and no inputs."""
    groups: dict[tuple[bytes, bool, bool], list[tuple[object, ...]]] = {}
    for writer, frame in frames:
        body = _body.decode(frame.body)
        id_, at = text(frame.id), time_of(frame.id)
        for part in body.parts:
            if segment not in (None, part.segment):
                continue
            rest = (writer, frame.seq, body.latency_us, body.status)
            for row in part.rows:
                name = id_ if row.index is None else f"{id_}.{row.index}"
                base = (name, at, part.segment, part.version, part.variant, body.deployment, row.key, *rest, row.output)
                group = groups.setdefault((bytes(part.columns), row.features is None, row.digest is not None), [])
                digest = () if row.digest is None else (row.digest.hex(),)
                known = (*row.inputs, *(row.features or ()))
                group.append((*base, *digest, *(row.probabilities or ()), *known))
    return merged([_frame(_columns.decode(key[0]), rows, *key[1:]) for key, rows in groups.items()])


def merged(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """Return tables of predictions as one; a prediction that is in several counts once, the earliest table's."""
    whole = completed(*tables)
    return whole.unique("inference_id", keep="first", maintain_order=True).sort("inference_id")


def completed(*tables: pl.DataFrame) -> pl.DataFrame:
    """Return tables, whenever they were sealed, with all columns of today; without variants it was the champion."""
    whole = pl.concat([pl.DataFrame(schema=BASE), *tables], how="diagonal_relaxed")
    return whole.with_columns(pl.col("variant").fill_null(CHAMPION), pl.col("status").fill_null(ANSWERED))


def find(folder: Path, grid: Grid, inference_id: str) -> pl.DataFrame | None:
    """Return the one row of a prediction that is still in the log of the product at `folder`, as it will be sealed.

    Raises:
        ValueError: If `inference_id` is none.
    """
    found = find_request(folder, grid, parse(inference_id).request)
    rows = found.filter(pl.col("inference_id") == inference_id)
    return rows if rows.height else None


def find_request(folder: Path, grid: Grid, request: bytes) -> pl.DataFrame:
    """Return all rows of a request that is still in the log of the product at `folder`, as they will be sealed."""
    for path in sorted((folder / "log" / grid.key(time_of(request))).glob("*.log")):
        frame = find_frame(mapped(path), request)
        if frame is not None:
            return table([(path.stem, frame)])
    return table([])


def _frame(columns: Columns, rows: list[tuple[object, ...]], plain: bool, digested: bool) -> pl.DataFrame:
    """Return rows that hold features, or (`plain`) none: then those are inputs, or all that is known is their hash."""
    own = {**BASE, DIGEST: pl.String()} if digested else dict(BASE)
    own |= {PROBABILITY + name: pl.Float64() for name in columns.classes}
    inputs = {(HASHED if kind == "hash" else INPUT) + name: TYPES[kind] for name, kind in columns.inputs}
    features = {FEATURE + name: TYPES[kind] for name, kind in columns.features}
    if not plain:
        return pl.DataFrame(rows, schema={**own, **inputs, **features}, orient="row", strict=False)
    frame = pl.DataFrame(rows, schema={**own, **inputs}, orient="row")
    if digested:
        return frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in features.items())
    return frame.with_columns(feature_of(name, kind) for name, kind in columns.features)


def feature_of(name: str, kind: Kind) -> pl.Expr:
    """Return a feature that is an input, as `features.transform` makes it: text, or float64 with NaN for null."""
    given = pl.col(INPUT + name)
    made = given if kind == "str" else given.cast(pl.Float64).fill_null(float("nan"))
    return made.alias(FEATURE + name)
