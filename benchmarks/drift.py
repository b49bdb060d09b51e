"""False alarms and power of the drift verdicts where the truth is known, beside whylogs, Evidently, NannyML and Alibi.

Ours promises a share of ordinary windows that may alarm. The others are shown at their defaults, and with a threshold
of their score set in hindsight so that they alarm as often as ours promises. `DRIFT_SEEDS` streams each (20).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.drift_peers import Scored, installed, matched, scored
from benchmarks.drift_scenarios import OURS, SHARED
from benchmarks.drift_streams import STREAMS, followed
from benchmarks.drift_watch import Found, Scenario, by_world, watched
from benchmarks.drift_worlds import NOTHING
from benchmarks.results import Result, result

SEEDS = 20
SHARE = "share of windows"

Peers = Mapping[str, Mapping[str, Scored]]  # by peer and scenario


def measure() -> list[Result]:
    """Return one row a scenario, with a part for each peer, and one a published stream."""
    seeds = int(os.environ.get("DRIFT_SEEDS", SEEDS))
    found = watched([*SHARED, *OURS], seeds)
    peers, failed = installed()
    for peer, why in failed.items():
        print(f"{peer} could not be installed and is left out: {why}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        theirs = scored(SHARED, peers, Path(folder))
    scenarios = sorted([*SHARED, *OURS], key=lambda scenario: scenario.change != NOTHING)
    rows = [row for scenario in scenarios for row in _rows(scenario, found, theirs)]
    return [*rows, *(row for name in STREAMS for row in _stream(name, seeds))]


def _rows(scenario: Scenario, found: Mapping[str, Found], theirs: Peers) -> Iterator[Result]:
    ours = found[scenario.name]
    yield from _quiet(scenario.name, ours) if scenario.change == NOTHING else _moved(scenario, ours, found)
    for peer, said in theirs.items():
        if scenario.name not in said:
            continue
        name, alarms = f"{scenario.name}/{peer}", float(said[scenario.name].alarms.mean())
        if scenario.change == NOTHING:
            yield result(name, alarms, SHARE)
        else:
            quiet = said[_ordinary(scenario)].scores
            share = matched(quiet, said[scenario.name].scores, ours.promised)
            yield result(name, share, SHARE, beside="at its defaults", beside_figure=alarms)


def _quiet(name: str, ours: Found) -> Iterator[Result]:
    promised = round(ours.promised, 4)
    yield result(name, ours.alarms, SHARE, beside="promised at most", beside_figure=promised, aim=promised)
    yield result(f"{name}/low", ours.low, "95% bound")
    yield result(f"{name}/high", ours.high, "95% bound")
    yield result(f"{name}/by evidence", ours.slowly, SHARE)


def _moved(scenario: Scenario, ours: Found, found: Mapping[str, Found]) -> Iterator[Result]:
    yield result(scenario.name, ours.at_once, "share caught in the first window")
    if ours.missed < 1:
        yield result(f"{scenario.name}/delay", ours.delay, "windows")
    yield result(f"{scenario.name}/missed in 20", ours.missed, "share of streams")
    quiet = found[_ordinary(scenario)].p_values
    share = matched(-quiet, -ours.p_values, ours.promised)
    yield result(f"{scenario.name}/ours", share, SHARE, beside="at its defaults", beside_figure=ours.at_once)


def _ordinary(scenario: Scenario) -> str:
    """Return the scenario of the same world in which nothing changes."""
    same = (each for each in (*SHARED, *OURS) if by_world(each) == by_world(scenario))
    return next(each.name for each in same if each.change == NOTHING)


def _stream(name: str, seeds: int) -> Iterator[Result]:
    stream, ours = STREAMS[name], followed(name, seeds)
    yield result(f"stream_{name}", ours.delay_rows, "rows to the alarm")
    yield result(f"stream_{name}/false alarms", ours.false_alarms, "a stream")
    yield result(f"stream_{name}/missed", ours.missed, "share of drifts")
    for peer, delay in stream.published.items():
        yield result(f"stream_{name}/{peer}", delay, "rows to the alarm, published")
