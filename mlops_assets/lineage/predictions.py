"""Predictions by inference id: sealed ones from evidence, the newest from the endpoint's log."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence, Json, Place
from mlops_assets.evidence.step import parse as parse_partition
from mlops_assets.lineage.scored import find_scored, unsealed_rows
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.ids import parse, time_of
from mlops_assets.serving.log.sealed import CHAMPION, find, table
from mlops_assets.settings import Settings

SHOWN = ("inference_id", "at", "segment", "version", "output", "variant")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One prediction: its row, and the record of its sealed window; None while it is only in the endpoint's log."""

    product: ModelProduct
    row: Mapping[str, object]
    sealed: Held | None

    @property
    def output(self) -> str:
        """The output of the record that holds it: sealed predictions, or scores that are not sealed yet."""
        return self.sealed.record.outputs[0].name if self.sealed else ""

    @property
    def version(self) -> int:
        """The version of the model that answered."""
        return int(str(self.row["version"]))

    @property
    def variant(self) -> str:
        """As what it answered; before there were variants, as the champion."""
        return str(self.row.get("variant") or CHAMPION)

    @property
    def deployment(self) -> str:
        """The record of the deployment that answered."""
        return str(self.row["deployment"])


def recent(settings: Settings, name: str, *, last: int, since: str | None) -> list[dict[str, Json]]:
    """Return the newest predictions of a product, newest first.

    Raises:
        LookupError: If there is no such product.
    """
    product = read_catalogue(settings.defs).product(name)
    archive = Archive(settings.home)
    frames = [_unsealed(settings, product), *unsealed_rows(settings, archive, product)] + [
        archive.scan(archive.held(record), "predictions", _shown)
        for _, record in _newest_first(archive.heads(name, Stage.PREDICTIONS), last, archive)
    ]
    rows = pl.concat(
        [frame.select(SHOWN) for frame in frames if frame.height]
        or [pl.DataFrame(schema=dict.fromkeys(SHOWN, pl.String))]
    )
    if since and rows.height:
        rows = rows.filter(pl.col("at") >= pl.lit(since).str.to_datetime(time_zone="UTC"))
    newest = rows.unique("inference_id").sort("inference_id", descending=True).head(last)
    shown = newest.with_columns(pl.col("at").cast(pl.String))
    return shown.to_dicts()


def recent_lines(rows: list[dict[str, Json]]) -> list[str]:
    """Return predictions for people."""
    lines = [
        f"{r['inference_id']}  {str(r['at'])[:23]}  {r['segment']:12} version {r['version']:<4} {r['output']:.4g}"
        + ("" if r["variant"] == CHAMPION else f"  {r['variant']}")
        for r in rows
    ]
    return lines or ["no prediction yet"]


def _shown(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return what is shown of sealed rows; those of before there were variants lack that column."""
    known = "variant" in rows.collect_schema().names()
    return rows.select(*SHOWN[:-1], pl.col("variant") if known else pl.lit(CHAMPION).alias("variant"))


def lookup(settings: Settings, archive: Archive, inference_id: str) -> Found | None:
    """Return the prediction with `inference_id` of whichever product made it, or None.

    The bytes of the sealed window that holds it are not compared; whoever shows it as a proof compares them.

    Raises:
        ValueError: If `inference_id` is none.
        BrokenEvidence: If it is not found, and a log or a sealed window that may have held it is damaged.
        DeclarationError: If it is not found, and may be of a product whose declaration is wrong.
    """
    damaged: list[BrokenEvidence] = []
    at = time_of(parse(inference_id).request)
    catalogue = read_catalogue(settings.defs)
    for product in catalogue.products.values():
        if at < product.grid.bounds(product.grid.key(product.grid.start))[0]:
            continue
        if (found := sealed(archive, product, inference_id)) is not None:
            return found
        scored = find_scored(settings, archive, product, inference_id)
        if scored is not None:
            return Found(product=product, row=scored[0], sealed=scored[1])
        unsealed = find(settings.serving(product.name), product.grid, inference_id)
        if unsealed is not None:
            return Found(product=product, row=unsealed.row(0, named=True), sealed=None)
        damaged += _damaged(settings.serving(product.name) / "log" / product.grid.key(at))
        damaged += _changed(archive, product, at)
    if damaged:
        raise damaged[0]
    for name, error in catalogue.errors.items():
        if settings.serving(name).exists():
            raise error
    return None


def sealed(archive: Archive, product: ModelProduct, inference_id: str) -> Found | None:
    """Return the prediction with `inference_id` if it is in a sealed window, reading one group of its rows.

    Raises:
        ValueError: If `inference_id` is none.
        BrokenEvidence: If the window is damaged so that it cannot be read.
    """
    for held in _sealed_at(archive, product, time_of(parse(inference_id).request)):
        row = archive.scan(held, "predictions", lambda rows: rows.filter(pl.col("inference_id") == inference_id))
        if row.height:
            return Found(product=product, row=row.row(0, named=True), sealed=held)
    return None


def _sealed_at(archive: Archive, product: ModelProduct, at: datetime) -> Iterator[Held]:
    """Yield the records of the window that `at` lies in, of segments that are no longer declared too."""
    window = product.grid.key(at)
    for partition in archive.partitions(product.name, Stage.PREDICTIONS):
        if parse_partition(partition)[1] == window:
            held = archive.head(Place(product=product.name, stage=Stage.PREDICTIONS, partition=partition))
            if held is not None:
                yield held


def _changed(archive: Archive, product: ModelProduct, at: datetime) -> Iterator[BrokenEvidence]:
    """Yield what is wrong with the sealed tables of the window that `at` lies in."""
    for held in _sealed_at(archive, product, at):
        try:
            archive.data(held, "predictions")
        except BrokenEvidence as problem:
            yield problem


def _damaged(folder: Path) -> Iterator[BrokenEvidence]:
    """Yield what is wrong with the logs of a window: bytes that were a frame once and no longer are."""
    for path in sorted(folder.glob("*.log")):
        if skipped := read_frames(mapped(path)).skipped:
            yield BrokenEvidence(
                str(path), f"damaged; {skipped} of its bytes are no frame, and the prediction may be there"
            )


def _newest_first(heads: Mapping[str, str], last: int, archive: Archive) -> list[tuple[str, str]]:
    """Return as many of the newest sealed windows as hold `last` predictions."""
    found: list[tuple[str, str]] = []
    rows, window = 0, ""
    for partition, record in sorted(heads.items(), key=lambda item: parse_partition(item[0])[1], reverse=True):
        if rows >= last and parse_partition(partition)[1] != window:
            break
        window = parse_partition(partition)[1]
        rows += archive.held(record).record.outputs[0].rows or 0
        found.append((partition, record))
    return found


def _unsealed(settings: Settings, product: ModelProduct) -> pl.DataFrame:
    files = sorted((settings.serving(product.name) / "log").glob("*/*.log"))
    return table((path.stem, frame) for path in files for frame in read_frames(mapped(path)).frames)
