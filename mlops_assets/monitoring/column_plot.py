"""A column's reference against live as SVG: in large, and small enough for a table's row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlops_assets.chart import (
    BAND,
    FAINT,
    LIVE,
    REFERENCE,
    RULE,
    Panel,
    box,
    boxes,
    dot,
    dots,
    line,
    number,
    picture,
    strokes,
    text,
    ticks,
)
from mlops_assets.training.bins import Counts, NumericBins, TextBins, merge
from mlops_assets.training.reference import PREDICTION, Reference

WIDTH, TOP, LEFT = 760, 58, 46
SHARES = tuple(place / 100 for place in range(1, 100))  # at which a sketch's quantiles are drawn
LONGEST = 22  # characters of a level

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Shares:
    """A column's share of rows per bin: the least, most and mean of the reference windows, and the live window's."""

    names: list[str]
    low: Floats
    high: Floats
    mean: Floats
    live: Floats


def reference_vs_live(column: str, live: Counts, reference: Reference, quantiles: Sequence[float] = ()) -> str:
    """Return a column's share of rows per bin, and the cumulative shares if its `quantiles` at `SHARES` are given.

    Raises:
        LookupError: If the column is not among those counted.
    """
    part, found = _shares(column, live, reference)
    name = "scores (the column prediction)" if column == PREDICTION else column
    title = f"{name}: {live.rows:,} live rows, {len(reference.windows)} reference windows"
    if isinstance(part, TextBins):
        return _levels(found, title)
    panels = [_bins(found)]
    if len(quantiles) == len(SHARES) and part.edges:
        panels.append(_cumulative(part, column, reference, quantiles))
    return picture(WIDTH, 262, [*_heads(title), *panels], title=title)


def spark(column: str, live: Counts, reference: Reference) -> str:
    """Return the same bins without axes, for a table's row.

    Raises:
        LookupError: If the column is not among those counted.
    """
    _, found = _shares(column, live, reference)
    panel = Panel(left=2, top=3, width=136, height=24, across=(0, max(len(found.names), 1)), up=(0, _most(found)))
    return picture(140, 30, [_boxes(panel, found, radius=1.7)], title=f"{column}, reference and live")


def _shares(column: str, live: Counts, reference: Reference) -> tuple[NumericBins | TextBins, Shares]:
    parts = {part.column: part for part in (*reference.bins.numeric, *reference.bins.text)}
    if column not in parts or column not in live.columns:
        raise LookupError(f"no column {column!r}; counted are: {', '.join(live.columns)}")
    part = parts[column]
    own = [*part.levels, "other", "unseen"] if isinstance(part, TextBins) else _ranges(part)
    windows = np.array([_of(window, column) for window in reference.windows])
    mean, now = _of(merge(reference.windows), column), _of(live, column)
    low, high = windows.min(axis=0), windows.max(axis=0)
    seen = np.maximum(high, now) > 0  # what no window has is left out
    names = [name for name, keep in zip([*own, "missing", "infinite"], seen, strict=True) if keep]
    return part, Shares(names=names, low=low[seen], high=high[seen], mean=mean[seen], live=now[seen])


def _of(counts: Counts, column: str) -> Floats:
    found = counts.columns[column]
    return np.array([*found.bins, found.null, found.inf], dtype=np.float64) / max(counts.rows, 1)


def _most(found: Shares) -> float:
    return float(max(found.high.max(initial=0), found.live.max(initial=0))) or 1.0


def _ranges(part: NumericBins) -> list[str]:
    """Return what each bin holds; one that begins at a value and ends just above holds that value alone."""
    between = [
        number(low) if high == np.nextafter(low, np.inf) else f"{number(low)} to {number(high)}"
        for low, high in pairwise(part.edges)
    ]
    edges = part.edges
    return [f"below {number(edges[0])}", *between, f"from {number(edges[-1])}"] if edges else ["all"]


def _heads(title: str) -> list[str]:
    """Return the title and what the strokes mean."""
    legend = [
        box(LEFT, 27, 16, 8, BAND),
        line([(LEFT, 31), (LEFT + 16, 31)], REFERENCE),
        text(LEFT + 21, 35, "reference windows: range and mean", colour=FAINT),
        dot(LEFT + 238, 31, LIVE),
        text(LEFT + 247, 35, "live", colour=FAINT),
    ]
    return [text(LEFT, 16, title, weight=600, size=13), *legend]


def _bins(found: Shares) -> str:
    count, most = max(len(found.names), 1), _most(found)
    panel = Panel(left=LEFT, top=TOP, width=330, height=165, across=(0, count), up=(0, most * 1.05))
    places = dict(enumerate(found.names))
    odd = {place: name for place, name in places.items() if name in ("missing", "infinite")}
    named = [place for place in places if place not in odd and not places[place].startswith("below")]
    across = [(place + 0.5, places[place].split(" to ")[0]) for place in named[:: max(1, len(named) // 5)]]
    axes = panel.axes(across, ticks(0, most * 1.05, percent=True))
    below = TOP + panel.height + 28
    apart = [text(panel.x(place + 1), below, name, anchor="end", colour=FAINT) for place, name in odd.items()]
    caption = text(LEFT, below, "share of rows per bin, named by where it begins", colour=FAINT)
    return "".join([axes, _boxes(panel, found), caption, *apart[-1:]])


def _boxes(panel: Panel, found: Shares, radius: float = 3.2) -> str:
    """Return per bin a box over the reference's range, a stroke at its mean, and the live window's dot."""
    width = round(panel.width / max(len(found.names), 1), 1)
    lefts = [panel.x(place) for place in range(len(found.names))]
    spans = [(panel.y(high), panel.y(low)) for low, high in zip(found.low, found.high, strict=True)]
    corners = [(x, top, width - 1, bottom - top) for x, (top, bottom) in zip(lefts, spans, strict=True)]
    means = [(x, panel.y(mean), width - 1, 0.0) for x, mean in zip(lefts, found.mean, strict=True)]
    live = [
        (panel.x(place + 0.5), panel.y(found.live[place]), _told(found, place)) for place in range(len(found.names))
    ]
    return boxes(corners, BAND) + strokes(means, REFERENCE) + dots(live, LIVE, radius)


def _told(found: Shares, place: int) -> str:
    low, high = found.low[place], found.high[place]
    return f"{found.names[place]}: {found.live[place]:.1%}, reference {low:.1%} to {high:.1%}"


def _cumulative(part: NumericBins, column: str, reference: Reference, quantiles: Sequence[float]) -> str:
    """Return the share of rows below a value: of the reference windows at the bins' edges, of the live one's sketch."""
    below = np.array([_below(window, column) for window in reference.windows])
    usual = [edge for edge, share in zip(part.edges, below.mean(axis=0), strict=True) if 0.02 <= share <= 0.98]
    low, high = min([*usual, quantiles[1]]), max([*usual, quantiles[-2]])
    panel = Panel(left=LEFT + 385, top=TOP, width=305, height=165, across=(low, high), up=(0, 1))
    parts = [
        panel.axes(ticks(low, high), ticks(0, 1, percent=True)),
        panel.between(part.edges, below.min(axis=0).tolist(), below.max(axis=0).tolist()),
        panel.curve(part.edges, below.mean(axis=0).tolist(), REFERENCE, dash="5 3"),
        panel.curve(quantiles, SHARES, LIVE),
        text(LEFT + 385, TOP + 193, "share of rows below a value; live: from the whylogs sketch", colour=FAINT),
    ]
    return "".join(parts)


def _below(window: Counts, column: str) -> Floats:
    found = window.columns[column]
    return np.cumsum(found.bins)[:-1] / max(found.valid, 1)


def _levels(found: Shares, title: str) -> str:
    """Return a row per level, in the order of training's frequency."""
    step, most = 17, _most(found)
    high = step * len(found.names)
    panel = Panel(left=170, top=TOP, width=560, height=high, across=(0, most * 1.05), up=(0, 1))
    scale = ticks(0, most * 1.05, percent=True)
    rules = [line([(panel.x(at), TOP), (panel.x(at), TOP + high)], RULE, width=0.6) for at, _ in scale]
    corners: list[tuple[float, float, float, float]] = []
    means: list[tuple[float, float, float, float]] = []
    live: list[tuple[float, float, str]] = []
    names: list[str] = []
    for place, name in enumerate(found.names):
        y, left, right = TOP + step * place, panel.x(found.low[place]), panel.x(found.high[place])
        names.append(text(162, y + 12, name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…", anchor="end"))
        corners.append((left, y + 3, right - left, step - 6))
        means.append((panel.x(found.mean[place]), y + 3, 0.0, step - 6))
        live.append((panel.x(found.live[place]), y + step / 2, _told(found, place)))
    drawn = [boxes(corners, BAND), strokes(means, REFERENCE), dots(live, LIVE, 3.5)]
    parts = [*_heads(title), *rules, panel.axes(scale), *names, *drawn]
    return picture(WIDTH, TOP + high + 22, parts, title=title)
