"""Logged answers and the labels that came since -> the losses of a canary or split, and of the champion beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import parse
from mlops_assets.evidence.traffic import FROM, Variant
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.serving.log.sealed import CHAMPION, merged, table
from mlops_assets.serving.ramp.judge import Matured
from mlops_assets.serving.ramp.sequences import Mean
from mlops_assets.training.model import decode_spec, label_codes, label_names
from mlops_assets.training.reference import logged_losses

NONE = Mean(count=0, mean=0.0, variance=0.0)
COLUMNS = ("inference_id", "at", "variant", "version", "key", "output")
Labelled = Callable[[Archive, ModelProduct, str, pl.DataFrame, pl.DataFrame], pl.DataFrame]
Signature = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Who is tried beside whom in a segment."""

    segment: str
    variant: Variant
    champion: Act


def labelled_by_id(
    archive: Archive, product: ModelProduct, partition: str, rows: pl.DataFrame, reported: pl.DataFrame
) -> pl.DataFrame:
    """Return `rows` with a column `label`: what was reported of their ids, null where nothing was."""
    by_id = reported.select("inference_id", label=label_names(reported["label"]))
    return rows.join(by_id, on="inference_id", how="left")


class Losses:
    """Reads the losses of a product's variants; a window is read again once labels have come in for it."""

    def __init__(self, archive: Archive, product: ModelProduct, folder: Path, labelled: Labelled) -> None:
        """Read the log at `folder`; `labelled` says what labels its rows have."""
        self._archive = archive
        self._product = product
        self._folder = folder
        self._labelled = labelled
        self._known: dict[tuple[str, str, int, int], tuple[Signature, Matured]] = {}

    def of(self, tried: Tried) -> Matured:
        """Return the losses on outcomes of what both answered since the variant was put beside the champion."""
        since = datetime.fromisoformat(str(tried.variant.since.facts.get(FROM, tried.variant.since.at)))
        first = self._product.grid.key(since)
        windows = {parse(each)[1] for each in self._heads() if parse(each)[0] == tried.segment}
        windows |= {path.name for path in (self._folder / "log").glob("*") if path.is_dir()}
        found = [self._window(tried, window, since) for window in sorted(windows) if window >= first]
        return Matured(
            canary=pooled([each.canary for each in found]), champion=pooled([each.champion for each in found])
        )

    def _heads(self) -> list[str]:
        return self._archive.partitions(self._product.name, Stage.PREDICTIONS)

    def _window(self, tried: Tried, window: str, since: datetime) -> Matured:
        partition = f"{tried.segment}|{window}"
        signature = self._signature(partition, window)
        place = (partition, tried.variant.since.at, tried.variant.version, tried.champion.version or 0)
        known = self._known.get(place)
        if known is None or known[0] != signature:
            known = self._known[place] = signature, self._read(tried, partition, window, since)
        return known[1]

    def _signature(self, partition: str, window: str) -> Signature:
        """Return what changes when labels come in, or when the log is sealed."""
        files = sorted((self._folder / "outcomes" / window).glob("*.log"))
        stamps = self._archive.stamps(self._product.name, Stage.ANNOTATIONS)
        segment = parse(partition)[0]
        labels = [stamp for name, stamp in stamps.items() if parse(name)[0] == segment]
        sealed = self._archive.stamps(self._product.name, Stage.PREDICTIONS).get(partition)
        return tuple((path.name, path.stat().st_size) for path in files), max(labels, default=None), sealed

    def _read(self, tried: Tried, partition: str, window: str, since: datetime) -> Matured:
        reported = outcomes(self._folder, window)
        rows = self._rows(partition, window).filter(pl.col("at") >= since).select(COLUMNS)
        known = self._labelled(self._archive, self._product, partition, rows, reported).drop_nulls("label")
        return Matured(
            canary=self._mean(known, tried.variant.name, tried.variant.version, tried.variant.record),
            champion=self._mean(known, CHAMPION, tried.champion.version, tried.champion.record),
        )

    def _rows(self, partition: str, window: str) -> pl.DataFrame:
        """Return what was logged in a window: its sealed table, and what is still in the workers' files."""
        segment = parse(partition)[0]
        head = self._archive.head(Place(product=self._product.name, stage=Stage.PREDICTIONS, partition=partition))
        sealed = [self._archive.table(head, "predictions")] if head else []
        files = sorted((self._folder / "log" / window).glob("*.log"))
        frames = ((path.stem, frame) for path in files for frame in read_frames(mapped(path)).frames)
        return merged([*sealed, table(frames, segment)])

    def _mean(self, rows: pl.DataFrame, variant: str, version: int | None, record: str | None) -> Mean:
        mine = rows.filter((pl.col("variant") == variant) & (pl.col("version") == version))
        if record is None or not mine.height:
            return NONE
        spec = decode_spec(self._archive.data(self._archive.held(record), "spec"))
        codes, outputs = label_codes(mine["label"], spec), mine["output"].to_numpy()
        sound = np.isfinite(codes) & np.isfinite(outputs)
        found = logged_losses(spec.task, codes[sound], outputs[sound])
        return Mean(count=len(found), mean=float(found.mean()), variance=float(found.var())) if len(found) else NONE


def pooled(parts: list[Mean]) -> Mean:
    """Return mean and variance of the numbers of all parts together."""
    count = sum(part.count for part in parts)
    if not count:
        return NONE
    mean = sum(part.count * part.mean for part in parts) / count
    spread = sum(part.count * (part.variance + (part.mean - mean) ** 2) for part in parts)
    return Mean(count=count, mean=mean, variance=spread / count)
