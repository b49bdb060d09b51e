"""The paths of the page for people: the page itself, the figures and the form that it shows, and traces."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.product import ModelProduct
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.answering.ways import Way
from mlops_assets.serving.log.ids import moment, parse
from mlops_assets.serving.metrics.metrics import Metrics, Seen
from mlops_assets.serving.page.fields import Usual, form, usual_values
from mlops_assets.serving.page.live import Moment, live
from mlops_assets.serving.page.pulse import STEP_S, Pulse
from mlops_assets.serving.page.shell import Shell
from mlops_assets.serving.page.verdicts import Judged, verdicts
from mlops_assets.serving.requests.clock import Clock, ReplayClock
from mlops_assets.serving.requests.http import Answer, Scope, json_answer
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.deploy import Deployment, read_deployment
from mlops_assets.serving.routing.router import Table
from mlops_assets.serving.workers import Worker, live_workers

Tracer = Callable[[str], bytes]
"""From a reference to its proof as JSON; raises LookupError where nothing is known of it."""

JUDGED_S = 10.0  # how long verdicts are shown before the store is asked again
_BUSY = ((b"retry-after", b"1"),)


class Page:
    """Shows people an endpoint, whose state is at `folder` and whose evidence is at `home`.

    What reads files does so in threads of its own, and one trace at a time. With the store away the rest is shown.
    """

    def __init__(
        self,
        product: ModelProduct,
        folder: Path,
        home: Path,
        *,
        writer: str,
        clock: Clock,
        inference: Inference,
        metrics: Metrics,
        seen: Callable[[], Seen],
        tracer: Tracer | None = None,
    ) -> None:
        """Read the pages' files; nothing else is read before somebody looks."""
        self._product = product
        self._folder = folder
        self._archive = Archive(home)
        self._writer = writer
        self._clock = clock
        self._inference = inference
        self._metrics = metrics
        self._seen = seen
        self._tracer = tracer
        self._pulse = Pulse()
        self._home = Shell("home", product.name)
        self._trace = Shell("trace", product.name)
        self._reader = ThreadPoolExecutor(1, "page")
        self._prover = ThreadPoolExecutor(1, "trace")
        self._tracing = False
        self._judged: tuple[float, list[Judged] | None] = (float("-inf"), None)
        self._usual: tuple[str | None, Mapping[str, Mapping[str, Usual]]] = (None, {})

    def ways(self) -> dict[str, Way]:
        """Return what answers at which path."""
        model = f"/v2/models/{self._product.name}"
        return {
            "/": Way("GET", "page", None, self._show),
            "/trace/*": Way("GET", "page", None, self._show_trace),
            f"{model}/live": Way("GET", "live", "read", self._live),
            f"{model}/form": Way("GET", "form", "read", self._form),
            f"{model}/trace/*": Way("GET", "trace", "read", self._proof),
        }

    async def run(self) -> None:
        """Look at the counts each second, for ever."""
        while True:
            self._pulse.take(time.monotonic(), self._inference.table.everyone, self._metrics.classes())
            await asyncio.sleep(STEP_S)

    async def _show(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return self._home.answer()

    async def _show_trace(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return self._trace.answer(200 if self._may_be(_last(scope)) else 404)

    async def _live(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        now, ms = datetime.now(UTC), self._clock.now_ms()
        reading = asyncio.get_running_loop().run_in_executor(self._reader, self._read, now)
        wanted, workers, judged = await reading
        found = Moment(
            seen=self._seen(),
            wanted=wanted,
            workers=workers,
            writer=self._writer,
            recent=self._pulse.recent(),
            drift=judged,
            now=now,
            clock=None if ms is None else moment(ms),
            replays=isinstance(self._clock, ReplayClock),
            traces=self._tracer is not None,
        )
        return json_answer(live(self._product, found))

    async def _form(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        table = self._inference.table
        return json_answer(form(self._product, table, await self.usual(table)))

    async def usual(self, table: Table) -> Mapping[str, Mapping[str, Usual]]:
        """Return usual values of what `table` serves, by segment and column; they are read once per deployment."""
        if self._usual[0] != table.deployment:
            loop = asyncio.get_running_loop()
            self._usual = await loop.run_in_executor(self._reader, self._learned, table.deployment)
        return self._usual[1]

    async def _proof(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        ref = _last(scope)
        if self._tracer is None:
            raise Refused(404, f"this endpoint traces nothing; right is mlops-assets trace {ref[:80]}")
        if not self._may_be(ref):
            right = f"an inference id, or {self._product.name}@VERSION"
            raise Refused(
                404, f"{ref[:80]!r} names no prediction and no version of {self._product.name}; right is {right}"
            )
        if self._tracing:
            raise Refused(429, "another trace is being computed; right is to ask again in 1 s", headers=_BUSY)
        self._tracing = True
        try:
            loop = asyncio.get_running_loop()
            return Answer(200, await loop.run_in_executor(self._prover, self._tracer, ref))
        except LookupError as problem:
            raise Refused(404, str(problem.args[0] if problem.args else problem)) from problem
        except (BrokenEvidence, OSError) as problem:
            raise Refused(503, f"the evidence cannot be read: {problem}") from problem
        finally:
            self._tracing = False

    def _may_be(self, ref: str) -> bool:
        """Return whether `ref` looks like a prediction, or a version of this product."""
        if re.fullmatch(rf"{re.escape(self._product.name)}@\d{{1,9}}", ref):
            return True
        try:
            parse(ref)
        except ValueError:
            return False
        return True

    def _read(self, now: datetime) -> tuple[str | None, list[Worker], list[Judged] | None]:
        """Return the deployment that is wanted, the live workers, and the newest verdicts."""
        deployment = self._wanted()
        at_s = time.monotonic()
        if at_s - self._judged[0] > JUDGED_S:
            self._judged = (at_s, verdicts(self._archive, self._product))
        try:
            workers = live_workers(self._folder, now)
        except (OSError, msgspec.DecodeError):
            workers = []
        return deployment.id if deployment else None, workers, self._judged[1]

    def _learned(self, deployment: str | None) -> tuple[str | None, Mapping[str, Mapping[str, Usual]]]:
        wanted = self._wanted()
        served = wanted if wanted is not None and wanted.id == deployment else None
        return deployment, usual_values(self._archive, served)

    def _wanted(self) -> Deployment | None:
        try:
            return read_deployment(self._folder)
        except (OSError, msgspec.DecodeError):
            return None


def _last(scope: Scope) -> str:
    """Return the last part of a request's path."""
    return str(scope["path"]).rpartition("/")[2]
