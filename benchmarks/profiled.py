"""A table of a million rows, 20 numbers and 5 texts of 50 levels, and what it costs to profile it, in CPU seconds.

`python -m benchmarks.profiled ours|whylogs|sort` prints the CPU seconds and, of a profile, its bytes.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from benchmarks.measure import python, said
from mlops_assets.settings import load_settings

ROWS, NUMBERS, TEXTS, LEVELS = 1_000_000, 20, 5, 50
WARM = 1_000  # rows profiled first, so that imports do not count
AT = datetime(2026, 3, 2, tzinfo=UTC)


def table(seed: int, rows: int = ROWS) -> pl.DataFrame:
    """Return normal numbers and evenly spread levels."""
    random = np.random.default_rng(seed)
    levels = np.array([f"level {level}" for level in range(LEVELS)])
    numbers = {f"n{i}": random.normal(size=rows) for i in range(NUMBERS)}
    return pl.DataFrame({**numbers, **{f"t{i}": random.choice(levels, rows) for i in range(TEXTS)}})


def cost(how: str) -> tuple[float, int]:
    """Return the CPU seconds, in a new process, and the bytes of the profile (0 of a sort)."""
    seconds, size = said(python("-m", "benchmarks.profiled", how), load_settings()).split()[-2:]
    return float(seconds), int(size)


def _ours(rows: pl.DataFrame) -> Callable[[], int]:
    from mlops_assets.monitoring.profile import profile
    from mlops_assets.training.frozen import freeze_bins

    bins = freeze_bins(rows.head(100_000), rows.columns)
    profile(rows.head(WARM), bins, at=AT)
    return lambda: len(profile(rows, bins, at=AT).whylogs)


def _whylogs(rows: pl.DataFrame) -> Callable[[], int]:
    import whylogs

    table = rows.to_pandas()
    whylogs.log(table.head(WARM))
    return lambda: len(whylogs.log(table).view().serialize())


def _sort(rows: pl.DataFrame) -> Callable[[], int]:
    columns = [rows[f"n{i}"].to_numpy() for i in range(NUMBERS)]

    def run() -> int:
        for column in columns:
            np.sort(column)
        return 0

    return run


def _timed(how: str) -> str:
    run = {"ours": _ours, "whylogs": _whylogs, "sort": _sort}[how](table(0))
    began = time.process_time()
    size = run()
    return f"{time.process_time() - began:.4f} {size}"


if __name__ == "__main__":
    print(_timed(sys.argv[1]))
