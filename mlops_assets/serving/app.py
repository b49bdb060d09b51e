"""The endpoint of one product: paths -> answers, over bare ASGI."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving import pages
from mlops_assets.serving.infer import ASIDE, Inference
from mlops_assets.serving.log.frames import LogRefused
from mlops_assets.serving.log.ids import moment
from mlops_assets.serving.log.outcomes import OutcomeLog, filed_outcomes, labels_of, read_outcomes
from mlops_assets.serving.metrics import Metrics, log_lag_s
from mlops_assets.serving.requests.clock import HEADER, Clock, ReplayClock
from mlops_assets.serving.requests.forms import Forms
from mlops_assets.serving.requests.http import (
    Answer,
    Gone,
    Receive,
    Scope,
    Send,
    header,
    json_answer,
    read_body,
    refusal,
    send_answer,
)
from mlops_assets.serving.requests.refusal import Refused

_JSON_LENGTH = b"inference-header-content-length"
_LENGTH_DIGITS = 18

Handler = Callable[[Scope, bytes, int], Awaitable[Answer]]


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    at: str | int


class App:
    """An ASGI application. `close` is called with the clock's ms when a window may have ended."""

    def __init__(
        self,
        product: ModelProduct,
        folder: Path,
        *,
        clock: Clock,
        inference: Inference,
        outcome_log: OutcomeLog,
        close: Callable[[int], None],
    ) -> None:
        """Answer for `product`, whose log is at `folder`."""
        self._product = product
        self._folder = folder
        self._clock = clock
        self._inference = inference
        self._outcome_log = outcome_log
        self._close = close
        self._forms = Forms(product.source.segment)
        self._metrics = Metrics()
        model = f"/v2/models/{product.name}"
        self._paths: dict[str, tuple[str, str, Handler]] = {
            f"{model}/infer": ("POST", "infer", self._infer),
            "/invocations": ("POST", "invocations", self._invocations),
            f"{model}/outcomes": ("POST", "outcomes", self._outcomes),
            "/": ("GET", "home", self._home),
            "/metrics": ("GET", "metrics", self._show_metrics),
            "/v2": ("GET", "metadata", self._server),
            model: ("GET", "metadata", self._model),
            "/v2/health/live": ("GET", "health", self._live),
            "/v2/health/ready": ("GET", "health", self._ready),
            f"{model}/ready": ("GET", "health", self._ready),
        }
        if isinstance(clock, ReplayClock):
            self._paths["/v2/clock"] = ("POST", "clock", self._move)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_ns = time.perf_counter_ns()
        name = "none"
        try:
            name, handler = self._handler(scope["path"], scope["method"])
            answer = await handler(scope, await read_body(receive), began_ns)
        except Refused as refused:
            answer = refusal(refused)
        except LogRefused as error:
            answer = refusal(Refused(503, f"not logged, and so not answered: {error}"))
        except Gone:
            return
        await send_answer(send, answer)
        self._metrics.answered(name, answer.status, (time.perf_counter_ns() - began_ns) / 1e9)

    def _handler(self, path: str, method: str) -> tuple[str, Handler]:
        if path not in self._paths:
            raise Refused(404, f"no path {path!r}; known: {', '.join(self._paths)}")
        right, name, handler = self._paths[path]
        if method != right:
            raise Refused(405, f"{method} {path}; right is {right}")
        return name, handler

    def _now(self, scope: Scope) -> int:
        """Return the time of a request; the log's files of windows before it are finished first."""
        ms = self._clock.read(header(scope, HEADER.encode()))
        if ms >= self._inference.window_end_ms:
            self._close(ms)
        return ms

    async def _infer(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        length = header(scope, _JSON_LENGTH)
        if length is not None and (not length.isdigit() or len(length) > _LENGTH_DIGITS):
            raise Refused(
                400, f"header Inference-Header-Content-Length: found {length[:60]!r}; right is a number of bytes"
            )
        form = self._forms.infer(body, None if length is None else int(length))
        return await self._inference.answer(form, self._now(scope), began_ns)

    async def _invocations(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return await self._inference.answer(self._forms.invocations(body), self._now(scope), began_ns)

    async def _outcomes(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        ms = self._now(scope)
        read = read_outcomes(body, labels_of(self._product.label.kind, self._inference.table))
        if len(read) < ASIDE:
            windows = filed_outcomes(self._folder, self._product.grid, read)
        else:
            windows = await asyncio.to_thread(filed_outcomes, self._folder, self._product.grid, read)
        self._outcome_log.append(self._inference.ids.new(ms), windows)
        return json_answer({"accepted": len(read)})

    async def _move(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        """Move a replay's clock without a prediction, so that its last window can end."""
        assert isinstance(self._clock, ReplayClock)
        if body:
            try:
                self._clock.move(str(msgspec.json.decode(body, type=_Move).at))
            except msgspec.DecodeError as error:
                raise Refused(400, f'{error}; right is {{"at": "2026-01-31T12:00:00Z"}}') from error
        ms = self._now(scope)
        self._close(ms)
        return json_answer({"clock": moment(ms)})

    async def _live(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer({"live": True})

    async def _ready(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        ready = bool(self._inference.table.answerers)
        return json_answer({"ready": ready}, status=200 if ready else 503)

    async def _server(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer(pages.server(self._product, self._inference.table))

    async def _model(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer(pages.model(self._product, self._inference.table))

    async def _home(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return Answer(200, pages.home(self._product, self._inference.table), (), b"text/html; charset=utf-8")

    async def _show_metrics(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        ms = self._clock.now_ms()
        now = datetime.now(UTC) if ms is None else moment(ms)
        lag_s = log_lag_s(self._folder, self._product.grid, now)
        return Answer(200, self._metrics.text(self._inference.table, lag_s).encode(), (), b"text/plain; version=0.0.4")
