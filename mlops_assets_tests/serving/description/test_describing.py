"""What the endpoint says of itself: by the Open Inference Protocol, and as MLflow's own server does."""

import json
from contextlib import closing
from importlib.metadata import version

import pytest

from mlops_assets_tests.serving.loans import INFER, ROW, running

MODEL = "/v2/models/loans"


def got(served, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    with closing(served.connect()) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type") or "", answer.read()


def test_mlflows_paths_answer_as_mlflows_server_does(served):
    for path in ("/ping", "/health"):
        assert got(served, path) == (200, "application/json", b"\n")
    assert got(served, "/version") == (200, "application/json", version("mlflow").encode())


def test_before_a_champion_mlflows_paths_say_404_and_the_protocols_503(settings):
    with running(settings) as endpoint:
        assert (got(endpoint, "/ping")[0], got(endpoint, "/v2/health/ready")[0]) == (404, 503)
        assert got(endpoint, "/v2/health/live")[0] == 200
        assert json.loads(got(endpoint, MODEL)[2]) == {
            "name": "loans",
            "versions": [],
            "platform": "",
            "inputs": [],
            "outputs": [{"name": "output", "datatype": "FP64", "shape": [-1]}],
        }
        assert json.loads(got(endpoint, "/openapi.json")[2])["info"]["version"] == "0"
        assert endpoint.post(f"{MODEL}/versions/1/infer", ROW).status == 503


@pytest.mark.parametrize("path", [f"{MODEL}/versions/2", f"{MODEL}/versions/2/ready", f"{MODEL}/versions/x"])
def test_a_version_that_does_not_answer_is_a_404_that_names_those_that_do(served, path):
    status, _, body = got(served, path)

    assert (status, json.loads(body)["error"].partition("; ")[2]) == (404, "those that do: 1")


def test_a_wrong_method_is_told_which_is_right(served):
    with closing(served.connect()) as connection:
        connection.request("GET", INFER)
        answer = connection.getresponse()
        answer.read()

    assert (answer.status, answer.getheader("allow")) == (405, "POST")
