"""Streams of windows through the product's own reference, counts and verdicts -> false alarms, first alarms, misses."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import betaincinv

from benchmarks.drift_counts import counted, drawn_reference
from benchmarks.drift_worlds import GRID, NOTHING, Change, World, shape, table, weekday
from mlops_assets.detection.drift import judge
from mlops_assets.detection.verdict import Verdict
from mlops_assets.training.bins import Counts, count
from mlops_assets.training.reference import Reference, reference

WINDOWS = 28  # of the reference: four weeks of days
QUIET, MOVED = 60, 20  # windows that follow, without and with a change
MANY = 10_000  # rows a window from which counts are drawn without rows

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A world, the rows of its windows, and what changes once the reference is complete."""

    name: str
    world: World
    rows: int
    change: Change = NOTHING


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What was said of one stream, one entry a window: alarms by the window alone, alarms by evidence of several."""

    at_once: tuple[bool, ...]
    slowly: tuple[bool, ...]
    p_values: tuple[float, ...]
    promised: float

    @property
    def first(self) -> int | None:
        """The window of the first alarm, the first one is 1."""
        either = [a or b for a, b in zip(self.at_once, self.slowly, strict=True)]
        return either.index(True) + 1 if True in either else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """All streams of a scenario, in shares of its windows.

    `low` and `high` bound the share that alarms with 95% (Clopper and Pearson, Biometrika 26, 1934), for as many
    independent windows as these are worth: those of a stream share a reference (Korn and Graubard, 1998). `delay` is
    in windows up to and with the first alarm, `missed` the share of streams without any.
    """

    alarms: float
    at_once: float
    slowly: float
    low: float
    high: float
    promised: float
    delay: float
    missed: float
    p_values: Floats


def watched(scenarios: Sequence[Scenario], seeds: int) -> dict[str, Found]:
    """Return what is found in each scenario, by name: `seeds` streams each."""
    worlds = [list(same) for _, same in groupby(sorted(scenarios, key=by_world), key=by_world)]
    tasks = [(same, seed) for same in worlds for seed in range(seeds)]
    streams: dict[str, list[Watched]] = {scenario.name: [] for scenario in scenarios}
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(watch, *zip(*tasks, strict=True), chunksize=1):
            for name, stream in found.items():
                streams[name].append(stream)
    return {name: told(each) for name, each in streams.items()}


def by_world(scenario: Scenario) -> tuple[str, int]:
    """Return the same for scenarios that may share a reference."""
    return repr(scenario.world), scenario.rows


def watch(scenarios: Sequence[Scenario], seed: int) -> dict[str, Watched]:
    """Return one stream of each of `scenarios`, which share a world and so a reference."""
    random = np.random.default_rng([seed, 0])
    seen = _reference(scenarios[0].world, scenarios[0].rows, random)
    return {
        scenario.name: _stream(scenario, seen, np.random.default_rng([seed, place]))
        for place, scenario in enumerate(scenarios, 1)
    }


def _reference(world: World, rows: int, random: np.random.Generator) -> Reference:
    if rows >= MANY:
        return drawn_reference(world, rows, WINDOWS, random)
    history = pl.concat(table(shape(world, NOTHING, day, random), rows, day, random) for day in range(WINDOWS))
    return reference(history, at="at", rows_per_window=rows, seed=0, grid=GRID)


def _stream(scenario: Scenario, seen: Reference, random: np.random.Generator) -> Watched:
    verdicts = list(_verdicts(scenario, seen, random))
    drift = [verdict.state == "drift" for verdict in verdicts]
    return Watched(
        at_once=tuple(hit and verdict.over == 1 for hit, verdict in zip(drift, verdicts, strict=True)),
        slowly=tuple(hit and verdict.over > 1 for hit, verdict in zip(drift, verdicts, strict=True)),
        p_values=tuple(1.0 if verdict.p_value is None else verdict.p_value for verdict in verdicts),
        promised=verdicts[0].promised,
    )


def _verdicts(scenario: Scenario, seen: Reference, random: np.random.Generator) -> Iterator[Verdict]:
    carried = None
    for day in range(WINDOWS, WINDOWS + (QUIET if scenario.change == NOTHING else MOVED)):
        judged = judge(_live(scenario, seen, day, random), seen, phase=weekday(day), carried=carried)
        carried = judged.evidence
        yield judged.verdict


def _live(scenario: Scenario, seen: Reference, day: int, random: np.random.Generator) -> Counts:
    of = shape(scenario.world, scenario.change, day, random)
    if scenario.rows >= MANY:
        return counted(of, scenario.rows, seen.bins, random)
    return count(table(of, scenario.rows, day, random), seen.bins)


def told(streams: Sequence[Watched]) -> Found:
    """Return what the streams of a scenario come to."""
    at_once, slowly = (np.array([getattr(stream, how) for stream in streams]) for how in ("at_once", "slowly"))
    firsts = [stream.first for stream in streams if stream.first is not None]
    low, high = _interval(at_once | slowly)
    return Found(
        alarms=float((at_once | slowly).mean()),
        at_once=float(at_once.mean()),
        slowly=float(slowly.mean()),
        low=low,
        high=high,
        promised=streams[0].promised,
        delay=fmean(firsts) if firsts else float("nan"),
        missed=1 - len(firsts) / len(streams),
        p_values=np.array([stream.p_values for stream in streams]).ravel(),
    )


def _interval(alarms: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the bounds of the share of `alarms`, shape (streams, windows)."""
    share, streams = float(alarms.mean()), len(alarms)
    spread = alarms.mean(axis=1).var(ddof=1) / streams if streams > 1 else 0.0
    windows = min(alarms.size, share * (1 - share) / spread) if spread else alarms.size
    hits = share * windows
    low = float(betaincinv(hits, windows - hits + 1, 0.025)) if hits else 0.0
    return low, float(betaincinv(hits + 1, windows - hits, 0.975)) if hits < windows else 1.0
