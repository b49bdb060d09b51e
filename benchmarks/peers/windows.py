"""One file of windows -> tables -> a peer's scores, largest where it sees most drift, and its alarms at its defaults.

Each peer runs in an environment of its own: `python run_<peer>.py windows.npz scores.npz`. Nothing of ours is imported.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

NUMBERS = "n"
Scored = tuple[float, bool]  # score, alarm


@dataclass(frozen=True)
class Windows:
    """Reference rows, and live rows in windows of `size`."""

    reference: pd.DataFrame
    live: list[pd.DataFrame]
    size: int

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers."""
        return [name for name in self.reference if name.startswith(NUMBERS)]

    @property
    def texts(self) -> list[str]:
        """Columns of levels."""
        return [name for name in self.reference if not name.startswith(NUMBERS)]


def main(score: Callable[[Windows], list[Scored]]) -> None:
    """Read the windows of all streams from the first file named, and write scores and alarms into the second."""
    source, target = sys.argv[1:]
    with np.load(source) as held:
        size, before, levels = int(held["size"]), int(held["before"]), held["levels"]
        streams = [_windows(held, stream, size, before, levels) for stream in range(int(held["streams"]))]
    scored = [each for windows in streams for each in score(windows)]
    np.savez(target, scores=[float(score) for score, _ in scored], alarms=[bool(alarm) for _, alarm in scored])


def _windows(held: np.lib.npyio.NpzFile, stream: int, size: int, before: int, levels: np.ndarray) -> Windows:
    numbers, texts = held[f"numbers_{stream}"], held[f"texts_{stream}"]
    frame = pd.DataFrame(
        {
            **{f"{NUMBERS}{i}": column for i, column in enumerate(numbers.T)},
            **{f"t{i}": levels[column].astype(object) for i, column in enumerate(texts.T)},
        }
    )
    starts = range(before * size, len(frame), size)
    live = [frame.iloc[start : start + size].reset_index(drop=True) for start in starts]
    return Windows(reference=frame.iloc[: before * size], live=live, size=size)
