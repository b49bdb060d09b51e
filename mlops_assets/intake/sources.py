"""A declared source -> one table as it was read, and its fingerprint. Cells of a CSV stay text, so none is lost."""

import glob
import hashlib
import re
from collections.abc import Callable, MutableMapping
from pathlib import Path

import polars as pl

from mlops_assets.evidence.content import content_root
from mlops_assets.intake.functions import BROKEN_CODE, function_named
from mlops_assets.parts import Source


class SourceError(ValueError):
    """The source cannot be read as declared; the message names the file or function."""


def read_source(source: Source, root: Path, *, files: Path | None = None) -> pl.DataFrame:
    """Return all rows of `source`; a relative path starts from `root`. Files of a folder or glob are read by name.

    A function whose rows name images is called with `files`, the folder that it may keep them in; others with nothing.

    Raises:
        SourceError: If a file is missing or unreadable, files have different columns, or there are no rows.
        LookupError: If the declared function does not exist.
    """
    if source.function is not None:
        frame = _collected(source, files)
    else:
        frame = _together([(file, scan(file)) for file in source_files(source, root)])
    if frame.is_empty():
        raise SourceError(f"{source.path or source.function}: has no rows")
    return frame


def read_column(source: Source, root: Path, name: str, *, files: Path | None = None) -> pl.Series:
    """Return one column of `source` as `read_source` does; without values if there is none of that name."""
    if name not in read_header(source, root, files=files):
        return pl.Series(name, [], pl.String)
    if source.function is not None:
        return _collected(source, files)[name]
    scans = [(file, scan(file)) for file in source_files(source, root)]
    return _together([(file, rows.select(name)) for file, rows in scans if name in rows.collect_schema()])[name]


def read_header(source: Source, root: Path, *, files: Path | None = None) -> list[str]:
    """Return the names of the source's columns, without reading its rows.

    Raises:
        SourceError: If there is nothing to read.
        LookupError: If the declared function does not exist.
    """
    if source.function is not None:
        return _call(source, files).collect_schema().names()
    return scan(source_files(source, root)[0]).collect_schema().names()


def fingerprint(
    source: Source, root: Path, cache: MutableMapping[str, str] | None = None, *, files: Path | None = None
) -> str:
    """Return the identity of the source's content: sha256 of its files, or content root of a function's rows.

    `cache` keeps a file's hash by its path, size and time of change.
    """
    if source.function is not None:
        try:
            return content_root(_collected(source, files))
        except TypeError as error:
            raise SourceError(f"{source.function}: {error}") from error
    tables = source_files(source, root)
    hashes = [file_hash(file, {} if cache is None else cache) for file in tables]
    named = "\n".join(f"{file.name} {sha}" for file, sha in zip(tables, hashes, strict=True))
    return hashes[0] if len(tables) == 1 else hashlib.sha256(named.encode()).hexdigest()


def source_files(source: Source, root: Path) -> list[Path]:
    """Return the files that a path, folder or glob stands for, by name.

    Raises:
        SourceError: If there is none.
    """
    declared = source.path or ""
    path = root / declared
    if glob.has_magic(declared):
        found = sorted(
            root / file for file in glob.glob(declared, root_dir=root, recursive=True) if (root / file).is_file()
        )
    elif path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in _SCANS and not file.name.startswith("."))
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise SourceError(f"no file {declared!r}: nothing is at {path}")
    return found


def scan(file: Path) -> pl.LazyFrame:
    """Return a file's rows before they are read; cells of a CSV are text.

    Raises:
        SourceError: If it is of an unknown kind, unreadable, or names a column twice.
    """
    if file.suffix not in _SCANS:
        raise SourceError(f"{file}: cannot read {file.suffix or 'a file without suffix'}; right is {', '.join(_SCANS)}")
    try:
        frame = _SCANS[file.suffix](file)
        names = frame.collect_schema().names()
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        raise SourceError(f"{file}: {_first_line(error)}") from error
    for name in names:
        if (twice := re.sub(r"_duplicated_\d+$", "", name)) != name and twice in names:
            raise SourceError(f"{file}: two columns are called {twice!r}")
    return frame


def _scan_csv(file: Path) -> pl.LazyFrame:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        header = lines.readline()
    separator = max(",;\t|", key=header.count)
    return pl.scan_csv(file, separator=separator, infer_schema=False)


def _scan_ndjson(file: Path) -> pl.LazyFrame:
    return pl.scan_ndjson(file, infer_schema_length=None)


_SCANS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    ".csv": _scan_csv,
    ".tsv": _scan_csv,
    ".parquet": pl.scan_parquet,
    ".ndjson": _scan_ndjson,
    ".jsonl": _scan_ndjson,
}


def _together(scans: list[tuple[Path, pl.LazyFrame]]) -> pl.DataFrame:
    first, columns = scans[0][0], scans[0][1].collect_schema().names()
    frames: list[pl.DataFrame] = []
    for file, rows in scans:
        if set(found := rows.collect_schema().names()) != set(columns):
            differ = ", ".join(sorted(set(found) ^ set(columns)))
            raise SourceError(f"{file}: its columns are not those of {first.name}; only one of them has: {differ}")
        try:
            frames.append(rows.select(columns).collect())
        except pl.exceptions.PolarsError as error:
            raise SourceError(f"{file}: {_first_line(error)}") from error
    try:
        return pl.concat(frames, how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{first.parent}: its files have columns of different types: {_first_line(error)}") from error


def _call(source: Source, files: Path | None) -> pl.LazyFrame:
    path = source.function or ""
    function = function_named(path)
    try:
        result = function() if source.image is None else function(files)
    except (*BROKEN_CODE, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path}: {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(result, pl.LazyFrame | pl.DataFrame):
        raise SourceError(f"{path}: returned a {type(result).__name__}; right is a polars LazyFrame or DataFrame")
    return result.lazy()


def _collected(source: Source, files: Path | None) -> pl.DataFrame:
    try:
        return _call(source, files).collect()
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{source.function}: {type(error).__name__}: {_first_line(error)}") from error


def file_hash(file: Path, cache: MutableMapping[str, str]) -> str:
    """Return the sha256 of a file; `cache` keeps it by the file's path, size and time of change."""
    stat = file.stat()
    known = f"{file}|{stat.st_size}|{stat.st_mtime_ns}"
    if known not in cache:
        with file.open("rb") as data:
            cache[known] = hashlib.file_digest(data, "sha256").hexdigest()
    return cache[known]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
