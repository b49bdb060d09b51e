"""One endpoint process through its life: start, swap, kill, drain, full disk, replay."""

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.ids import parse
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.serving.log.seal import closed_windows, seal
from mlops_assets.serving.log.sealed import find
from mlops_assets.serving.routing.deploy import wait_until_served
from mlops_assets.serving.workers import live_workers, workers
from mlops_assets_tests.serving.loans import INFER, LOANS, OUTCOMES, ROW, deploy, post, route, running

FOREVER_S = 60


@pytest.fixture
def folder(settings):
    return settings.serving("loans")


def until(condition):
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + FOREVER_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


def logged(folder):
    return [read_frames(mapped(path)) for path in sorted(folder.glob("log/*/*.log"))]


def test_serving_loads_neither_dagster_nor_mlflow_nor_torch():
    heavy = ("dagster", "mlflow", "torch")
    script = f"import sys, mlops_assets.serving.worker.server; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_before_a_champion_the_answer_is_a_503_that_says_so(settings, folder, first):
    with running(settings) as endpoint:
        before = endpoint.post(INFER, ROW)
        ready = json.loads(endpoint.get("/v2/health/ready"))
        deploy(settings, "d1", {"eu": route(settings, first, 1)})
        [worker] = until(lambda: wait_until_served(folder, "d1", FOREVER_S))
        served = endpoint.post(INFER, ROW)
        other = endpoint.post(INFER, {**ROW, "region": "us"})

    assert (before.status, ready["ready"]) == (503, False)
    assert "loans has no champion yet" in before.body["error"]
    assert (served.status, worker.url) == (200, endpoint.url)
    assert other.status == 503
    assert "segment 'us' has no champion yet" in other.body["error"]


def test_an_unknown_segment_is_answered_by_the_fallback_and_logged_as_it(settings, folder, first):
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion}, fallback="us")
    with running(settings) as endpoint:
        reply = endpoint.post(INFER, {**ROW, "region": "asia"})

    row = find(folder, LOANS.grid, reply.body["inference_id"])
    assert (reply.status, reply.body["segment"]) == (200, "us")
    assert row is not None
    assert row["segment"].to_list() == ["us"]


