"""The inference log -> sealed windows: which may be sealed, their table, and when their files may go.

A window's life: workers log into `log/<window>/`; once it is closed, each segment's table is made by `seal`, stored and
recorded; then `mark_sealed` notes in `sealed/<window>/<segment>.json` the digests of the files in it; and `drop_sealed`
deletes the files whose digest is in the mark of *every* segment, and whose lock is free. So a file that grew, turned up
late, or is still open in a worker stays; its window is `unsealed` again, and the next seal adds it to the table before.
What shadows said lies in `shadow/<window>/` and becomes a table of its own in the same way.
"""

import fcntl
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl

from mlops_assets.evidence.records import digest
from mlops_assets.evidence.store import replace
from mlops_assets.serving.log.frames import Reading, read_frames
from mlops_assets.serving.log.index import keep_ids
from mlops_assets.serving.log.sealed import merged, table
from mlops_assets.serving.log.writer import SHADOW
from mlops_assets.serving.workers import open_from, workers
from mlops_assets.windows import Grid


class WriterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker's file of a window holds, all segments together; it is complete if `missing` is 0.

    `requests` are frames, `missing` sequence numbers without one, `skipped` bytes of damage, `torn` bytes of a last
    write that a kill cut off (never acknowledged), `closed` whether the worker finished the file itself.
    """

    writer: str
    requests: int
    missing: int
    skipped: int
    torn: int
    closed: bool


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's tables of a window, what the workers' files hold, and the digests of all files in the tables."""

    table: pl.DataFrame
    shadow: pl.DataFrame
    writers: list[WriterFacts]
    digests: list[str]


def closed_windows(folder: Path, grid: Grid, now: datetime, grace_s: float) -> list[str]:
    """Return the windows that may be sealed, oldest first, from the first one that a worker could log into.

    A window is closed when it has ended (for a replay: by the workers' clock) and no worker will log into it any more:
    each has said so, has stopped, or has been silent for `grace_s` seconds at `now`. Empty windows are among them.
    """
    windows: set[str] = set()
    for since, until in _closed_spans(folder, grid, now, grace_s):
        windows.update(grid.keys(since, until))
    return sorted(windows)


def is_closed(folder: Path, grid: Grid, window: str, now: datetime, grace_s: float) -> bool:
    """Return whether `window` is among the closed ones, without listing them."""
    start, end = grid.bounds(window)
    spans = _closed_spans(folder, grid, now, grace_s)
    return grid.holds(start) and any(since <= start and end <= until for since, until in spans)


def log_digests(folder: Path, window: str, segment: str) -> list[str]:
    """Return the sha256 of every log file that is or was part of a segment's window: what its recipe names."""
    found = {digest(data) for _, data in _contents(folder, window)}
    return sorted(found | set(_marked(folder, window, segment)))


def unsealed(folder: Path, window: str, segment: str) -> bool:
    """Return whether a segment's window was never sealed, or has a file that is not in its table."""
    if not _mark(folder, window, segment).exists():
        return True
    marked = set(_marked(folder, window, segment))
    return any(digest(data) not in marked for _, data in _contents(folder, window))


def seal(
    folder: Path,
    window: str,
    segment: str,
    previous: pl.DataFrame | None = None,
    shadow_before: pl.DataFrame | None = None,
) -> Sealed:
    """Return a segment's predictions of a window, and what shadows said, those sealed before included.

    It writes nothing.
    """
    readings: dict[str, Reading] = {}
    shadows: dict[str, Reading] = {}
    digests = set(_marked(folder, window, segment))
    for path, data in _contents(folder, window):
        digests.add(digest(data))
        (shadows if _is_shadow(path) else readings)[path.stem] = read_frames(data)
    return Sealed(
        table=_table(readings, segment, previous),
        shadow=_table(shadows, segment, shadow_before),
        writers=[_facts(writer, reading) for writer, reading in readings.items()],
        digests=sorted(digests),
    )


