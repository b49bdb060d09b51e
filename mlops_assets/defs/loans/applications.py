"""Loan applications by day and region -> rows with a label, and with changes of the world at known dates.

The generator of Agrawal, Imielinski and Swami, "Database Mining: A Performance Perspective", IEEE TKDE 5(6), 1993,
pages 914-925: nine attributes of an applicant, and ten functions that say who belongs to group A. Here group A is
approved. A change of function is a concept drift, a change of the applicants' ages or salaries a data drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl

REGIONS = ("north", "south")
HISTORY_START = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY_WEEKS = 5
ROWS_PER_DAY = 300
CONCEPT = 2  # approves 39%, as function 5 does: a change to that one shows in no input, output or share of labels
NOISE = 0.02

_salary, _commission, _age, _elevel = (pl.col(name) for name in ("salary", "commission", "age", "elevel"))
_hvalue, _hyears, _loan = (pl.col(name) for name in ("hvalue", "hyears", "loan"))
_income = _salary + _commission
_net = _income * 2 / 3  # 2/3 as in the authors' program and its ports WEKA and MOA
_equity = pl.when(_hyears < 20).then(0.0).otherwise(0.1 * _hvalue * (_hyears - 20))


def _by_age(young: pl.Expr, middle: pl.Expr, old: pl.Expr) -> pl.Expr:
    return pl.when(_age < 40).then(young).when(_age < 60).then(middle).otherwise(old)


def _either(condition: pl.Expr, then: pl.Expr, otherwise: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(then).otherwise(otherwise)


def _k(column: pl.Expr, low: int, high: int) -> pl.Expr:
    """Return whether `column` is between `low` and `high` thousand, both included."""
    return column.is_between(1000 * low, 1000 * high)


FUNCTIONS: dict[int, pl.Expr] = {
    1: (_age < 40) | (_age >= 60),
    2: _by_age(_k(_salary, 50, 100), _k(_salary, 75, 125), _k(_salary, 25, 75)),
    3: _by_age(_elevel.is_in([0, 1]), _elevel.is_in([1, 2, 3]), _elevel.is_in([2, 3, 4])),
    4: _by_age(
        _either(_elevel.is_in([0, 1]), _k(_salary, 25, 75), _k(_salary, 50, 100)),
        _either(_elevel.is_in([1, 2, 3]), _k(_salary, 50, 100), _k(_salary, 75, 125)),
        _either(_elevel.is_in([2, 3, 4]), _k(_salary, 50, 100), _k(_salary, 25, 75)),
    ),
    5: _by_age(
        _either(_k(_salary, 50, 100), _k(_loan, 100, 300), _k(_loan, 200, 400)),
        _either(_k(_salary, 75, 125), _k(_loan, 200, 400), _k(_loan, 300, 500)),
        _either(_k(_salary, 25, 75), _k(_loan, 300, 500), _k(_loan, 100, 300)),
    ),
    6: _by_age(_k(_income, 50, 100), _k(_income, 75, 125), _k(_income, 25, 75)),
    7: _net - 0.2 * _loan - 20_000 > 0,
    8: _net - 5_000 * _elevel - 20_000 > 0,
    9: _net - 5_000 * _elevel - 0.2 * _loan - 10_000 > 0,
    10: _net - 5_000 * _elevel + 0.2 * _equity - 10_000 > 0,
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is different in `region` (or everywhere) from `at` on, until a later change of the same thing."""

    at: datetime
    region: str | None = None
    function: int | None = None
    age_shift: int | None = None
    salary_factor: float | None = None


def history() -> pl.LazyFrame:
    """Return five weeks of both regions in which nothing changes: what the shipped declaration reads."""
    return world(HISTORY_START, HISTORY_WEEKS, ROWS_PER_DAY).lazy()


def world(
    start: datetime,
    weeks: int,
    rows_per_day: int,
    segments: Sequence[str] = REGIONS,
    changes: Sequence[Change] = (),
    *,
    function: int = CONCEPT,
    noise: float = NOISE,
    seed: int = 0,
) -> pl.DataFrame:
    """Return `rows_per_day` applications a day and region, oldest first; a day's rows do not depend on the days before.

    Columns: `application_id`, `applied_at` (UTC), `region`, the nine attributes, and `approved`: 1 for group A, but
    turned over for a share `noise` of the rows, in [0, 1].

    Raises:
        LookupError: If a change names an unknown region or function.
    """
    _check(segments, changes, function)
    days = [start + timedelta(days=day) for day in range(7 * weeks)]
    drawn = pl.concat(_draw(day, region, rows_per_day, seed) for day in days for region in segments)
    changed = drawn.with_columns(
        salary=(_salary * _in_force("salary_factor", 1.0, changes)).round(2),
        age=_age + _in_force("age_shift", 0, changes).cast(pl.Int64),
    ).with_columns(commission=pl.when(_salary < 75_000).then(_commission).otherwise(0.0))
    concept = _in_force("function", function, changes)
    group_a = pl.coalesce(pl.when(concept == number).then(rule) for number, rule in FUNCTIONS.items())
    labelled = changed.with_columns(approved=(group_a != (pl.col("luck") < noise)).cast(pl.Int64)).drop("luck")
    return labelled.sort("applied_at", "application_id")


def _check(segments: Sequence[str], changes: Sequence[Change], function: int) -> None:
    for change in changes:
        if change.region is not None and change.region not in segments:
            raise LookupError(f"no region {change.region!r} to change; known: {', '.join(segments)}")
    for number in (function, *(change.function for change in changes)):
        if number is not None and number not in FUNCTIONS:
            raise LookupError(f"no function {number}; known: 1 to {len(FUNCTIONS)}")


def _in_force(
    what: Literal["function", "age_shift", "salary_factor"], before: float, changes: Sequence[Change]
) -> pl.Expr:
    """Return what holds for a row: the latest change of `what` in its region before it, else `before`."""
    value = pl.lit(before)
    for change in sorted(changes, key=lambda change: change.at):
        new: int | float | None = getattr(change, what)
        if new is not None:
            here = pl.lit(True) if change.region is None else pl.col("region") == change.region
            value = pl.when(here & (pl.col("applied_at") >= change.at)).then(pl.lit(new)).otherwise(value)
    return value


def _draw(day: datetime, region: str, rows: int, seed: int) -> pl.DataFrame:
    """Return the applications of one day and region as the paper's table draws them, label not yet decided."""
    draw = np.random.default_rng([seed, *region.encode(), int(day.timestamp())])
    zipcode = draw.integers(0, 9, rows)
    seconds = np.sort(draw.integers(0, 86_400, rows))
    return pl.DataFrame(
        {
            "application_id": f"{region}-{day:%Y%m%d}-" + pl.int_range(rows, eager=True).cast(pl.String).str.zfill(4),
            "applied_at": pl.Series(seconds * 1_000_000, dtype=pl.Int64).cast(pl.Duration("us")) + day,
            "region": region,
            "salary": draw.uniform(20_000, 150_000, rows),
            "commission": draw.uniform(10_000, 75_000, rows).round(2),
            "age": draw.integers(20, 81, rows),
            "elevel": draw.integers(0, 5, rows),
            "car": "make_" + pl.Series(draw.integers(1, 21, rows)).cast(pl.String).str.zfill(2),
            "zipcode": "Z" + pl.Series(zipcode).cast(pl.String),
            "hvalue": ((9 - zipcode) * 100_000 * draw.uniform(0.5, 1.5, rows)).round(2),
            "hyears": draw.integers(1, 31, rows),
            "loan": draw.uniform(0, 500_000, rows).round(2),
            "luck": draw.random(rows),
        }
    )
