"""A disk that hangs while the worker's own file is written holds up nobody, but for a replay's first in a window."""

import threading
from datetime import UTC, datetime

from mlops_assets.serving.workers import workers
from mlops_assets_tests.serving.guarded import guarded
from mlops_assets_tests.serving.loans import INFER, ROW, Reply, deploy, route

WEEK, NEXT = "2026-01-05T12:00:00Z", "2026-01-12T12:00:00Z"


def test_requests_before_the_first_prediction_do_not_wait_for_the_disk(settings, tmp_path):
    hold = tmp_path / "hold"
    with guarded(settings, holds=str(hold)) as endpoint:
        hold.touch()
        statuses = [endpoint.post(INFER, ROW).status for _ in range(20)]

    assert statuses == [503] * 20


def test_a_replay_waits_once_for_each_window_and_everybody_else_goes_on(settings, first, tmp_path):
    hold, replies = tmp_path / "hold", list[Reply]()
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    with guarded(settings, holds=str(hold), clock="replay") as endpoint:

        def ask() -> None:
            replies.append(endpoint.post(INFER, ROW, mlops_clock=NEXT))

        before = endpoint.post(INFER, {}, mlops_clock=WEEK).status
        hold.touch()
        same = [endpoint.post(INFER, ROW, mlops_clock=WEEK).status for _ in range(5)]
        asking = threading.Thread(target=ask)
        asking.start()
        meanwhile = [endpoint.get("/v2/health/live")[0] for _ in range(20)]
        early = list(replies)
        hold.unlink()
        asking.join()
        [(worker, _)] = workers(settings.serving("loans"))

    assert (before, same, meanwhile, early) == (422, [200] * 5, [200] * 20, [])
    assert replies[0].status == 200
    assert worker.since == datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert worker.closed_until == datetime(2026, 1, 12, 12, tzinfo=UTC)
