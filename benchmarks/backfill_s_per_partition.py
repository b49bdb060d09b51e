"""What a window costs in a long backfill that trains a model for each, beyond a plain loop that does the same work."""

import shutil
import tempfile
from pathlib import Path

from benchmarks import weeks
from benchmarks.measure import python, said
from benchmarks.results import Result, result
from mlops_assets.settings import Settings

AIM = 0.8
ROUNDS = 2


def measure() -> list[Result]:
    """Return the seconds that the graph adds to each partition: its data, model, decision and deployment."""
    with tempfile.TemporaryDirectory() as folder:
        settings = weeks.deployment(Path(folder, "home"))
        taken = [(_taken("graph", settings), _taken("loop", settings)) for _ in range(ROUNDS)]
    (graph, graph_cpu), (loop, loop_cpu) = (
        [min(each[side][clock] for each in taken) / weeks.PARTITIONS for clock in range(2)] for side in range(2)
    )
    name, beside = "backfill_s_per_partition", "the same work in a loop with polars, pandera and LightGBM"
    return [
        result(name, graph - loop, "s beyond the loop", beside=beside, beside_figure=loop, aim=AIM),
        result(f"{name}/cpu", graph_cpu - loop_cpu, "CPU s beyond the loop", beside=beside, beside_figure=loop_cpu),
    ]


def _taken(how: str, settings: Settings) -> tuple[float, float]:
    """Return how many seconds and CPU seconds a new process takes on a fresh home."""
    shutil.rmtree(settings.home, ignore_errors=True)
    seconds, used = said(python("-m", "benchmarks.weeks", how), settings).split()[-2:]
    return float(seconds), float(used)
