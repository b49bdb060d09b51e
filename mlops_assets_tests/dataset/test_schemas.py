"""Rows that break the schema are quarantined with their reason; the others go on."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_assets.dataset.quarantine import checks, quarantine_table
from mlops_assets.dataset.schemas import Failure, Validated, dataset_schema, validate
from mlops_assets.parts import Column

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
COLUMNS = {
    "age": Column(type="int", min=0, max=120),
    "car": Column(type="str", isin=("vw", "bmw")),
    "loan": Column(type="float", nullable=True),
}


def rows(*changes: dict[str, object]) -> pl.DataFrame:
    """One good row for each of `changes`, changed so."""
    good = {"age": 30, "car": "vw", "loan": 1.5, "_time": NOON, "_known_since": NOON + HOUR}
    schema = {"age": pl.Int64, "car": pl.String, "loan": pl.Float64, "_key": pl.String}
    return pl.DataFrame(
        [{"_key": f"k{at}", **good, **change} for at, change in enumerate(changes)], schema_overrides=schema
    )


def test_good_rows_pass_unchanged():
    frame = rows({}, {"loan": None}, {"_known_since": None})

    validated = validate(frame, dataset_schema(COLUMNS))

    assert validated.good.equals(frame)
    assert validated.quarantined.is_empty()
    assert validated.failures == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"age": -1}, "age: '-1' is not at least 0"),
        ({"age": 121}, "age: '121' is not at most 120"),
        ({"age": None}, "age: the cell is missing"),
        ({"car": "opel"}, "car: 'opel' is not one of vw, bmw"),
        ({"_key": None}, "_key: the cell is missing"),
        ({"_known_since": NOON - HOUR}, "_known_since: the cell is before the row's time"),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason(change: dict[str, object], reason: str):
    validated = validate(rows({}, change, {}), dataset_schema(COLUMNS))

    assert validated.good["_key"].to_list() == ["k0", "k2"]
    assert validated.quarantined["_reason"].to_list() == [reason]


def test_all_copies_of_a_key_are_quarantined():
    validated = validate(rows({"_key": "a"}, {"_key": "b"}, {"_key": "a"}, {"_key": "a"}), dataset_schema(COLUMNS))

    assert validated.good["_key"].to_list() == ["b"]
    assert validated.failing == {"keys_are_unique": 3}
    assert set(validated.quarantined["_reason"]) == {"_key: 'a' occurs more than once"}


def test_a_row_with_two_faults_has_both_reasons_and_counts_once():
    validated = validate(rows({"age": None, "car": "opel"}, {"car": "opel"}), dataset_schema(COLUMNS))

    assert validated.failing == {"schema": 2}
    assert validated.failures == (
        Failure(check="schema", column="car", rule="is not one of vw, bmw", rows=2, sample=("'opel'",)),
        Failure(check="schema", column="age", rule="is missing", rows=1, sample=("the cell",)),
    )
    assert validated.quarantined["_reason"][0] == "age: the cell is missing; car: 'opel' is not one of vw, bmw"


def test_a_served_row_may_lack_what_its_request_did_not_hold():
    frame = rows({"age": None}, {"age": None}).with_columns(_origin=pl.Series(["served", "source"]))

    validated = validate(frame, dataset_schema(COLUMNS))

    assert validated.good["_key"].to_list() == ["k0"]
    assert validated.failing == {"schema": 1}


def test_rows_that_were_never_typed_are_a_programming_error():
    with pytest.raises(TypeError, match="column 'age' is not typed as declared"):
        validate(rows({}).with_columns(pl.col("age").cast(pl.String)), dataset_schema(COLUMNS))


def test_failing_rows_are_counted_by_check_with_a_sample():
    validated = validate(rows({"age": -1}, {"_key": "x"}, {"_key": "x"}, {}), dataset_schema(COLUMNS))
    misfits = pl.DataFrame({"age": ["old"], "_reason": ["age: 'old' is not an int"]})

    found = {check.name: check for check in checks(5, misfits, validated, allowed=0.0)}

    assert {name: (check.passed, check.facts["failing_rows"]) for name, check in found.items()} == {
        "schema": (False, 2),
        "keys_are_unique": (False, 2),
        "no_time_leak": (True, 0),
    }
    assert found["schema"].facts["sample"] == ["age: 'old' is not an int", "age: '-1' is not at least 0"]
    assert found["schema"].facts["failures"] == {"age is not at least 0": 1, "not of its type": 1}


@pytest.mark.parametrize(("allowed", "passed"), [(0.0, False), (0.24, False), (0.25, True)])
def test_a_declared_share_of_failing_rows_is_allowed(allowed: float, passed: bool):
    validated = validate(rows({"age": -1}, {}, {}, {}), dataset_schema(COLUMNS))

    [schema, *_] = checks(4, pl.DataFrame(schema={"_reason": pl.String}), validated, allowed)

    assert schema.passed is passed


def test_quarantined_rows_of_any_types_are_kept_as_text():
    typed = pl.DataFrame({"age": [-1], "_time": [NOON], "_reason": ["age: '-1' is not at least 0"]})
    read = pl.DataFrame({"age": ["old"], "_reason": ["age: 'old' is not an int"]})

    table = quarantine_table(read, typed)

    assert table.select("_reason", "age").rows() == [
        ("age: 'old' is not an int", "old"),
        ("age: '-1' is not at least 0", "-1"),
    ]
    assert set(table.dtypes) == {pl.String()}
    assert quarantine_table().columns == ["_reason"]


def test_no_rows_are_good_rows():
    empty = rows({}).clear()

    validated = validate(empty, dataset_schema(COLUMNS))

    assert isinstance(validated, Validated)
    assert validated.good.equals(empty)
