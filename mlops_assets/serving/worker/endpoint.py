"""One endpoint process, put together: its clock, log, models, paths and registration, from its start to its end."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.access.access import Access
from mlops_assets.serving.answering.app import App
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.answering.predicting import Predicting
from mlops_assets.serving.answering.steering import Steering
from mlops_assets.serving.answering.ways import Way
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.ids import moment
from mlops_assets.serving.log.outcomes import OutcomeLog
from mlops_assets.serving.log.personal import personal_key
from mlops_assets.serving.log.writer import SHADOW, LogWriter
from mlops_assets.serving.metrics.exposition import PROMETHEUS
from mlops_assets.serving.metrics.figures import Figures
from mlops_assets.serving.metrics.metrics import Metrics
from mlops_assets.serving.page.page import Page, Tracer
from mlops_assets.serving.ramp.guard import guard
from mlops_assets.serving.ramp.tend import Tending
from mlops_assets.serving.requests.clock import Clock, ReplayClock, ServerClock
from mlops_assets.serving.requests.http import Answer, Scope
from mlops_assets.serving.routing.deploy import DESIRED, SERVED, read_deployment
from mlops_assets.serving.routing.follow import Follower
from mlops_assets.serving.routing.router import Loader, Table
from mlops_assets.serving.worker.copies import Copying
from mlops_assets.serving.worker.events import Events, Kept, to_stderr
from mlops_assets.serving.worker.forever import Forever
from mlops_assets.serving.worker.listening import Listening
from mlops_assets.serving.worker.warm import warm_here, warm_there
from mlops_assets.serving.workers import BEAT_S, ClockKind, Registration, Worker
from mlops_assets.settings import Settings

SHADOW_S = 5.0
LEAVE_S = 5.0
SWITCH_S = 0.0005  # a thread that scores a batch, a shadow or a new model gives way ten times sooner than it would
ACCESS_S = 0.5  # how often the file of names is looked at
COPIES = "models"


@dataclass(frozen=True, kw_only=True)
class How:
    """How an endpoint serves: where, by which clock, to whom, what it writes, how long it lingers, how it traces."""

    url: str
    clock: ClockKind
    access: Access
    kept: Kept
    linger_s: float
    tracer: Tracer | None


class Endpoint:
    """A worker. `server` is what listens; `run` serves on a socket until it is told to stop."""

    _refused: str | None = None  # why what is desired is not served, as it was told last

    def __init__(self, product: ModelProduct, settings: Settings, how: How) -> None:
        """Put together what serves `product`; nothing is loaded yet."""
        self._product = product
        self._home, self._folder = settings.home, settings.serving(product.name)
        self._clock: Clock = ReplayClock(product.grid) if how.clock == "replay" else ServerClock()
        self._started = datetime.now(UTC)
        writer = f"{socket.gethostname()}-{os.getpid()}-{self._started:%Y%m%dT%H%M%S%f}"
        self._events = Events(product.name, writer, kept=how.kept, write=to_stderr)
        worker = Worker(writer=writer, pid=os.getpid(), url=how.url, clock=how.clock, started=self._started)
        self._registration = Registration(self._folder, worker)
        self._log = _log(product, self._folder, writer)
        self._inference = Inference(product, self._log, LogWriter(self._folder / SHADOW, product.grid, writer))
        self._copies = Copying(settings.home, self._folder / COPIES, self._from_copy)
        loader = Loader(product, self._copies, personal_key(product, settings))
        self._follower = Follower(self._folder, loader, self._registration, self._swap)
        self._beating = asyncio.Lock()
        self._tending = Tending(product, settings)
        self._threads = max(2, os.cpu_count() or 2)
        self._pool = ThreadPoolExecutor(self._threads, "batch")
        self._access = how.access
        self._metrics = Metrics()
        self._page = self._shown(how, writer)
        ways = {**self._asked(writer), **Steering(settings, product, self._events).ways(), **self._page.ways()}
        usual, metrics = self._page.usual, self._metrics
        self._app = App(product, self._inference, ways, events=self._events, metrics=metrics, usual=usual)
        line = f"{product.name}: serving at {how.url} (clock: {how.clock}, writer: {writer})"
        self.server = Listening(self._app, product.endpoint.limits, line, events=self._events, linger_s=how.linger_s)
        self._figures = Figures(
            grid=product.grid,
            folder=self._folder,
            clock=self._clock,
            inference=self._inference,
            log=self._log,
            server=self.server,
            access=how.access,
            metrics=self._metrics,
            started=self._started,
        )

    def _shown(self, how: How, writer: str) -> Page:
        """Return the page for people."""
        return Page(
            self._product,
            self._folder,
            self._home,
            writer=writer,
            clock=self._clock,
            inference=self._inference,
            metrics=self._metrics,
            seen=lambda: self._figures.seen(),
            tracer=how.tracer,
        )

    def _asked(self, writer: str) -> dict[str, Way]:
        """Return what answers requests for predictions, and Prometheus'."""
        predicting = Predicting(
            self._product,
            self._folder,
            clock=self._clock,
            inference=self._inference,
            outcome_log=OutcomeLog(self._folder / "outcomes", writer),
            close=self._close,
        )
        return {**predicting.ways(), "/metrics": Way("GET", "metrics", "read", self._show_metrics)}

    async def _show_metrics(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return Answer(200, self._figures.text().encode(), (), PROMETHEUS)

    async def run(self, listening: socket.socket) -> None:
        """Serve until told to stop."""
        signal.signal(signal.SIGTERM, self.server.stop)
        signal.signal(signal.SIGINT, self.server.stop)
        asyncio.get_running_loop().set_default_executor(self._pool)
        self._events.tell("starts", {"pid": os.getpid(), "names": self._access.names if self._access.on else None})
        self._forget()
        await self._follower.start()
        warm_there(self._inference.table, self._pool, self._threads)  # nobody asks yet, so nobody waits
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()  # what is loaded stays: to look through it took a full collection 0.1 s, with nobody answered
        self._let_in()
        lasting = (self._beat, self._follower.run, self._watch_names, self._guard, self._page.run)
        self._forever = [Forever(run, self._events) for run in lasting]
        await self.server.serve(sockets=[listening])
        for each in self._forever:
            each.stop()
        self._log.close()
        self._inference.shadow.stop(SHADOW_S)
        self._registration.stop()
        self._events.tell("ended", {})
        _leave()

    async def _close(self) -> None:
        """Finish the log of windows that are over, and tell the others how far it is and what each variant did."""
        async with self._beating:  # or one that says less could be written after this one
            ms, table = self._clock.now_ms(), self._inference.table
            until = None if ms is None else moment(self._inference.close_until(ms))
            beat = partial(self._registration.beat, until, counts_of=table.deployment, counts=table.counts())
            await asyncio.to_thread(beat)  # it writes a file, and a slow disk is to hold up no answer

    def _swap(self, table: Table) -> None:
        warm_here(table, before=self._inference.table)
        self._inference.table = table
        versions = [f"{by.segment}@{by.version} {by.variant}" for by in table.everyone]
        self._events.tell("serves", {"deployment": table.deployment, "versions": versions})

    async def _beat(self) -> None:
        while True:
            await self._close()
            if (why := self._registration.worker.error) != self._refused:
                self._refused = why
                self._events.tell("deployment_refused" if why else "deployment_fits", {"why": why}, "error")
            await asyncio.sleep(BEAT_S)

    async def _guard(self) -> None:
        """Take back a canary that is worse, with or without Dagster."""
        tell = partial(self._events.tell, "traffic", level="warning")
        await guard(self._tending, lambda: self._inference.table.everyone, lambda line: tell({"done": line}))

    async def _watch_names(self) -> None:
        while True:
            await asyncio.sleep(ACCESS_S)
            self._let_in()

    def _let_in(self) -> None:
        """Follow the file of names; while it is broken, those it named before go on to count."""
        try:
            if self._access.reload(datetime.now(UTC)):
                self._events.tell("names", {"count": self._access.names})
        except (ValueError, OSError) as problem:
            self._events.tell("names_broken", {"why": str(problem)}, "error")
        self._app.access = self._access if self._access.on else None

    def _forget(self) -> None:
        """Forget copies of what is neither desired nor was served last; all stay where that cannot be read."""
        with contextlib.suppress(msgspec.DecodeError):
            named = [read_deployment(self._folder, name) for name in (DESIRED, SERVED)]
            if any(named):
                self._copies.forget(*filter(None, named))

    def _from_copy(self, address: str) -> None:
        self._events.tell("store_away", {"file": address, "read": "the copy of what was served last"}, "warning")


def _leave() -> None:
    """See to it that this process ends, whatever hangs in one of its threads: a store that does not answer, a model."""
    last = threading.Timer(LEAVE_S, os._exit, (0,))
    last.daemon = True
    last.start()


def _log(product: ModelProduct, folder: Path, writer: str) -> DurableLog:
    kept = product.endpoint.log
    log = LogWriter(folder / "log", product.grid, writer, when_full=kept.when_full, sync=kept.sync)
    return DurableLog(log, sync=kept.sync, patience_s=product.endpoint.limits.time.total_seconds())
