"""Uvicorn as an endpoint needs it: guarded connections, its words as lines, and an end in three steps.

A signal first makes the endpoint not ready; it goes on to answer for `linger_s`, and asks clients to leave. Then no
connection is taken any more, and what is in flight is answered. What is not done after `DRAIN_S` is given up.
"""

import asyncio
import logging
import socket
import time
from types import FrameType
from typing import TYPE_CHECKING, cast

import uvicorn

from mlops_assets.endpoint import Limits
from mlops_assets.serving.answering.app import App
from mlops_assets.serving.requests.door import Door, guarded
from mlops_assets.serving.worker.events import Bridge, Events

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

DRAIN_S = 20
KEEP_ALIVE_S = 75  # longer than the idle time of common proxies, so that it is they who close


class Listening(uvicorn.Server):
    """A server that says `ready` once it answers. A second signal does not wait for `linger_s` to be over."""

    def __init__(self, app: App, limits: Limits, ready: str, *, events: Events, linger_s: float) -> None:
        """Listen for `app`, as much at once as `limits` says."""
        self._app = app
        self._ready = ready
        self._events = events
        self._linger_s = linger_s
        self._leaves_at: float | None = None
        busy = cast("ASGI3Application", app.busy)
        time_s = limits.time.total_seconds()
        self.door = Door(busy, in_flight=limits.in_flight, time_s=time_s, idle_s=float(KEEP_ALIVE_S))
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=guarded(self.door),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,  # nobody may say for another where a request came from
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
        super().__init__(config)
        for name in ("uvicorn.error", "asyncio"):
            bridged = logging.getLogger(name)
            bridged.handlers, bridged.propagate = [Bridge(events)], False

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""
        return len(self.server_state.tasks)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self.server_state.connections)

    @property
    def leaving(self) -> bool:
        """Whether it was told to stop."""
        return self._leaves_at is not None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self._watching = asyncio.create_task(self.door.watch(self.server_state.connections))  # pyright: ignore
        print(self._ready, flush=True)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; called ten times a second."""
        if self._leaves_at is not None and time.monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is in flight; slow clients are cut meanwhile, too."""
        self._events.tell("stops", {"in_flight": self.in_flight, "connections": self.open})
        await super().shutdown(sockets)
        self._watching.cancel()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Begin to leave, or leave at once if it had begun."""
        if self._leaves_at is not None or not self.started:
            self.should_exit = True
            return
        self._app.draining = self.door.leaving = True
        self._leaves_at = time.monotonic() + self._linger_s
        self._events.tell("drains", {"for_s": self._linger_s})

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Do as `stop` for the signals that uvicorn listens to."""
        self.stop(sig, frame)
