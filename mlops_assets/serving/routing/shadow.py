"""Copies of answered requests -> what a shadow would have said, in a log of its own; never in a request's way.

One thread takes copies from a bounded queue. A full queue drops and counts. What is logged has the id of the answer
that the client got, so both can be laid side by side.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from mlops_assets.serving.answering.groups import Group, scores_of
from mlops_assets.serving.log.frames import LogRefused
from mlops_assets.serving.log.writer import Body, LogWriter, Part
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.lanes import Lane

LIMIT = 1_000_000  # cells that wait: about a thousand rows, or three of the largest batches; some 50 MB
_REQUEST = 1_000  # cells that a request counts for beside those of its rows


class _Copy(NamedTuple):
    """A request that a shadow is to answer: its id, what is deployed, its groups, and how many cells it counts for."""

    id: bytes
    deployment: str
    groups: list[Group]
    single: bool
    cells: int


class Shadow:
    """The queue and the thread. All methods are for the event loop's thread alone, and return at once."""

    def __init__(self, log: LogWriter, part: Callable[[Group, bool], Part], *, limit: int = LIMIT) -> None:
        """Log to `log` what `part` makes of a group; there is no thread before the first copy."""
        self._log = log
        self._part = part
        self._limit = limit
        self._queue: SimpleQueue[_Copy | int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._offered = 0  # cells; each of the two sums has one writer, so that none is lost between threads
        self._taken = 0

    @property
    def waiting(self) -> int:
        """Return how many copies wait."""
        return self._queue.qsize()

    def offer(self, id_: bytes, deployment: str, groups: list[Group], *, single: bool) -> None:
        """Copy a request to the shadows of its segments, unless too much waits already; the ids must ascend."""
        mine = [group for group in groups if group.lane.shadow is not None]
        cells = _REQUEST + sum(len(group.given) * group.by.model.cells for group in mine)
        waiting = self._offered - self._taken
        if waiting and waiting + cells > self._limit:  # an empty queue takes anything, or images would never fit
            for lane in {group.lane for group in mine}:
                if lane.shadow is not None:
                    lane.shadow.tally.dropped += 1
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
            self._thread.start()
        self._offered += cells
        self._queue.put(_Copy(id_, deployment, mine, single, cells))

    def close_until(self, ms: int) -> None:
        """Finish the file of a window that ended by `ms`, once the copies before it are done."""
        if self._thread is not None:
            self._queue.put(ms)

    def stop(self, within_s: float) -> None:
        """Finish the log; copies that are not done `within_s` are lost."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(within_s)

    def _run(self) -> None:
        while (copy := self._queue.get()) is not None:
            if isinstance(copy, int):
                self._log.close_until(copy)
                continue
            self._answer(copy)
            self._taken += copy.cells
        self._log.close()

    def _answer(self, copy: _Copy) -> None:
        began_ns = time.perf_counter_ns()
        lanes: dict[Lane, list[Group]] = {}
        for group in copy.groups:
            lanes.setdefault(group.lane, []).append(group)
        answers = [made for lane, groups in lanes.items() if (made := _answered(lane, groups, copy.single)) is not None]
        if not answers:
            return
        us = (time.perf_counter_ns() - began_ns) // 1000
        try:
            self._log.append(copy.id, Body(us, copy.deployment, [self._part(made, copy.single) for made in answers]))
        except LogRefused as error:
            for made in answers:
                made.by.tally.errors += 1
                made.by.tally.why = str(error)
        else:
            for made in answers:
                made.tell(us, single=copy.single)


def _answered(lane: Lane, groups: list[Group], single: bool) -> Group | None:
    """Return what the shadow of a lane says of all its rows in a request; None, counted, if it fails."""
    by = lane.shadow
    assert by is not None
    pairs = sorted((pair for group in groups for pair in zip(group.places, group.given, strict=True)), key=_place)
    places, given = [place for place, _ in pairs], [row for _, row in pairs]
    try:
        rows = lane.read(by, given, places)
        return Group(by, lane, places, rows, scores_of(by, rows, alone=single), given)
    except Refused:  # its message names values of the row
        by.tally.why = "it cannot read rows that the champion can"
    except Exception as error:
        by.tally.explain(error)
    by.tally.errors += 1
    return None


def _place(pair: tuple[int, object]) -> int:
    return pair[0]
