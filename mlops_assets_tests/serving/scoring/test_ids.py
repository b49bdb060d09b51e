"""Inference ids of scored rows: real UUIDv7, and the same whenever the same row is scored by the same model."""

from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.serving.log.ids import parse, time_of
from mlops_assets.serving.scoring.ids import id_bytes, row_ids

MORNING = datetime(2026, 1, 5, 8, 30, 0, 123_000, tzinfo=UTC)
ROWS = pl.DataFrame(
    {"key": ["a", "b", None, "c"], "salary": [1.0, None, 3.5, float("nan")], "job": ["x", "x", "y", ""]}
)
AT = pl.Series([MORNING + timedelta(milliseconds=place) for place in range(4)], dtype=pl.Datetime("us", "UTC"))


def test_an_id_is_a_uuid_of_version_7_and_says_the_rows_time():
    ids = row_ids(ROWS, AT, "loans", "eu", "record")

    assert [time_of(parse(each).request) for each in ids] == AT.to_list()
    assert id_bytes(ids)[2].tobytes() == parse(ids[2]).request


def test_an_id_depends_on_nothing_but_the_row_and_what_it_is_scored_in():
    whole = row_ids(ROWS, AT, "loans", "eu", "record")

    assert row_ids(ROWS[2:], AT[2:], "loans", "eu", "record").to_list() == whole[2:].to_list()
    assert not set(row_ids(ROWS, AT, "loans", "eu", "another record")) & set(whole)
    assert not set(row_ids(ROWS, AT, "loans", "us", "record")) & set(whole)


def test_a_row_that_changes_in_one_cell_has_another_id():
    changed = ROWS.with_columns(salary=pl.Series([1.0, None, 3.5 + 1e-15, float("nan")]))

    before, after = (row_ids(rows, AT, "loans", "eu", "record") for rows in (ROWS, changed))

    assert (before == after).to_list() == [True, True, False, True]


def test_no_rows_have_no_ids():
    assert row_ids(ROWS.clear(), AT.clear(), "loans").to_list() == []
    assert len(id_bytes(pl.Series([], dtype=pl.String))) == 0
