"""A deployment that was asked for -> what became of it at the workers: served, or who does not serve it and why."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.serving.routing.deploy import answers, read_deployment
from mlops_assets.serving.workers import Worker, live_workers, workers

_PAUSE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What the workers made of a deployment.

    `serving` answer with it, of `live` ones. `refused` says who compared a model with the offline one and found it
    broken or unequal, `late` who did not answer in time, each with why. `newer` is what is asked for by now instead.
    """

    serving: list[Worker]
    live: list[Worker]
    refused: list[str]
    late: list[str]
    newer: str | None = None

    @property
    def problems(self) -> list[str]:
        """Why it failed; nothing if it did not, or nobody is there to serve it."""
        return [] if self.newer else [*self.refused, *self.late]


def rolled_out(folder: Path, deployment: str, patience_s: float) -> Rollout:
    """Return what became of `deployment` once every live worker serves it, one refuses it, or patience has ended.

    A worker that was there at first has to stay, or end as it should, or another one has to serve in its place.
    """
    deadline = time.monotonic() + patience_s
    first = live_workers(folder, datetime.now(UTC))
    while True:
        live = live_workers(folder, datetime.now(UTC))
        wanted = read_deployment(folder)
        newer = wanted.id if wanted is not None and wanted.id != deployment else None
        refused = [f"{worker.url} refused it: {worker.error}" for worker in live if worker.refused == deployment]
        said = [(worker, None if refused else answers(worker)) for worker in live]
        serving = [worker for worker, answer in said if answer == deployment]
        settled = len(serving) == len(live) and (live or not _lost(folder, first))
        if newer or refused or settled or time.monotonic() > deadline:
            left = [(worker.url, answer) for worker, answer in said if worker not in serving]
            late = [] if settled or refused else list(_late(_lost(folder, first), left, patience_s))
            return Rollout(serving=serving, live=live, refused=refused, late=late, newer=newer)
        time.sleep(_PAUSE_S)


def _late(lost: list[str], left: list[tuple[str, str | None]], patience_s: float) -> Iterator[str]:
    """Yield why a deployment is not served, from the workers that were lost, or that are `left` and what they serve."""
    if not left:
        yield from (f"{url} fell silent, and no other worker came" for url in lost)
    for url, answer in left:
        yield f"{url} {f'serves {answer[:12]}…' if answer else 'serves nothing'} after {patience_s:g} s"


def _lost(folder: Path, first: list[Worker]) -> list[str]:
    """Return the workers that were there and did not end as they should."""
    stopped = {worker.writer for worker, _ in workers(folder) if worker.stopped}
    return [worker.url for worker in first if worker.writer not in stopped]
