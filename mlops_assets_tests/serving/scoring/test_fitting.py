"""Cells of a table are held to the rules by which requests are decoded, many rows at once."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mlops_assets.intake.sources import SourceError
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.scoring.fitting import check_inputs, fitted
from mlops_assets.training.model import ColumnSpec

INPUTS = {
    "age": ColumnSpec(type="int", min=18, max=99),
    "salary": ColumnSpec(type="float", nullable=True, min=0),
    "job": ColumnSpec(type="str", isin=["clerk", "nurse"]),
    "note": ColumnSpec(type="str", nullable=True),
    "paid": ColumnSpec(type="bool"),
}


def test_a_table_takes_the_rows_that_a_request_takes_and_reads_them_alike():
    random = np.random.default_rng(7)
    ages, jobs = [18, 40, 99, 17, 100, None], ["clerk", "nurse", "Nurse", None]
    rows = pl.DataFrame(
        {
            "age": random.choice(ages, 400).tolist(),
            "salary": random.choice([0.0, 10.5, None, -1.0], 400).tolist(),
            "job": random.choice(jobs, 400).tolist(),
            "note": random.choice(["", "x", None], 400).tolist(),
            "paid": random.choice([True, False, None], 400).tolist(),
        },
        schema={"age": pl.Int64, "salary": pl.Float64, "job": pl.String, "note": pl.String, "paid": pl.Boolean},
        strict=False,
    )
    decoder = RowDecoder(INPUTS)

    typed, refused = fitted(rows, INPUTS, "UTC")

    for row, values, reason in zip(rows.iter_rows(named=True), typed.iter_rows(), refused, strict=True):
        try:
            assert (decoder.one(json.dumps(row).encode()).values, reason) == (values, None)
        except Refused as problem:
            named = {each.field for each in problem.problems}
            assert reason is not None, row
            assert set(re.findall(r"(\w+): found", reason)) == named
    assert 0 < refused.null_count() < 400


def test_text_cells_of_a_csv_are_read_as_those_of_the_source():
    cells = pl.DataFrame(
        {
            "age": [" 40", "40.5", "", "1e2"],
            "salary": ["1e3", "NA", "x", ""],
            "job": ["clerk", "nurse", "nurse", "smith"],
            "note": ["", "n", "n", "n"],
            "paid": ["1", "FALSE", "true", "yes"],
        }
    )

    age = "right is an int, at least 18, at most 99"

    typed, refused = fitted(cells, INPUTS, "UTC")

    assert typed.row(0) == (40, 1000.0, "clerk", "", True)
    assert refused.to_list() == [
        None,
        f"age: found '40.5'; {age}",
        f"age: found ''; {age}; salary: found 'x'; right is a number, at least 0, or null",
        f"age: found '1e2'; {age}; job: found 'smith'; right is one of 'clerk', 'nurse'; "
        "paid: found 'yes'; right is true or false",
    ]


def test_a_time_without_an_offset_is_of_the_products_timezone():
    cells = pl.DataFrame({"since": ["2026-01-05T08:00:00", "2026-01-05T08:00:00Z", "soon"]})

    typed, refused = fitted(cells, {"since": ColumnSpec(type="datetime")}, "Europe/Berlin")

    assert typed["since"].to_list()[:2] == [datetime(2026, 1, 5, 7, tzinfo=UTC), datetime(2026, 1, 5, 8, tzinfo=UTC)]
    assert refused.is_null().to_list() == [True, True, False]


def test_a_reason_does_not_quote_a_personal_column():
    cells = pl.DataFrame({"age": ["secret", None], "job": ["smith", "smith"]})
    inputs = {name: INPUTS[name] for name in ("age", "job")}

    _, refused = fitted(cells, inputs, "UTC", personal=["age"])

    job = "job: found 'smith'; right is one of 'clerk', 'nurse'"
    assert refused.to_list() == [
        f"age: found a value that does not fit; right is an int, at least 18, at most 99; {job}",
        f"age: found nothing; right is an int, at least 18, at most 99; {job}",
    ]


def test_infinity_is_no_number():
    cells = pl.DataFrame({"salary": [float("inf"), float("nan"), None, 1.0]})

    _, refused = fitted(cells, {"salary": INPUTS["salary"]}, "UTC")

    assert refused.is_null().to_list() == [False, True, True, True]


def test_a_missing_column_is_named_with_the_nearest():
    with pytest.raises(SourceError, match=r"t.csv: no column 'salary' \(did you mean 'salaries'\?\).*age, salaries"):
        check_inputs(INPUTS, ["age", "salaries"], "t.csv")
