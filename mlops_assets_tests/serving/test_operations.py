"""An endpoint process under what a day brings: floods, slow clients, mistakes, signals, a store that goes away."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.serving.log.sealed import find
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.fitting import Trained
from mlops_assets_tests.serving.guarded import BROKEN_AGE, Guarded, guarded
from mlops_assets_tests.serving.loans import INFER, LOANS, ROW, deploy, post, route
from mlops_assets_tests.started import until

FOREVER_S = 60
HEAD = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
SECRET = 77_777.25
COUNT = 'mlops_variant_requests_total{segment="eu",variant="champion",version="1"}'


def deployed(settings: Settings, model: Trained) -> Settings:
    champion = route(settings, model, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    return settings


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, first: Trained) -> Iterator[Guarded]:
    """An endpoint that waits a second for a client, breaks on one age, and writes a line for each request."""
    settings = deployed(load_settings(home=tmp_path_factory.mktemp("home")), first)
    with guarded(settings, breaks=True, kept="requests", limits={"time_s": 1.0}) as endpoint:
        yield endpoint


def sent(rows: int) -> bytes:
    """A whole request of so many rows."""
    body = json.dumps({"rows": [ROW] * rows}).encode()
    return (HEAD + f"content-length: {len(body)}\r\n\r\n").encode() + body


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side hangs up."""
    parts = []
    while data := connection.recv(65_536):
        parts.append(data)
    return b"".join(parts)


def families(endpoint: Guarded) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    """What Prometheus' own parser makes of /metrics."""
    found = text_string_to_metric_families(endpoint.get("/metrics")[1])
    return {each.name: [(x.name, x.labels, x.value) for x in each.samples] for each in found}


def test_metrics_are_prometheus_text_and_count_what_happened(shared):
    before = shared.figures()
    for body in (ROW, ROW, {}, {"rows": [ROW] * 100}):
        shared.post(INFER, body)
    found, after = families(shared), shared.figures()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('mlops_requests_total{endpoint="infer",status="200"}') == 3
    assert more('mlops_requests_total{endpoint="infer",status="422"}') == 1
    assert (more('mlops_errors_total{class="4xx"}'), more('mlops_errors_total{class="5xx"}')) == (1, 0)
    assert more(COUNT) == 3
    assert [(labels["segment"], value) for _, labels, value in found["mlops_variant_share"]] == [("eu", 1), ("us", 1)]
    assert found["process_cpu_seconds"][0][2] > 0
    assert found["process_resident_memory_bytes"][0][2] > 1e7
    assert found["mlops_build_info"][0][1]["version"]
    assert {labels["queue"] for _, labels, _ in found["mlops_queue"]} == {"in_flight", "shadow", "log"}
    for name in ("mlops_unlogged", "mlops_log_lag_seconds", "mlops_ready", "mlops_uptime_seconds"):
        assert len(found[name]) == 1


def test_histograms_add_up_by_request_and_by_variant(shared):
    for _ in range(20):
        shared.post(INFER, ROW)
    found = families(shared)

    for name in ("mlops_request_seconds", "mlops_variant_seconds"):
        mine = [(part, value) for part, labels, value in found[name] if labels.get("segment", "eu") == "eu"]
        buckets = [value for part, value in mine if part.endswith("_bucket")]
        [count] = [value for part, value in mine if part.endswith("_count")]
        [total] = [value for part, value in mine if part.endswith("_sum")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == count >= 20
        assert 0 < total < FOREVER_S * count


@pytest.mark.parametrize(
    ("part", "status", "reason"),
    [
        (b"POST /v2/models/loans/infer HTTP/1.1\r\nhost: x\r\ncontent-le", 408, "slow_head"),
        ((HEAD + "content-length: 500\r\n\r\n{").encode(), 408, "slow_body"),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431, "long_head"),
    ],
)
def test_a_client_that_does_not_finish_its_request_is_cut_with_a_word(shared, part, status, reason):
    name = f'mlops_connections_cut_total{{reason="{reason}"}}'
    before = shared.figures().get(name, 0)

    with closing(shared.raw(part)) as connection:
        said = received(connection)

    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in said
    assert shared.figures()[name] == before + 1
    assert shared.post(INFER, ROW).status == 200


