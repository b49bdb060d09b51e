"""A declared table -> its rows by segment and monitoring window, read once per content of its files.

Heads: `<product>/table[all]` is the manifest (which windows have rows, and rows that belong to none), and
`<product>/table[s|w]` holds a window's `rows` as they were read. A window that is no longer in it stays as it was.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from mlops_assets.dataset.quarantine import quarantine_table
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.records import Json, Recipe
from mlops_assets.evidence.records import Place as RecordPlace
from mlops_assets.evidence.step import NotReady
from mlops_assets.intake.ingest import COLUMNS, columns_of
from mlops_assets.intake.sources import SourceError, fingerprint, source_files
from mlops_assets.parts import Source
from mlops_assets.product import ModelProduct
from mlops_assets.serving.scoring.placing import PLACED, Place, check_roles, declared_roles, keyed, placed
from mlops_assets.serving.scoring.reading import header, parts
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL

TABLE = "table"
CHECK = "table_is_as_declared"
_hashes: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a table holds: rows by partition, and how many rows belong to none, by reason."""

    partitions: Mapping[str, int]
    unplaced: Mapping[str, int]


def table_of(product: ModelProduct) -> Source:
    """Return the declared table as a source of files.

    Raises:
        NotReady: If the product declares none.
    """
    if product.scores is None:
        raise NotReady(f"{product.name} declares no table to score; `scores: {{path: ...}}` names one")
    return Source(path=product.scores.path, image=product.source.image)


def check_table(product: ModelProduct, root: Path) -> None:
    """Check, without reading rows, that the declared table is there and has the columns that place its rows.

    Raises:
        SourceError: If not; it names the field, what was found and what is known.
    """
    if product.scores is None:
        return
    try:
        known = header(source_files(table_of(product), root)[0])
        check_roles(declared_roles(product), known, product.scores.path)
    except SourceError as problem:
        raise SourceError(f"scores.path: {problem}") from problem


def read_table(archive: Archive, product: ModelProduct, settings: Settings) -> Manifest:
    """Return what the declared table holds now; it is read only if its content has changed.

    Raises:
        NotReady: If there is no such table, or it cannot be read as declared.
    """
    lock = archive.home / "locks" / f"{product.name}.table"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        try:
            held = _taken_in(archive, product, settings)
        except SourceError as problem:
            raise NotReady(f"{product.name}: scores: {problem}", check=CHECK) from problem
    counts = dict(archive.table(held, "partitions").iter_rows())
    reasons = archive.table(held, "unplaced").group_by("_reason").len().sort("len", "_reason", descending=[True, False])
    return Manifest(partitions=counts, unplaced=dict(reasons.iter_rows()))


def part_of(archive: Archive, product: ModelProduct, partition: str) -> Held | None:
    """Return the record of the table's rows in a partition, or None if it never had any."""
    return archive.head(_place(product, partition))


def _taken_in(archive: Archive, product: ModelProduct, settings: Settings) -> Held:
    source = table_of(product)
    params: dict[str, Json] = product.model_dump(mode="json", include={"source", "scores", "segments", "fallback"})
    params |= {"grid": product.grid.model_dump(mode="json")}
    state = {"source": fingerprint(source, settings.root, _hashes), "columns": _columns_root(archive, product)}
    recipe = Recipe(place=_place(product, ALL), params=params, state=state, code=_code())
    current = archive.head(recipe.place)
    if current is not None and current.record.recipe == recipe.id:
        return current
    built = _read(archive, product, settings, recipe)  # of a table as it once was too: its parts have to be current
    return archive.make(recipe, [], lambda: built)


def _read(archive: Archive, product: ModelProduct, settings: Settings, whole: Recipe) -> Built:
    counts: dict[str, int] = {}
    for left in archive.home.glob(f".table-{product.name}-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=archive.home, prefix=f".table-{product.name}-") as spool:
        unplaced = _spooled(product, settings, _wanted(archive, product), Path(spool))
        for folder in sorted(Path(spool).iterdir()):
            rows = _joined(folder, product)
            counts[folder.name] = rows.height
            _keep(archive, product, whole, folder.name, rows)
    summary = pl.DataFrame(list(counts.items()), schema={"partition": pl.String, "rows": pl.Int64}, orient="row")
    facts: dict[str, Json] = {"rows": sum(counts.values()), "unplaced": unplaced.height}
    return Built(outputs={"partitions": summary, "unplaced": unplaced}, facts=facts)


def _spooled(product: ModelProduct, settings: Settings, wanted: set[str] | None, spool: Path) -> pl.DataFrame:
    """Write the rows of each partition into a folder of its name, and return the rows that belong to none."""
    roles, source, apart = declared_roles(product), table_of(product), list[pl.DataFrame]()
    for number, part in enumerate(parts(str(source.path), settings.root)):
        check_roles(roles, part.rows.columns, str(source.path))
        rows, reasons = placed(part.rows, product, roles, Place(at=part.at))
        nowhere = reasons.is_not_null()
        told = part.rows.with_columns(reasons.alias("_reason"))
        apart.append(quarantine_table(told.filter(nowhere).select("_reason", *part.rows.columns)))
        kept = [name for name in part.rows.columns if wanted is None or name in wanted]
        cut = rows.filter(~nowhere).select(*kept, *PLACED).partition_by("_segment", "_window", as_dict=True)
        for (segment, window), mine in cut.items():
            folder = spool / f"{segment}|{window}"
            folder.mkdir(exist_ok=True)
            mine.drop("_window").write_parquet(folder / f"{number:09}.parquet", compression="lz4")
    return quarantine_table(*apart)


def _joined(folder: Path, product: ModelProduct) -> pl.DataFrame:
    """Return a partition's rows by time, and of one time in the order of the files."""
    frames = [pl.read_parquet(file, memory_map=False) for file in sorted(folder.iterdir())]
    rows = pl.concat(frames, how="vertical_relaxed", rechunk=True).sort("_time", maintain_order=True)
    return keyed(rows, declared_roles(product))


def _keep(archive: Archive, product: ModelProduct, whole: Recipe, partition: str, rows: pl.DataFrame) -> None:
    """Make a partition's rows the current ones, unless they are already."""
    before = part_of(archive, product, partition)
    if before is not None and before.record.root == content_root(rows):
        return
    recipe = Recipe(place=_place(product, partition), params=whole.params, state=whole.state, code=whole.code)
    archive.make(recipe, [], partial(Built, outputs={"rows": rows}, facts={"rows": rows.height}))


def _wanted(archive: Archive, product: ModelProduct) -> set[str] | None:
    """Return the columns that a model of the product may read, those of its source; None if that was never read."""
    if archive.head(RecordPlace(product=product.name, stage=COLUMNS, partition=ALL)) is None:
        return None
    return set(columns_of(archive, product)[1]) - {product.label.column, product.label.annotator}


def _columns_root(archive: Archive, product: ModelProduct) -> str:
    held = archive.head(RecordPlace(product=product.name, stage=COLUMNS, partition=ALL))
    return held.record.root if held else ""


def _place(product: ModelProduct, partition: str) -> RecordPlace:
    return RecordPlace(product=product.name, stage=TABLE, partition=partition)


def _code() -> str:
    return code_id("mlops_assets.serving.scoring.placing", "mlops_assets.serving.scoring.reading")
