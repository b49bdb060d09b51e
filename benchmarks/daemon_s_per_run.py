"""What Dagster's daemon adds to a run: ten windows appear in a source, and the sensor asks for ten runs."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import polars as pl

from benchmarks.measure import python, said
from benchmarks.results import Result, result
from mlops_assets.operations.foreground import foreground
from mlops_assets.settings import load_settings
from mlops_assets_tests.live import UP, connected
from mlops_assets_tests.started import started, until
from mlops_assets_tests.tiny import DAY, HISTORY_DAYS, NAME, START, Tiny, declare, rows

RUNS = 10
ROUNDS = 2
WITHIN_S = 600.0
JOB = f"{NAME}_data"


def measure() -> list[Result]:
    """Return the seconds that each of ten runs takes longer under `up` than one after the other in one process."""
    under_up, in_front = (min(measured() for _ in range(ROUNDS)) / RUNS for measured in (_under_up, _in_front))
    beside = "the same runs in one process, one after the other"
    return [result("daemon_s_per_run", under_up - in_front, "s beyond", beside=beside, beside_figure=in_front)]


def _under_up() -> float:
    """Return the seconds from when the first of the runs was asked for to the end of the last."""
    with _deployment() as tiny, started(tiny.settings, *UP), connected(tiny):
        _add_windows(tiny)
        with dg.DagsterInstance.from_config(str(tiny.settings.dagster_home)) as instance:
            done = dg.RunsFilter(job_name=JOB, statuses=[dg.DagsterRunStatus.SUCCESS])
            before = HISTORY_DAYS
            until(lambda: instance.get_runs_count(done) >= before + RUNS, within_s=WITHIN_S, what="ten runs")
            records = instance.get_run_records(done, limit=RUNS)
    began = min(record.create_timestamp.timestamp() for record in records)
    return max(record.end_time or 0.0 for record in records) - began


def _in_front() -> float:
    with _deployment() as tiny:
        loop = foreground(tiny.settings)
        loop.tick(JOB)  # what is done once in a process does not count
        _add_windows(tiny)
        began = time.perf_counter()
        ran = loop.tick(JOB)
        taken = time.perf_counter() - began
    if len(ran) != RUNS or not all(run.success for run in ran):
        raise RuntimeError(f"{len(ran)} runs, of which failed: {[run for run in ran if not run.success]}")
    return taken


@contextmanager
def _deployment() -> Iterator[Tiny]:
    """The product with its history made and a first version deployed."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = declare(load_settings(home=Path(folder, "home")), Path(folder))
        said(python("-m", "mlops_assets.cli", "backfill", NAME), tiny.settings)
        yield tiny


def _add_windows(tiny: Tiny) -> None:
    """Let ten days of rows appear behind those of the history."""
    later = rows(START + HISTORY_DAYS * DAY, RUNS, seed=1)
    every = pl.concat([rows(START, HISTORY_DAYS), later])
    part = tiny.settings.root / "part"
    every.write_csv(part, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    part.replace(tiny.settings.root / "tiny.csv")
