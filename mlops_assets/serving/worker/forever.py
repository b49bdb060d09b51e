"""What an endpoint does beside answering, as long as it runs: begun again if it fails, for it may not end unseen."""

import asyncio
from collections.abc import Callable, Coroutine

from mlops_assets.serving.worker.events import Events

AGAIN_S = 1.0


class Forever:
    """A task of the running event loop. `run` never returns by itself."""

    def __init__(self, run: Callable[[], Coroutine[object, object, None]], events: Events) -> None:
        """Begin at once; each failure is told to `events`."""
        self._run = run
        self._events = events
        self._begin()

    def stop(self) -> None:
        """End it."""
        self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._again)

    def _again(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._events.unforeseen(error, {"task": self._run.__qualname__})
        task.get_loop().call_later(AGAIN_S, self._begin)
