"""The endpoint over real HTTP: right answers to right requests, 4xx to wrong ones, in every form."""

import json

import pytest

from mlops_assets.serving.log.ids import parse
from mlops_assets.serving.requests.forms import MAX_ROWS
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.serving.loans import INFER, LOANS, OUTCOMES, ROW, post

OTHER = {**ROW, "salary": 1200.0, "job": "clerk", "region": "us"}
TENSORS = [
    {"name": "age", "shape": [2], "datatype": "INT32", "data": [40, 40]},
    {"name": "salary", "shape": [2], "datatype": "FP64", "data": [2500.5, 1200.0]},
    {"name": "job", "shape": [2], "datatype": "BYTES", "data": ["nurse", "clerk"]},
    {"name": "region", "shape": [2], "datatype": "BYTES", "data": ["eu", "us"]},
]


@pytest.fixture(scope="module")
def expected(first):
    """What the model says of ROW and OTHER."""
    predictor = Predictor(first.spec, first.model_bytes)
    return [predictor.one((40, 2500.5, "nurse")).output, predictor.one((40, 1200.0, "clerk")).output]


def test_a_plain_row_gets_its_score_with_id_and_version(served, expected):
    reply = served.post(INFER, ROW)

    id_ = reply.headers["mlops-inference-id"]
    assert reply.status == 200
    assert reply.body == {
        "inference_id": id_,
        "segment": "eu",
        "model_version": "1",
        "output": expected[0],
        "model_name": "loans",
    }
    assert reply.headers["mlops-model-version"] == "1"
    assert parse(id_).row is None


def test_rows_of_several_segments_come_back_in_their_order(served, expected):
    reply = served.post(INFER, {"rows": [ROW, OTHER, ROW]})

    rows = reply.body["predictions"]
    assert [row["segment"] for row in rows] == ["eu", "us", "eu"]
    assert [row["output"] for row in rows] == [expected[0], expected[1], expected[0]]
    assert [row["inference_id"] for row in rows] == [f"{reply.body['inference_id']}.{at}" for at in range(3)]


def test_open_inference_protocol_echoes_the_id_and_adds_its_own(served, expected):
    reply = served.post(INFER, {"id": "mine", "inputs": TENSORS})

    assert reply.body == {
        "model_name": "loans",
        "model_version": "1",
        "id": "mine",
        "parameters": {"inference_id": reply.headers["mlops-inference-id"]},
        "outputs": [{"name": "output", "datatype": "FP64", "shape": [2], "data": expected}],
    }


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values()), list(OTHER.values())]}},
        {"dataframe_records": [ROW, OTHER]},
        {"instances": [ROW, OTHER]},
        {"inputs": {name: [ROW[name], OTHER[name]] for name in ROW}},
    ],
)
def test_mlflow_formats_are_answered(served, expected, body):
    reply = served.post("/invocations", body)

    assert (reply.status, reply.body["predictions"]) == (200, expected)
    assert reply.body["inference_id"] == reply.headers["mlops-inference-id"]


def test_a_large_batch_is_answered_as_single_rows_are(served, expected):
    reply = served.post(INFER, {"rows": [ROW, OTHER] * 500})

    assert [row["output"] for row in reply.body["predictions"]] == expected * 500


BAD = [
    (INFER, {**ROW, "age": "40"}, 422, "field 'age': found \"40\" (text)"),
    (INFER, {"age": 40}, 422, "field 'region': found nothing (missing); right is one of the segments eu, us"),
    (INFER, {**ROW, "region": "asia"}, 422, "no segment 'asia'; known segments: eu, us"),
    (INFER, {**ROW, "region": None}, 422, "field 'region': found null"),
    (INFER, {**ROW, "region": True}, 422, "field 'region': found true (bool)"),
    (INFER, {**ROW, "bonus": 1}, 422, "field 'bonus': found an unknown field"),
    (
        INFER,
        {"rows": [ROW, {**OTHER, "job": "king"}]},
        422,
        "row 1: field 'job': found \"king\" (text); right is one of",
    ),
    (INFER, {"rows": [ROW, 3]}, 422, "row 1: field 'region': found nothing"),
    (INFER, {"rows": [ROW] * (MAX_ROWS + 1)}, 413, "right is 10000 or fewer"),
    (INFER, {"inputs": TENSORS[:2]}, 422, "row 0: field 'region'"),
    (INFER, b"", 400, "the body is no JSON"),
    (INFER, b"\x00\xff", 400, "the body is no JSON"),
    (INFER, b'"row"', 422, "the body has another form"),
    (INFER, b"x" * (LOANS.endpoint.limits.body + 1), 413, "the body is longer than"),
    ("/invocations", ROW, 422, "unknown field"),
    ("/v2/models/other/infer", ROW, 404, "known: /v2/models/loans/infer, "),
    ("/v2/clock", {"at": 1}, 404, "no path '/v2/clock'"),
    ("/metrics", {}, 405, "POST /metrics; right is GET"),
    (
        OUTCOMES,
        {"outcomes": [{"inference_id": "7", "label": 1}]},
        422,
        "row 0: field 'inference_id': found \"7\" (text)",
    ),
    (OUTCOMES, {"outcomes": [{"inference_id": 7}]}, 422, "missing required field `label`"),
    (OUTCOMES, {"outcome": []}, 422, 'right is {"outcomes": [{"inference_id"'),
    (OUTCOMES, b"{", 400, "the body is no JSON"),
]


