"""A segment's features snapshots -> its windows and when their labels were known, cut into the periods of a replay.

A model that learned from a window can serve from the moment on at which the window's labels were known, at the next
start of a monitoring window. Every such moment is a cut, so that within a period no policy can change its mind.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.step import NotReady, parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import Settings
from mlops_assets.windows import Grid

FEWEST = 3  # windows: one to learn from, one to decide after, one to be better in


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window with labelled rows: `record` is its features, `ready` when a model of it could serve."""

    key: str
    start: datetime
    end: datetime
    ready: datetime
    record: str
    root: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Period:
    """A stretch of the window at place `window`, in which one model serves."""

    window: int
    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class History:
    """What is replayed. `periods` begin where the first model could serve."""

    product: ModelProduct
    segment: str
    windows: tuple[Window, ...]
    periods: tuple[Period, ...]

    @property
    def newest(self) -> list[int]:
        """For each period, the place of the newest window whose labels are known when it starts."""
        return [max(i for i, w in enumerate(self.windows) if w.ready <= p.start) for p in self.periods]


def read_history(product: ModelProduct, settings: Settings, segment: str) -> History:
    """Return a segment's history.

    Raises:
        ValueError: If the product has no windows.
        NotReady: If features are missing, or there are too few windows to decide anything.
        LookupError: If there is no such segment.
    """
    if product.windows is None:
        raise ValueError(
            f"{product.name} has no `windows`; a backtest replays one window of training data after another"
        )
    if segment not in product.segments:
        raise LookupError(f"no segment {segment!r}; known segments: {', '.join(product.segments)}")
    archive = Archive(settings.home)
    heads = archive.heads(product.name, Stage.FEATURES)
    keys = sorted(parse(each)[1] for each in heads if parse(each)[0] == segment)
    held = {key: archive.held(heads[f"{segment}|{key}"]) for key in keys}
    windows = tuple(_window(product, product.windows, key, each) for key, each in held.items() if _usable(each))
    if len(windows) < FEWEST:
        found = f"found features of {len(windows)} windows of {product.name}, segment {segment}"
        raise NotReady(f"{found}, needs {FEWEST}; make them first: mlops-assets backfill {product.name}")
    return History(product=product, segment=segment, windows=windows, periods=periods(windows))


def periods(windows: tuple[Window, ...]) -> tuple[Period, ...]:
    """Return the windows, cut where a model becomes ready, from where the first one is."""
    first = windows[0].ready
    found: list[Period] = []
    for place, window in enumerate(windows):
        inside = {each.ready for each in windows if window.start < each.ready < window.end}
        cuts = [window.start, *sorted(inside), window.end]
        found += [Period(window=place, start=a, end=b) for a, b in pairwise(cuts) if a >= first]
    return tuple(found)


def rows_of(archive: Archive, window: Window) -> pl.DataFrame:
    """Return a window's features, oldest first."""
    return archive.table(archive.held(window.record), "features").sort("_time", maintain_order=True)


def known_at(grid: Grid, end: datetime, delay: timedelta) -> datetime:
    """Return the first start of a monitoring window at which the labels of what ended at `end` are known."""
    start, after = grid.bounds(grid.key(end + delay))
    return start if start == end + delay else after


def _window(product: ModelProduct, grid: Grid, key: str, held: Held) -> Window:
    start, end = grid.bounds(key)
    return Window(
        key=key,
        start=start,
        end=end,
        ready=known_at(product.grid, end, product.label.delay),
        record=held.id,
        root=held.record.root,
        rows=held.record.outputs[0].rows or 0,
    )


def _usable(held: Held) -> bool:
    return not held.record.failed and bool(held.record.outputs[0].rows)
