"""Windows: the same keys and bounds that Dagster has, in every timezone, and the same in polars."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import dagster as dg
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.windows import Every, Grid
from mlops_assets.wiring import time_windows

# Berlin moves its clock in the night, São Paulo and Havana at midnight itself, Kathmandu is off by 5:45
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu")
SHAPES: list[tuple[Every, str]] = [("hour", "UTC"), *((e, z) for e in ("day", "week", "month") for z in ZONES)]
WEEKS = Grid(every="week", start=datetime(2026, 1, 7), end=datetime(2026, 2, 6))


@pytest.mark.parametrize("end", [None, timedelta(days=400), timedelta(days=9, hours=7)])
@pytest.mark.parametrize(("every", "timezone"), SHAPES)
def test_keys_and_bounds_are_dagsters(every: Every, timezone: str, end: timedelta | None):
    start = datetime(2018, 10, 1)  # São Paulo had no midnight on 4 November 2018
    until = start.replace(tzinfo=UTC) + timedelta(days=20 if every == "hour" else 500)
    if end is not None and every == "month":
        end *= 5
    grid = Grid(every=every, start=start, end=end and start + end, timezone=timezone)
    theirs = time_windows(grid)

    keys = grid.keys_until(until)

    assert keys == list(theirs.get_partition_keys(current_time=until))
    for key in keys:
        window = theirs.time_window_for_partition_key(key)
        # as seconds: an aware time in a repeated or skipped hour equals no time of another zone
        assert [at.timestamp() for at in grid.bounds(key)] == [window.start.timestamp(), window.end.timestamp()]


def test_a_start_in_another_zone_is_the_same_moment():
    grid = Grid(every="week", start=datetime(2026, 1, 4, 23, tzinfo=UTC), timezone="Europe/Berlin")
    until = datetime(2026, 2, 1, tzinfo=UTC)

    assert grid.keys_until(until) == list(time_windows(grid).get_partition_keys(current_time=until))
    assert grid.keys_until(until)[0] == "2026-01-05"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(SHAPES),
    st.lists(st.datetimes(datetime(2018, 10, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), min_size=1),
)
def test_the_polars_expression_is_the_key_and_a_time_lies_in_its_own_window(
    shape: tuple[Every, str], times: list[datetime]
):
    every, timezone = shape
    grid = Grid(every=every, start=datetime(2018, 10, 1), timezone=timezone)

    keys = [grid.key(at) for at in times]

    found = pl.DataFrame({"at": times}, schema={"at": pl.Datetime("us", "UTC")}).select(grid.expression(pl.col("at")))
    assert found.to_series().to_list() == keys
    for at, key in zip(times, keys, strict=True):
        start, end = grid.bounds(key)
        assert start <= at < end


def test_windows_follow_each_other_without_gap_through_a_change_of_clock():
    grid = Grid(every="day", start=datetime(2026, 3, 27), timezone="Europe/Berlin")

    bounds = [grid.bounds(key) for key in grid.keys_until(datetime(2026, 4, 1, tzinfo=UTC))]

    assert [(end - start) / timedelta(hours=1) for start, end in bounds] == [24, 24, 23, 24, 24]
    assert all(one[1] == next_[0] for one, next_ in pairwise(bounds))


def test_weeks_begin_on_the_weekday_of_the_start_and_only_whole_ones_count():
    keys = WEEKS.keys_until(datetime(2027, 1, 1, tzinfo=UTC))

    assert keys == ["2026-01-07", "2026-01-14", "2026-01-21", "2026-01-28"]
    assert WEEKS.key(datetime(2026, 1, 20, 23, 59)) == "2026-01-14"


def test_a_window_is_among_the_closed_ones_from_the_moment_it_ends():
    end = datetime(2026, 1, 14, tzinfo=UTC)

    assert WEEKS.keys_until(end - timedelta(microseconds=1)) == []
    assert WEEKS.keys_until(end) == ["2026-01-07"]
    assert WEEKS.keys(datetime(2026, 1, 8), datetime(2026, 1, 28)) == ["2026-01-14", "2026-01-21"]


def test_a_naive_time_is_read_in_the_grids_timezone():
    grid = Grid(every="day", start=datetime(2026, 1, 1), timezone="Asia/Kathmandu")

    assert grid.key(datetime(2026, 1, 2, 0, 30)) == "2026-01-02"
    assert grid.key(datetime(2026, 1, 2, 0, 30, tzinfo=UTC)) == "2026-01-02"
    assert grid.key(datetime(2026, 1, 2, 18, 15, tzinfo=UTC)) == "2026-01-03"


def test_the_windows_before_one_stop_where_the_grid_begins():
    assert WEEKS.before("2026-01-28", 3) == ["2026-01-14", "2026-01-21", "2026-01-28"]
    assert WEEKS.before("2026-01-14", 5) == ["2026-01-07", "2026-01-14"]
    months = Grid(every="month", start=datetime(2026, 1, 1), timezone="Europe/Berlin")
    assert months.before("2026-04-01", 3) == ["2026-02-01", "2026-03-01", "2026-04-01"]


@pytest.mark.parametrize(
    ("at", "held"),
    [
        (datetime(2026, 1, 6, 23), False),
        (datetime(2026, 1, 7), True),
        (datetime(2026, 2, 3, 23), True),
        (datetime(2026, 2, 4), False),  # in the week that the end cuts off
    ],
)
def test_a_time_outside_the_whole_windows_is_not_held(at: datetime, held: bool):
    assert WEEKS.holds(at) is held


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("2026-01-08", "no window '2026-01-08'; the nearest one is '2026-01-07'"),
        ("2026-1-7", "no window '2026-1-7'; the nearest one is '2026-01-07'"),
        ("all", "no window 'all'; a key looks like '2026-01-07'"),
    ],
)
def test_what_is_no_key_is_named_with_what_is_one(key: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        WEEKS.bounds(key)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"every": "month", "start": date(2026, 1, 2)}, "monthly windows start on the first of a month, found 2026"),
        ({"every": "hour", "timezone": "Europe/Berlin"}, "hourly windows need timezone UTC, found 'Europe/Berlin'"),
        ({"start": datetime(2026, 1, 5, 3)}, "a window of one day starts on the full day, found 2026-01-05T03:00"),
        ({"start": datetime(2026, 1, 5, 0, 0, 0, 1)}, "a window of one day starts on the full day"),
        ({"start": datetime(2026, 1, 5, tzinfo=UTC), "timezone": "Europe/Berlin"}, "found 2026-01-05T01:00:00.01:00"),
        ({"timezone": "Mars/Olympus"}, "no timezone 'Mars/Olympus'; right is an IANA name such as 'UTC'"),
        ({"end": date(2026, 1, 5)}, "no whole day lies between start 2026-01-05T00:00:00 and end 2026-01-05"),
        ({"every": "week", "end": date(2026, 1, 11)}, "no whole week lies between"),
        ({"every": "year"}, "Input should be 'hour', 'day', 'week' or 'month'"),
        ({"until": date(2026, 1, 6)}, "Extra inputs are not permitted"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(fields: dict[str, object], problem: str):
    with pytest.raises(ValidationError, match=problem):
        Grid.model_validate({"every": "day", "start": date(2026, 1, 5)} | fields)


def test_an_hours_key_has_its_time():
    grid = Grid(every="hour", start=datetime(2026, 1, 5, 7))

    assert grid.key(datetime(2026, 1, 5, 8, 59, tzinfo=UTC)) == "2026-01-05-08:00"
    assert grid.bounds("2026-01-05-08:00")[1] == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert isinstance(time_windows(grid), dg.TimeWindowPartitionsDefinition)
