"""The client that Triton ships talks to the endpoint: metadata, readiness, tensors as JSON and binary, both ways."""

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.serving.loans import fitted

NAMES = ("age", "salary", "job", "region")
DATATYPES = {"age": "INT64", "salary": "FP64", "job": "BYTES", "region": "BYTES"}
DTYPES = {"INT64": np.int64, "FP64": np.float64, "BYTES": np.object_}
ROWS = [(40, 2500.5, "nurse", "eu"), (40, 1200.0, "clerk", "us"), (18, 4999.0, "smith", "eu")]


@pytest.fixture(scope="module")
def client(served) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(served.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture(scope="module")
def expected() -> list[float]:
    """What the model says of ROWS."""
    model = fitted(1)
    return [score.output for score in Predictor(model.spec, model.model_bytes).many([row[:3] for row in ROWS])]


def tensors(rows: list[tuple[object, ...]] = ROWS, *, binary: bool = True, column: bool = False) -> list[InferInput]:
    """One tensor per column, of shape (rows,) or, as a `column`, (rows, 1)."""
    made: list[InferInput] = []
    for name, values in zip(NAMES, zip(*rows, strict=True), strict=True):
        array = np.array(values, DTYPES[DATATYPES[name]])
        array = array[:, None] if column else array
        made.append(InferInput(name, list(array.shape), DATATYPES[name]).set_data_from_numpy(array, binary_data=binary))
    return made


def test_the_client_finds_server_and_model(client):
    server, model = client.get_server_metadata(), client.get_model_metadata("loans")

    assert (client.is_server_live(), client.is_server_ready(), client.is_model_ready("loans")) == (True, True, True)
    assert (server["name"], "binary_tensor_data" in server["extensions"]) == ("mlops_assets loans", True)
    assert (model["name"], model["versions"], model["platform"]) == ("loans", ["1"], "lightgbm")
    assert {each["name"]: each["datatype"] for each in model["inputs"]} == {**DATATYPES, "id": "BYTES"}
    assert model["outputs"] == [{"name": "output", "datatype": "FP64", "shape": [-1]}]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("column", [False, True])
def test_tensors_are_answered_in_json_and_binary(client, expected, binary, column):
    outputs = [InferRequestedOutput("output", binary_data=binary)]

    result = client.infer("loans", tensors(binary=binary, column=column), outputs=outputs, request_id="mine")

    assert result.as_numpy("output").tolist() == expected
    said = result.get_response()
    assert said["id"] == "mine"
    assert ("data" in said["outputs"][0]) is not binary


def test_a_client_that_names_no_output_gets_all_of_them_binary(client, expected):
    result = client.infer("loans", tensors())

    assert result.as_numpy("output").tolist() == expected
    assert result.get_response()["outputs"][0]["parameters"] == {"binary_data_size": 8 * len(ROWS)}


def test_a_batch_of_ten_thousand_rows_is_answered_row_by_row(client, expected):
    result = client.infer("loans", tensors(ROWS * 3333))

    assert result.as_numpy("output").tolist() == expected * 3333


def test_requests_that_are_sent_side_by_side_get_their_own_answers(served, expected):
    with InferenceServerClient(served.url.removeprefix("http://"), concurrency=8) as client:
        asked = [client.async_infer("loans", tensors([ROWS[at % 3]])) for at in range(60)]
        found = [each.get_result().as_numpy("output").tolist() for each in asked]

    assert found == [[expected[at % 3]] for at in range(60)]


def test_reasons_come_as_tensors_that_sum_to_the_score(client, expected):
    result = client.infer("loans", tensors(), query_params={"explain": "true"})

    reasons, base = result.as_numpy("reasons"), result.as_numpy("reason_base")
    scores = 1 / (1 + np.exp(-(reasons.sum(axis=1) + base)))
    assert [name.decode() for name in result.as_numpy("reason_names")] == ["age", "salary", "job"]
    assert scores.tolist() == pytest.approx(expected, abs=1e-9)


def test_a_version_answers_if_it_is_the_one_that_serves(client, expected):
    result = client.infer("loans", tensors(), model_version="1")

    assert result.as_numpy("output").tolist() == expected
    assert client.is_model_ready("loans", "1")
    assert client.get_model_metadata("loans", "1")["versions"] == ["1"]
    assert not client.is_model_ready("loans", "2")
    with pytest.raises(InferenceServerException, match="no version '2' answers for segment 'eu'; right is 1"):
        client.infer("loans", tensors(), model_version="2")
    with pytest.raises(InferenceServerException, match="no version '2' answers; those that do: 1"):
        client.get_model_metadata("loans", "2")


def test_an_error_reaches_the_client_as_one_sentence(client):
    wrong = tensors([(17, 1.0, "nurse", "eu")])

    with pytest.raises(InferenceServerException, match="row 0: field 'age': found 17") as refused:
        client.infer("loans", wrong)
    with pytest.raises(InferenceServerException, match="no path '/v2/models/other/infer'"):
        client.infer("other", tensors())
    with pytest.raises(InferenceServerException, match="no output 'score'; known outputs: output"):
        client.infer("loans", tensors(), outputs=[InferRequestedOutput("score")])
    with pytest.raises(InferenceServerException, match="parameter 'classification' is not known"):
        client.infer("loans", tensors(), outputs=[InferRequestedOutput("output", class_count=2)])

    assert refused.value.status() == "422"


def test_a_compressed_body_is_refused_by_name(client):
    with pytest.raises(InferenceServerException, match="Content-Encoding is 'gzip'; right is an uncompressed body"):
        client.infer("loans", tensors(), request_compression_algorithm="gzip")