@pytest.mark.parametrize(("path", "body", "status", "said"), BAD)
def test_a_bad_request_is_told_what_is_right(served, path, body, status, said):
    reply = served.post(path, body)

    assert (reply.status, said in reply.body["error"]) == (status, True), reply.body["error"]
    assert "mlops-inference-id" not in reply.headers


def test_the_clock_header_is_refused_by_a_server_with_its_own_clock(served):
    reply = served.post(INFER, ROW, mlops_clock="2026-01-06T00:00:00Z")

    assert reply.status == 400
    assert "this endpoint stamps with its own clock" in reply.body["error"]


def test_a_connection_is_good_after_a_bad_request(served):
    connection = served.connect()

    statuses = [post(connection, INFER, body).status for body in (b"{", ROW, {}, ROW)]

    connection.close()
    assert statuses == [400, 200, 422, 200]


def test_outcomes_of_known_predictions_are_accepted_and_others_are_named(served):
    single = served.post(INFER, ROW).body["inference_id"]
    batch = served.post(INFER, {"rows": [ROW, ROW]}).body["inference_id"]
    right = [{"inference_id": single, "label": 1}, {"inference_id": f"{batch}.1", "label": "0"}]
    never = "01a1fe29-3948-7005-a2cc-29250a79f968"

    accepted = served.post(OUTCOMES, {"outcomes": right})
    whole_batch = served.post(OUTCOMES, {"outcomes": [*right, {"inference_id": batch, "label": 1}]})
    unknown = served.post(OUTCOMES, {"outcomes": [*right, {"inference_id": never, "label": 1}]})
    no_class = served.post(OUTCOMES, {"outcomes": [{"inference_id": single, "label": True}]})

    far = served.post(OUTCOMES, {"outcomes": [{"inference_id": "ffffffff-ffff-7fff-bfff-ffffffffffff", "label": 1}]})

    assert far.status == 422
    assert (accepted.status, accepted.body) == (200, {"accepted": 2})
    assert (whole_batch.status, unknown.status, no_class.status) == (422, 422, 422)
    assert f"row 2: field 'inference_id': found {never}, which was never given out" in unknown.body["error"]
    assert "field 'label': found true (bool); right is one of '0', '1'" in no_class.body["error"]


def test_metrics_count_answers_and_name_the_versions_served(served):
    served.post(INFER, ROW)
    served.post(INFER, {})

    lines = dict(line.rsplit(" ", 1) for line in served.get("/metrics").splitlines() if not line.startswith("#"))

    assert int(lines['mlops_requests_total{endpoint="infer",status="200"}']) >= 1
    assert int(lines['mlops_errors_total{class="4xx"}']) >= 1
    assert lines['mlops_errors_total{class="5xx"}'] == "0"
    assert lines['mlops_served_version{segment="eu"}'] == "1"
    assert float(lines["mlops_log_lag_seconds"]) == 0
    count = lines["mlops_request_seconds_count"]
    assert lines['mlops_request_seconds_bucket{le="+Inf"}'] == count


def test_the_endpoint_says_what_it_serves(served):
    server, page = json.loads(served.get("/v2")), served.get("/")

    assert (server["deployment"], server["segments"]) == ("d1", {"eu": "1", "us": "1"})
    assert json.loads(served.get("/v2/health/ready"))["ready"] is True
    assert '<body data-product="loans">' in page