def test_a_client_that_sends_a_byte_now_and_then_is_cut_all_the_same(shared):
    with closing(shared.raw(b"GET /v2 HTTP/1.1\r\n")) as slow:
        slow.settimeout(0.1)
        deadline, said = time.monotonic() + FOREVER_S, b""
        while not said and time.monotonic() < deadline:
            slow.send(b"x")
            try:
                said = slow.recv(1000)
            except TimeoutError:
                continue

    assert said.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_its_answers_is_cut(shared):
    def send(to: socket.socket) -> None:
        with suppress(OSError):
            for _ in range(40):
                to.sendall(sent(2_000))

    with closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(FOREVER_S)
        deaf.connect(shared.at)
        sending = threading.Thread(target=send, args=(deaf,))
        sending.start()
        cut = until(lambda: shared.figures().get('mlops_connections_cut_total{reason="slow_reader"}'))
        sending.join()

    assert cut == 1


def test_an_error_that_nobody_foresaw_is_a_500_with_an_id_and_the_connection_goes_on(shared):
    with closing(shared.connect()) as connection:
        before = shared.figures()
        broken = post(connection, INFER, {**ROW, "age": BROKEN_AGE, "salary": SECRET})
        after = post(connection, INFER, ROW)
    counted, line = shared.figures(), shared.lines("unforeseen_error")[-1]

    id_ = broken.headers["mlops-error-id"]
    assert (broken.status, after.status) == (500, 200)
    assert id_ in broken.body["error"]
    assert str(SECRET) not in json.dumps(broken.body)
    assert counted["mlops_unforeseen_errors_total"] == before["mlops_unforeseen_errors_total"] + 1
    assert counted['mlops_errors_total{class="5xx"}'] == before['mlops_errors_total{class="5xx"}'] + 1
    assert (line["error_id"], line["kind"], line["path"]) == (id_, "KeyError", "infer")
    assert any("in broken" in frame for frame in line["trace"])


def test_lines_are_json_and_hold_no_value_of_any_request(shared):
    right = shared.post(INFER, {**ROW, "salary": SECRET})
    shared.post(INFER, {**ROW, "salary": SECRET, "age": BROKEN_AGE})
    shared.post(INFER, {**ROW, "salary": SECRET, "job": f"king of {SECRET}"})
    shared.raw(f"no http {SECRET}\r\n\r\n".encode()).close()
    until(lambda: shared.lines("log.uvicorn.error"))
    requests, text = shared.lines("request"), shared.said.read_text()

    assert str(SECRET) not in text
    assert [each["status"] for each in requests if each["path"] == "infer"][-3:] == [200, 500, 422]
    [line] = [each for each in requests if each.get("inference_id") == right.body["inference_id"]]
    assert (line["version"], line["product"]) == ("1", "loans")
    assert {"starts", "serves"} <= {each["event"] for each in shared.lines()}


