"""What is made to be measured: `loans` as shipped, `million` rows of it in four weeks, and `warm`, a thousand of these.

`python -m benchmarks.products graph|steps NAME` makes `warm` and then NAME, and prints the seconds that NAME took.
"""

import shutil
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import DATA, python, said
from benchmarks.plain_steps import history
from mlops_assets.defs.loans.applications import REGIONS, world
from mlops_assets.operations.backfill import backfill
from mlops_assets.settings import PACKAGE, Settings, load_settings

ROWS, WEEKS = 1_000_000, 4
START = datetime(2026, 1, 5, tzinfo=UTC)
FEATURES = ("salary", "commission", "age", "elevel", "car", "zipcode", "hvalue", "hyears", "loan")
WARM = 1_000
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


def deployment(home: Path) -> Settings:
    """Return the settings of a deployment of the three products; their files are written if need be."""
    root = DATA / "products"
    _write(root)
    return replace(load_settings(home=home), root=root, defs=root / "defs")


def files(settings: Settings) -> list[str]:
    """Return the files of `warm` and of `million`."""
    return [str(settings.root / f"{name}.parquet") for name in ("warm", "million")]


def seconds_of(how: str, name: str, settings: Settings) -> float:
    """Return how long a new process takes to make `name` once it is warm, on a fresh home."""
    shutil.rmtree(settings.home, ignore_errors=True)
    return float(said(python("-m", "benchmarks.products", how, name), settings).split()[-1])


def _write(root: Path) -> None:
    for name in ("warm", "million"):
        _declare(root, name, DECLARATION.format(name=name, features=", ".join(FEATURES)))
    _declare(root, "loans", (PACKAGE / "defs" / "loans" / "defs.yaml").read_text())
    if not (root / "million.parquet").exists():
        a_day = -(-ROWS // (7 * WEEKS * len(REGIONS)))
        rows = world(START, WEEKS, a_day).head(ROWS).drop("region")
        rows.gather_every(WARM).write_parquet(root / "warm.parquet")
        rows.write_parquet(root / "part")
        (root / "part").rename(root / "million.parquet")  # last, so that what is there is whole


def _declare(root: Path, name: str, declaration: str) -> None:
    file = root / "defs" / name / "defs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(declaration)


def _timed(how: str, name: str) -> float:
    settings = load_settings()
    began = time.perf_counter()
    if how == "steps":
        history(settings, name)
    elif backfill(settings, name, stage=None, windows=None, segments=None, dry_run=False):
        raise RuntimeError(f"the backfill of {name} failed")
    return time.perf_counter() - began


if __name__ == "__main__":
    _timed(sys.argv[1], "warm")  # imports and new databases are over then
    print(_timed(sys.argv[1], sys.argv[2]))
