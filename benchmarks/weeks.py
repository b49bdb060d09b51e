"""`weeks`: 40 weekly windows of two regions, a model for each; made by `backfill` or by a plain loop.

`python -m benchmarks.weeks graph|loop` makes the first week, so that imports and new databases are over, then the other
39, and prints the seconds and the CPU seconds that these took.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import DATA
from benchmarks.weeks_loop import PARAMS, WINDOWS, Loop
from mlops_assets.defs.loans.applications import REGIONS, world
from mlops_assets.operations.backfill import backfill
from mlops_assets.settings import Settings, load_settings

NAME, WEEKS, A_DAY = "weeks", 40, 150
START = datetime(2026, 1, 5, tzinfo=UTC)
KEYS = [f"{START + timedelta(weeks=week):%Y-%m-%d}" for week in range(WEEKS)]
PARTITIONS = (WEEKS - 1) * len(REGIONS)
DECLARATION = f"""\
type: mlops_assets.ModelProduct
attributes:
  name: {NAME}
  source: {{path: {NAME}.parquet, time: applied_at, key: application_id, segment: region}}
  label: {{column: approved}}
  segments: [north, south]
  windows: {{every: week, start: 2026-01-05, end: {START + timedelta(weeks=WEEKS):%Y-%m-%d}}}
  features: [salary, commission, age, elevel, car, zipcode, hvalue, hyears, loan]
  columns: {{salary: {{type: float, min: 0}}, age: {{type: int, min: 18, max: 100}}, loan: {{type: float, min: 0}}}}
  trainer: {{kind: lightgbm, windows: {WINDOWS}, params: {{num_iterations: {PARAMS["num_iterations"]}}}}}
  gate: {{metric: auc, floor: 0.6}}
"""


def deployment(home: Path) -> Settings:
    """Return the settings of a deployment of `weeks`; its rows are written if need be."""
    root = DATA / NAME
    declaration = root / "defs" / NAME / "defs.yaml"
    declaration.parent.mkdir(parents=True, exist_ok=True)
    declaration.write_text(DECLARATION)
    if not (root / f"{NAME}.parquet").exists():
        world(START, WEEKS, A_DAY).write_parquet(root / "part")
        (root / "part").rename(root / f"{NAME}.parquet")  # last, so that what is there is whole
    return replace(load_settings(home=home), root=root, defs=root / "defs")


def in_graph(settings: Settings, weeks: list[str]) -> None:
    """Make data and model of the partitions of `weeks` in the graph.

    Raises:
        RuntimeError: If a run failed.
    """
    if backfill(settings, NAME, stage="model", windows=f"{weeks[0]}...{weeks[-1]}", segments=None, dry_run=False):
        raise RuntimeError("the backfill failed")


def _timed(make: Callable[[list[str]], None]) -> tuple[float, float]:
    make(KEYS[:1])
    began, used = time.perf_counter(), time.process_time()
    make(KEYS[1:])
    return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    here = load_settings()
    if sys.argv[1] == "graph":
        print(*_timed(lambda weeks: in_graph(here, weeks)))
    else:
        with tempfile.TemporaryDirectory() as kept:
            print(*_timed(Loop(here.root / f"{NAME}.parquet", Path(kept)).make))
