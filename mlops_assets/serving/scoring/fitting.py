"""Cells of a table -> the values that a model reads, many rows at once, by the rules by which requests are decoded.

A row that does not fit is told apart with the reason: column, what was found, what is right; of a personal column it
does not say what was found. Text cells, as of a CSV, are read as `intake.cells` reads those of the source.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlops_assets.intake.cells import DTYPES, blank, read
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.intake.image_files import with_images
from mlops_assets.intake.sources import SourceError
from mlops_assets.parts import Image
from mlops_assets.serving.requests.inputs import right
from mlops_assets.training.model import ColumnSpec

_SHOWN = 60  # characters of a cell
_UNQUOTED = "found a value that does not fit"


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the images are that a column of a table names."""

    image: Image
    folder: Path


def check_inputs(inputs: Mapping[str, ColumnSpec], known: list[str], table: str) -> None:
    """Check that a table has every column that a model reads.

    Raises:
        SourceError: If it has not; it names the first that is missing, and the nearest.
    """
    for name in inputs:
        if name not in known:
            near = did_you_mean(name, known)
            raise SourceError(
                f"{table}: no column {name!r}{near}, which the champion reads; columns: {', '.join(known)}"
            )


def fitted(
    cells: pl.DataFrame,
    inputs: Mapping[str, ColumnSpec],
    zone: str,
    files: Files | None = None,
    personal: Collection[str] = (),
) -> tuple[pl.DataFrame, pl.Series]:
    """Return the inputs typed, and for each row why it does not fit, null if it does.

    A time without offset is read in `zone`. A cell of another type is null in the typed rows. No reason quotes a cell
    of a `personal` column.
    """
    typed = {name: read(cells[name], spec.type, zone) for name, spec in inputs.items()}
    reasons = [
        _told(name, cells[name], wrong, spec, quoted=name not in personal)
        for name, spec in inputs.items()
        for wrong in [_wrong(cells[name], typed[name], spec)]
        if wrong.any()
    ]
    frame = pl.DataFrame([series.alias(name) for name, series in typed.items()])
    if files is not None and files.image.column in inputs:
        frame, unread = _with_files(frame, cells, files)
        image = files.image
        if image.column in personal or image.sha256 in personal:
            told = pl.when(unread.is_not_null()).then(pl.lit(f"{image.column}: {_UNQUOTED}"))
            unread = pl.select(told.alias(unread.name)).to_series()
        reasons.append(unread)
    if not reasons:
        return frame, pl.Series("refused", [None], pl.String).new_from_index(0, cells.height)
    told = pl.DataFrame([each.alias(str(at)) for at, each in enumerate(reasons)])
    joined = told.select(pl.concat_str(pl.all(), separator="; ", ignore_nulls=True).replace("", None).alias("refused"))
    return frame, joined.to_series()


def _wrong(cells: pl.Series, typed: pl.Series, spec: ColumnSpec) -> pl.Series:
    """Return which cells are not what the column may hold."""
    nulls = typed.is_null()
    wrong = nulls & ~blank(cells, spec.type) if spec.nullable else nulls
    for bad in _outside(typed, spec):
        wrong = wrong | bad.fill_null(False)
    return wrong


def _outside(typed: pl.Series, spec: ColumnSpec) -> Iterator[pl.Series]:
    if spec.type in ("int", "float") and spec.min is not None:
        yield typed < spec.min
    if spec.type in ("int", "float") and spec.max is not None:
        yield typed > spec.max
    if spec.type == "str" and spec.isin:
        yield ~typed.is_in(spec.isin)


def _told(name: str, cells: pl.Series, wrong: pl.Series, spec: ColumnSpec, *, quoted: bool) -> pl.Series:
    """Return the reason of each row whose cell is wrong, null for the others."""
    shown = pl.format("found '{}'", pl.col("cell").cast(pl.String).str.head(_SHOWN)) if quoted else pl.lit(_UNQUOTED)
    found = pl.when(pl.col("cell").is_null()).then(pl.lit("found nothing")).otherwise(shown)
    told = pl.format("{}: {}; right is {}", pl.lit(name), found, pl.lit(right(spec)))
    return pl.DataFrame([cells.alias("cell"), wrong.alias("wrong")]).select(pl.when("wrong").then(told)).to_series()


def _with_files(frame: pl.DataFrame, cells: pl.DataFrame, files: Files) -> tuple[pl.DataFrame, pl.Series]:
    """Return the rows with the bytes of the images that they name, and for each row why its file is not taken."""
    image, numbered = files.image, frame.with_row_index("_row")
    if image.sha256 and image.sha256 in cells.columns:
        numbered = numbered.with_columns(cells[image.sha256].cast(pl.String))
    elif image.sha256:
        image = image.model_copy(update={"sha256": None})
    good, unread = with_images(numbered, image, files.folder)
    both = numbered.select("_row").join(good.select("_row", image.column), on="_row", how="left", maintain_order="left")
    told = numbered.select("_row").join(unread, on="_row", how="left", maintain_order="left")
    return frame.with_columns(both[image.column].cast(DTYPES["image"])), told["_reason"]
