"""The path where an endpoint tells machines of itself: metrics."""

from collections.abc import Callable

from mlops_assets.serving.answering.ways import Way
from mlops_assets.serving.requests.http import Answer, Scope

_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class Showing:
    """Shows what an endpoint counts; `metrics` makes the text that Prometheus reads."""

    def __init__(self, metrics: Callable[[], str]) -> None:
        """Ask `metrics` each time."""
        self._metrics = metrics

    def ways(self) -> dict[str, Way]:
        """Return what answers at which path."""
        return {
            "/metrics": Way("GET", "metrics", "read", self._show_metrics),
        }

    async def _show_metrics(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return Answer(200, self._metrics().encode(), (), _PROMETHEUS)
