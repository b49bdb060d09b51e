"""Two tables of 500,000 rows of 25 columns compared, from rows to verdict, beside Evidently's DataDriftPreset.

Ours makes the reference of one table (its bins and 28 windows) and judges the other's profile by it.
"""

import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from benchmarks.drift_peers import installed
from benchmarks.measure import python, said
from benchmarks.profiled import AT, table
from benchmarks.results import Result, result
from mlops_assets.settings import load_settings

AIM = 1 / 10
ROUNDS = 3
ROWS, WINDOWS = 500_000, 28
NAME = "drift_vs_evidently"
EVIDENTLY = """
import sys, time, warnings
warnings.simplefilter("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
before, live = (pd.read_parquet(path) for path in sys.argv[1:])
Report([DataDriftPreset()]).run(live.head(1_000), before.head(1_000))
began = time.process_time()
Report([DataDriftPreset()]).run(live, before).dict()
print(time.process_time() - began)
"""


def measure() -> list[Result]:
    """Return the CPU seconds of the comparison; without a peer's figure, and with the reason, where it is not there."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{name}.parquet")) for name in ("before", "live")]
        for seed, path in enumerate(paths):
            table(seed, ROWS).write_parquet(path)
        command = python("-m", f"benchmarks.{NAME}", *paths)
        ours = min(float(said(command, load_settings()).split()[-1]) for _ in range(ROUNDS))
        beside, theirs = _evidently(paths)
    return [result(NAME, ours, "CPU s", beside=beside, beside_figure=theirs, aim=AIM)]


def _evidently(paths: list[str]) -> tuple[str, float | None]:
    """Return who stands beside, and its CPU seconds if it could be installed; it has an environment of its own."""
    found, failed = installed()
    if "Evidently" not in found:
        return f"Evidently, which could not be installed: {failed['Evidently']}", None
    command = [str(found["Evidently"]), "-c", EVIDENTLY, *paths]
    theirs = min(float(said(command, load_settings()).split()[-1]) for _ in range(2))
    return "Evidently, DataDriftPreset", theirs


def _timed(before: pl.DataFrame, live: pl.DataFrame) -> float:
    from mlops_assets.detection.drift import judge
    from mlops_assets.monitoring.profile import profile
    from mlops_assets.training.reference import reference

    def run(before: pl.DataFrame, live: pl.DataFrame) -> None:
        seen = reference(before.with_row_index("_at"), at="_at", rows_per_window=before.height // WINDOWS, seed=0)
        judge(profile(live, seen.bins, at=AT).counts, seen)

    run(before.head(10_000), live.head(10_000))  # imports are over then
    began = time.process_time()
    run(before, live)
    return time.process_time() - began


if __name__ == "__main__":
    print(_timed(*(pl.read_parquet(path) for path in sys.argv[1:])))
