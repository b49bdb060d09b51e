"""A history with a switch in it: `tiny` for eleven days, and from the seventh on the relation is turned round."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.backtest.history import History, read_history
from mlops_assets.backtest.matrix import Matrix, matrix
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import parse
from mlops_assets.intake.ingest import ingest
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA
from mlops_assets.settings import load_settings
from mlops_assets.windows import ALL
from mlops_assets_tests.tiny import DAY, START, Tiny, declare, rows

BEFORE, AFTER = 6, 5
SWITCH = f"{START + BEFORE * DAY:%Y-%m-%d}"


@dataclass(frozen=True, kw_only=True)
class Made:
    """The product, its history, and every model on every later day."""

    tiny: Tiny
    history: History
    matrix: Matrix
    kept: Path


@pytest.fixture(scope="session")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """`tiny` with a switch on its seventh day, all features made and no model."""
    folder = tmp_path_factory.mktemp("turned")
    tiny = declare(load_settings(home=folder / "home"), folder)
    (folder / "tiny.csv").unlink()
    days = [rows(START, BEFORE, seed=1), rows(START + BEFORE * DAY, AFTER, turned=True, seed=2)]
    pl.concat(days).write_csv(folder / "tiny.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    make_features(tiny)
    history = read_history(tiny.product, tiny.settings, ALL)
    kept = folder / "kept"
    return Made(
        tiny=tiny,
        history=history,
        matrix=matrix(history, tiny.settings, kept, jobs=1, report=lambda _: None),
        kept=kept,
    )


def make_features(tiny: Tiny) -> None:
    found = ingest(Archive(tiny.settings.home), tiny.product, tiny.settings).partitions
    for partition in sorted(found, key=lambda each: parse(each)[1]):
        for stage in DATA:
            step(stage, tiny.product, tiny.settings).make(partition)
