"""`dagster definitions validate` on the shipped workspace, beside the same command on no definitions at all."""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import fastest, seconds
from benchmarks.results import Result, result
from mlops_assets.loop import dagster_home
from mlops_assets.settings import PACKAGE, load_settings

ROUNDS = 5


def measure() -> list[Result]:
    """Return how long loading and checking all definitions takes, with the start of its process."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(home=Path(folder, "home"))
        dagster_home(settings)
        nothing = Path(folder, "nothing.py")
        nothing.write_text("import dagster as dg\n\ndefs = dg.Definitions()\n")
        empty = Path(folder, "workspace.yaml")
        empty.write_text(f"load_from:\n  - python_file: {nothing}\n")
        validate = [str(Path(sys.executable).with_name("dagster")), "definitions", "validate", "-w"]
        ours, floor = fastest(
            ROUNDS,
            lambda: seconds([*validate, str(PACKAGE.parent / "workspace.yaml")], settings),
            lambda: seconds([*validate, str(empty)], settings),
        )
    beside = "the same command on empty Definitions"
    return [result("definitions_validate_s", ours, "s", beside=beside, beside_figure=floor)]
