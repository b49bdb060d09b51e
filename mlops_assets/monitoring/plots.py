"""A segment's windows in a row as SVG: what was judged of each, and how good its predictions were."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from mlops_assets.chart import (
    BAND,
    FAINT,
    INK,
    LIVE,
    REFERENCE,
    Panel,
    Ticks,
    box,
    dot,
    line,
    picture,
    some,
    text,
    ticks,
)
from mlops_assets.detection.verdict import State
from mlops_assets.evidence.records import Struct
from mlops_assets.monitoring.performance import MATURE

WIDTH, LEFT = 760, 46
LATEST = 30  # windows in a picture
ALARMS = 0.01  # a window is out of the ordinary below this p-value
FARTHEST = 6  # -log10 p at which a bar is cut
FILLS: dict[State, str] = {"ok": "#9fc0de", "drift": LIVE, "cannot tell": "#ffffff"}
LETTERS: dict[State, str] = {"ok": "", "drift": "D", "cannot tell": "?"}


class Mark(Struct, frozen=True, kw_only=True):
    """A window's verdict in a row of them."""

    window: str
    state: State
    p_value: float | None


@dataclass(frozen=True, kw_only=True)
class Point:
    """A metric in a window, with its 95% interval; `maturity` is the share of its rows that have a label, in [0, 1]."""

    window: str
    value: float | None
    low: float | None = None
    high: float | None = None
    maturity: float
    judged: bool


def verdict_timeline(marks: Sequence[Mark]) -> str:
    """Return the latest 30 verdicts, oldest first: the higher a bar, the less likely its window is an ordinary one."""
    latest = marks[-LATEST:]
    panel = Panel(left=LEFT, top=46, width=700, height=86, across=(0, LATEST), up=(0, FARTHEST))
    scale = [(0.0, "1"), (2.0, "0.01"), (4.0, "1e-4"), (6.0, "1e-6")]
    width = panel.width / LATEST
    said = "bar: p of the window, on a log scale; D drift; ? cannot tell; no letter: ok"
    parts = _heads(f"Verdicts of the last {len(latest)} windows", said)
    parts.append(panel.axes([(at + 0.5, label) for at, label in _dates(latest)], scale))
    for place, mark in enumerate(latest):
        high = 0.6 if mark.p_value is None else min(max(-log10(max(mark.p_value, 1e-12)), 0.12), FARTHEST)
        x, y = panel.x(place) + 2, panel.y(high)
        told = f"{mark.window}: {mark.state}" + ("" if mark.p_value is None else f", p = {mark.p_value:.2g}")
        edge = FAINT if mark.state == "cannot tell" else ""
        parts.append(box(x, y, round(width - 4, 1), panel.y(0) - y, FILLS[mark.state], edge=edge, title=told))
        if letter := LETTERS[mark.state]:
            parts.append(text(round(x + width / 2 - 2, 1), y - 4, letter, anchor="middle", weight=700))
    limit = [(LEFT, panel.y(-log10(ALARMS))), (LEFT + panel.width, panel.y(-log10(ALARMS)))]
    return picture(WIDTH, 158, [*parts, line(limit, INK, width=1, dash="4 3")], title="Verdicts over time")


def performance_plot(points: Sequence[Point], *, metric: str, floor: float | None = None) -> str:
    """Return a metric over the latest 30 windows with its intervals, and below it how many labels each rests on.

    A window whose labels do not suffice to be judged is hollow; nothing alarms on it.
    """
    latest = points[-LATEST:]
    told = [each for point in latest for each in (point.value, point.low, point.high) if each is not None]
    told += [floor] if floor is not None and told else []
    low, high = (min(told), max(told)) if told else (0.0, 1.0)
    margin = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    panel = Panel(left=LEFT, top=46, width=700, height=130, across=(0, LATEST), up=(low - margin, high + margin))
    shares = Panel(left=LEFT, top=196, width=700, height=34, across=(0, LATEST), up=(0, 1))
    said = "dot: value and 95% interval; hollow: too few labels to judge"
    said += "; dashed: the gate's floor" if floor is not None else ""
    parts = _heads(f"{metric} on the labels that have come in", said)
    parts.append(panel.axes((), ticks(low - margin, high + margin)))
    if floor is not None:
        parts.append(line([(LEFT, panel.y(floor)), (LEFT + panel.width, panel.y(floor))], INK, width=1, dash="4 3"))
    parts.append(shares.axes([(at + 0.5, label) for at, label in _dates(latest)], [(0.0, "0%"), (1.0, "100%")]))
    parts.append(
        text(LEFT + 700, 190, f"share of rows with a label; judged from {MATURE:.0%} on", anchor="end", colour=FAINT)
    )
    parts += [_point(panel, shares, place, point) for place, point in enumerate(latest)]
    return picture(WIDTH, 256, parts, title=f"{metric} over time, with its maturity")


def _point(panel: Panel, shares: Panel, place: int, point: Point) -> str:
    x, top = panel.x(place + 0.5), shares.y(point.maturity)
    width = panel.width / LATEST
    told = f"{point.window}: {point.maturity:.0%} of rows have a label"
    parts = [box(x - width / 2 + 2, top, round(width - 4, 1), shares.y(0) - top, BAND, title=told)]
    if point.value is None:
        return parts[0]
    colour = REFERENCE if point.judged else FAINT
    if point.low is not None and point.high is not None:
        dash = "" if point.judged else "2 2"
        parts.append(line([(x, panel.y(point.low)), (x, panel.y(point.high))], colour, width=1.4, dash=dash))
    about = f"{point.window}: {point.value:.4g}" + ("" if point.judged else ", too few labels to judge")
    return "".join([*parts, dot(x, panel.y(point.value), colour, hollow=not point.judged, title=about)])


def _heads(title: str, said: str) -> list[str]:
    return [text(LEFT, 16, title, weight=600, size=13), text(LEFT, 33, said, colour=FAINT)]


def _dates(windows: Sequence[Mark] | Sequence[Point]) -> Ticks:
    return some([each.window for each in windows], 7, apart=5)
