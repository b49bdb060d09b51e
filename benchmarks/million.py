"""A million loan applications in four weeks, their declaration, and how long the graph takes to make them."""

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from benchmarks.measure import DATA
from mlops_assets.defs.loans.applications import REGIONS, world
from mlops_assets.operations.backfill import backfill
from mlops_assets.settings import Settings, load_settings

ROWS, WEEKS = 1_000_000, 4
START = datetime(2026, 1, 5, tzinfo=UTC)
FEATURES = ("salary", "commission", "age", "elevel", "car", "zipcode", "hvalue", "hyears", "loan")
WARM = 1_000  # every so many rows make the product that is made first, so that imports and new databases do not count
DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: {name}
  source: {{path: {name}.parquet, time: applied_at, key: application_id}}
  label: {{column: approved}}
  windows: {{every: week, start: 2026-01-05, end: 2026-02-02}}
  features: [{features}]
  columns: {{salary: {{type: float, min: 0}}, age: {{type: int, min: 18, max: 100}}, loan: {{type: float, min: 0}}}}
  trainer: {{kind: lightgbm, windows: 4}}
  gate: {{metric: auc, floor: 0.8}}
"""


def settings(home: Path) -> Settings:
    """Return the settings of a deployment that declares `million` and `warm`; their files are written if need be."""
    root = DATA / "million"
    _write(root)
    return replace(load_settings(home=home), root=root, defs=root / "defs")


def sources(settings: Settings) -> tuple[Path, Path]:
    """Return the files of `warm` and of `million`."""
    return settings.root / "warm.parquet", settings.root / "million.parquet"


def _write(root: Path) -> None:
    for name in ("warm", "million"):
        declared = root / "defs" / name / "defs.yaml"
        declared.parent.mkdir(parents=True, exist_ok=True)
        declared.write_text(DECLARATION.format(name=name, features=", ".join(FEATURES)))
    if not (root / "million.parquet").exists():
        a_day = -(-ROWS // (7 * WEEKS * len(REGIONS)))
        rows = world(START, WEEKS, a_day).head(ROWS).drop("region")
        rows.gather_every(WARM).write_parquet(root / "warm.parquet")
        rows.write_parquet(root / "part")
        (root / "part").rename(root / "million.parquet")  # last, so that what is there is whole


def _timed(here: Settings, name: str) -> float:
    began = time.perf_counter()
    failed = backfill(here, name, stage=None, windows=None, segments=None, dry_run=False)
    if failed:
        raise RuntimeError(f"the backfill of {name} failed")
    return time.perf_counter() - began


if __name__ == "__main__":
    assert pl.thread_pool_size() == 1
    _timed(load_settings(), "warm")
    print(_timed(load_settings(), sys.argv[1]))
