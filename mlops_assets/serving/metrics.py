"""What the endpoint counts, as Prometheus text."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate
from pathlib import Path

from mlops_assets.serving.routing.router import Table
from mlops_assets.windows import Grid

_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)


class Metrics:
    """Counts of one worker since its start."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._answers: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(_BUCKETS_S) + 1)
        self._seconds = 0.0

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answer; the histogram holds predictions alone."""
        self._answers[endpoint, status] += 1
        if endpoint in ("infer", "invocations"):
            self._buckets[bisect_left(_BUCKETS_S, seconds)] += 1
            self._seconds += seconds

    def text(self, table: Table, log_lag_s: float) -> str:
        """Return all figures, with the versions served now and how far sealing lags behind."""
        return "\n".join(
            [*self._counts(), *self._latency(), *_served(table), *_gauge("log_lag_seconds", log_lag_s), ""]
        )

    def _counts(self) -> Iterator[str]:
        yield "# HELP mlops_requests_total Answers by endpoint and status."
        yield "# TYPE mlops_requests_total counter"
        for (endpoint, status), count in sorted(self._answers.items()):
            yield f'mlops_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
        yield "# HELP mlops_errors_total Answers with status 4xx or 5xx, by class."
        yield "# TYPE mlops_errors_total counter"
        for kind in (4, 5):
            count = sum(count for (_, status), count in self._answers.items() if status // 100 == kind)
            yield f'mlops_errors_total{{class="{kind}xx"}} {count}'

    def _latency(self) -> Iterator[str]:
        name = "mlops_request_seconds"
        yield f"# HELP {name} Seconds from receipt to answer of requests for predictions."
        yield f"# TYPE {name} histogram"
        sums = list(accumulate(self._buckets))
        for bound, count in zip([*map(str, _BUCKETS_S), "+Inf"], sums, strict=True):
            yield f'{name}_bucket{{le="{bound}"}} {count}'
        yield f"{name}_sum {self._seconds:.6f}"
        yield f"{name}_count {sums[-1]}"


def log_lag_s(folder: Path, grid: Grid, now: datetime) -> float:
    """Return the seconds since the oldest window that still has log files ended; 0 if there is none."""
    open_windows = {path.parent.name for path in (folder / "log").glob("*/*.log")}
    ends = [grid.bounds(window)[1] for window in open_windows]
    return max((max(0.0, (now - end).total_seconds()) for end in ends), default=0.0)


def _served(table: Table) -> Iterator[str]:
    yield "# HELP mlops_served_version Version that answers for a segment."
    yield "# TYPE mlops_served_version gauge"
    for segment, by in sorted(table.answerers.items()):
        yield f'mlops_served_version{{segment="{segment}"}} {by.version}'


def _gauge(name: str, value: float) -> Iterator[str]:
    yield f"# HELP mlops_{name} Seconds since the end of the oldest window whose log is not sealed."
    yield f"# TYPE mlops_{name} gauge"
    yield f"mlops_{name} {value:g}"
