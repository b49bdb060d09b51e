"""kill -9 under load, again and again: what a client was told is in the log, once.

Small here; `make chaos` kills CHAOS_KILLS times.
"""

import contextlib
import http.client
import os
import random
import threading
from collections import Counter

import pytest

from mlops_assets.endpoint import Endpoint, Kept
from mlops_assets.serving.log.seal import seal
from mlops_assets_tests.serving.loans import INFER, ROW, deploy, post, route
from mlops_assets_tests.serving.log.process import endpoint, until

CLIENTS = 4
KILLS = int(os.environ.get("CHAOS_KILLS", "2"))


def killed_under_load(settings, declared, dice):
    """Start an endpoint, ask it from several clients, kill it; the ids that they were told."""
    told = []

    def load(running):
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(running.connect()) as connection,
        ):
            while True:
                rows = dice.choice((1, 1, 3))
                body = ROW if rows == 1 else {"rows": [ROW] * rows}
                reply = post(connection, INFER, body)
                assert reply.status == 200, reply
                names = [reply.body["inference_id"]] if rows == 1 else _names(reply)
                told.extend(names)

    with endpoint(settings, declared) as running:
        threads = [threading.Thread(target=load, args=(running,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        enough = dice.randrange(50, 500)
        until(lambda: len(told) > enough)
        running.process.kill()
        for thread in threads:
            thread.join()
    return told


def _names(reply):
    return [each["inference_id"] for each in reply.body["predictions"]]


@pytest.fixture
def served(settings, first):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})
    return settings


@pytest.mark.chaos
def test_an_answer_that_came_is_in_the_log_of_killed_processes_once(served):
    dice, told = random.Random(KILLS), []

    for kill in range(KILLS):  # every other one forces its answers to the platter
        told += killed_under_load(served, Endpoint(log=Kept(sync=kill % 2 == 1)), dice)

    folder = served.serving("loans")
    windows = sorted(path.name for path in (folder / "log").glob("*"))
    sealed = [seal(folder, window, "eu") for window in windows]
    logged = Counter(name for each in sealed for name in each.table["inference_id"])
    assert len(told) == len(set(told)) > 50 * KILLS
    assert set(logged.values()) == {1}
    assert set(told) <= set(logged)
    assert sum(len(each.writers) for each in sealed) >= KILLS
    assert {(writer.missing, writer.skipped) for each in sealed for writer in each.writers} == {(0, 0)}
