"""All windows of a history -> every model on every later period, made once, by as many processes as asked for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_assets.backtest.candidates import Candidate, candidate
from mlops_assets.backtest.history import History, Period
from mlops_assets.evidence.step import NotReady
from mlops_assets.settings import Settings
from mlops_assets.training.metrics import HIGHER_IS_BETTER

Floats = NDArray[np.float64]
Report = Callable[[Candidate], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """Models by periods. `quality`, shape (models, periods), is NaN where a model does not serve or nothing is defined.

    `weights` are the rows that count in each period, `newest` the newest window that can be learned from when it
    starts, `first` the model that serves first: the oldest window of which there is one.
    """

    history: History
    candidates: tuple[Candidate, ...]
    periods: tuple[Period, ...]
    quality: Floats
    worth: Floats
    weights: Floats
    newest: tuple[int, ...]
    first: int

    @property
    def sign(self) -> int:
        """1 where a higher quality is better, else -1."""
        return 1 if self.history.product.gate.metric in HIGHER_IS_BETTER else -1

    @property
    def moments(self) -> list[int]:
        """The periods at whose start a newer window can be learned from than before."""
        before = (self.first, *self.newest)
        return [period for period, newest in enumerate(self.newest) if newest > before[period]]

    def mean(self, serving: NDArray[np.int64]) -> float:
        """Return the mean quality of rows when the model `serving[p]` serves in period p."""
        reached = self.quality[serving, np.arange(len(serving))]
        return float(np.nansum(reached * self.weights) / self.weights.sum())


def matrix(history: History, settings: Settings, kept: Path, *, jobs: int, report: Report) -> Matrix:
    """Return the matrix of a history; what is in the folder `kept` is not made again.

    Raises:
        NotReady: If no window but the last can be learned from, or nothing came after the first one.
    """
    found = dict(_candidates(history, settings, kept, jobs, report))
    candidates = tuple(found[place] for place in range(len(history.windows)))
    able = [place for place, each in enumerate(candidates) if not each.problem]
    newest = history.newest
    used = [p for p, place in enumerate(newest) if able and place >= able[0]]
    if not used:
        problem = next((each.problem for each in candidates if each.problem), "no rows came after the first model")
        raise NotReady(f"{history.product.name}, segment {history.segment}: nothing to replay: {problem}")
    quality = np.array([[each.quality[p] if each.quality else None for p in used] for each in candidates], dtype=float)
    rows = np.array([[each.rows[p] if each.rows else 0 for p in used] for each in candidates], dtype=float)
    return Matrix(
        history=history,
        candidates=candidates,
        periods=tuple(history.periods[p] for p in used),
        quality=quality,
        worth=np.array([[each.worth[p] if each.worth else 0.0 for p in used] for each in candidates]),
        weights=np.where(np.isfinite(quality[able[0]]), rows[able[0]], 0.0),
        newest=tuple(newest[p] for p in used),
        first=able[0],
    )


def _candidates(
    history: History, settings: Settings, kept: Path, jobs: int, report: Report
) -> Iterator[tuple[int, Candidate]]:
    places = range(len(history.windows))
    if jobs == 1:
        for place in places:
            made = candidate(history, settings, place, kept)
            report(made)
            yield place, made
        return
    # new processes, not forked ones: a copy of a process with threads may hang
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        asked = {pool.submit(candidate, history, settings, place, kept): place for place in places}
        try:
            for done in as_completed(asked):
                report(done.result())
                yield asked[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)
