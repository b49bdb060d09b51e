"""Everything that Prometheus reads of one endpoint, gathered when it asks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.serving.access.access import Access
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.ids import moment
from mlops_assets.serving.metrics.metrics import Metrics, Seen, log_lag_s
from mlops_assets.serving.metrics.process import process_figures
from mlops_assets.serving.requests.clock import Clock
from mlops_assets.serving.worker.listening import Listening
from mlops_assets.windows import Grid


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Where the figures of an endpoint come from; `started` is when its process did."""

    grid: Grid
    folder: Path
    clock: Clock
    inference: Inference
    log: DurableLog
    server: Listening
    access: Access
    metrics: Metrics
    started: datetime

    def text(self) -> str:
        """Return them in Prometheus' text format."""
        return "\n".join([*self.metrics.lines(self.seen()), *process_figures(self.started.timestamp()), ""])

    def seen(self) -> Seen:
        """Return how the endpoint is at this moment."""
        ms, table = self.clock.now_ms(), self.inference.table
        now = datetime.now(UTC) if ms is None else moment(ms)
        waiting = {"in_flight": self.server.in_flight, "shadow": self.inference.shadow.waiting}
        return Seen(
            table=table,
            ready=bool(table.lanes) and not self.server.leaving,
            log_lag_s=log_lag_s(self.folder, self.grid, now),
            unlogged=self.log.unlogged,
            connections=self.server.open,
            queues={**waiting, "log": self.log.waiting},
            cut=self.server.door.cut,
            not_let_in=self.access.refused,
        )
