"""What the gate measured -> pictures as SVG: candidate against champion, and parts of the rows beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlops_assets.chart import (
    BAND,
    FAINT,
    INK,
    LIVE,
    REFERENCE,
    Panel,
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
from mlops_assets.registry.pictured import Drawn, Pictured, Points
from mlops_assets.training.pictures.plots import heads, short

TOP, SIDE, GAP = 46, 230, 60
ROW = 19  # px of a row in a table of intervals
LONGEST = 30


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """A row of a table of intervals; `broken` is beyond its limit."""

    name: str
    value: float
    low: float
    high: float
    broken: bool = False


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """A column of such rows under a title. `limit` is drawn across; None draws none."""

    title: str
    rows: Sequence[Whisker | None]
    limit: float | None
    percent: bool = False


def comparison_plot(found: Pictured) -> str:
    """Return by how much the candidate is better in the resamples, and the curves of both, as far as there are any."""
    panels = [_differences(found)] if found.spread else []
    if found.candidate.roc:
        panels.append(_curves(found, "roc", "ROC", "false positive rate; up: true positive rate"))
    if found.candidate.calibration:
        panels.append(_curves(found, "calibration", "Calibration", "mean probability; up: share that came true"))
    parts = heads("Candidate against champion", _said(found))
    for place, panel in enumerate(panels):
        parts.append(f'<g transform="translate({place * (SIDE + GAP)} 0)">{panel}</g>')
    width = max(len(panels) * (SIDE + GAP) + 20, 420)
    return picture(width, TOP + 20 + SIDE + 42 if panels else 52, parts, title="Candidate against champion")


def intervals_plot(title: str, said: str, columns: Sequence[Intervals]) -> str:
    """Return rows of values with their intervals, one panel for each of `columns`, which have the same rows."""
    names = [each.name for each in columns[0].rows if each]
    left = 22 + 6.2 * max([len(short(name, LONGEST)) for name in names], default=0)
    height = ROW * len(columns[0].rows)
    wide = 250 if len(columns) == 1 else 190
    parts = heads(title, said)
    for place, name in enumerate(names):
        parts.append(text(left - 10, TOP + 20 + ROW * place + 13, short(name, LONGEST), anchor="end"))
    for place, column in enumerate(columns):
        parts.append(_intervals(column, left + place * (wide + 30), wide, height))
    width = left + len(columns) * (wide + 30) + 10
    return picture(round(max(width, 420)), TOP + 20 + height + 26, parts, title=title)


def _said(found: Pictured) -> str:
    both = f"{found.metric} {_value(found.candidate_value)}, champion {_value(found.champion_value)}"
    return both if found.champion else f"{found.metric} {_value(found.candidate_value)}; there is no champion"


def _value(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4g}"


def _differences(found: Pictured) -> str:
    """Return the histogram of the resamples: what of the interval lies above the margin, and what does not."""
    low, high, *counts = found.spread
    shown = (min(low, found.margin, 0.0), max(high, found.margin, 0.0))
    room = (shown[1] - shown[0]) * 0.04 or 1.0
    panel = Panel(
        left=44,
        top=TOP + 20,
        width=SIDE - 12,
        height=SIDE,
        across=(shown[0] - room, shown[1] + room),
        up=(0, max(counts) * 1.12 or 1.0),
    )
    edges = [low + (high - low) * place / len(counts) for place in range(len(counts) + 1)]
    bars = [
        (panel.x(a), panel.y(count), max(panel.x(b) - panel.x(a) - 0.5, 0.5), panel.y(0) - panel.y(count))
        for (a, b), count in zip(pairwise(edges), counts, strict=True)
        if count
    ]
    margin, foot = panel.x(found.margin), panel.y(0)
    parts = [panel.axes(ticks(*panel.across, 3), (), "better by, in 1,000 resamples"), boxes(bars, BAND)]
    parts.append(line([(margin, foot), (margin, panel.top)], INK, width=1, dash="4 3"))
    right = margin < panel.left + panel.width / 2
    near = f"margin {found.margin:g}"
    parts.append(
        text(margin + (4 if right else -4), panel.top + 9, near, anchor="start" if right else "end", colour=FAINT)
    )
    if found.lower is not None and found.upper is not None and found.difference is not None:
        colour = REFERENCE if found.lower > found.margin else LIVE
        at = foot - 9
        parts.append(line([(panel.x(found.lower), at), (panel.x(found.upper), at)], colour, width=2.4))
        told = f"{found.difference:.4g}, 95% interval [{found.lower:.4g}, {found.upper:.4g}]"
        parts.append(dot(panel.x(found.difference), at, colour, title=told))
    parts.append(text(panel.left, foot + 31, "line: 95% interval; dashed: margin", colour=FAINT))
    return "".join(parts)


def _curves(found: Pictured, kind: str, title: str, below: str) -> str:
    panel = Panel(left=44, top=TOP + 20, width=SIDE, height=SIDE, across=(0, 1), up=(0, 1))
    parts = [panel.axes(ticks(0, 1, percent=True), ticks(0, 1, percent=True), title)]
    parts.append(line([(panel.x(0), panel.y(0)), (panel.x(1), panel.y(1))], FAINT, width=1, dash="4 3"))
    for model, colour, dash in ((found.champion, FAINT, "5 2"), (found.candidate, REFERENCE, "")):
        points = _points(model, kind)
        if points is not None:
            parts.append(panel.curve(points.x, points.y, colour, dash=dash))
    right, foot = panel.left + panel.width, panel.top + panel.height
    parts.append(text(right - 4, foot - 22, "candidate", anchor="end", colour=REFERENCE, weight=600))
    if found.champion is not None:
        parts.append(text(right - 4, foot - 8, "champion (dashed)", anchor="end", colour=FAINT, weight=600))
    return "".join([*parts, text(panel.left, foot + 31, below, colour=FAINT)])


def _points(model: Drawn | None, kind: str) -> Points | None:
    return None if model is None else model.roc if kind == "roc" else model.calibration


def _intervals(column: Intervals, left: float, width: float, height: float) -> str:
    ends = [end for row in column.rows if row for end in (row.low, row.high)]
    ends += [column.limit] if column.limit is not None else []
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    room = (high - low) * 0.05 or 0.05
    reach = (max(low - room, 0.0) if column.percent else low - room, high + room)
    panel = Panel(left=left, top=TOP + 20, width=width, height=height, across=reach, up=(0, 1))
    parts = [panel.axes(ticks(*reach, 3, percent=column.percent), (), column.title)]
    if column.limit is not None:
        at = panel.x(column.limit)
        parts.append(line([(at, panel.top), (at, panel.top + height)], INK, width=1, dash="4 3"))
    for colour, broken in ((REFERENCE, False), (LIVE, True)):
        some = [(TOP + 20 + ROW * at + 9, row) for at, row in enumerate(column.rows) if row and row.broken is broken]
        lines = [(panel.x(row.low), y, round(panel.x(row.high) - panel.x(row.low), 1), 0.0) for y, row in some]
        if some:
            parts.append(strokes(lines, colour))
            parts.append(dots([(panel.x(row.value), y, _told(row)) for y, row in some], colour, 3.5))
    return "".join(parts)


def _told(row: Whisker) -> str:
    return f"{number(row.value)} [{number(row.low)}, {number(row.high)}]"
