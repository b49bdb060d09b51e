"""Rows that name image files -> the same rows with the files' bytes; a file that is not as declared loses its rows."""

import hashlib
import os
from collections.abc import MutableMapping
from glob import has_magic
from pathlib import Path

import polars as pl

from mlops_assets.intake.images import BadImage, Shape, pixels, wanted
from mlops_assets.intake.sources import SourceError, file_hash, fingerprint, read_column
from mlops_assets.parts import Image, Source

LARGEST = 64 * 2**20  # bytes; over what the largest declared image takes unpacked
MISSING = "missing"
SHOWN = 120  # characters of a name


def shape_of(image: Image) -> Shape:
    """Return the height, width and channels that are declared."""
    return image.height, image.width, image.channels


def with_images(rows: pl.DataFrame, image: Image, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of `rows` with bytes where a file's name was, and `_row` with `_reason` of the others.

    Names are those of files below `folder`. A file that many rows name is read once.
    """
    told = [image.column, *([image.sha256] if image.sha256 else [])]
    files = rows.select(told).unique(maintain_order=True)
    found = [_read(folder, image, *cells) for cells in files.iter_rows()]
    read = files.with_columns(
        _bytes=pl.Series([data for data, _ in found], dtype=pl.Binary),
        _reason=pl.Series([reason for _, reason in found], dtype=pl.String),
    )
    both = rows.join(read, on=told, how="left", nulls_equal=True, maintain_order="left")
    held = both.filter(pl.col("_reason").is_null()).with_columns(pl.col("_bytes").alias(image.column))
    return held.drop("_bytes", "_reason"), both.filter(pl.col("_reason").is_not_null()).select("_row", "_reason")


def fingerprint_with_files(source: Source, root: Path, files: Path, cache: MutableMapping[str, str]) -> str:
    """Return the identity of a source's content, that of the image files which it names included.

    `files` is where a function keeps its files; `cache` is that of `sources.fingerprint`.

    Raises:
        SourceError: If the source cannot be read.
    """
    seen = fingerprint(source, root, cache, files=files)
    if source.image is None:
        return seen
    names = read_column(source, root, source.image.column, files=files).cast(pl.String).drop_nulls().unique().sort()
    folder = own_folder(source, root, files)
    hashes = [_hash(_within(folder, name), cache) for name in names]
    told = [seen, *(f"{name} {sha}" for name, sha in zip(names, hashes, strict=True))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def own_folder(source: Source, root: Path, files: Path) -> Path:
    """Return the folder that names of files start from: the source's own, or `files` where a function keeps its."""
    if source.path is None:
        return files
    path = root / source.path
    while has_magic(str(path)):
        path = path.parent
    return path if path.is_dir() else path.parent


def _read(folder: Path, image: Image, name: str | None, sha256: str | None = None) -> tuple[bytes | None, str | None]:
    """Return a file's bytes, or why they are not taken."""
    if not name:
        return None, f"{image.column}: names no file"
    path = _within(folder, name)
    if path is None:
        return None, f"{image.column}: '{name[:SHOWN]}' is no file below the source's folder, {folder}"
    if not os.path.isfile(path):
        return None, f"{image.column}: no file '{name[:SHOWN]}': nothing is at {folder}"
    if (size := path.stat().st_size) > LARGEST:
        return None, f"{image.column}: '{name}' has {size} bytes; right is {LARGEST} or fewer"
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if image.sha256 and (sha256 or "").strip().lower() != found:
        return None, f"{image.column}: '{name}' has the sha256 {found}, {image.sha256} says '{sha256 or ''}'"
    try:
        pixels(data, shape_of(image))
    except BadImage as problem:
        return None, f"{image.column}: '{name}' is {problem}; right is {wanted(shape_of(image))}"
    return data, None


def _within(folder: Path, name: str) -> Path | None:
    """Return where a file is; None if its name leads out of the folder: a table may come from anybody."""
    path = Path(os.path.normpath(folder / name))
    return path if path.is_relative_to(os.path.normpath(folder)) and "\0" not in name else None


def _hash(path: Path | None, cache: MutableMapping[str, str]) -> str:
    if path is None or not os.path.isfile(path):  # such a row is quarantined; the others are read
        return MISSING
    try:
        return file_hash(path, cache)
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