def with_gone(now: list[WriterFacts], before: list[WriterFacts], missing: int) -> tuple[list[WriterFacts], int]:
    """Return the facts of all writers of a window, and how many requests are missing.

    Those of a writer whose file has gone are as they were sealed `before`, when so many were `missing` of all.
    """
    here = {writer.writer for writer in now}
    gone = [writer for writer in before if writer.writer not in here]
    missing -= sum(writer.missing for writer in before if writer.writer in here)
    return [*gone, *now], missing + sum(writer.missing for writer in now)


def mark_sealed(folder: Path, window: str, segment: str, digests: list[str]) -> None:
    """Note that a record of the segment's window holds all that is in the files `digests`. Call it after the record."""
    replace(_mark(folder, window, segment), msgspec.json.encode(digests))


def drop_sealed(folder: Path, window: str, segments: Iterable[str], *, sync: bool = False) -> list[str]:
    """Delete the files of a window that the marks of all `segments` name, and return their writers. Their ids stay.

    With `sync` nothing goes before what holds its content is on the platter.
    """
    dropped: list[str] = []
    with _alone(folder / "sealed" / window):  # or two segments would each keep its own ids alone
        marks = [set(_marked(folder, window, segment)) for segment in segments]
        done = {each for each in set[str]().union(*marks) if all(each in mark for mark in marks)}
        for path in _files(folder, window):
            with _locked(path) as free:
                data = path.read_bytes() if free else b""
                if free and digest(data) in done:
                    if not _is_shadow(path):
                        keep_ids(folder, window, read_frames(data).frames)
                        dropped.append(path.stem)
                    if sync:
                        os.sync()
                    path.unlink()
    return dropped


def _closed_spans(folder: Path, grid: Grid, now: datetime, grace_s: float) -> Iterator[tuple[datetime, datetime]]:
    """Yield from and until when all windows are closed: of traffic by the server's clock, and of replayed traffic."""
    everyone = workers(folder)
    open_still = [open_from(worker, beat, now=now, grace_s=grace_s) for worker, beat in everyone]
    replayed = [w.closed_until for w, _ in everyone if w.clock == "replay" and w.closed_until is not None]
    for clock, over in (("server", now), ("replay", max(replayed, default=None))):
        since = [w.since for w, _ in everyone if w.clock == clock and w.since is not None]
        if since and over is not None:
            yield grid.bounds(grid.key(min(since)))[0], min([over, *filter(None, open_still)])


def _table(readings: dict[str, Reading], segment: str, previous: pl.DataFrame | None) -> pl.DataFrame:
    found = table(((writer, frame) for writer, reading in readings.items() for frame in reading.frames), segment)
    return found if previous is None else merged([previous, found])


def _facts(writer: str, reading: Reading) -> WriterFacts:
    return WriterFacts(
        writer=writer,
        requests=len(reading.frames),
        missing=reading.missing,
        skipped=reading.skipped,
        torn=reading.torn,
        closed=reading.closed,
    )


def _files(folder: Path, window: str) -> list[Path]:
    return [path for kind in ("log", SHADOW) for path in sorted((folder / kind / window).glob("*.log"))]


def _is_shadow(path: Path) -> bool:
    return path.parent.parent.name == SHADOW


def _contents(folder: Path, window: str) -> Iterator[tuple[Path, bytes]]:
    """Yield a window's files; one that is dropped meanwhile is in the table of every segment already."""
    for path in _files(folder, window):
        with suppress(FileNotFoundError):
            yield path, path.read_bytes()


def _mark(folder: Path, window: str, segment: str) -> Path:
    return folder / "sealed" / window / f"{segment}.json"


def _marked(folder: Path, window: str, segment: str) -> list[str]:
    path = _mark(folder, window, segment)
    return msgspec.json.decode(path.read_bytes(), type=list[str]) if path.exists() else []


@contextmanager
def _alone(sealed: Path) -> Generator[None]:
    """Hold the only right to drop files of a window."""
    sealed.mkdir(parents=True, exist_ok=True)
    with (sealed / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _locked(path: Path) -> Generator[bool]:
    """Hold the lock of `path` if no worker has it open; say whether."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
