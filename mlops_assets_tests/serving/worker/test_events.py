"""Lines on stderr: JSON, bounded, and without anything of a request; tasks that begin again."""

import asyncio
import json
import logging

import pytest

from mlops_assets.serving.worker import events as module
from mlops_assets.serving.worker.events import LINES, SPAN_S, Bridge, Events
from mlops_assets.serving.worker.forever import Forever

NOW = [100.0]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where lines go; the time stands still at `NOW`."""
    NOW[0] = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: NOW[0])
    return []


def events(lines: list[str]) -> Events:
    return Events("loans", "w", write=lines.append)


def test_a_kind_has_so_many_lines_in_a_span_and_the_next_span_says_how_many_it_left_out(lines):
    told = events(lines)
    for _ in range(LINES + 30):
        told.tell("refused", {"status": 503})
    told.tell("starts", {})
    NOW[0] += SPAN_S
    told.tell("refused", {"status": 503})

    found = [json.loads(line) for line in lines]
    assert [each["event"] for each in found] == ["refused"] * LINES + ["starts", "refused"]
    assert [each.get("left_out") for each in found[-2:]] == [None, 30]


def test_an_unforeseen_error_tells_where_it_came_from_and_not_what_it_says(lines):
    def fails() -> None:
        raise ValueError("salary 77777")

    try:
        fails()
    except ValueError as error:
        events(lines).unforeseen(error, {"path": "infer"})

    [line] = [json.loads(each) for each in lines]
    assert (line["event"], line["kind"], line["level"]) == ("unforeseen_error", "ValueError", "error")
    assert line["trace"][-1].endswith("in fails")
    assert "77777" not in lines[0]


def test_what_a_library_logs_is_a_line_too(lines):
    logger = logging.getLogger("a.library")
    logger.handlers, logger.propagate = [Bridge(events(lines))], False
    try:
        raise KeyError("77777")
    except KeyError:
        logger.exception("it failed with 77777")
    logger.warning("look out")
    logger.info("nothing")

    first, second = [json.loads(each) for each in lines]
    assert (first["event"], first["logger"], "77777" in lines[0]) == ("unforeseen_error", "a.library", False)
    assert (second["event"], second["said"], second["level"]) == ("log.a.library", "look out", "warning")


def test_a_task_that_fails_is_told_and_begins_again(lines, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mlops_assets.serving.worker.forever.AGAIN_S", 0.0)
    begun: list[int] = []

    async def run() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise OSError("no room")
        await asyncio.Event().wait()

    async def look() -> None:
        task = Forever(run, events(lines))
        async with asyncio.timeout(10):
            while len(begun) < 3:
                await asyncio.sleep(0)
        task.stop()

    asyncio.run(look())

    assert [json.loads(each)["kind"] for each in lines] == ["OSError", "OSError"]
