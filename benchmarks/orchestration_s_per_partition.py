"""What Dagster and MLflow add to a partition of the history of `loans`: `backfill`, beside the same steps in a row."""

import tempfile
from pathlib import Path

from benchmarks import products
from benchmarks.measure import fastest
from benchmarks.results import Result, result
from mlops_assets.defs.loans.applications import HISTORY_WEEKS, REGIONS

AIM = 0.8
ROUNDS = 3
PARTITIONS = HISTORY_WEEKS * len(REGIONS)


def measure() -> list[Result]:
    """Return the seconds that the graph adds to each partition of data, the models' runs included. Both are warm."""
    with tempfile.TemporaryDirectory() as folder:
        settings = products.deployment(Path(folder, "home"))
        graph, steps = fastest(
            ROUNDS,
            lambda: products.seconds_of("graph", "loans", settings),
            lambda: products.seconds_of("steps", "loans", settings),
        )
    name, unit = "orchestration_s_per_partition", "s beyond the script"
    beside = "the same steps called in a script, without Dagster and MLflow"
    added, floor = (graph - steps) / PARTITIONS, steps / PARTITIONS
    return [result(name, added, unit, beside=beside, beside_figure=floor, aim=AIM)]
