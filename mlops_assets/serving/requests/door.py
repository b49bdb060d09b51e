"""Connections that cannot wear an endpoint out: too many requests are told to come again, slow clients are cut.

Nothing is timed for each request. Every half second one pass over all connections sees who has kept the endpoint
waiting since an earlier pass: for the rest of a request's head or body, or by not reading an answer.
"""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mlops_assets.serving.requests.http import refusal
from mlops_assets.serving.requests.one_write import OneWrite
from mlops_assets.serving.requests.refusal import Refused

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

PASS_S = 0.5
LONGEST_HEAD = 64 * 1024  # bytes before a request's body; more are no request
_RESERVED = 128  # file descriptors that are left to the log, the store and the like
_PARTS = {"slow_head": "head", "slow_body": "body"}
_PHRASES = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}
_Waited = tuple[str, RequestResponseCycle | None, float]


class Door:
    """What all connections of an endpoint share. `cut` counts those that were ended, by reason."""

    def __init__(self, busy: "ASGI3Application", *, in_flight: int, time_s: float, idle_s: float) -> None:
        """Let `in_flight` requests in at once, others are answered by `busy`; wait `time_s` for a client."""
        self.busy = busy
        self.in_flight = in_flight
        self.leaving = False
        self.cut: Counter[str] = Counter()
        self.most = _descriptors()
        self._time_s = time_s
        self._idle_s = idle_s
        self._waited: dict[HttpToolsProtocol, _Waited] = {}

    async def watch(self, connections: set[HttpToolsProtocol]) -> None:
        """Cut slow clients for ever."""
        while True:
            await asyncio.sleep(PASS_S)
            self.cut_slow(list(connections), time.monotonic())

    def cut_slow(self, connections: Iterable[HttpToolsProtocol], now: float) -> None:
        """Cut those that have kept the endpoint waiting for one thing for too long, `now` in seconds."""
        waited: dict[HttpToolsProtocol, _Waited] = {}
        for each in connections:
            reason = _reason(each)
            if reason is None:
                continue
            before = self._waited.get(each)
            same = before is not None and before[:2] == (reason, each.cycle)
            since = before[2] if same and before is not None else now
            waited[each] = reason, each.cycle, since
            if now - since >= (self._idle_s if reason == "idle" else self._time_s):
                self._cut(each, reason)
        self._waited = waited

    def _cut(self, each: HttpToolsProtocol, reason: str) -> None:
        self.cut[reason] += 1
        if reason == "slow_reader":
            each.transport.abort()  # to close would be to wait until it has read
        elif reason not in _PARTS:
            each.transport.close()
        else:
            said = f"the request's {_PARTS[reason]} was not here in {self._time_s:g} s; right is to send it at once"
            say(each, Refused(408, said))


class Guarded(OneWrite):
    """A connection; a subclass by `guarded` says whose `door` it came through."""

    door: Door
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a client in, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.door.most:
            self.door.cut["too_many"] += 1
            say(self, Refused(503, f"{self.door.most} connections are open already; right is to use one for many rows"))

    def data_received(self, data: bytes) -> None:
        """Read on; a head has to end."""
        OneWrite.data_received(self, data)  # by its name, as every request pays for this call
        cycle = self.cycle  # None before the first request, whatever its type says
        if cycle is not None and self.scope is cycle.scope:  # pyright: ignore[reportUnnecessaryComparison]
            if self._head_bytes:
                self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > LONGEST_HEAD:
            self.door.cut["long_head"] += 1
            say(self, Refused(431, f"the request's head is longer than {LONGEST_HEAD} bytes"))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        door = self.door
        if door.leaving:
            cycle.keep_alive = False
        OneWrite._start_asgi_task(self, cycle, app if len(self.tasks) < door.in_flight else door.busy)


def guarded(door: Door) -> type[Guarded]:
    """Return the connections that come through `door`."""
    return type("Guarded", (Guarded,), {"door": door})


def say(connection: HttpToolsProtocol, refused: Refused) -> None:
    """Answer a client that has sent no whole request, and hang up."""
    if connection.transport.is_closing():
        return
    answer = refusal(refused)
    head = (
        f"HTTP/1.1 {refused.status} {_PHRASES[refused.status]}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(answer.body)}\r\nconnection: close\r\n\r\n"
    )
    connection.transport.write(head.encode() + answer.body)
    connection.transport.close()


def _reason(each: HttpToolsProtocol) -> str | None:
    """Return what the endpoint waits for on a connection; None if for nothing of the client's."""
    if each.transport.get_write_buffer_size():
        return "slow_reader"
    cycle = each.cycle
    if each.scope is None:  # pyright: ignore[reportUnnecessaryComparison]
        return "idle"
    if cycle is None or each.scope is not cycle.scope:  # pyright: ignore[reportUnnecessaryComparison]
        return "slow_head"
    if cycle.response_complete:  # what is left of a body that was too long, unless uvicorn times the next request
        return "slow_rest" if each.timeout_keep_alive_task is None else None
    return "slow_body" if cycle.more_body and not cycle.response_started else None


def _descriptors() -> int:
    """Return how many connections leave descriptors for the rest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, (1 << 20 if soft == resource.RLIM_INFINITY else soft) - _RESERVED)
