"""A million rows in four partitions and a model on all of them: through the graph, and in a plain script."""

import shutil
import tempfile
from pathlib import Path

from benchmarks import million
from benchmarks.measure import fastest, python, said
from benchmarks.results import Result, result
from mlops_assets.settings import Settings

AIM = 1.5
ROUNDS = 3


def measure() -> list[Result]:
    """Return the seconds of `backfill` with all its evidence. Both sides are warm: no import, no new database."""
    with tempfile.TemporaryDirectory() as folder:
        settings = million.settings(Path(folder, "home"))
        files = [str(path) for path in million.sources(settings)]
        graph, script = fastest(
            ROUNDS,
            lambda: _afresh(settings),
            lambda: _last_number(said(python("-m", "benchmarks.million_script", *files), settings)),
        )
    beside = "polars, pandera and LightGBM in a script"
    return [result("graph_vs_script_1m", graph, "s", beside=beside, beside_figure=script, aim=AIM)]


def _afresh(settings: Settings) -> float:
    shutil.rmtree(settings.home, ignore_errors=True)
    return _last_number(said(python("-m", "benchmarks.million", "million"), settings))


def _last_number(text: str) -> float:
    return float(text.split()[-1])
