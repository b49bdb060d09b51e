"""`check_endpoint` passes an endpoint that keeps its promises, and names the promise that another one breaks."""

import http.server
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mlops_assets.settings import load_settings
from mlops_assets.testing import check_endpoint
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.serving.loans import ROW, deploy, route, running

ROWS = [ROW, {**ROW, "salary": None, "job": "clerk", "region": "us", "id": 8}]
Changed = Callable[[str, int, dict[str, str], dict[str, object]], tuple[int, dict[str, str], dict[str, object]]]


@pytest.fixture(scope="module")
def place(tmp_path_factory, first):
    """Settings of a home, and the URL of an endpoint that logs there."""
    settings = load_settings(home=tmp_path_factory.mktemp("home"))
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    with running(settings) as endpoint:
        yield settings, endpoint.url


@contextmanager
def between(url: str, changed: Changed) -> Iterator[str]:
    """The URL of a server that passes everything on to `url`, and tells what it says `changed`."""

    class Between(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["content-length"])))

        def answer(self, body: bytes | None) -> None:
            try:
                with urllib.request.urlopen(urllib.request.Request(url + self.path, body), timeout=10) as found:
                    status, headers, text = found.status, dict(found.headers), found.read()
            except urllib.error.HTTPError as refused:
                with refused:
                    status, headers, text = refused.code, dict(refused.headers), refused.read()
            status, headers, said = changed(self.path, status, headers, json.loads(text))
            data = json.dumps(said).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_right_endpoint_passes_also_against_the_model_and_the_log(place, first):
    settings, url = place
    predictor = Predictor(first.spec, first.model_bytes)

    def offline(rows):
        return [score.output for score in predictor.many([(row["age"], row["salary"], row["job"]) for row in rows])]

    check_endpoint(url, "loans", ROWS, offline=offline, home=settings.home)
    check_endpoint(url, "loans", ROWS[:1])
    with pytest.raises(AssertionError, match=r"by the endpoint and offline; right is one score"):
        check_endpoint(url, "loans", ROWS, offline=lambda rows: [0.5] * len(rows))
    with pytest.raises(AssertionError, match=r"was answered and is in none of the 0 logs"):
        check_endpoint(url, "loans", ROWS, home=settings.home / "elsewhere")
    with pytest.raises(ValueError, match="no rows to ask about"):
        check_endpoint(url, "loans", [])


def unready(path, status, headers, body):
    return (503 if path.endswith("ready") else status), headers, body


def forgets_a_field(path, status, headers, body):
    if path == "/v2/models/loans":
        body["inputs"] = [each for each in body["inputs"] if each["name"] != "job"]
    return status, headers, body


def rounds_tensors(path, status, headers, body):
    for output in body.get("outputs", []):
        output["data"] = [round(value, 1) for value in output.get("data", [])]
    return status, headers, body


def guesses(path, status, headers, body):
    return (200 if status == 422 else status), headers, body


def fails(path, status, headers, body):
    return (500 if status == 422 else status), headers, body


def says_no_more(path, status, headers, body):
    return status, headers, ({"error": "bad request"} if status == 422 else body)


def same_id(path, status, headers, body):
    headers = {name: value for name, value in headers.items() if name != "mlops-inference-id"}
    return status, {**headers, "mlops-inference-id": "01a1fe29-3948-7005-a2cc-29250a79f968"}, body


def no_id(path, status, headers, body):
    return status, {name: value for name, value in headers.items() if name != "mlops-inference-id"}, body


def no_document(path, status, headers, body):
    return status, headers, ({"openapi": "2.0"} if path == "/openapi.json" else body)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (unready, "/v2/health/ready answers 503; right is 200"),
        (forgets_a_field, "the endpoint reads no field 'job'; it says that it reads age, salary, region, id"),
        (no_document, "/openapi.json is no OpenAPI 3.1 document of /v2/models/loans/infer"),
        (rounds_tensors, r"row 0 is scored 0\.79\d+ and 0\.8, alone and as tensors"),
        (guesses, "an unknown field is answered with 200"),
        (fails, "an unknown field is answered with 500"),
        (says_no_more, "right is a sentence that names 'no_such_field'"),
        (same_id, "two requests have the same inference id"),
        (no_id, "an answer has the inference id ''; right is a UUIDv7"),
    ],
)
def test_a_broken_promise_is_named(place, changed, said):
    with between(place[1], changed) as url, pytest.raises(AssertionError, match=said):
        check_endpoint(url, "loans", ROWS)


def test_what_does_not_answer_at_all_is_named():
    with pytest.raises(AssertionError, match=r"http://127\.0\.0\.1:9/v2/health/live does not answer"):
        check_endpoint("http://127.0.0.1:9", "loans", ROWS)
