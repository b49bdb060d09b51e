"""A table of `tiny` and what is made of it, without a daemon."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.loop import Loop
from mlops_assets.operations.foreground import foreground
from mlops_assets.serving.scoring.step import ScoresStep
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets_tests.tiny import DAY, NAME, START, Tiny, rows

FIRST, SECOND = "all|2024-01-04", "all|2024-01-05"
FORM = "%Y-%m-%dT%H:%M:%S%.fZ"


def day(number: int) -> pl.DataFrame:
    """The rows of a day of January 2024, with their labels; no two days are alike."""
    return rows(START + (number - 1) * DAY, 1, seed=number)


def write(tiny: Tiny, table: pl.DataFrame, name: str = "table.csv") -> Path:
    """Put rows there, without labels: the table, or another file."""
    path = tiny.settings.root / name
    table.drop("good", strict=False).write_csv(path, datetime_format=FORM)
    return path


def foreground_of(tiny: Tiny) -> Loop:
    return foreground(tiny.settings)


def score(tiny: Tiny, partition: str = FIRST) -> Held:
    """Score a partition of the table, without a graph."""
    archive = Archive(tiny.settings.home)
    return ScoresStep(product=tiny.product, archive=archive, settings=tiny.settings).make(partition)


def seal(tiny: Tiny, partition: str = FIRST) -> Held:
    """Seal a partition, without a graph."""
    archive = Archive(tiny.settings.home)
    return PredictionsStep(product=tiny.product, archive=archive, settings=tiny.settings).make(partition)


def head(tiny: Tiny, stage: str, partition: str = FIRST) -> Held:
    held = Archive(tiny.settings.home).head(Place(product=NAME, stage=stage, partition=partition))
    assert held is not None, f"{stage}[{partition}] was never made"
    return held


def scores(tiny: Tiny, partition: str = FIRST) -> pl.DataFrame:
    return Archive(tiny.settings.home).table(head(tiny, "scores", partition), "scores")


def predictions(tiny: Tiny, partition: str = FIRST) -> pl.DataFrame:
    return Archive(tiny.settings.home).table(head(tiny, "predictions", partition), "predictions")


def facts(tiny: Tiny, stage: str, partition: str = FIRST) -> Mapping[str, object]:
    return head(tiny, stage, partition).record.facts
