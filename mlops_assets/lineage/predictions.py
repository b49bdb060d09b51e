"""Predictions by inference id: sealed ones from evidence, the newest from the endpoint's log."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence, Json
from mlops_assets.evidence.step import parse as parse_partition
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.ids import parse, time_of
from mlops_assets.serving.log.sealed import find, table
from mlops_assets.settings import Settings

SHOWN = ("inference_id", "at", "segment", "version", "output")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One prediction: its row, and the record of its sealed window; None while it is only in the endpoint's log."""

    product: ModelProduct
    row: Mapping[str, object]
    sealed: Held | None

    @property
    def version(self) -> int:
        """The version of the model that answered."""
        return int(str(self.row["version"]))

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
    frames = [_unsealed(settings, product)] + [
        archive.table(archive.held(record), "predictions")
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
        for r in rows
    ]
    return lines or ["no prediction yet"]


def lookup(settings: Settings, archive: Archive, inference_id: str) -> Found | None:
    """Return the prediction with `inference_id` of whichever product made it, or None.

    Raises:
        ValueError: If `inference_id` is none.
        BrokenEvidence: If it is not found, and a log that may have held it is damaged.
    """
    damaged: list[BrokenEvidence] = []
    at = time_of(parse(inference_id).request)
    for product in read_catalogue(settings.defs).products.values():
        if at < product.grid.bounds(product.grid.key(product.grid.start))[0]:
            continue
        window = product.grid.key(at)
        for partition, record in archive.heads(product.name, Stage.PREDICTIONS).items():
            if parse_partition(partition)[1] != window:
                continue
            held = archive.held(record)
            row = archive.table(held, "predictions").filter(pl.col("inference_id") == inference_id)
            if row.height:
                return Found(product=product, row=row.row(0, named=True), sealed=held)
        unsealed = find(settings.serving(product.name), product.grid, inference_id)
        if unsealed is not None:
            return Found(product=product, row=unsealed.row(0, named=True), sealed=None)
        damaged += _damaged(settings.serving(product.name) / "log" / window)
    if damaged:
        raise damaged[0]
    return None


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
