"""`?explain=true` says in every form why the score is what it is, within limits, or says why not."""

import math
from dataclasses import replace

import msgspec
import pytest

from mlops_assets.serving.explain.explain import MOST_ROWS
from mlops_assets.serving.log.frames import read_frames
from mlops_assets.settings import load_settings
from mlops_assets_tests.serving.loans import INFER, ROW, deploy, route, running
from mlops_assets_tests.training import own_trainers

OTHER = {**ROW, "salary": None, "job": "clerk", "region": "us"}
WHY = f"{INFER}?explain=true"


def score(reasons: dict[str, object]) -> float:
    """The probability that reasons add up to."""
    return 1 / (1 + math.exp(-(reasons["base"] + sum(reasons["features"].values()))))


def test_a_plain_row_is_told_what_each_feature_adds(served):
    plain, explained = served.post(INFER, ROW).body, served.post(WHY, ROW).body

    reasons = explained.pop("reasons")
    assert (reasons["unit"], list(reasons["features"])) == ("log-odds", ["age", "salary", "job"])
    assert score(reasons) == pytest.approx(plain["output"], abs=1e-12)
    assert plain | {"inference_id": ""} == explained | {"inference_id": ""}
    assert served.post(f"{INFER}?explain=false", ROW).body.keys() == plain.keys()


def test_every_form_of_several_rows_is_told_them_in_order(served):
    rows = served.post(WHY, {"rows": [ROW, OTHER, ROW]}).body["predictions"]
    mlflow = served.post("/invocations?explain=true", {"instances": [ROW, OTHER]}).body
    csv = served.post(WHY, b"age,salary,job,region\n40,2500.5,nurse,eu\n40,,clerk,us\n", content_type="text/csv").body

    assert [score(row["reasons"]) for row in rows] == pytest.approx([row["output"] for row in rows], abs=1e-12)
    assert rows[0]["reasons"] == rows[2]["reasons"] != rows[1]["reasons"]
    assert mlflow["reasons"] == [row["reasons"] for row in rows[:2]]
    assert [row["reasons"] for row in csv["predictions"]] == mlflow["reasons"]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (f"{INFER}?explain=yes", ROW, 400, "explain='yes'; right is true or false"),
        (f"{INFER}?explian=true", ROW, 400, "query parameter 'explian' is not known; right is explain=true"),
        (WHY, {"rows": [ROW] * (MOST_ROWS + 1)}, 413, "explain=true for 101 rows; right is 100 or fewer at once"),
        (WHY, {**ROW, "age": 1}, 422, "field 'age'"),
    ],
)
def test_a_request_for_reasons_that_is_wrong_is_told_so(served, path, body, status, said):
    reply = served.post(path, body)

    assert (reply.status, said in reply.body["error"]) == (status, True), reply.body
    assert "mlops-inference-id" not in reply.headers


def test_a_trainer_of_the_users_own_answers_without_reasons(tmp_path, first):
    settings = load_settings(home=tmp_path)
    spec = msgspec.structs.replace(first.spec, kind=f"{own_trainers.__name__}.ridge")
    own = replace(first, spec=spec, model_bytes=b'{"weights": [0.5, 0.01, 0.0001, 1.0]}')
    deploy(settings, "own", {"eu": route(settings, own, 1)})

    with running(settings) as endpoint:
        refused = [endpoint.post(WHY, ROW), endpoint.post(WHY, ROW)]
        plain = endpoint.post(INFER, ROW)
        [log] = settings.serving("loans").glob("log/*/*.log")
        logged = read_frames(log.read_bytes()).frames

    assert [reply.status for reply in refused] == [422, 422]
    assert "of the trainer mlops_assets_tests.training.own_trainers.ridge; reasons" in refused[0].body["error"]
    assert (plain.status, len(logged)) == (200, 1)
