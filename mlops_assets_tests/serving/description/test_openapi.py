"""`/openapi.json` is a right OpenAPI 3.1 document of all that answers, and requests made of it are never a 5xx."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import schemathesis

from mlops_assets.evidence.store import Store
from mlops_assets.serving.description.document import document
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.routing.router import Loader
from mlops_assets_tests.serving.loans import INFER, LOANS, ROW, deploy, route


@pytest.fixture(scope="module")
def described(served) -> dict[str, object]:
    return json.loads(served.get("/openapi.json"))


def test_the_document_is_valid(described):
    schemathesis.openapi.from_dict(described).validate()

    assert described["openapi"] == "3.1.0"
    assert (described["info"]["title"], described["info"]["version"]) == ("loans", "1")


def test_every_path_that_answers_is_in_it(served, described):
    known = served.get("/nowhere/at/all").partition("known: ")[2].rstrip('"}').split(", ")

    templates = [re.sub(r"\{\w+\}", "*", path) for path in described["paths"]]
    assert sorted(templates) == sorted(known)
    assert {INFER, "/invocations", "/metrics", "/ping", "/health", "/version", "/openapi.json"} <= set(known)


def test_a_row_is_described_as_its_decoder_reads_it(described):
    row = described["components"]["schemas"]["Row"]

    assert row["required"] == ["age", "salary", "job", "region"]
    assert row["additionalProperties"] is False
    assert row["properties"]["age"] == {"type": "integer", "minimum": 18, "maximum": 99}
    assert row["properties"]["salary"] == {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert row["properties"]["job"] == {"enum": ["clerk", "nurse", "smith"]}
    assert row["properties"]["region"] == {"enum": ["eu", "us"]}


def test_every_example_is_answered(served, described):
    tried = 0
    for path in (INFER, "/invocations"):
        body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for name, example in body["examples"].items():
            reply = served.post(path, example["value"])
            assert reply.status == 200, (path, name, reply.body)
            tried += 1

    assert tried == 7


def test_every_refusal_is_as_described(served, described):
    failure = described["components"]["schemas"]["Failure"]

    reply = served.post(INFER, {**ROW, "age": "x"})

    assert set(reply.body) <= set(failure["properties"])
    assert reply.body["problems"][0].keys() <= described["components"]["schemas"]["Problem"]["properties"].keys()


def test_segments_whose_models_read_other_fields_have_rows_of_their_own(settings, first, second):
    fewer = replace(second, spec=msgspec.structs.replace(second.spec, inputs={**second.spec.inputs}))
    fewer.spec.inputs["age"] = msgspec.structs.replace(fewer.spec.inputs["age"], max=60)
    deploy(settings, "two", {"eu": route(settings, first, 1), "us": route(settings, fewer, 2)})
    deployment = read_deployment(settings.serving("loans"))
    assert deployment is not None

    made = document(LOANS, Loader(LOANS, Store(settings.home)).table(deployment), {})

    rows = made["components"]["schemas"]["Row"]["anyOf"]
    assert [(row["properties"]["age"]["maximum"], row["properties"]["region"]["enum"]) for row in rows] == [
        (99, ["eu"]),
        (60, ["us"]),
    ]
    assert made["info"]["version"] == "1,2"


CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"),
    *("negative_data_rejection", "unsupported_method", "allow_header_conformance"),
)


@pytest.mark.chaos
def test_requests_made_of_the_document_are_answered_as_it_says(served, tmp_path):
    examples = os.environ.get("SCHEMA_EXAMPLES", "5")  # of each operation and phase
    own = Path(sys.executable).parent / "schemathesis"
    options = ("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", examples)
    quiet = ("--seed", "1", "--request-timeout", "10", "--generation-database", "none", "--no-color")

    done = subprocess.run(
        [own, "run", f"{served.url}/openapi.json", *options, *quiet],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "Tested: " in done.stdout
    assert served.post(INFER, ROW).status == 200
