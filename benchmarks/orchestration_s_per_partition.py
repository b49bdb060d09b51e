"""What Dagster and MLflow add to a partition: `backfill loans` on a fresh home, beside the same steps in a script."""

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import fastest, python, said, seconds
from benchmarks.results import Result, result
from mlops_assets.settings import Settings, load_settings

AIM = 0.8
ROUNDS = 3
PRODUCT = "loans"


def measure() -> list[Result]:
    """Return the seconds per partition of the history that the graph adds, both from process start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder, "home"))
        script = python("-m", "benchmarks.plain_steps", PRODUCT)
        partitions = int(said(script, settings))
        graph, plain = fastest(
            ROUNDS,
            lambda: _afresh(python("-m", "mlops_assets.cli", "backfill", PRODUCT), settings),
            lambda: _afresh(script, settings),
        )
    beside = "the same steps called in a script, without Dagster and MLflow"
    return [
        result(
            "orchestration_s_per_partition",
            (graph - plain) / partitions,
            "s beyond the script",
            beside=beside,
            beside_figure=plain / partitions,
            aim=AIM,
        )
    ]


def _afresh(command: list[str], settings: Settings) -> float:
    shutil.rmtree(settings.home, ignore_errors=True)
    return seconds(command, settings)
