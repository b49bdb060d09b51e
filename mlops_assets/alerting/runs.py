"""Runs of the products' jobs, as they come -> which (job, partition) has failed for good, and an alert for each."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from mlops_assets.alerting.alert import Alert, Found, run_link
from mlops_assets.evidence.records import Struct
from mlops_assets.evidence.step import parse

TAKEN_UP = timedelta(minutes=10)  # a failed run that has attempts left, and was not asked for again by then, never is


State = Literal["under way", "succeeded", "failed", "canceled"]


class Run(Struct, frozen=True, kw_only=True):
    """A run of a job of a product. `order` counts runs; `last`: nobody asks for it again if it fails."""

    id: str
    order: int
    product: str
    job: str
    partition: str | None
    state: State
    ended: str | None = None
    last: bool = True
    problem: str = ""


class Runs(Struct, frozen=True, kw_only=True):
    """What is remembered of runs: the newest one seen, those still under way, and the failed ones not yet mended."""

    newest: str | None = None
    under_way: tuple[str, ...] = ()
    failed: dict[str, Run] = msgspec.field(default_factory=dict[str, Run])


def followed(before: Runs, seen: Iterable[Run], newest: str | None) -> Runs:
    """Return `before` with what became of the runs `seen`: a success mends the failure of the same partition."""
    failed, under_way = dict(before.failed), list[str]()
    for run in sorted(seen, key=lambda each: each.order):
        name = f"{run.job} {run.partition or ''}"
        known = failed.get(name)
        if run.state == "under way":
            under_way.append(run.id)
        elif known is not None and known.order > run.order:
            continue
        elif run.state == "succeeded":
            failed.pop(name, None)
        elif run.state == "failed":  # once it had failed for good, another attempt that fails is no news
            given_up = known is not None and known.last
            failed[name] = msgspec.structs.replace(run, last=run.last or given_up)
    return Runs(newest=newest or before.newest, under_way=tuple(under_way), failed=failed)


def settled(runs: Runs, now: datetime) -> Runs:
    """Return `runs` where failures that nobody took up again in time have failed for good."""
    failed = {
        name: msgspec.structs.replace(run, last=run.last or _abandoned(run, now)) for name, run in runs.failed.items()
    }
    return msgspec.structs.replace(runs, failed=failed)


def run_alerts(runs: Runs, product: str, explained: set[str], ui_url: str) -> Iterator[Found]:
    """Yield the product's runs that failed for good, but those of `explained` partitions: their check is told."""
    for name, run in runs.failed.items():
        if run.product != product or not run.last or run.partition in explained:
            continue
        where = f" for {run.partition}" if run.partition else ""
        yield Found(
            alert=Alert(
                id=f"{product}/run/{name}",
                product=product,
                segment=parse(run.partition)[0] if run.partition else None,
                kind="failed run",
                severity="error",
                words=f"{run.job} failed{where}: {run.problem or 'no reason is known'}",
                link=run_link(ui_url, run.id),
            )
        )


def _abandoned(run: Run, now: datetime) -> bool:
    return run.ended is None or now - datetime.fromisoformat(run.ended) >= TAKEN_UP
