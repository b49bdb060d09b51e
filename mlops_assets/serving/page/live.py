"""What an endpoint is at this moment -> the figures that its page shows, as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.metrics.metrics import Seen
from mlops_assets.serving.page.pulse import Recent
from mlops_assets.serving.page.verdicts import Judged
from mlops_assets.serving.routing.counts import VariantCounts, added, counts_key, quantile_us
from mlops_assets.serving.routing.lanes import BUCKETS, Lane
from mlops_assets.serving.routing.router import Table
from mlops_assets.serving.workers import Worker


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers a `share` (0 to 1) of a segment's requests; a shadow answers none and gets copies of all.

    Counts are of all workers, since the segment was last routed otherwise.
    """

    variant: str
    version: int
    share: float
    requests: int
    errors: int
    dropped: int
    p50_us: int | None
    p99_us: int | None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment and who answers for it; nobody before its first champion. `positive` is the class of a probability."""

    segment: str
    variants: list[Variant]
    fallback: bool
    positive: str | None


class Colleague(msgspec.Struct, frozen=True, kw_only=True):
    """A live worker of the product: what it serves, what it refused and why. `here` is the one that says this."""

    url: str
    deployment: str | None
    refused: str | None
    error: str | None
    here: bool


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """How the inference log is: answers that it did not take, and how far sealing is behind, in s."""

    unlogged: int
    lag_s: float


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of the page.

    `wanted` is the deployment that is asked for, if it is another one. `clock` is the time that predictions are stamped
    with, None before a replay has begun. `drift` is None while the store does not answer.
    """

    product: str
    description: str
    label: str
    task: str
    segment_field: str | None
    deployment: str | None
    wanted: str | None
    ready: bool
    now: datetime
    clock: datetime | None
    replays: bool
    traces: bool
    segments: list[Segment]
    recent: Recent
    log: Log
    workers: list[Colleague]
    drift: list[Judged] | None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is made of, as it is now."""

    seen: Seen
    wanted: str | None
    workers: list[Worker]
    writer: str
    recent: Recent
    drift: list[Judged] | None
    now: datetime
    clock: datetime | None
    replays: bool
    traces: bool


def live(product: ModelProduct, moment: Moment) -> Live:
    """Return the figures of `product`."""
    table = moment.seen.table
    return Live(
        product=product.name,
        description=product.description or "",
        label=product.label.column,
        task=product.label.kind,
        segment_field=product.source.segment,
        deployment=table.deployment,
        wanted=moment.wanted if moment.wanted != table.deployment else None,
        ready=moment.seen.ready,
        now=moment.now,
        clock=moment.clock,
        replays=moment.replays,
        traces=moment.traces,
        segments=list(_segments(table, _everywhere(table, moment))),
        recent=moment.recent,
        log=Log(unlogged=moment.seen.unlogged, lag_s=moment.seen.log_lag_s),
        workers=list(_colleagues(moment)),
        drift=moment.drift,
    )


def _everywhere(table: Table, moment: Moment) -> Mapping[str, VariantCounts]:
    """Return the counts of all workers that serve this table; its own are those of this moment."""
    others = [w.counts for w in moment.workers if w.writer != moment.writer and w.counts_of == table.deployment]
    mine = table.counts()
    return {key: added([counts, *(each[key] for each in others if key in each)]) for key, counts in mine.items()}


def _segments(table: Table, counts: Mapping[str, VariantCounts]) -> Iterator[Segment]:
    for segment in table.segments:
        lane = table.lanes.get(segment)
        variants = [] if lane is None else list(_variants(lane, counts))
        spec = None if lane is None else lane.champion.model.spec
        positive = spec.classes[-1] if spec is not None and spec.task == "binary" and spec.classes else None
        yield Segment(segment=segment, variants=variants, fallback=segment == table.fallback, positive=positive)


def _variants(lane: Lane, counts: Mapping[str, VariantCounts]) -> Iterator[Variant]:
    rival = lane.below / BUCKETS
    for by in lane.everyone:
        found = counts[counts_key(by.segment, by.variant, by.version)]
        yield Variant(
            variant=by.variant,
            version=by.version,
            share={"champion": 1 - rival, "shadow": 0.0}.get(by.variant, rival),
            requests=found.requests,
            errors=found.errors,
            dropped=found.dropped,
            p50_us=quantile_us(found.latency, 0.5),
            p99_us=quantile_us(found.latency, 0.99),
        )


def _colleagues(moment: Moment) -> Iterable[Colleague]:
    for worker in moment.workers:
        yield Colleague(
            url=worker.url,
            deployment=worker.deployment,
            refused=worker.refused,
            error=worker.error,
            here=worker.writer == moment.writer,
        )
