"""The log as the event loop uses it: an answer leaves once it is kept as declared, and a slow disk holds up no other.

Usually a `write()` takes microseconds, and happens at once. Answers are written in groups by a thread instead while
the disk is slow, and always where each has to be forced to the platter: the requests of one turn of the loop, and those
that come while the group before is being forced, share one `fdatasync`.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from mlops_assets.serving.log.frames import LogRefused
from mlops_assets.serving.log.ids import ms_of
from mlops_assets.serving.log.writer import Body, LogWriter

SLOW_NS = 50_000_000  # a write of this long holds up every other request; the page cache takes one in 3 µs

Kept = asyncio.Future[bool]


class _Group:
    """Answers that are written together; each waits for its own future."""

    def __init__(self) -> None:
        self.entries: list[tuple[bytes, bytes]] = []
        self.kept: list[Kept] = []
        self.overdue: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> list[Kept]:
        """Return those that have not been answered; a client may have left."""
        return [each for each in self.kept if not each.done()]


class DurableLog:
    """The log of one worker, for one event loop."""

    def __init__(self, writer: LogWriter, *, sync: bool, patience_s: float) -> None:
        """Write with `writer`; with `sync` each answer is forced to the platter. None waits for over `patience_s`."""
        self._writer = writer
        self._sync = sync
        self._patience_s = patience_s
        self._grouped = sync
        self._next: _Group | None = None
        self._written: _Group | None = None
        self._close_ms = 0
        self._thread = ThreadPoolExecutor(1, "log")

    @property
    def unlogged(self) -> int:
        """Return how many answers left although they were not kept."""
        return self._writer.unlogged

    @property
    def waiting(self) -> int:
        """Return how many answers wait for the disk."""
        return sum(len(group.entries) for group in (self._written, self._next) if group)

    def append(self, id_: bytes, body: Body) -> bool | Kept:
        """Return whether the answer is kept, at once or in a future; ids must ascend.

        Raises:
            LogRefused: If it is not, and unlogged answers are not served. The future raises it too.
        """
        if self._grouped:
            return self._join(id_, self._writer.encode(body))
        began_ns = time.perf_counter_ns()
        try:
            return self._writer.append(id_, body)
        finally:
            self._grouped = time.perf_counter_ns() - began_ns > SLOW_NS

    def close_until(self, ms: int) -> int:
        """Finish the file of a window that ended by `ms`, and return before when nothing will be logged any more.

        That is `ms`, or the time of the oldest answer that is not written yet. No id from before `ms` may follow.
        """
        oldest = self._written or self._next
        if oldest is None:
            self._writer.close_until(ms)
            return ms
        self._close_ms = ms
        return min(ms, ms_of(oldest.entries[0][0]))

    def close(self) -> None:
        """Finish the log, after what is being written."""
        self._thread.shutdown()
        self._writer.close()

    def _join(self, id_: bytes, body: bytes) -> Kept:
        loop = asyncio.get_running_loop()
        if (group := self._next) is None:
            group = self._next = _Group()
            group.overdue = loop.call_later(self._patience_s, self._give_up, group)
            if self._written is None:
                loop.call_soon(self._write_next)
        kept: Kept = loop.create_future()
        group.entries.append((id_, body))
        group.kept.append(kept)
        return kept

    def _write_next(self) -> None:
        if (group := self._next) is None:
            return
        self._next, self._written = None, group
        writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, group)
        writing.add_done_callback(self._settle)

    def _write(self, group: _Group) -> bool:
        """Write a group, and return whether that was slow; this runs in the thread."""
        began_ns = time.perf_counter_ns()
        self._writer.extend(group.entries)
        if self._sync:
            self._writer.sync()
        return time.perf_counter_ns() - began_ns > SLOW_NS

    def _settle(self, writing: asyncio.Future[bool]) -> None:
        """Tell the answers of the group what became of them, and write the next one."""
        group, self._written = self._written, None
        assert group is not None
        if group.overdue is not None:
            group.overdue.cancel()
        error = writing.exception()
        if error is None:
            for each in group.waiting:
                each.set_result(True)
        elif isinstance(error, LogRefused):
            self._refuse(group, str(error))
        else:
            for each in group.waiting:
                each.set_exception(error)
        self._grouped = self._sync or self._next is not None or error is not None or writing.result()
        if self._close_ms:
            oldest = self._next.entries[0][0] if self._next else None
            self._writer.close_until(self._close_ms if oldest is None else min(self._close_ms, ms_of(oldest)))
            self._close_ms = 0
        self._write_next()

    def _give_up(self, group: _Group) -> None:
        """Answer those that have waited for too long; a group that nobody writes yet is not written any more."""
        if group is self._next:
            self._next = None
        self._refuse(group, f"the disk has not taken it in {self._patience_s:g} s")

    def _refuse(self, group: _Group, why: str) -> None:
        waiting = group.waiting
        try:
            self._writer.refused(LogRefused(why), answers=len(waiting))
        except LogRefused:
            for each in waiting:
                each.set_exception(LogRefused(why))
        else:
            for each in waiting:
                each.set_result(False)
