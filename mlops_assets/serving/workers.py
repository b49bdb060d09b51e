"""The workers of a product: each keeps one small file saying who it is, what it serves and how far its log is closed.

The file's mtime is the worker's heartbeat. Files of dead workers stay: the earliest says where the traffic began.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from mlops_assets.evidence.store import replace
from mlops_assets.serving.routing.counts import VariantCounts

BEAT_S = 2.0
SILENT_S = 10.0  # five missed heartbeats

ClockKind = Literal["server", "replay"]


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint process. `started` is wall time; `since` and `closed_until` are by the clock it stamps with.

    It never logged before `since`, and never again before `closed_until`. `refused` is the desired
    deployment that it could not load, `error` why. `stopped` is true after a clean end.

    `counts` (by `segment/variant/version`) belong to the deployment `counts_of`; those of a segment go on from the
    deployments before it that routed the segment alike.
    """

    writer: str
    pid: int
    url: str
    clock: ClockKind
    started: datetime
    since: datetime | None = None
    closed_until: datetime | None = None
    deployment: str | None = None
    refused: str | None = None
    error: str | None = None
    stopped: bool = False
    counts_of: str | None = None
    counts: dict[str, VariantCounts] = msgspec.field(default_factory=dict[str, VariantCounts])


class Registration:
    """A worker's own file. Methods may be called from any thread."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        """Keep `<folder>/workers/<writer>.json`; it is written by the first method called."""
        self._path = folder / "workers" / f"{worker.writer}.json"
        self._lock = threading.Lock()
        self.worker = worker

    def beat(
        self,
        closed_until: datetime | None,
        *,
        counts_of: str | None = None,
        counts: Mapping[str, VariantCounts] | None = None,
    ) -> None:
        """Write the file anew: alive, nothing will be logged before `closed_until`, and what each variant did."""
        with self._lock:
            since = self.worker.since or closed_until
            beaten = msgspec.structs.replace(self.worker, since=since, closed_until=closed_until)
            if counts is not None:
                beaten = msgspec.structs.replace(beaten, counts_of=counts_of, counts=dict(counts))
            self._write(beaten)

    def serves(self, deployment: str) -> None:
        """Write down that answers come from `deployment` now."""
        with self._lock:
            self._write(msgspec.structs.replace(self.worker, deployment=deployment, refused=None, error=None))

    def refuses(self, deployment: str | None, error: str) -> None:
        """Write down why the desired deployment is not served."""
        with self._lock:
            self._write(msgspec.structs.replace(self.worker, refused=deployment, error=error))

    def stop(self) -> None:
        """Write down that this worker will never log again."""
        with self._lock:
            self._write(msgspec.structs.replace(self.worker, stopped=True))

    def _write(self, worker: Worker) -> None:
        self.worker = worker
        with contextlib.suppress(OSError):  # a full disk: the worker looks silent until a later beat succeeds
            replace(self._path, msgspec.json.encode(worker))


class WorkerFiles:
    """The workers' files of a product; one that has not changed since is not read again: most are of dead workers."""

    def __init__(self, folder: Path) -> None:
        """Read `<folder>/workers`; nothing is kept yet."""
        self._folder = folder / "workers"
        self._known: dict[str, tuple[tuple[int, int], Worker]] = {}

    def read(self, *, silent_at: datetime | None = None) -> list[tuple[Worker, float]]:
        """Return workers with their heartbeat in seconds since 1970, oldest first: all, or those not `silent_at`."""
        stamped = [
            (path, stat)
            for path, stat in self._stamped()
            if silent_at is None or not _silent(stat.st_mtime, silent_at, SILENT_S)
        ]
        found: list[tuple[Worker, float]] = []
        for path, stat in stamped:
            with contextlib.suppress(FileNotFoundError):  # its home has been removed since it was listed
                found.append((self._worker(path, (stat.st_mtime_ns, stat.st_ino)), stat.st_mtime))
        return sorted(found, key=lambda pair: pair[0].started)

    def _stamped(self) -> Iterator[tuple[str, os.stat_result]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as files:
            for file in files:
                if file.name.endswith(".json") and not file.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        yield file.path, file.stat()

    def _worker(self, path: str, stamp: tuple[int, int]) -> Worker:
        known = self._known.get(path)
        if known is None or known[0] != stamp:  # it is replaced whole, so that another one is another inode
            known = self._known[path] = stamp, msgspec.json.decode(Path(path).read_bytes(), type=Worker)
        return known[1]


def workers(folder: Path) -> list[tuple[Worker, float]]:
    """Return every worker that ever was, with its heartbeat in seconds since 1970, oldest first."""
    return WorkerFiles(folder).read()


def live_workers(folder: Path, now: datetime) -> list[Worker]:
    """Return the workers whose heartbeat is fresh at `now`."""
    everyone = WorkerFiles(folder).read(silent_at=now)
    return [worker for worker, _ in everyone if not worker.stopped]


def open_from(worker: Worker, beat: float, *, now: datetime, grace_s: float) -> datetime | None:
    """Return from when on `worker` may still log; None if it logs no more, or has not begun."""
    return None if worker.stopped or _silent(beat, now, grace_s) else worker.closed_until


def _silent(beat: float, now: datetime, limit_s: float) -> bool:
    return now - timedelta(seconds=limit_s) > datetime.fromtimestamp(beat, tz=now.tzinfo)
