"""Rows are decoded exactly or refused with every field named."""

import json
from datetime import UTC, datetime

import pytest

from mlops_assets.serving.requests.decoder import Decoded, RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.model import ColumnSpec

INPUTS = {
    "age": ColumnSpec(type="int", min=18, max=99),
    "loan amount": ColumnSpec(type="float", min=0, nullable=True),
    "class": ColumnSpec(type="str", isin=["a", "b"]),
    "town": ColumnSpec(type="str"),
    "home": ColumnSpec(type="bool"),
    "since": ColumnSpec(type="datetime"),
}
ROW = {
    "age": 40,
    "loan amount": 12,
    "class": "a",
    "town": "",
    "home": True,
    "since": "2026-01-31T12:00:00+02:00",
    "region": "eu",
}


@pytest.fixture
def decoder():
    return RowDecoder(INPUTS, key="id", segment="region")


def test_a_row_is_read_in_the_order_of_the_inputs(decoder):
    since = datetime(2026, 1, 31, 10, tzinfo=UTC)

    row = decoder.one(json.dumps({**ROW, "id": 7}).encode())

    assert row.values == (40, 12.0, "a", "", True, since)
    assert isinstance(row.values[1], float)
    assert row.key == "7"


def test_a_key_may_be_left_out_and_a_null_is_taken_where_declared(decoder):
    row = decoder.one(json.dumps({**ROW, "loan amount": None}).encode())

    assert (row.values[1], row.key) == (None, None)


WRONG = [
    ({"age": "40"}, "field 'age': found \"40\" (text); right is an int, at least 18, at most 99"),
    ({"age": True}, "field 'age': found true (bool); right is an int, at least 18, at most 99"),
    ({"age": 40.0}, "field 'age': found 40.0 (float); right is an int, at least 18, at most 99"),
    ({"age": 17}, "field 'age': found 17 (int); right is an int, at least 18, at most 99"),
    ({"age": 10**30}, "field 'age': found 1000000000000000000000000000000 (int)"),
    ({"age": None}, "field 'age': found null; right is an int, at least 18, at most 99"),
    ({"loan amount": -0.5}, "field 'loan amount': found -0.5 (float); right is a number, at least 0, or null"),
    ({"loan amount": "1"}, "field 'loan amount': found \"1\" (text)"),
    ({"loan amount": False}, "field 'loan amount': found false (bool)"),
    ({"class": "c"}, "field 'class': found \"c\" (text); right is one of 'a', 'b'"),
    ({"class": 1}, "field 'class': found 1 (int); right is one of 'a', 'b'"),
    ({"town": None}, "field 'town': found null; right is text"),
    ({"town": ["x"]}, "field 'town': found a list; right is text"),
    ({"home": 1}, "field 'home': found 1 (int); right is true or false"),
    ({"since": "2026-01-31"}, "field 'since': found \"2026-01-31\" (text); right is a time such as"),
    ({"since": "2026-01-31T12:00:00"}, "right is a time such as '2026-01-31T12:00:00Z'"),
    ({"since": "0001-01-01T00:00:00+14:00"}, "(a time before the year 1 or after 9999 in UTC); right is"),
    ({"since": "9999-12-31T23:59:59-12:00"}, "field 'since': found 9999-12-31 23:59:59-12:00 (a time before"),
    ({"id": 1.5}, "field 'id': found 1.5 (float); right is text or an int"),
    (
        {"salary": 1},
        "field 'salary': found an unknown field; right is one of the known fields: age, loan amount, class",
    ),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_a_field_that_is_wrong_is_named_with_what_is_right(decoder, change, said):
    row = {**ROW, **change}

    with pytest.raises(Refused) as one:
        decoder.one(json.dumps(row).encode())
    with pytest.raises(Refused) as many:
        decoder.many([ROW, row], [0, 1])

    assert (one.value.status, many.value.status) == (422, 422)
    assert said in str(one.value)
    assert said in str(many.value)
    assert [problem.row for problem in many.value.problems] == [1]


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_field_is_named(decoder, name):
    row = {field: value for field, value in ROW.items() if field != name}

    with pytest.raises(Refused, match=f"field '{name}': found nothing \\(missing\\)"):
        decoder.one(json.dumps(row).encode())


def test_every_problem_of_a_row_is_listed(decoder):
    with pytest.raises(Refused, match=r"\(and 7 more\)") as refused:
        decoder.one(b'{"age": 1, "x": 2}')

    assert [problem.field for problem in refused.value.problems] == [*INPUTS, "region", "x"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_nan_and_no_infinity_gets_in(decoder, value):
    with pytest.raises(Refused, match="field 'loan amount'"):
        decoder.many([{**ROW, "loan amount": value}], [0])


@pytest.mark.parametrize("body", [b"", b"{", b"age=4", b"\xff", b'{"age": NaN}', b'{"age": 1e999}', b"[" * 100_000])
def test_what_is_no_json_is_a_400(decoder, body):
    with pytest.raises(Refused, match="the body is no JSON") as refused:
        decoder.one(body)

    assert refused.value.status == 400


@pytest.mark.parametrize("body", [b"[]", b"3", b'"x"', b"null"])
def test_json_that_is_no_object_says_what_is_right(decoder, body):
    with pytest.raises(Refused, match="right is an object with one field per column") as refused:
        decoder.one(body)

    assert refused.value.status == 422


def test_a_key_and_segment_that_are_inputs_keep_the_type_of_the_input():
    decoder = RowDecoder({"id": ColumnSpec(type="int"), "region": ColumnSpec(type="int")}, key="id", segment="region")

    assert decoder.one(b'{"id": 3, "region": 4}') == Decoded((3, 4), "3")
    with pytest.raises(Refused, match="field 'region'"):
        decoder.one(b'{"id": 3, "region": "4"}')
