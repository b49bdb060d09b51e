"""The paths where requests for predictions come in, and the outcomes that follow them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.answering.infer import ASIDE, Inference
from mlops_assets.serving.answering.ways import Way, caller_of
from mlops_assets.serving.log.ids import moment, to_ms
from mlops_assets.serving.log.outcomes import OutcomeLog, filed_outcomes, labels_of, read_outcomes
from mlops_assets.serving.requests.aside import aside
from mlops_assets.serving.requests.clock import HEADER, Clock, ReplayClock
from mlops_assets.serving.requests.forms import Forms
from mlops_assets.serving.requests.http import Answer, Scope, header, json_answer
from mlops_assets.serving.requests.reading import LONG, infer_form, invocations_form
from mlops_assets.serving.requests.refusal import Refused

_CLOCK = HEADER.encode()


class _Move(msgspec.Struct, forbid_unknown_fields=True):
    at: str | int


class Predicting:
    """Reads requests, and has them answered.

    `close` finishes the log of windows that are over by the clock, and tells the others how far that is. With a
    server's clock somebody else sees to it now and then; an answer by a replay's clock does not come before it.
    """

    def __init__(
        self,
        product: ModelProduct,
        folder: Path,
        *,
        clock: Clock,
        inference: Inference,
        outcome_log: OutcomeLog,
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """Answer for `product`, whose log is at `folder`."""
        self._product = product
        self._folder = folder
        self._clock = clock
        self._inference = inference
        self._outcome_log = outcome_log
        self._close = close
        self._replays = isinstance(clock, ReplayClock)
        self._closed_ms = 0  # the end of the last window that a replay has come to
        self._closing = asyncio.Lock()
        self._forms = Forms(product.source.segment, product.endpoint.limits.rows)
        self._time_s = product.endpoint.limits.time.total_seconds()

    def ways(self) -> dict[str, Way]:
        """Return what answers at which path."""
        model = f"/v2/models/{self._product.name}"
        found = {
            f"{model}/infer": Way("POST", "infer", "predict", self._infer),
            f"{model}/versions/*/infer": Way("POST", "infer", "predict", self._infer),
            "/invocations": Way("POST", "invocations", "predict", self._invocations),
            f"{model}/outcomes": Way("POST", "outcomes", "predict", self._outcomes),
        }
        return {**found, "/v2/clock": Way("POST", "clock", "predict", self._move)} if self._replays else found

    async def _replayed(self, ms: int) -> None:
        """Finish the log of windows before that of `ms`, once for each window."""
        async with self._closing:
            if ms >= self._closed_ms:
                await self._close()
                grid = self._product.grid
                self._closed_ms = to_ms(grid.bounds(grid.key(moment(ms)))[1])

    async def _infer(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        if len(body) < LONG:
            form = infer_form(self._forms, scope, body)
        else:
            form = await aside(self._time_s, infer_form, self._forms, scope, body)
        ms = self._clock.read(header(scope, _CLOCK))
        if self._replays and ms >= self._closed_ms:
            await self._replayed(ms)
        return await self._inference.answer(form, ms, began_ns)

    async def _invocations(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        if len(body) < LONG:
            form = invocations_form(self._forms, scope, body)
        else:
            form = await aside(self._time_s, invocations_form, self._forms, scope, body)
        ms = self._clock.read(header(scope, _CLOCK))
        if self._replays and ms >= self._closed_ms:
            await self._replayed(ms)
        return await self._inference.answer(form, ms, began_ns)

    async def _outcomes(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        ms = self._clock.read(header(scope, _CLOCK))
        if self._replays and ms >= self._closed_ms:
            await self._replayed(ms)
        labels = labels_of(self._product.label.kind, self._inference.table)
        if len(body) < LONG:
            read = read_outcomes(body, labels)
        else:
            read = await aside(self._time_s, read_outcomes, body, labels)
        if len(read) < ASIDE:
            windows = filed_outcomes(self._folder, self._product.grid, read)
        else:
            windows = await asyncio.to_thread(filed_outcomes, self._folder, self._product.grid, read)
        caller = caller_of(scope)
        self._outcome_log.append(self._inference.ids.new(ms), windows, "api" if caller is None else caller.by)
        return json_answer({"accepted": len(read)})

    async def _move(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        """Move a replay's clock without a prediction, so that its last window can end."""
        assert isinstance(self._clock, ReplayClock)
        if body:
            try:
                self._clock.move(str(msgspec.json.decode(body, type=_Move).at))
            except msgspec.DecodeError as error:
                raise Refused(400, f'{error}; right is {{"at": "2026-01-31T12:00:00Z"}}') from error
        ms = self._clock.read(header(scope, _CLOCK))
        await self._close()
        return json_answer({"clock": moment(ms)})
