"""The forms of a request are told apart, and a wrong one is refused by name."""

import struct

import numpy as np
import pytest

from mlops_assets.serving.requests.forms import MAX_ROWS, Forms
from mlops_assets.serving.requests.refusal import Refused

ROWS = [{"age": 40, "job": "nurse"}, {"age": 41, "job": None}]


@pytest.fixture
def forms():
    return Forms("region")


def tensor(**changes: object) -> dict[str, object]:
    return {"name": "age", "shape": [2], "datatype": "INT64", "data": [40, 41], **changes}


def encoded(value: object) -> bytes:
    import msgspec

    return msgspec.json.encode(value)


def test_a_plain_row_is_left_undecoded_with_its_segment(forms):
    form = forms.infer(b'{"age": 40, "region": "eu"}')

    assert (form.kind, form.body, form.segment) == ("row", b'{"age": 40, "region": "eu"}', "eu")


def test_rows_are_a_list_of_objects(forms):
    form = forms.infer(encoded({"rows": ROWS}))

    assert (form.kind, form.rows) == ("rows", ROWS)


def test_oip_has_a_tensor_per_column(forms):
    job = {"name": "job", "shape": [2, 1], "datatype": "BYTES", "data": [["nurse"], [None]]}

    form = forms.infer(encoded({"id": "mine", "inputs": [tensor(), job], "outputs": [{"name": "output"}]}))

    assert (form.kind, form.client_id, form.rows) == ("oip", "mine", ROWS)


def test_oip_tensors_may_be_binary(forms):
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"nurse", "ärztin".encode()))
    numbers = np.array([40, 41], "<i8").tobytes()
    age = {"name": "age", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": len(numbers)}}
    job = {"name": "job", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(texts)}}
    head = encoded({"inputs": [age, job]})

    form = forms.infer(head + numbers + texts, len(head))

    assert form.rows == [{"age": 40, "job": "nurse"}, {"age": 41, "job": "ärztin"}]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["age", "job"], "index": [0, 1], "data": [[40, "nurse"], [41, None]]}},
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": {"age": [40, 41], "job": ["nurse", None]}},
        {"inputs": ROWS, "params": {}},
    ],
)
def test_mlflow_formats_are_the_same_rows(forms, body):
    assert forms.invocations(encoded(body)).rows == ROWS


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"inputs": [tensor(), tensor()]}, 422, "tensor 'age' is there twice"),
        ({"inputs": [tensor(), tensor(name="job", shape=[3])]}, 422, "tensor 'job' has 3 rows, the ones before it 2"),
        ({"inputs": [tensor(data=[1])]}, 422, r"tensor 'age' has 1 values, but its shape \[2\] says 2"),
        ({"inputs": [tensor(shape=[2, 3])]}, 422, r"tensor 'age' has shape \[2, 3\]; right is"),
        ({"inputs": [tensor(shape=[-1])]}, 422, "tensor 'age' has shape"),
        ({"inputs": [tensor(datatype="INT")]}, 422, 'of datatype "INT" .*; right is one of BOOL, INT8'),
        ({"inputs": [{"name": "age"}]}, 422, "missing required field `shape`"),
        ({"inputs": "x"}, 422, "Expected `array`, got `str`"),
        ({"inputs": []}, 422, "the body holds no rows"),
        ({"rows": []}, 422, "the body holds no rows; right is 1 or more"),
        ({"rows": {}}, 422, "Expected `array`, got `object`"),
        ({"rows": [{}] * (MAX_ROWS + 1)}, 413, "the body holds 10001 rows; right is 10000 or fewer"),
        ([1], 422, "the body has another form"),
    ],
)
def test_a_wrong_form_says_what_is_wrong(forms, body, status, said):
    with pytest.raises(Refused, match=said) as refused:
        forms.infer(encoded(body))

    assert refused.value.status == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "found 0 of MLflow's formats; right is one of dataframe_split, dataframe_records, instances, inputs"),
        ({"instances": ROWS, "inputs": ROWS}, "found 2 of MLflow's formats"),
        ({"rows": ROWS}, "unknown field `rows`"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "differ in length"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "names a column twice: a, a"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "row 0 has 2 values for 1 columns"),
        ({"inputs": ROWS, "params": {"t": 1}}, "found params t; this model takes none"),
    ],
)
def test_a_wrong_mlflow_format_says_what_is_wrong(forms, body, said):
    with pytest.raises(Refused, match=said):
        forms.invocations(encoded(body))


def test_binary_data_that_does_not_fit_names_its_tensor(forms):
    age = {"name": "age", "shape": [2], "datatype": "INT64", "parameters": {"binary_data_size": 9}}
    head = encoded({"inputs": [age]})

    with pytest.raises(Refused, match="tensor 'age': its binary data is no INT64"):
        forms.infer(head + b"123456789", len(head))
