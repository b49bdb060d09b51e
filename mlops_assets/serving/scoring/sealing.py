"""What has been scored of a window -> its part of the sealed predictions: the scores' record, and files scored by hand.

Files scored by hand lie in `scored/<window>/<segment>/` until a record of sealed predictions holds their rows. No
endpoint is waited for that was never there; one that may still log into the window is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Input, Json, Place, canonical, digest
from mlops_assets.evidence.step import NotReady, parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.sealed import merged
from mlops_assets.serving.scoring.answering import NOT_LOGGED, WRITER
from mlops_assets.serving.scoring.scored import answers_in
from mlops_assets.serving.scoring.step import is_over
from mlops_assets.serving.workers import open_from, workers

FILES = "scored_files"  # a fact of a record of predictions


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What was scored of a segment's window: the record of its scores, and the names of files, sealed ones included."""

    scores: Held | None
    files: Sequence[str]

    @property
    def inputs(self) -> list[Input]:
        """What the record of predictions names as read."""
        return [self.scores.as_input("scores")] if self.scores else []

    @property
    def state(self) -> dict[str, str]:
        """What the recipe of predictions names beside it; nothing, where no file was scored by hand."""
        return {FILES: digest(canonical(list(self.files)))} if self.files else {}

    @property
    def facts(self) -> dict[str, Json]:
        """What the record of predictions says of it; nothing, where nothing was scored."""
        return {FILES: list(self.files)} if self.files else {}


def batch_of(archive: Archive, product: ModelProduct, folder: Path, partition: str) -> Batch:
    """Return what was scored of a partition.

    Raises:
        NotReady: If its scores failed a check.
    """
    place = Place(product=product.name, stage=Stage.SCORES, partition=partition)
    scores = archive.head(place)
    sealed = archive.head(Place(product=product.name, stage=Stage.PREDICTIONS, partition=partition))
    if scores is not None and scores.record.failed:
        raise NotReady(f"{place} failed its check: {', '.join(scores.record.failed)}")
    names = {path.name for path in scored_files(folder, partition)} | set(_sealed_files(sealed))
    return Batch(scores=scores, files=sorted(names))


def with_scored(logged: pl.DataFrame, archive: Archive, folder: Path, partition: str, batch: Batch) -> pl.DataFrame:
    """Return the predictions of a window's log with those that were scored; these hold what the log would hold."""
    tables = [answers_in(archive.table(batch.scores, "scores"))] if batch.scores else []
    tables += [pl.read_parquet(path, memory_map=False) for path in scored_files(folder, partition)]
    return merged([logged, *(table.drop(NOT_LOGGED, strict=False) for table in tables)]) if tables else logged


def without_scores(sealed: pl.DataFrame) -> pl.DataFrame:
    """Return sealed predictions without those of an earlier record of scores: the present one has them, or others."""
    return sealed.filter(pl.col("writer") != WRITER)


def scored_files(folder: Path, partition: str) -> list[Path]:
    """Return the files of a partition that were scored by hand and are not yet sealed."""
    segment, window = parse(partition)
    return sorted((folder / "scored" / window / segment).glob("[!.]*.parquet"))


def drop_files(folder: Path, partition: str, sealed: Held) -> None:
    """Delete the files of a partition whose rows are in a record of its predictions."""
    held = set(_sealed_files(sealed))
    for path in scored_files(folder, partition):
        if path.name in held:
            path.unlink(missing_ok=True)


def scored_partitions(archive: Archive, product: ModelProduct, folder: Path, now: datetime) -> dict[str, str]:
    """Return the partitions in which something was scored and that may be sealed, and what changes when more is."""
    states = {partition: [repr(stamp)] for partition, stamp in archive.stamps(product.name, Stage.SCORES).items()}
    for path in sorted((folder / "scored").glob("*/*/[!.]*.parquet")):
        states.setdefault(f"{path.parent.name}|{path.parent.parent.name}", []).append(path.name)
    if not states:
        return {}
    until = _logged_from(product, folder, now)
    windows = {parse(partition)[1] for partition in states}
    closed = {window for window in windows if _is_closed(product, window, now, until)}
    return {partition: repr(state) for partition, state in states.items() if parse(partition)[1] in closed}


def may_be_sealed(batch: Batch, product: ModelProduct, folder: Path, window: str, now: datetime) -> bool:
    """Return whether something was scored of a window, it is over, and no endpoint logs into it any more."""
    return bool(batch.scores or batch.files) and _is_closed(product, window, now, _logged_from(product, folder, now))


def unsealed_scores(archive: Archive, folder: Path, partition: str, sealed: Held) -> bool:
    """Return whether something was scored of a partition that its record of predictions does not hold."""
    place = Place(product=sealed.record.place.product, stage=Stage.SCORES, partition=partition)
    scores = archive.head(place)
    read = {each.root for each in sealed.record.inputs if each.place == place}
    return bool(scored_files(folder, partition)) or (scores is not None and scores.record.root not in read)


def _is_closed(product: ModelProduct, window: str, now: datetime, until: datetime | None) -> bool:
    return is_over(product, window, now) and (until is None or product.grid.bounds(window)[1] <= until)


def _logged_from(product: ModelProduct, folder: Path, now: datetime) -> datetime | None:
    """Return from when on an endpoint may still log; None if there is none."""
    grace_s = product.monitor.grace.total_seconds()
    still = [open_from(worker, beat, now=now, grace_s=grace_s) for worker, beat in workers(folder)]
    return min(filter(None, still), default=None)


def _sealed_files(sealed: Held | None) -> list[str]:
    names = sealed.record.facts.get(FILES) if sealed else None
    return [str(name) for name in names] if isinstance(names, list) else []
