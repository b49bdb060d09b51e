"""The forms of a request are told apart, and a wrong one is refused by name."""

import struct

import numpy as np
import pytest

from mlops_assets.intake.images import png
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.forms import MAX_ROWS, Forms
from mlops_assets.serving.requests.oip import ALL_OUTPUTS
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.training.model import ColumnSpec

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


def test_nothing_stands_beside_rows(forms):
    with pytest.raises(Refused, match="unknown field `age`"):
        forms.infer(encoded({"rows": ROWS, "age": 40}))


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


def test_an_image_in_a_binary_tensor_is_its_files_bytes(forms):
    spec, file = ColumnSpec(type="image", shape=[2, 3, 1]), png(np.zeros((2, 3, 1), np.uint8))
    data = struct.pack("<I", len(file)) + file
    head = encoded({"inputs": [sized("file", "BYTES", len(data), rows=1)]})

    form = forms.infer(head + data, len(head))

    assert [row.values for row in RowDecoder({"file": spec}).many(form.rows, [0])] == [(file,)]
    with pytest.raises(Refused, match=r"field 'file': found .*right is text"):
        RowDecoder({"file": ColumnSpec(type="str")}).many(form.rows, [0])


def sized(name: str, datatype: str, size: object, *, rows: int = 2) -> dict[str, object]:
    """A tensor whose values are in the binary part."""
    return {"name": name, "shape": [rows], "datatype": datatype, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ([sized("age", "INT64", 24)], "binary_data_size is 24 .*; right is 0 to 16, the bytes left"),
        ([sized("age", "INT64", -16)], "binary_data_size is -16 .*; right is 0 to 16"),
        ([sized("age", "INT64", "16")], 'binary_data_size is "16"'),
        ([sized("age", "INT64", True)], "binary_data_size is true"),
        ([sized("age", "INT64", 8)], r"tensor 'age' has 1 values, but its shape \[2\] says 2"),
        ([sized("age", "INT32", 8)], "the tensors take 8 bytes of the 16 that follow the JSON"),
        ([sized("age", "BYTES", 16)], "tensor 'age': its binary data is no BYTES: a text ends beyond the data"),
        ([{**sized("age", "INT64", 16), "data": [1, 2]}], "tensor 'age' has both `data` and 'binary_data_size'"),
        ([{"name": "age", "shape": [2], "datatype": "INT64"}], "tensor 'age' has no values; right is `data`"),
    ],
)
def test_wrong_binary_sizes_are_told(forms, tensors, said):
    head = encoded({"inputs": tensors})

    with pytest.raises(Refused, match=said) as refused:
        forms.infer(head + np.array([40, 41], "<i8").tobytes(), len(head))

    assert refused.value.status == 422


def test_the_end_of_the_json_has_to_be_within_the_body(forms):
    with pytest.raises(Refused, match="the JSON before the tensors is 99 bytes long, the whole body 2"):
        forms.infer(b"{}", 99)


def test_outputs_are_asked_for_by_name(forms):
    wanted = [{"name": "output", "parameters": {"binary_data": False}}, {"name": "decision"}]

    def outputs(**body: object) -> object:
        return forms.infer(encoded({"inputs": [tensor()], **body})).outputs

    assert outputs() == ALL_OUTPUTS
    assert outputs(outputs=wanted) == ({"output": False, "decision": False}, False)
    assert outputs(outputs=wanted, parameters={"binary_data_output": True}).named == {"output": False, "decision": True}
    assert outputs(parameters={"binary_data_output": True}) == ({}, True)
    for wrong, said in [
        ({"outputs": [{"name": "x", "parameters": {"binary_data": 1}}]}, "parameter 'binary_data' is 1"),
        ({"outputs": [{"name": "x"}, {"name": "x"}]}, "output 'x' is asked for twice"),
        ({"outputs": [{"name": "x", "parameters": {"classification": 2}}]}, "parameter 'classification' is not known"),
        ({"parameters": {"binary_data_output": "yes"}}, "parameter 'binary_data_output' is \"yes\""),
    ]:
        with pytest.raises(Refused, match=said):
            outputs(**wrong)


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
        ([1], 422, r'the body has another form: .*; right is one row .*, several {"rows": \[ROW, …\]}'),
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
        ({"dataframe_splt": {}}, r'unknown field `dataframe_splt`; right is one of {"dataframe_split": {"columns"'),
        (ROWS[0], "a plain row goes to /v2/models/PRODUCT/infer"),
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
