"""The same rows in two places: which columns differ, in how many rows, and by what."""

import polars as pl
import pytest

from mlops_assets.detection.finding import Finding
from mlops_assets.monitoring.row_by_row import compared

ROWS = pl.DataFrame({"height": [10.0, 20.0, None, 40.0], "rooms": [1, 2, 3, 4], "street": ["a", None, "c", "d"]})


def against(theirs: pl.DataFrame) -> Finding:
    return compared("requests", ROWS, theirs, from_what="the source's")


def test_equal_rows_are_equal_whatever_the_type_of_a_number_or_of_nothing():
    nothing = pl.col("height").fill_null(float("nan"))

    found = against(ROWS.with_columns(nothing * (1 + 1e-12), pl.col("rooms").cast(pl.Float64)))

    assert (found.state, found.columns) == ("ok", ())
    assert found.words == "equal to the source's in 4 rows"


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (pl.col("height") / 0.3048, "height differs from the source's in 3 of 4 rows, each 0.3048 times as large"),
        (pl.col("height") + 273.15, "height differs from the source's in 3 of 4 rows, each 273.1 lower"),
        (pl.col("height") ** 2, "height differs from the source's in 3 of 4 rows"),
        (pl.col("height").fill_null(30.0), "height differs from the source's in 1 of 4 rows"),
        (pl.lit(float("inf")).alias("height"), "height differs from the source's in 4 of 4 rows"),
        (pl.col("rooms") - 1, "rooms differs from the source's in 4 of 4 rows, each 1 higher"),
        (pl.col("street").str.to_uppercase(), "street differs from the source's in 3 of 4 rows"),
        (pl.col("street").fill_null(""), "street differs from the source's in 1 of 4 rows"),
    ],
)
def test_what_differs_is_told_with_the_unit_it_may_be(theirs: pl.Expr, words: str):
    found = against(ROWS.with_columns(theirs))

    assert (found.state, found.words) == ("drift", words)


def test_the_column_that_differs_most_comes_first_and_a_missing_one_differs_in_all():
    found = against(ROWS.select("height", pl.col("street").str.to_uppercase()))

    assert [(shift.column, shift.effect) for shift in found.columns] == [("rooms", 1.0), ("street", 0.75)]
    assert "rooms is missing in the source's" in found.words
