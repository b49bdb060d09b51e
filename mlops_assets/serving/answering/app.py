"""The edge of an endpoint, over bare ASGI: path -> way, who may go it, what goes wrong on it, and what is counted."""

import secrets
import time
from collections.abc import Mapping

from mlops_assets.product import ModelProduct
from mlops_assets.serving.access.access import Access
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.answering.ways import CALLER, Way, caller_of, general
from mlops_assets.serving.description.describing import Describing, UsualOf
from mlops_assets.serving.log.frames import LogRefused
from mlops_assets.serving.metrics.metrics import Metrics
from mlops_assets.serving.requests.http import (
    Answer,
    Gone,
    Receive,
    Scope,
    Send,
    json_answer,
    read_body,
    refusal,
    send_answer,
)
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.worker.events import Events

_RETRY = ((b"retry-after", b"1"),)
_LONGEST_PATH = 200


class App:
    """An ASGI application.

    `access` is None where nobody has to say who asks. While it is `draining` it is not ready.
    """

    def __init__(
        self,
        product: ModelProduct,
        inference: Inference,
        ways: Mapping[str, Way],
        *,
        events: Events,
        metrics: Metrics,
        usual: UsualOf | None = None,
    ) -> None:
        """Answer for `product` at `ways`, and say whether it is alive and ready; examples have `usual` values."""
        self._inference = inference
        self._events = events
        self._metrics = metrics
        self._limits = product.endpoint.limits
        self._longest = self._limits.body
        self._ways = {
            **ways,
            "/v2/health/live": Way("GET", "health", None, self._live),
            "/v2/health/ready": Way("GET", "health", None, self._ready),
            f"/v2/models/{product.name}/ready": Way("GET", "health", None, self._ready),
            "/ping": Way("GET", "health", None, self._ping),
            "/health": Way("GET", "health", None, self._ping),
        }
        self._ways |= Describing(product, inference, self._ways, usual).ways()
        self.access: Access | None = None
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_ns = time.perf_counter_ns()
        name = "none"
        try:
            _, name, act, handler = self._way(scope["path"], scope["method"])
            if self.access is not None and act is not None:
                scope[CALLER] = self.access.allows(scope, act)
            answer = await handler(scope, await read_body(receive, self._longest), began_ns)
        except Refused as refused:
            answer = self._refused(name, refused)
        except LogRefused as error:
            answer = self._refused(name, Refused(503, f"not logged, and so not answered: {error}", headers=_RETRY))
        except Gone:
            return
        except Exception as error:  # what nobody foresaw: the client learns where to look, the connection stays sane
            answer = self._unforeseen(name, error)
        await send_answer(send, answer)
        seconds = (time.perf_counter_ns() - began_ns) / 1e9
        self._metrics.answered(name, answer.status, seconds)
        if self._events.requests:
            self._tell(scope, name, answer, seconds)

    async def busy(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request while there are too many: 429 at once, but to whoever looks after the endpoint."""
        way = self._ways.get(scope["path"])
        name = "none" if way is None else way.name
        if name in ("health", "metrics"):
            await self(scope, receive, send)
            return
        said = f"{self._limits.in_flight} requests are being answered already; right is to come again in 1 s"
        await send_answer(send, refusal(Refused(429, said, headers=_RETRY)))
        self._metrics.answered(name, 429, 0.0)

    def _way(self, path: str, method: str) -> Way:
        way = self._ways.get(path) or self._ways.get(general(path))
        if way is None:
            raise Refused(404, f"no path {path[:_LONGEST_PATH]!r}; known: {', '.join(self._ways)}")
        if method != way.method:
            allowed = ((b"allow", way.method.encode()),)
            raise Refused(405, f"{method} {path[:_LONGEST_PATH]}; right is {way.method}", headers=allowed)
        return way

    def _refused(self, name: str, refused: Refused) -> Answer:
        if refused.status >= 500:
            self._events.tell("refused", {"path": name, "status": refused.status, "why": str(refused)}, "warning")
        elif refused.status in (401, 403):
            self._events.tell("not_let_in", {"path": name, "status": refused.status, "why": str(refused)}, "warning")
        return refusal(refused)

    def _unforeseen(self, name: str, error: Exception) -> Answer:
        """Return what a client is told of an exception that nobody foresaw: where to find it, and nothing of it."""
        id_ = secrets.token_hex(8)
        self._metrics.unforeseen += 1
        self._events.unforeseen(error, {"path": name, "error_id": id_})
        said = f"an error of the endpoint, not of the request; its log has it as {id_}"
        return refusal(Refused(500, said, headers=((b"mlops-error-id", id_.encode()),)))

    def _tell(self, scope: Scope, name: str, answer: Answer, seconds: float) -> None:
        """Write the line of one request."""
        headers, caller = dict(answer.headers), caller_of(scope)
        self._events.tell(
            "request",
            {
                "path": name,
                "status": answer.status,
                "ms": round(seconds * 1000, 3),
                "inference_id": headers.get(b"mlops-inference-id", b"").decode() or None,
                "version": headers.get(b"mlops-model-version", b"").decode() or None,
                "by": None if caller is None else caller.by,
            },
        )

    async def _live(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer({"live": True})

    async def _ready(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        """Say whether to send requests here; a table is only set once each of its models is warm."""
        table = self._inference.table
        ready = bool(table.answerers) and not self.draining
        return json_answer({"ready": ready, "deployment": table.deployment}, status=200 if ready else 503)

    async def _ping(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        """Say the same as MLflow's scoring server does."""
        ready = await self._ready(scope, body, began_ns)
        return Answer(200 if ready.status == 200 else 404, b"\n")
