"""One endpoint process: serve, follow the desired deployment, beat, drain.

It needs nothing but the product's folder and the store. When everything else is down it serves what it has loaded.
"""

import asyncio
import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec
import uvicorn

from mlops_assets.evidence.store import Store
from mlops_assets.product import ModelProduct
from mlops_assets.serving.app import App
from mlops_assets.serving.infer import Inference
from mlops_assets.serving.log.ids import moment
from mlops_assets.serving.log.outcomes import OutcomeLog
from mlops_assets.serving.log.writer import LogWriter
from mlops_assets.serving.requests.clock import Clock, ReplayClock, ServerClock
from mlops_assets.serving.routing.deploy import DESIRED, read_deployment
from mlops_assets.serving.routing.router import Loader
from mlops_assets.serving.workers import BEAT_S, ClockKind, Registration, Worker
from mlops_assets.settings import Settings

POLL_S = 0.05
DRAIN_S = 20
KEEP_ALIVE_S = 75  # longer than the idle time of common proxies, so that it is they who close


def serve(
    product: ModelProduct, settings: Settings, *, host: str = "127.0.0.1", port: int = 0, clock: ClockKind = "server"
) -> int:
    """Serve `product` until SIGTERM or SIGINT, then answer what is in flight, finish the log and return 0.

    Port 0 is any free one. Prints one line with the URL once it answers.

    Raises:
        OSError: If the port is taken.
    """
    listening = socket.create_server((host, port), backlog=2048)
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    url = f"http://{name}:{listening.getsockname()[1]}"
    endpoint = _Endpoint(product, settings, url, clock)
    with asyncio.Runner(loop_factory=endpoint.server.config.get_loop_factory()) as runner:
        runner.run(endpoint.run(listening))
    return 0


class _Endpoint:
    """A worker: its clock, its log, its models and its registration."""

    def __init__(self, product: ModelProduct, settings: Settings, url: str, clock: ClockKind) -> None:
        self._folder = settings.serving(product.name)
        self._desired = self._folder / DESIRED
        self._seen: tuple[int, int] | None = None
        self._loader = Loader(product, Store(settings.home))
        self._clock: Clock = ReplayClock(product.grid) if clock == "replay" else ServerClock()
        started = datetime.now(UTC)
        writer = f"{socket.gethostname()}-{os.getpid()}-{started:%Y%m%dT%H%M%S%f}"
        worker = Worker(writer=writer, pid=os.getpid(), url=url, clock=clock, started=started)
        self._registration = Registration(self._folder, worker)
        self._log = LogWriter(self._folder / "log", product.grid, writer)
        self._inference = Inference(product, self._log)
        app = App(
            product,
            self._folder,
            clock=self._clock,
            inference=self._inference,
            outcome_log=OutcomeLog(self._folder / "outcomes", writer),
            close=self._close,
        )
        self.server = _Server(app, f"{product.name}: serving at {url} (clock: {clock}, writer: {writer})")

    async def run(self, listening: socket.socket) -> None:
        """Serve until told to stop."""
        signal.signal(signal.SIGTERM, self.server.stop)
        signal.signal(signal.SIGINT, self.server.stop)
        await self._load()
        tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._follow())]
        await self.server.serve(sockets=[listening])
        for task in tasks:
            task.cancel()
        self._log.close()
        self._registration.stop()

    def _close(self, ms: int) -> None:
        self._inference.close_until(ms)
        self._registration.beat(moment(ms))

    async def _beat(self) -> None:
        while True:
            ms = self._clock.now_ms()
            if ms is None:
                self._registration.beat(None)
            else:
                self._close(ms)
            await asyncio.sleep(BEAT_S)

    async def _follow(self) -> None:
        """Load the desired deployment whenever its file is replaced."""
        while True:
            await asyncio.sleep(POLL_S)
            if _stamp(self._desired) != self._seen:
                await self._load()

    async def _load(self) -> None:
        """Load, check and then serve what is desired, off the event loop; if that fails, go on with what there is."""
        self._seen = _stamp(self._desired)  # before it is read, so that no replacement goes unseen
        try:
            deployment = read_deployment(self._folder)
        except msgspec.DecodeError as error:
            self._registration.refuses(None, f"{self._desired}: {error}")
            return
        if deployment is None:
            return
        loading = asyncio.get_running_loop().run_in_executor(None, self._loader.table, deployment)
        await asyncio.wait({loading})
        if (error := loading.exception()) is None:
            self._inference.table = loading.result()
            self._registration.serves(deployment.id)
        else:
            self._registration.refuses(deployment.id, f"{type(error).__name__}: {error}")


class _Server(uvicorn.Server):
    """Uvicorn that says when it answers, and whose end is the caller's to finish."""

    def __init__(self, app: App, ready: str) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
        super().__init__(config)
        self._line = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._line, flush=True)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """End serving: for a signal before uvicorn listens to them, and for the one that it raises again at its end."""
        self.should_exit = True


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
