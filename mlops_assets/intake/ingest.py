"""A source -> rows and labels by segment and window, read once per content of the source.

Heads: `<product>/source[all]` is the manifest (which partitions have rows, and rows that belong to none),
`<product>/source[s|w]` holds a partition's `rows`, `labels` and `rejected` rows, `<product>/columns[all]` what each
column holds, frozen at the first load under a declaration of source, label and columns.
"""

import fcntl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import polars as pl

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Json, Place, Recipe, canonical
from mlops_assets.evidence.step import NotReady
from mlops_assets.intake.columns import cast, check_header, columns_for
from mlops_assets.intake.declared import check_declared, check_source
from mlops_assets.intake.image_files import fingerprint_with_files, own_folder, with_images
from mlops_assets.intake.items import agreeing, items
from mlops_assets.intake.placing import split
from mlops_assets.intake.sources import SourceError, read_source
from mlops_assets.parts import Column
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL

SOURCE = "source"
COLUMNS = "columns"
CHECK = "source_is_as_declared"
_hashes: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a source holds: its record, rows per partition, and how many rows belong to none, by reason."""

    record: str
    partitions: Mapping[str, int]
    unplaced: Mapping[str, int]


def ingest(archive: Archive, product: ModelProduct, settings: Settings) -> Manifest:
    """Return what the source holds now; it is read only if its content has changed.

    Raises:
        NotReady: If the source is missing, unreadable, empty, or its header is not as declared or first seen.
    """
    lock = archive.home / "locks" / f"{product.name}.source"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        try:
            held = _ingested(archive, product, settings)
        except (SourceError, LookupError) as problem:
            raise NotReady(f"{product.name}: {problem.args[0]}", check=CHECK) from problem
    counts = archive.table(held, "partitions")
    reasons = archive.table(held, "unplaced").group_by("_reason").len().sort("len", "_reason", descending=[True, False])
    return Manifest(record=held.id, partitions=dict(counts.iter_rows()), unplaced=dict(reasons.iter_rows()))


def check_declaration(archive: Archive, product: ModelProduct, root: Path) -> None:
    """Check, without reading rows or calling a function, that what the declaration names is there.

    A source that was read under this very declaration is not looked at again: what becomes of it later is for the
    check `source_is_as_declared` to say, and no reason for the product to leave the graph.

    Raises:
        SourceError: At the first that is not there; it names the field, what was found and what is known.
    """
    read = archive.head(_place(product, SOURCE, ALL))
    if read is None or read.record.params != _declared(product):
        check_source(product, root, call=False)
    else:
        check_declared(product, list(columns_of(archive, product)[1]))


def part(archive: Archive, product: ModelProduct, partition: str) -> Held | None:
    """Return the record of the source's rows in `partition`, or None if it never had any."""
    return archive.head(_place(product, SOURCE, partition))


def columns_of(archive: Archive, product: ModelProduct) -> tuple[Held, dict[str, Column]]:
    """Return what each column holds, as declared or else as first seen, and the record that says so.

    Raises:
        NotReady: If the source was never read.
    """
    held = archive.head(_place(product, COLUMNS, ALL))
    if held is None:
        raise NotReady(f"{product.name}: the source was never read; materialize {product.name}/annotations")
    frozen = msgspec.json.decode(archive.data(held, "columns"), type=dict[str, dict[str, Json]])
    return held, {name: Column.model_validate(column) for name, column in frozen.items()}


def _ingested(archive: Archive, product: ModelProduct, settings: Settings) -> Held:
    seen = fingerprint_with_files(product.source, settings.root, settings.files(product.name), _hashes)
    recipe = Recipe(place=_place(product, SOURCE, ALL), params=_declared(product), state={"source": seen}, code=_code())
    current = archive.head(recipe.place)
    if current is not None and current.record.recipe == recipe.id:
        return archive.make(recipe, [], lambda: _read(archive, product, settings, seen))
    built = _read(archive, product, settings, seen)  # also of a source as it once was: its parts have to be the current
    return archive.make(recipe, [], lambda: built)


def _read(archive: Archive, product: ModelProduct, settings: Settings, seen: str) -> Built:
    files = settings.files(product.name)
    frame = read_source(product.source, settings.root, files=files)
    folder = own_folder(product.source, settings.root, files)
    columns = _frozen(archive, product, frame)
    check_header(frame.columns, list(columns))
    placed = split(frame.select(list(columns)), product)  # in one order, whatever the file's
    params = _declared(product)
    for (segment, window), rows in placed.partitions.items():
        place = _place(product, SOURCE, f"{segment}|{window}")
        recipe = Recipe(place=place, params=params, state={"source": seen}, code=_code())
        archive.make(recipe, [], partial(_parted, product, rows, columns, folder))
    counts = {f"{segment}|{window}": rows.height for (segment, window), rows in placed.partitions.items()}
    summary = pl.DataFrame(list(counts.items()), schema={"partition": pl.String, "rows": pl.Int64}, orient="row")
    return Built(outputs={"partitions": summary, "unplaced": placed.unplaced}, facts={"rows": frame.height})


def _frozen(archive: Archive, product: ModelProduct, frame: pl.DataFrame) -> dict[str, Column]:
    """Return the columns as first seen; a source, label or column that is declared otherwise is seen anew."""
    place = _place(product, COLUMNS, ALL)
    told = {"source": True, "columns": True, "label": {"column", "kind", "annotator"}}
    params = product.model_dump(mode="json", include=told)
    held = archive.head(place)
    if held is None or held.record.params != params:
        seen = columns_for(product, frame)
        body = canonical({name: column.model_dump(mode="json") for name, column in seen.items()})
        recipe = Recipe(place=place, params=params, code=_code())
        archive.make(recipe, [], lambda: Built(outputs={"columns": (body, "json")}))
    return columns_of(archive, product)[1]


def _parted(product: ModelProduct, rows: pl.DataFrame, columns: dict[str, Column], folder: Path) -> Built:
    """Return the items of a partition, the judgements of them, and the rows that are neither, as read."""
    label, image = product.label, product.source.image
    numbered = rows.with_row_index("_row")
    good, misfits = cast(numbered, columns, product.windows.timezone if product.windows else "UTC")
    reasons = [misfits.select("_row", "_reason")]
    if label.annotator is not None:
        good, apart = agreeing(good, label)
        reasons.append(apart)
    if image is not None:
        good, unread = with_images(good, image, folder)
        reasons.append(unread)
    rejected = numbered.join(pl.concat(reasons), on="_row", maintain_order="left").drop("_row")
    good = good.drop("_row")
    told = [label.column, *([label.annotator] if label.annotator else [])]
    kept = items(good, label)
    return Built(
        outputs={"rows": kept, "labels": good.select("_key", "_time", *told), "rejected": rejected},
        facts={"rows": kept.height, "rejected": rejected.height},
    )


def _declared(product: ModelProduct) -> dict[str, Json]:
    return product.model_dump(mode="json", include={"source", "segments", "windows", "columns", "label"})


def _code() -> str:
    modules = ("columns", "image_files", "items", "placing", "sources")
    return code_id(*(f"mlops_assets.intake.{module}" for module in modules))


def _place(product: ModelProduct, stage: str, partition: str) -> Place:
    return Place(product=product.name, stage=stage, partition=partition)
