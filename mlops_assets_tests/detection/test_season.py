"""Windows with a season are compared within their phase, if there are enough cycles of it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from mlops_assets.detection.drift import judge
from mlops_assets.training.bins import count
from mlops_assets.training.reference import Reference, reference
from mlops_assets.windows import Grid

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
GRID = Grid(every="day", start=MONDAY)
ROWS = 200
WEEK = 0.6 * np.sin(2 * np.pi * np.arange(7) / 7)


def day(random: np.random.Generator, number: int, *, by: float = 0.0, rows: int = ROWS) -> pl.DataFrame:
    """A day of one weekly and three steady columns."""
    at = [MONDAY + timedelta(days=number, seconds=i) for i in range(rows)]
    weekly = random.normal(WEEK[number % 7] + by, 1, rows)
    return pl.DataFrame({"_time": at, "weekly": weekly, **{f"n{i}": random.normal(size=rows) for i in range(3)}})


def seen(random: np.random.Generator, days: int) -> Reference:
    rows = pl.concat(day(random, number) for number in range(days))
    return reference(rows, at="_time", rows_per_window=ROWS, seed=0, grid=GRID)


def states(known: Reference, random: np.random.Generator, days: int, *, by: float = 0.0, matched: bool = True):
    live = [(35 + number, count(day(random, 35 + number, by=by), known.bins)) for number in range(days)]
    return [judge(counts, known, phase=number % 7 if matched else None).verdict.state for number, counts in live]


def test_reference_windows_are_those_of_the_grid_with_their_weekdays():
    known = seen(np.random.default_rng(0), 35)

    assert (len(known.windows), known.cycle, known.kind) == (35, 7, "windows")
    assert known.phases == [number % 7 for number in range(35)]
    assert {window.rows for window in known.windows} == {ROWS}


def test_days_with_too_few_rows_are_no_reference_windows():
    random = np.random.default_rng(0)
    rows = pl.concat(day(random, number, rows=ROWS if number % 7 else 10) for number in range(42))

    known = reference(rows, at="_time", rows_per_window=ROWS, seed=0, grid=GRID)

    assert len(known.windows) == 36
    assert 0 not in known.phases


def test_a_shift_as_large_as_the_season_is_seen_only_within_the_weekday():
    random = np.random.default_rng(1)
    known = seen(random, 35)

    matched = states(known, random, 14, by=0.6)
    unmatched = states(known, random, 14, by=0.6, matched=False)

    assert matched.count("drift") >= 12
    assert unmatched.count("drift") < matched.count("drift") / 2


def test_an_ordinary_week_is_no_drift():
    random = np.random.default_rng(2)
    known = seen(random, 35)

    assert states(known, random, 28).count("drift") <= 1


def test_three_cycles_are_too_few_to_match():
    random = np.random.default_rng(3)
    known = seen(random, 28)  # the newest weekday was seen four times, so this one is matched ...
    fewer = Reference(
        **{**{name: getattr(known, name) for name in known.__struct_fields__}, "phases": [i % 9 for i in range(28)]}
    )
    live = count(day(random, 35), known.bins)

    assert judge(live, fewer, phase=0).verdict == judge(live, fewer).verdict  # ... and this one is not
    assert judge(live, known, phase=0).verdict != judge(live, known).verdict
