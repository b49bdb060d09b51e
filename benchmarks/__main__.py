"""`python -m benchmarks [NAME]`: measure all figures, or the one called NAME, into results.json and RESULTS.md."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.machine import described
from benchmarks.measure import PINNED
from benchmarks.results import Measure, Result, run

FIGURES = (
    "definitions_validate_s",
    "orchestration_s_per_partition",
    "graph_vs_script_1m",
    "serve",
    "find_id_ms_10m",
    "score_rows_vs_plain",
    "reaction_s",
    "lines_own_product",
    "profile_vs_whylogs",
    "profile_vs_sort",
    "drift_vs_evidently",
    "drift",
    "electricity_gain_kept",
    "sea_gain_kept",
    "sensor_tick_10k_s",
    "record_overhead_share",
    "backfill_s_per_partition",
    "daemon_s_per_run",
    "train_overhead_lightgbm",
    "train_overhead_torch",
    "torch_gpu_vs_bare",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, write it down, print it, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The figures, each beside its peer.")
    parser.add_argument("name", nargs="?", choices=FIGURES, help="only this figure (default: all)")
    only: str | None = parser.parse_args(arguments).name
    os.environ.update(PINNED)
    measures: dict[str, Measure] = {name: partial(_measured, name) for name in FIGURES}
    for result in run(Path(__file__).parent, measures, only=only, machine=described()):
        print(result.line)
    return 0


def _measured(name: str) -> list[Result]:
    """Measure one figure; its module is imported only now, so that it sees the pinned threads."""
    print(f"{name} ...", flush=True)
    return importlib.import_module(f"benchmarks.{name}").measure()


if __name__ == "__main__":
    sys.exit(main())