def test_versions_are_swapped_under_load_without_a_failed_request(settings, folder, first, second):
    one, two = route(settings, first, 1), route(settings, second, 2)
    deploy(settings, "d0", {"eu": one, "us": one})
    versions, stop = [], threading.Event()

    def load(endpoint):
        with contextlib.closing(endpoint.connect()) as connection:
            while not stop.is_set():
                reply = post(connection, INFER, ROW)
                versions.append((reply.status, reply.headers["mlops-model-version"], reply.body["output"]))

    with running(settings) as endpoint:
        threads = [threading.Thread(target=load, args=(endpoint,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(1, 6):
            deploy(settings, f"d{number}", {"eu": two if number % 2 else one, "us": one})
            assert len(wait_until_served(folder, f"d{number}", FOREVER_S)) == 1
        stop.set()
        for thread in threads:
            thread.join()

    assert {status for status, _, _ in versions} == {200}
    assert {version for _, version, _ in versions} == {"1", "2"}
    assert len({(version, output) for _, version, output in versions}) == 2
    assert sum(len(reading.frames) for reading in logged(folder)) == len(versions)


def test_a_deployment_that_cannot_be_loaded_is_refused_and_the_old_one_stays(settings, folder, first, second):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    broken = route(settings, second, 2)
    path = settings.home / broken.model.address
    path.write_bytes(path.read_bytes()[:-1])
    with running(settings) as endpoint:
        deploy(settings, "d2", {"eu": broken})
        answering = wait_until_served(folder, "d2", FOREVER_S)
        [worker] = live_workers(folder, datetime.now(UTC))
        reply = endpoint.post(INFER, ROW)

    assert answering == []
    assert (worker.deployment, worker.refused) == ("d1", "d2")
    assert worker.error is not None
    assert broken.model.address in worker.error
    assert reply.headers["mlops-model-version"] == "1"


def test_an_answer_that_came_is_in_the_log_of_a_killed_process(settings, folder, first):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    acknowledged = []

    def load(endpoint):
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(endpoint.connect()) as connection,
        ):
            while True:
                acknowledged.append(post(connection, INFER, ROW).body["inference_id"])

    with running(settings) as endpoint:
        threads = [threading.Thread(target=load, args=(endpoint,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 400)
        endpoint.process.kill()
        for thread in threads:
            thread.join()

    [reading] = logged(folder)
    assert {parse(id_).request for id_ in acknowledged} <= {frame.id for frame in reading.frames}
    assert len({frame.id for frame in reading.frames}) == len(reading.frames)
    assert (reading.missing, reading.skipped, reading.closed) == (0, 0, False)


def test_a_stopped_endpoint_answers_what_is_in_flight_and_finishes_its_log(settings, folder, first):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    with running(settings) as endpoint:
        connection = endpoint.connect()
        post(connection, INFER, ROW)
        connection.putrequest("POST", INFER)
        body = json.dumps(ROW).encode()
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body[:10])
        until(lambda: endpoint.get("/v2/health/live"))
        endpoint.process.send_signal(signal.SIGTERM)
        connection.send(body[10:])
        status = connection.getresponse().status
        connection.close()
        code = endpoint.process.wait(FOREVER_S)

    [(worker, _)] = workers(folder)
    [reading] = logged(folder)
    assert (status, code) == (200, 0)
    assert worker.stopped
    assert (len(reading.frames), reading.closed) == (2, True)
    assert live_workers(folder, datetime.now(UTC)) == []


def test_a_full_disk_is_a_503_and_no_answer_is_lost_or_made_up(settings, folder, first):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    with running(settings, limit="3000") as endpoint:
        replies = [endpoint.post(INFER, ROW) for _ in range(30)]
        live = endpoint.get("/v2/health/live")

    [reading] = logged(folder)
    answered = [reply.body["inference_id"] for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 503]
    assert 0 < len(answered) < 30
    assert len(answered) + len(refused) == 30
    assert "not logged, and so not answered" in refused[0].body["error"]
    assert [frame.id for frame in reading.frames] == [parse(id_).request for id_ in answered]
    assert (reading.missing, reading.torn, json.loads(live)) == (0, 0, {"live": True})


def test_a_replay_stamps_by_its_header_and_its_windows_close_by_it(settings, folder, first):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    with running(settings, clock="replay") as endpoint:
        untimed = endpoint.post(INFER, ROW)
        too_early = endpoint.post(INFER, ROW, mlops_clock="2025-12-31T00:00:00Z")
        unreadable = endpoint.post(INFER, ROW, mlops_clock="2026-01-06")
        early = endpoint.post(INFER, ROW, mlops_clock="2026-01-06T10:00:00Z").body["inference_id"]
        back = endpoint.post(INFER, ROW, mlops_clock="2026-01-06T09:00:00Z").body["inference_id"]
        late = endpoint.post(INFER, ROW, mlops_clock="1767830400000").body["inference_id"]
        open_still = closed_windows(folder, LOANS.grid, datetime.now(UTC), 60)
        moved = endpoint.post("/v2/clock", {"at": "2026-01-09T00:00:00Z"})
        labelled = endpoint.post(OUTCOMES, {"outcomes": [{"inference_id": early, "label": 1}]})
        closed = closed_windows(folder, LOANS.grid, datetime.now(UTC), 60)

    assert [reply.status for reply in (untimed, too_early, unreadable)] == [400, 400, 400]
    assert "the replayed clock has no time yet" in untimed.body["error"]
    assert "right is 2026-01-05T00:00:00+00:00 or later" in too_early.body["error"]
    assert "right is an ISO 8601 time with an offset" in unreadable.body["error"]
    assert (moved.body, labelled.status) == ({"clock": "2026-01-09T00:00:00Z"}, 200)
    assert open_still == ["2026-01-06", "2026-01-07"]
    assert closed == ["2026-01-06", "2026-01-07", "2026-01-08"]
    sealed = {window: seal(folder, window, "eu") for window in closed}
    assert [found.table["inference_id"].to_list() for found in sealed.values()] == [[early, back], [], [late]]
    assert sealed["2026-01-06"].table["at"].dt.hour().to_list() == [10, 10]
    assert all(writer.closed for found in sealed.values() for writer in found.writers)
    [outcome] = outcomes(folder, "2026-01-06").rows(named=True)
    assert outcome == {
        "inference_id": early,
        "label": "1",
        "received_at": datetime(2026, 1, 9, tzinfo=UTC),
        "by": "api",
    }
