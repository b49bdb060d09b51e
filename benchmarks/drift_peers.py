"""The same windows through whylogs, Evidently, NannyML and Alibi Detect, each in an environment of its own.

The environments are made on demand in `.data/peers`. A peer that cannot be installed is left out, with what pip said.
"""

import os
import subprocess
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.drift_watch import WINDOWS, Scenario, by_world
from benchmarks.drift_worlds import LEVELS, NOTHING, NUMBERS, TEXTS, shape, table
from benchmarks.measure import DATA, PINNED

SCRIPTS = Path(__file__).parent / "peers"
STREAMS = 4
QUIET, MOVED = 30, 10  # windows a stream, without and with a change
NEEDS = {
    "whylogs": ("whylogs==1.6.4", "scipy", "numpy==2.4.6", "pandas==2.3.3"),
    "Evidently": ("evidently==0.7.23", "pandas==2.3.3"),
    "NannyML": ("nannyml==0.13.1", "statsmodels", "pandas==2.3.3"),
    "Alibi Detect": ("alibi-detect==0.13.0", "pandas==2.3.3"),
}


Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What a peer said of a scenario, shape (windows,): its score, and whether it alarms at its defaults."""

    scores: Floats
    alarms: NDArray[np.bool_]


def installed() -> tuple[dict[str, Path], dict[str, str]]:
    """Return the interpreter of each peer, and of those that could not be installed what pip said."""
    found: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for peer, needs in NEEDS.items():
        folder = DATA / "peers" / _file(peer)
        done = folder / "-".join(need.replace("==", "_") for need in needs)
        if not done.exists():
            venv.create(folder, with_pip=True)
            pip = [str(folder / "bin" / "pip"), "install", "--quiet", *needs]
            tried = subprocess.run(pip, capture_output=True, text=True, check=False)
            if tried.returncode:
                failed[peer] = tried.stderr.strip().splitlines()[-1]
                continue
            done.touch()
        found[peer] = folder / "bin" / "python"
    return found, failed


def scored(scenarios: Sequence[Scenario], peers: dict[str, Path], folder: Path) -> dict[str, dict[str, Scored]]:
    """Return what each peer says of each scenario, by peer and scenario; `folder` holds the windows meanwhile.

    Raises:
        RuntimeError: If a peer fails on a file of windows, with what it said last.
    """
    worlds = [list(same) for _, same in groupby(sorted(scenarios, key=by_world), key=by_world)]
    tasks = [(peer, place) for place in range(len(worlds)) for peer in peers]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        files = list(pool.map(lambda place: _written(worlds[place], folder / f"{place}.npz"), range(len(worlds))))
        results = list(pool.map(lambda task: _run(task[0], peers[task[0]], files[task[1]]), tasks))
    found: dict[str, dict[str, Scored]] = {peer: {} for peer in peers}
    for (peer, place), result in zip(tasks, results, strict=True):
        found[peer] |= _parted(result, worlds[place])
    return found


def matched(quiet: Floats, moved: Floats, promised: float) -> float:
    """Return the share of `moved` scores beyond what a share of `promised` of the `quiet` ones reaches.

    The threshold is set on the very windows that are then called ordinary: hindsight that a user has not.
    """
    return float((moved > np.quantile(quiet, 1 - promised)).mean())


def _written(scenarios: Sequence[Scenario], path: Path) -> Path:
    """Write the windows of all streams: a reference, and then those of each scenario."""
    levels = np.sort(LEVELS)
    arrays: dict[str, NDArray[np.generic]] = {"levels": levels}
    for stream in range(STREAMS):
        random = np.random.default_rng([stream, 1_000])
        days = [(NOTHING, day) for day in range(WINDOWS)]
        days += [(each.change, WINDOWS + day) for each in scenarios for day in range(_windows(each))]
        world, rows = scenarios[0].world, scenarios[0].rows
        frame = pl.concat(table(shape(world, change, day, random), rows, day, random) for change, day in days)
        arrays[f"numbers_{stream}"] = frame.select(f"n{i}" for i in range(NUMBERS)).to_numpy().astype(np.float32)
        texts = frame.select(f"t{i}" for i in range(TEXTS)).to_numpy().astype(str)
        arrays[f"texts_{stream}"] = np.searchsorted(levels, texts).astype(np.int8)
    facts = {"size": scenarios[0].rows, "before": WINDOWS, "streams": STREAMS}
    np.savez(path, **{name: np.array(fact) for name, fact in facts.items()}, **arrays)
    return path


def _windows(scenario: Scenario) -> int:
    return QUIET if scenario.change == NOTHING else MOVED


def _parted(result: Scored, scenarios: Sequence[Scenario]) -> dict[str, Scored]:
    """Return each scenario's part of the windows of all streams."""
    ends = np.cumsum([_windows(scenario) for scenario in scenarios])
    scores, alarms = (each.reshape(STREAMS, -1) for each in (result.scores, result.alarms))
    parts = zip(np.split(scores, ends[:-1], axis=1), np.split(alarms, ends[:-1], axis=1), strict=True)
    return {
        scenario.name: Scored(scores=part.ravel(), alarms=said.ravel())
        for scenario, (part, said) in zip(scenarios, parts, strict=True)
    }


def _run(peer: str, python: Path, windows: Path) -> Scored:
    target = windows.with_suffix(f".{_file(peer)}.npz")
    command = [str(python), "-W", "ignore", str(SCRIPTS / f"run_{_file(peer)}.py"), str(windows), str(target)]
    done = subprocess.run(command, env={**os.environ, **PINNED}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{peer} failed on {windows.name}:\n{done.stderr[-2000:]}")
    with np.load(target) as held:
        return Scored(scores=held["scores"], alarms=held["alarms"])


def _file(peer: str) -> str:
    return peer.partition(" ")[0].lower()
