"""Two streams with known drifts, as published detectors were compared on, and how detections are scored there.

`WaveformDrift2` and `SineClusters` after Lukats, Zielinski, Hahn and Stahl, Int. J. Data Sci. Anal. 2024 (doi
10.1007/s41060-024-00620-y): 154,987 rows, a drift every 5,000. The generators are our own, and so are the seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

ROWS, EVERY = 154_987, 5_000
DRIFTS = tuple(range(EVERY, ROWS, EVERY))
PEAKS = (6, 14, 10)
CLASSES = ((0, 1), (0, 2), (1, 2))  # the two waves that a row of each class mixes
PERIOD, NOISE = 500, 0.25

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Detected:
    """Alarms without a drift, the share of drifts without an alarm, and rows from a drift to its first alarm."""

    false_alarms: float
    missed: float
    delay_rows: float


def waveform(seed: int) -> Floats:
    """Return rows of 21 columns, each a mix of two triangular waves and noise; the waves change at each drift."""
    random = np.random.default_rng(seed)
    places = np.arange(21)
    waves = np.array([np.maximum(6 - np.abs(places - peak), 0) for peak in PEAKS], dtype=np.float64)
    kinds = (waves, waves + 6, 6 - waves, -waves)
    parts = [_waves(kinds[kind], rows, random) for kind, rows in _concepts(len(kinds), random)]
    return np.concatenate(parts)


def sines(seed: int) -> Floats:
    """Return rows of four columns that run along sines; at each drift the first two change how they go together."""
    random = np.random.default_rng(seed)
    parts: list[Floats] = []
    for kind, rows in _concepts(3, random):
        angle = 2 * np.pi / PERIOD * ((EVERY * len(parts) + np.arange(rows)) % PERIOD)
        sine, cosine = np.sin(angle), np.cos(angle)
        first = ((sine, cosine), (-sine, cosine), (-cosine, -cosine))[kind]
        parts.append(np.column_stack([*first, sine, cosine]) + random.normal(0, NOISE, (rows, 4)))
    return np.concatenate(parts)


def detected(alarms: Sequence[int], drifts: Sequence[int] = DRIFTS) -> Detected:
    """Return how `alarms`, in rows, answer to `drifts`: the first alarm after each is its detection, others false."""
    false, delays = 0, []
    for begins, ends in zip((0, *drifts), (*drifts, ROWS + 1), strict=True):
        found = [alarm - begins for alarm in alarms if begins < alarm <= ends]
        delays += found[:1] if begins else []
        false += len(found[1:] if begins else found)
    delay = fmean(delays) if delays else float("nan")
    return Detected(false_alarms=false, missed=1 - len(delays) / len(drifts), delay_rows=delay)


def _concepts(kinds: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Return (kind, rows) of each stretch between drifts; a stretch is never of the kind before it."""
    found: list[tuple[int, int]] = []
    for start in (0, *DRIFTS):
        others = [kind for kind in range(kinds) if not found or kind != found[-1][0]]
        found.append((int(random.choice(others)), min(EVERY, ROWS - start)))
    return found


def _waves(waves: Floats, rows: int, random: np.random.Generator) -> Floats:
    first, second = np.array(CLASSES)[random.integers(0, 3, rows)].T
    share = random.random(rows)[:, None]
    return share * waves[first] + (1 - share) * waves[second] + random.normal(size=(rows, 21))
