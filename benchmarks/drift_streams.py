"""Our detection on the published streams: a reference of the rows after a drift, then window by window to an alarm."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import fmean

import polars as pl

from benchmarks.streams import Detected, Floats, detected, sines, waveform
from mlops_assets.detection.drift import judge
from mlops_assets.training.bins import count
from mlops_assets.training.reference import reference


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A stream, and how it is watched: rows a window, windows of rows in a reference; published: delay in rows."""

    make: Callable[[int], Floats]
    rows: int
    windows: int
    published: Mapping[str, float]


STREAMS = {
    "waveform_drift_2": Stream(
        make=waveform, rows=100, windows=28, published={"uDetect": 2.5, "SPLL": 6, "D3": 29, "BNDM": 34}
    ),
    "sine_clusters": Stream(make=sines, rows=250, windows=10, published={"BNDM": 94, "SPLL": 251}),
}


def followed(name: str, seeds: int) -> Detected:
    """Return the means over `seeds` streams; false alarms are per stream."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(_follow, [name] * seeds, range(seeds)))
    return Detected(
        false_alarms=fmean(each.false_alarms for each in found),
        missed=fmean(each.missed for each in found),
        delay_rows=fmean(each.delay_rows for each in found),
    )


def _follow(name: str, seed: int) -> Detected:
    return detected(alarms(STREAMS[name], seed))


def alarms(stream: Stream, seed: int) -> list[int]:
    """Return the rows after which there was an alarm."""
    frame = pl.DataFrame({f"n{i}": column for i, column in enumerate(stream.make(seed).T)})
    found: list[int] = []
    while (alarm := _alarm(frame[sum(found[-1:]) :], stream)) is not None:
        found.append(sum(found[-1:]) + alarm)
    return found


def _alarm(rows: pl.DataFrame, stream: Stream) -> int | None:
    """Return after how many rows the first alarm is; None if there is none. The first rows are the reference."""
    behind = stream.rows * stream.windows
    if rows.height <= behind:
        return None
    seen = reference(rows[:behind].with_row_index("_at"), at="_at", rows_per_window=stream.rows, seed=0)
    carried = None
    for ends in range(behind + stream.rows, rows.height + 1, stream.rows):
        judged = judge(count(rows[ends - stream.rows : ends], seen.bins), seen, carried=carried)
        if judged.verdict.state == "drift":
            return ends
        carried = judged.evidence
    return None
