"""Logged answers and the labels that came since -> the losses of a canary or split, and of the champion beside it.

Rows of one request, or of one sticky value, are alike; so of each of them only the first row counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import parse
from mlops_assets.evidence.traffic import FROM, Variant
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.serving.log.personal import HASHED
from mlops_assets.serving.log.sealed import CHAMPION, INPUT, merged, table
from mlops_assets.serving.ramp.judge import Matured
from mlops_assets.serving.ramp.sequences import Mean
from mlops_assets.training.model import Task, decode_spec, label_codes, label_names

NONE = Mean(count=0, mean=0.0, variance=0.0)
COLUMNS = ("inference_id", "at", "variant", "version", "key", "output", "unit")
FOUND = pl.Schema({"unit": pl.String, "canary": pl.Boolean, "loss": pl.Float64})
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
        self._known: dict[tuple[str, str, int, int], tuple[Signature, pl.DataFrame]] = {}

    def of(self, tried: Tried) -> Matured:
        """Return the losses on outcomes of what both answered since the variant was put beside the champion."""
        since = datetime.fromisoformat(str(tried.variant.since.facts.get(FROM, tried.variant.since.at)))
        first = self._product.grid.key(since)
        windows = {parse(each)[1] for each in self._heads() if parse(each)[0] == tried.segment}
        windows |= {path.name for path in (self._folder / "log").glob("*") if path.is_dir()}
        found = [self._window(tried, window, since) for window in sorted(windows) if window >= first]
        whole = pl.concat([FOUND.to_frame(), *found]).unique("unit", keep="first", maintain_order=True)
        known = whole.drop_nulls("loss").partition_by("canary", as_dict=True)
        return Matured(
            canary=mean_of(known.get((True,))),
            champion=mean_of(known.get((False,))),
            bounded=self._product.label.kind != "regression",
        )

    def _heads(self) -> list[str]:
        return self._archive.partitions(self._product.name, Stage.PREDICTIONS)

    def _window(self, tried: Tried, window: str, since: datetime) -> pl.DataFrame:
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

    def _read(self, tried: Tried, partition: str, window: str, since: datetime) -> pl.DataFrame:
        """Return the first row of each request or sticky value in a window, with its loss where that is known."""
        reported = outcomes(self._folder, window)
        rows = self._rows(partition, window).filter(pl.col("at") >= since)
        rows = rows.with_columns(unit=self._unit(rows.columns)).select(COLUMNS)
        both = [
            (True, tried.variant.name, tried.variant.version, tried.variant.record),
            (False, CHAMPION, tried.champion.version, tried.champion.record),
        ]
        theirs = [
            rows.filter((pl.col("variant") == variant) & (pl.col("version") == version)).with_columns(
                canary=pl.lit(canary), record=pl.lit(record, pl.String)
            )
            for canary, variant, version, record in both
        ]
        first = pl.concat(theirs).sort("inference_id").unique("unit", keep="first", maintain_order=True)
        known = self._labelled(self._archive, self._product, partition, first, reported).sort("inference_id")
        parts = [self._lost(known.filter(pl.col("canary") == canary), record) for canary, *_, record in both]
        return pl.concat(parts)

    def _unit(self, columns: list[str]) -> pl.Expr:
        """Return what tells the independent apart: the sticky value where the log has it, else the request."""
        sticky, request = self._product.endpoint.sticky, pl.col("inference_id").str.split(".").list.first()
        named = "key" if sticky == self._product.source.key else f"{INPUT}{sticky}"
        name = next((each for each in (named, f"{HASHED}{sticky}") if sticky is not None and each in columns), None)
        return request if name is None else pl.coalesce("=" + pl.col(name).cast(pl.String), request)

    def _rows(self, partition: str, window: str) -> pl.DataFrame:
        """Return what was logged in a window: its sealed table, and what is still in the workers' files."""
        segment = parse(partition)[0]
        head = self._archive.head(Place(product=self._product.name, stage=Stage.PREDICTIONS, partition=partition))
        sealed = [self._archive.table(head, "predictions")] if head else []
        files = sorted((self._folder / "log" / window).glob("*.log"))
        frames = ((path.stem, frame) for path in files for frame in read_frames(mapped(path)).frames)
        return merged([*sealed, table(frames, segment)])

    def _lost(self, rows: pl.DataFrame, record: str | None) -> pl.DataFrame:
        if record is None or not rows.height:
            return FOUND.to_frame()
        spec = decode_spec(self._archive.data(self._archive.held(record), "spec"))
        codes = label_codes(rows["label"], spec)
        found = compared_losses(spec.task, codes, rows["output"].to_numpy())
        return rows.select("unit", "canary", loss=pl.Series(found, dtype=pl.Float64, nan_to_null=True))


def compared_losses(task: Task, labels: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's loss by which variants are compared, shape (rows,), NaN where it is unknown.

    In [0, 1] where the label is a class, so that rare and surprising rows cannot decide alone: the squared error of the
    probability (Brier, Monthly Weather Review 78, 1950), of several classes 1 if it is the wrong one. In a regression
    the squared error, which has no bound.
    """
    found = (outputs != labels).astype(np.float64) if task == "multiclass" else (outputs - labels) ** 2
    return np.where(np.isfinite(labels) & np.isfinite(outputs), found, np.nan)


def mean_of(rows: pl.DataFrame | None) -> Mean:
    """Return mean and variance of a column `loss`."""
    if rows is None or not rows.height:
        return NONE
    losses = rows["loss"].to_numpy()
    return Mean(count=len(losses), mean=float(losses.mean()), variance=float(losses.var()))
