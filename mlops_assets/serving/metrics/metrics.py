"""What an endpoint counts, as the text that Prometheus reads."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mlops_assets.serving.metrics.exposition import BOUNDS_S, Latencies, family, histogram, single
from mlops_assets.serving.routing.counts import VariantCounts, by_segment, latency_us
from mlops_assets.serving.routing.lanes import BUCKETS
from mlops_assets.serving.routing.router import Table
from mlops_assets.windows import Grid

_BOUNDS_US = tuple(round(bound * 1e6) for bound in BOUNDS_S)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How an endpoint is at this moment.

    `queues` are requests that wait, by where; `cut` are connections and `not_let_in` requests, by reason. `unlogged`
    answers left although the disk took nothing. `log_lag_s` is how far sealing is behind.
    """

    table: Table
    ready: bool
    log_lag_s: float
    unlogged: int = 0
    connections: int = 0
    queues: Mapping[str, int] = field(default_factory=dict[str, int])
    cut: Mapping[str, int] = field(default_factory=dict[str, int])
    not_let_in: Mapping[str, int] = field(default_factory=dict[str, int])


class Metrics:
    """Counts of one worker since its start."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.unforeseen = 0
        self._answers: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._seconds = 0.0

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answer; the histogram holds predictions alone."""
        self._answers[endpoint, status] += 1
        if endpoint in ("infer", "invocations"):
            self._buckets[bisect_left(BOUNDS_S, seconds)] += 1
            self._seconds += seconds

    def classes(self) -> dict[int, int]:
        """Return how many requests for predictions were answered, by status // 100."""
        found: dict[int, int] = {2: 0, 4: 0, 5: 0}
        for (name, status), count in self._answers.items():
            if name in ("infer", "invocations"):
                found[status // 100] = found.get(status // 100, 0) + count
        return found

    def lines(self, seen: Seen) -> Iterator[str]:
        """Yield all figures of the endpoint; those of its process are beside them."""
        yield from self._requests()
        yield from _served(seen.table)
        yield from _variants(seen.table.counts())
        says = "Requests that wait or are being answered, by where."
        yield from family("mlops_queue", "gauge", says, _labelled("queue", seen.queues))
        yield from single("mlops_connections", "gauge", "Open connections.", seen.connections)
        says = "Connections that were ended: slow clients, heads that are too long, too many at once."
        yield from family("mlops_connections_cut_total", "counter", says, _labelled("reason", seen.cut))
        says = "Requests that were not let in, by reason."
        yield from family("mlops_not_let_in_total", "counter", says, _labelled("reason", seen.not_let_in))
        says = "Answers that left although the log took nothing."
        yield from single("mlops_unlogged_total", "counter", says, seen.unlogged)
        says = "Seconds since the end of the oldest window whose log is not sealed."
        yield from single("mlops_log_lag_seconds", "gauge", says, seen.log_lag_s)
        yield from single("mlops_ready", "gauge", "1 while requests should come here.", int(seen.ready))

    def _requests(self) -> Iterator[str]:
        counts = [({"endpoint": name, "status": status}, n) for (name, status), n in sorted(self._answers.items())]
        yield from family("mlops_requests_total", "counter", "Answers by endpoint and status.", counts)
        errors = [
            ({"class": f"{kind}xx"}, sum(n for (_, status), n in self._answers.items() if status // 100 == kind))
            for kind in (4, 5)
        ]
        yield from family("mlops_errors_total", "counter", "Answers with status 4xx or 5xx, by class.", errors)
        says = "Errors that nobody foresaw, each answered with 500 and logged."
        yield from single("mlops_unforeseen_errors_total", "counter", says, self.unforeseen)
        says = "Seconds from receipt to answer of requests for predictions."
        yield from histogram("mlops_request_seconds", says, [Latencies({}, self._buckets, self._seconds)])


def log_lag_s(folder: Path, grid: Grid, now: datetime) -> float:
    """Return the seconds since the oldest window that still has log files ended; 0 if there is none."""
    open_windows = {path.parent.name for path in (folder / "log").glob("*/*.log")}
    ends = [grid.bounds(window)[1] for window in open_windows]
    return max((max(0.0, (now - end).total_seconds()) for end in ends), default=0.0)


def _labelled(label: str, counts: Mapping[str, int]) -> Iterable[tuple[dict[str, str], int]]:
    return [({label: name}, count) for name, count in sorted(counts.items())]


def _served(table: Table) -> Iterator[str]:
    champions = [({"segment": segment}, by.version) for segment, by in sorted(table.answerers.items())]
    yield from family("mlops_served_version", "gauge", "Version that is a segment's champion.", champions)
    says = "Share of a segment's requests that a version answers; a shadow gets copies, and answers none."
    yield from family("mlops_variant_share", "gauge", says, _shares(table))
    deployment = [({"deployment": table.deployment}, 1)] if table.deployment else []
    yield from family("mlops_deployment_info", "gauge", "What is deployed here; always 1.", deployment)


def _shares(table: Table) -> Iterator[tuple[dict[str, str | int], float]]:
    for segment, lane in sorted(table.lanes.items()):
        rival = lane.below / BUCKETS
        for by in lane.everyone:
            share = {"champion": 1 - rival, "shadow": 0.0}.get(by.variant, rival)
            yield {"segment": segment, "variant": by.variant, "version": by.version}, share


def _variants(counts: Mapping[str, VariantCounts]) -> Iterator[str]:
    """Yield what each variant did since its segment was last routed otherwise."""
    found = [
        ({"segment": segment, "variant": variant, "version": version}, each)
        for (segment, variant, version), each in sorted(by_segment(counts).items())
    ]
    asked = [(labels, each.requests) for labels, each in found]
    yield from family("mlops_variant_requests_total", "counter", "Requests given to a variant.", asked)
    failed = [(labels, each.errors) for labels, each in found]
    says = "Requests that a variant failed to answer; the champion answered them."
    yield from family("mlops_variant_errors_total", "counter", says, failed)
    dropped = [(labels, each.dropped) for labels, each in found if labels["variant"] == "shadow"]
    says = "Requests that came too fast for a shadow."
    yield from family("mlops_shadow_dropped_total", "counter", says, dropped)
    says = "Seconds from receipt to log by variant (of a shadow its own work), from bins at most 1/8 wide."
    yield from histogram("mlops_variant_seconds", says, [_latencies(labels, each.latency) for labels, each in found])


def _latencies(labels: dict[str, str | int], bins: list[int]) -> Latencies:
    """Return binned latencies in our buckets; a bin that a bound cuts counts above it."""
    buckets, us = [0] * (len(_BOUNDS_US) + 1), 0.0
    for place, count in enumerate(bins):
        longest, shortest = latency_us(place), latency_us(place - 1) + 1 if place else 0
        buckets[bisect_left(_BOUNDS_US, longest)] += count
        us += count * (shortest + longest) / 2
    return Latencies(labels, buckets, us / 1e6)
