"""Endpoints that are asked without a pause, what they answered, and what their logs hold of it."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.serving.log.frames import read_frames
from mlops_assets.serving.log.sealed import table
from mlops_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Told:
    """One answer to the row or rows at `place`: its id, the version that gave it, what it said, when (in
    monotonic s) it was asked for and when it came."""

    place: int
    id: str
    version: str
    said: dict[str, object]
    asked: float
    came: float


@dataclass(kw_only=True)
class Load:
    """What came back so far; `failures` holds everything but a 200. `told` has a list for each connection."""

    told: list[list[Told]] = field(default_factory=list[list[Told]])
    failures: list[str] = field(default_factory=list[str])

    @property
    def answers(self) -> list[Told]:
        return [each for mine in self.told for each in mine.copy()]


@contextmanager
def under_load(
    url: str, path: str, bodies: Sequence[object], *, connections: int = 4, per_s: float = 0
) -> Iterator[Load]:
    """Ask for each of `bodies` in turn while the block runs, as fast as answers come, or `per_s` times in a second."""
    load, over = Load(told=[[] for _ in range(connections)]), threading.Event()
    pause_s = connections / per_s if per_s else 0.0
    texts = [json.dumps(body) for body in bodies]
    threads = [
        threading.Thread(target=_ask, args=(url, path, texts, number, pause_s, load, over))
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(url: str, path: str, texts: list[str], number: int, pause_s: float, load: Load, over: threading.Event) -> None:
    place, began = number, time.monotonic()
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        while not over.is_set():
            asked = time.monotonic()
            try:
                connection.request("POST", path, texts[place % len(texts)])
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException) as problem:
                load.failures.append(f"{type(problem).__name__}: {problem}")
                return
            came = time.monotonic()
            if answer.status == 200:
                id_, version = answer.headers["mlops-inference-id"], answer.headers["mlops-model-version"]
                at = place % len(texts)
                load.told[number].append(Told(place=at, id=id_, version=version, said=said, asked=asked, came=came))
            else:
                load.failures.append(f"{answer.status} {said}")
            place += len(load.told)  # together they ask for all of them, each for its own
            if pause_s:
                over.wait(max(0.0, began + len(load.told[number]) * pause_s - came))


def logged(folder: Path) -> pl.DataFrame:
    """Return all that the log of the product at `folder` holds that is not sealed; nothing of it may be missing."""
    readings = {path: read_frames(path.read_bytes()) for path in sorted(folder.glob("log/*/*.log"))}
    assert all(reading.missing == reading.skipped == 0 for reading in readings.values())
    return table((path.stem, frame) for path, reading in readings.items() for frame in reading.frames)


def registered(settings: Settings, held: Held, version: int) -> Act:
    """Register a model as the training step does, without MLflow."""
    place = held.record.place
    segment, _, window = place.partition.partition("|")
    return Archive(settings.home).ledger.register(
        Act(
            kind="register",
            product=place.product,
            segment=segment,
            version=version,
            record=held.id,
            by="training",
            reason="test",
            at="2026-01-20T00:00:00.000+00:00",
            facts={"window": window},
        )
    )


def promoted(settings: Settings, held: Held, version: int) -> Act:
    """Register a model and make it the champion of its segment, as the gate does."""
    act, ledger = registered(settings, held, version), Archive(settings.home).ledger
    current = ledger.champion(act.product, act.segment or "")
    moved = msgspec.structs.replace(act, kind="promote", by="gate")
    return ledger.move_champion(moved, expected=current.version if current else None)
