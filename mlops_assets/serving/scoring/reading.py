"""Files of a table -> its rows, a part at a time: ten million rows need no more memory than one part of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from mlops_assets.intake.sources import SourceError, scan, source_files
from mlops_assets.parts import Source

PART = 250_000  # rows
_LINED = {".csv": 1, ".tsv": 1, ".ndjson": 0, ".jsonl": 0}  # lines before the first row


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some rows of a file as read; `first` counts the file's rows before them, `at` is when the file was written."""

    file: Path
    first: int
    at: datetime
    rows: pl.DataFrame


def parts(path: str, root: Path) -> Iterator[Part]:
    """Yield the rows of a file, folder or glob in order, at most `PART` at a time; files go by name.

    Raises:
        SourceError: If there is no file, one cannot be read, or files have different columns.
    """
    files = source_files(Source(path=path), root)
    columns = header(files[0])
    for file in files:
        found = header(file)
        if set(found) != set(columns):
            differ = ", ".join(sorted(set(found) ^ set(columns)))
            raise SourceError(f"{file}: its columns are not those of {files[0].name}; only one of them has: {differ}")
        yield from _parts(file, columns)


def header(file: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        SourceError: If the file cannot be read.
    """
    return scan(file).collect_schema().names()


def rows_in(file: Path) -> int | None:
    """Return how many rows a file has if it says so itself, as Parquet does; else None."""
    return int(scan(file).select(pl.len()).collect().item()) if file.suffix == ".parquet" else None


def where(file: Path, row: int) -> str:
    """Return where the row of this number, from 1, is: its line in a text file, if no cell has a line break."""
    return f"line {row + _LINED[file.suffix]}" if file.suffix in _LINED else f"row {row}"


def _parts(file: Path, columns: list[str]) -> Iterator[Part]:
    first, at = 0, datetime.fromtimestamp(file.stat().st_mtime, tz=UTC)
    try:
        for rows in scan(file).select(columns).collect_batches(chunk_size=PART, maintain_order=True):
            if rows.height:
                yield Part(file=file, first=first, at=at, rows=_plain(rows))
            first += rows.height
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{file}: after row {first:,}: {str(error).strip().partition(chr(10))[0]}") from error


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that a snapshot can hold: numbers, text, bools, bytes and times; lists and structs go."""
    made: list[pl.Expr] = []
    for name, dtype in rows.schema.items():
        if dtype.is_decimal():
            made.append(pl.col(name).cast(pl.Float64))
        elif isinstance(dtype, pl.Categorical | pl.Enum | pl.Time | pl.Duration | pl.Null):
            made.append(pl.col(name).cast(pl.String))
        elif not dtype.is_nested() and dtype != pl.Object:
            made.append(pl.col(name))
    return rows.select(made)
