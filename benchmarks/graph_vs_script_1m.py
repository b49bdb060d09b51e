"""A million rows in four partitions and a model on all of them: through the graph, and in a plain script."""

import tempfile
from pathlib import Path

from benchmarks import products
from benchmarks.measure import fastest, python, said
from benchmarks.results import Result, result

AIM = 1.5
ROUNDS = 3


def measure() -> list[Result]:
    """Return the seconds of `backfill` with all its evidence. Both sides are warm: no import, no new database."""
    with tempfile.TemporaryDirectory() as folder:
        settings = products.deployment(Path(folder, "home"))
        script = python("-m", "benchmarks.million_script", *products.files(settings))
        graph, plain = fastest(
            ROUNDS,
            lambda: products.seconds_of("graph", "million", settings),
            lambda: float(said(script, settings)),
        )
    beside = "polars, pandera and LightGBM in a script"
    return [result("graph_vs_script_1m", graph, "s", beside=beside, beside_figure=plain, aim=AIM)]
