"""A shadow is never in the way: it drops, counts, and logs apart from the answers."""

import asyncio
import re
import threading
import time

import pytest

from mlops_assets.serving.answering.groups import Scorer
from mlops_assets.serving.answering.infer import Inference, _part
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.ids import Ids
from mlops_assets.serving.log.sealed import table as sealed_table
from mlops_assets.serving.log.writer import LogWriter
from mlops_assets.serving.routing.shadow import Shadow
from mlops_assets_tests.serving.loans import LOANS, route
from mlops_assets_tests.serving.routing.beside import acting, canary, row_form, rows_form, table_of
from mlops_assets_tests.started import until

MS = 1_767_225_600_000 + 3_600_000  # 2026-01-01, an hour after midnight
DAY_MS = 86_400_000


@pytest.fixture
def inference(tmp_path):
    """An inference without a table, its logs below `tmp_path`."""
    log = DurableLog(LogWriter(tmp_path / "log", LOANS.grid, "w"), sync=False, patience_s=10)
    made = Inference(LOANS, log, LogWriter(tmp_path / "shadow", LOANS.grid, "w"))
    yield made
    made.shadow.stop(10)
    log.close()


def logged(folder):
    frames = [frame for path in sorted(folder.glob("*/*.log")) for frame in read_frames(mapped(path)).frames]
    return sealed_table(("w", frame) for frame in frames)


def ask(inference, *forms):
    """The answers to requests, one after the other."""

    async def answers():
        return [await inference.answer(form, MS, time.perf_counter_ns()) for form in forms]

    return asyncio.run(answers())


def shadowed(settings, first, second, share=1.0):
    return table_of(settings, route(settings, first, 1), canary(route(settings, second, 2), share, name="shadow"))


def test_a_shadow_logs_what_it_would_have_said_under_the_ids_of_the_answers(
    inference, settings, first, second, tmp_path
):
    inference.table = shadowed(settings, first, second)

    ask(inference, *[row_form(id=key) for key in range(20)], rows_form(range(5)), row_form(region="us"))
    inference.shadow.stop(10)

    answers, copies = logged(tmp_path / "log"), logged(tmp_path / "shadow")
    mine = answers.filter(segment="eu")
    assert copies["inference_id"].to_list() == mine["inference_id"].to_list()
    assert copies["input.salary"].to_list() == mine["input.salary"].to_list()
    assert (set(answers["variant"]), set(copies["variant"])) == ({"champion"}, {"shadow"})
    assert (set(mine["version"]), set(copies["version"])) == ({1}, {2})
    predictor = inference.table.lanes["eu"].shadow.model.predictor
    assert copies["output"][0] == predictor.one((40, 2500.5, "nurse")).output
    assert inference.table.counts()["eu/shadow/2"].requests == 21


def test_a_slow_shadow_drops_and_counts_and_nobody_waits(inference, settings, first, second, tmp_path):
    go = threading.Event()
    inference.table = acting(shadowed(settings, first, second), lambda: go.wait(30), shadow=True)
    inference.shadow._limit = 50_000

    ask(inference, *[row_form(id=key) for key in range(200)])  # each would wait for half a minute
    dropped = inference.table.counts()["eu/shadow/2"].dropped
    go.set()
    inference.shadow.stop(10)

    counts = inference.table.counts()
    assert counts["eu/champion/1"].requests == 200
    assert 100 < dropped < 200
    assert counts["eu/shadow/2"].requests == 200 - dropped == logged(tmp_path / "shadow").height
    assert logged(tmp_path / "log").height == 200


def test_a_shadow_that_fails_changes_no_answer_and_is_counted(inference, settings, first, second, tmp_path):
    table = shadowed(settings, first, second)
    inference.table = table_of(settings, route(settings, first, 1))
    alone = [answer.body for answer in ask(inference, row_form(), rows_form(range(3)))]

    def fail():
        raise MemoryError("too large")

    inference.table = acting(table, fail, shadow=True)
    beside = [answer.body for answer in ask(inference, row_form(), rows_form(range(3)))]
    inference.shadow.stop(10)

    assert [without_ids(body) for body in alone] == [without_ids(body) for body in beside]
    counts = inference.table.counts()["eu/shadow/2"]
    assert (counts.requests, counts.errors) == (2, 2)
    assert (counts.why or "").startswith("MemoryError at test_shadow.py:")
    assert logged(tmp_path / "shadow").height == 0


def without_ids(body):
    return re.sub(rb'"inference_id":"[^"]+"', b"", body)


def test_a_shadow_gets_also_what_the_canary_answered(inference, settings, first, second, tmp_path):
    one, two = route(settings, first, 1), route(settings, second, 2)
    inference.table = table_of(settings, one, canary(two, 0.5), canary(two, 1.0, name="shadow"))

    ask(inference, *[row_form(id=key) for key in range(60)])
    inference.shadow.stop(10)

    assert logged(tmp_path / "log")["variant"].n_unique() == 2
    assert logged(tmp_path / "shadow").height == 60


def test_a_batch_larger_than_the_queue_is_taken_while_nothing_waits(inference, settings, first, second, tmp_path):
    inference.table = shadowed(settings, first, second)
    inference.shadow._limit = 10

    ask(inference, rows_form(range(50)))
    inference.shadow.stop(10)

    assert logged(tmp_path / "shadow").height == 50


def test_the_file_of_a_window_is_finished_once_its_copies_are_done(inference, settings, first, second, tmp_path):
    inference.table = shadowed(settings, first, second)
    ask(inference, row_form())

    inference.close_until(MS + 40 * DAY_MS)
    [path] = until(lambda: list((tmp_path / "shadow").glob("*/*.log")), within_s=20)

    until(lambda: read_frames(mapped(path)).closed, within_s=20)
    assert len(read_frames(mapped(path)).frames) == 1


def test_a_copy_takes_the_request_s_thread_no_time_of_the_model(settings, first, second, tmp_path):
    """The queue takes copies faster than a blocked model could answer one."""
    go = threading.Event()
    table = acting(shadowed(settings, first, second), lambda: go.wait(30), shadow=True)
    shadow = Shadow(LogWriter(tmp_path / "shadow", LOANS.grid, "w"), _part)
    groups, ids = Scorer(LOANS).groups(table, row_form(), bytes(16)), Ids()

    for _ in range(500):
        shadow.offer(ids.new(MS), "d1", groups, single=True)
    waiting = shadow.waiting
    go.set()
    shadow.stop(20)

    assert waiting >= 498
    assert logged(tmp_path / "shadow").height == 500
