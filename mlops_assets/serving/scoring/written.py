"""Predictions of a file -> a file beside it, a line for each of its rows in their order; there once it is whole."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow.parquet as pq

from mlops_assets.intake.sources import SourceError

COLUMNS: dict[str, pl.DataType] = {
    "row": pl.Int64(),
    "inference_id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "segment": pl.String(),
    "key": pl.String(),
    "output": pl.Float64(),
    "class": pl.String(),
    "decision": pl.Boolean(),
    "version": pl.Int64(),
    "refused": pl.String(),
}
KINDS = (".csv", ".ndjson", ".parquet")
_AS = {".tsv": ".csv", ".jsonl": ".ndjson"}


class Out(Protocol):
    """Where predictions go."""

    def __call__(self, rows: pl.DataFrame) -> None:
        """Write rows with all of `COLUMNS`, after those before."""
        ...


def beside(file: Path) -> Path:
    """Return where the predictions of a file go by default."""
    return file.with_name(f"{file.stem}.scored{_AS.get(file.suffix, file.suffix)}")


def check_kind(out: Path) -> None:
    """Check that predictions can be written to such a file.

    Raises:
        SourceError: If they cannot.
    """
    if out.suffix not in KINDS:
        raise SourceError(f"{out}: cannot write {out.suffix or 'a file without suffix'}; right is {', '.join(KINDS)}")


@contextmanager
def written(out: Path) -> Generator[Out]:
    """Give what writes predictions; `out` is replaced by them at the end of the block, and left alone if it fails."""
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}-", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        with _opened(part, out.suffix) as write:
            write(pl.DataFrame(schema=COLUMNS))
            yield write
        part.chmod(0o644)
        part.replace(out)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


@contextmanager
def _opened(part: Path, kind: str) -> Generator[Out]:
    if kind == ".parquet":
        schema = pl.DataFrame(schema=COLUMNS).to_arrow().schema  # pyright: ignore
        with pq.ParquetWriter(part, schema, compression="zstd") as table:  # pyright: ignore
            yield lambda rows: table.write_table(rows.to_arrow().cast(schema))  # pyright: ignore
        return
    with part.open("wb") as file:

        def write(rows: pl.DataFrame) -> None:
            if kind == ".csv":
                rows.write_csv(file, include_header=not file.tell(), datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ")
            elif rows.height:
                rows.write_ndjson(file)

        yield write