def test_more_requests_than_may_be_in_flight_are_told_to_come_again_at_once(settings, first):
    statuses: list[int] = []

    def load(endpoint: Guarded) -> None:
        with closing(endpoint.connect()) as connection:
            for _ in range(4):
                statuses.append(post(connection, INFER, {"rows": [ROW] * 1_000}).status)

    with guarded(deployed(settings, first), limits={"in_flight": 2}) as endpoint:
        waiting = [endpoint.raw((HEAD + "content-length: 9\r\n\r\n").encode()) for _ in range(2)]
        until(
            lambda: endpoint.figures()['mlops_queue{queue="in_flight"}'] >= 3, within_s=FOREVER_S
        )  # with the one that asks
        refused = endpoint.post(INFER, ROW)
        ready = endpoint.get("/v2/health/ready")[0]
        for each in waiting:
            each.close()
        until(lambda: endpoint.post(INFER, ROW).status == 200, within_s=FOREVER_S)
        threads = [threading.Thread(target=load, args=(endpoint,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted, after = endpoint.figures(), endpoint.post(INFER, ROW).status

    assert (refused.status, refused.headers["retry-after"], ready) == (429, "1", 200)
    assert "2 requests are being answered already" in refused.body["error"]
    assert set(statuses) == {200, 429}
    assert counted['mlops_requests_total{endpoint="infer",status="429"}'] > statuses.count(429)
    assert (len(statuses), after) == (32, 200)


def test_bodies_rows_and_time_have_limits_that_say_what_is_right(settings, first):
    with guarded(deployed(settings, first), limits={"body": 2_000_000, "rows": 9_000, "time_s": 0.01}) as endpoint:
        body = endpoint.post(INFER, b"x" * 2_000_001)
        rows = endpoint.post(INFER, {"rows": [ROW] * 9_001})
        late = endpoint.post(INFER, {"rows": [ROW] * 9_000})
        single = until(lambda: (found := endpoint.post(INFER, ROW)).status == 200 and found)

    assert (body.status, body.body["error"]) == (413, "the body is longer than 2000000 bytes; send it in parts")
    assert (rows.status, "right is 9000 or fewer" in rows.body["error"]) == (413, True)
    assert (late.status, "not answered in 0.01 s (limits.time)" in late.body["error"]) == (503, True)
    assert single.status == 200


def test_a_flood_of_failures_leaves_few_lines(settings):
    with guarded(settings) as endpoint, closing(endpoint.connect()) as connection:
        for _ in range(300):
            post(connection, INFER, ROW)
        lines = endpoint.lines("refused")

    assert 0 < len(lines) <= 250  # 50 in ten seconds, however slow the machine is
    assert lines[0]["why"] == "loans has no champion yet; the first one promoted is served at once"


def test_a_signal_makes_it_not_ready_then_clients_leave_then_what_is_in_flight_is_answered(settings, first):
    folder = settings.serving("loans")
    with guarded(deployed(settings, first), linger_s=1.0) as endpoint, closing(endpoint.connect()) as connection:
        before = post(connection, INFER, ROW)
        ready_before = endpoint.get("/v2/health/ready")[0]
        request = sent(1_000)
        flying = endpoint.raw(request[:-10])
        until(lambda: endpoint.figures()['mlops_queue{queue="in_flight"}'] >= 2)  # with the one that asks
        endpoint.process.send_signal(signal.SIGTERM)
        ready = until(lambda: (found := endpoint.get("/v2/health/ready"))[0] == 503 and found)
        leaving = post(connection, INFER, ROW)
        until(lambda: endpoint.lines("stops"))
        flying.sendall(request[-10:])
        flown = received(flying)
        flying.close()
        code = endpoint.process.wait(FOREVER_S)
        events = [each["event"] for each in endpoint.lines()]

    assert (before.status, before.headers.get("connection"), ready_before) == (200, None, 200)
    assert json.loads(ready[1])["ready"] is False
    assert (leaving.status, leaving.headers["connection"]) == (200, "close")
    assert flown.startswith(b"HTTP/1.1 200 ")
    id_ = json.loads(flown.partition(b"\r\n\r\n")[2])["inference_id"]
    assert find(folder, LOANS.grid, f"{id_}.999") is not None
    assert (code, events[-3:]) == (0, ["drains", "stops", "ended"])


def test_it_serves_on_and_starts_again_while_store_ledger_dagster_and_mlflow_are_away(settings, first):
    away = deployed(settings, first).home.with_name("away")
    with guarded(settings, env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}) as endpoint:
        endpoint.post(INFER, ROW)
        away.mkdir()
        for path in settings.home.iterdir():
            if path.name != "serving":
                path.rename(away / path.name)
        on = endpoint.post(INFER, ROW)
    with guarded(settings) as endpoint:
        again = endpoint.post(INFER, ROW)
        lines = endpoint.lines("store_away")
    (away / "objects").rename(settings.home / "objects")
    model = settings.home / route(settings, first, 1).model.address
    model.unlink()
    model.write_bytes(b"tree\n")
    with guarded(settings) as endpoint:
        damaged = endpoint.post(INFER, ROW)
        [refused] = until(lambda: endpoint.lines("deployment_refused"))

    assert (on.status, again.status, damaged.status) == (200, 200, 503)
    assert again.body["output"] == on.body["output"]
    assert len({each["file"] for each in lines}) == 2
    assert "do not hash to" in refused["why"]  # a copy hides no damage
