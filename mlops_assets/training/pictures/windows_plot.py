"""The models of a product's windows and segments -> their metric side by side as SVG, with the champions marked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.chart import (
    FAINT,
    INK,
    LIVE,
    REFERENCE,
    Panel,
    dot,
    dots,
    line,
    number,
    picture,
    some,
    strokes,
    text,
    ticks,
)
from mlops_assets.evidence.ledger import Act, Ledger
from mlops_assets.evidence.records import Json
from mlops_assets.training.intervals import Measured
from mlops_assets.training.pictures.plots import heads, short

WIDTH, LEFT, TOP, STRIP, APART, ACROSS = 760, 142, 52, 70, 18, 594
WINDOWS = 26  # half a year of weeks
SEGMENTS = 4
HELD_OUT = "held_out"  # of a registration: the metric on held-out rows with its interval


@dataclass(frozen=True, kw_only=True)
class Point:
    """The model of a window: its metric on its held-out rows with the 95% interval."""

    window: str
    version: int
    value: float
    low: float
    high: float
    champion: bool = False


def held_out_facts(metric: str, found: Measured | None) -> dict[str, Json]:
    """Return what a registration says of a model's metric, so that `points` finds it."""
    if found is None or found.low is None or found.high is None:
        return {}
    return {HELD_OUT: {"metric": metric, "value": found.value, "low": found.low, "high": found.high}}


def points(ledger: Ledger, product: str, metric: str) -> dict[str, list[Point]]:
    """Return the newest model of each window that was registered with `metric`, by segment, oldest window first."""
    found: dict[str, dict[str, Point]] = {}
    champions = {act.segment: act.version for act in ledger.acts(product, "promote", "rollback", "adopt")}
    for act in ledger.acts(product, "register"):
        point = _point(act, metric, champions.get(act.segment))
        if point:
            found.setdefault(act.segment or "", {})[point.window] = point
    return {segment: [by[window] for window in sorted(by)] for segment, by in sorted(found.items())}


def windows_plot(by_segment: Mapping[str, Sequence[Point]], *, metric: str, floor: float, first: str) -> str:
    """Return a strip per segment, `first` and at most three others, over the latest 26 windows."""
    segments = [first, *(name for name in by_segment if name != first)][:SEGMENTS]
    windows = sorted({point.window for name in segments for point in by_segment.get(name, ())})[-WINDOWS:]
    shown = {name: [p for p in by_segment.get(name, ()) if p.window in windows] for name in segments}
    reach = _reach(floor, [point for each in shown.values() for point in each])
    said = "dot: value and 95% interval; ring: champion; dashed: the gate's floor"
    if len(by_segment) > len(segments):
        said += f"; {len(segments)} of {len(by_segment)} segments"
    parts = heads(f"{metric} of each window's model on its held-out rows", said)
    for place, (name, found) in enumerate(shown.items()):
        top = TOP + place * (STRIP + APART)
        panel = Panel(left=LEFT, top=top, width=ACROSS, height=STRIP, across=(0, WINDOWS), up=reach)
        dates = some(windows, 6, apart=3) if place == len(shown) - 1 else []
        parts.append(panel.axes([(at + 0.5, label) for at, label in dates], ticks(*reach, 3)))
        parts.append(text(LEFT - 48, top + STRIP / 2 + 4, short(name, 12), anchor="end", weight=600))
        parts.append(line([(LEFT, panel.y(floor)), (LEFT + ACROSS, panel.y(floor))], INK, width=1, dash="4 3"))
        parts += _drawn(panel, windows, found, told=name == first)
    height = TOP + len(shown) * (STRIP + APART) + 12
    return picture(WIDTH, height, parts, title=f"{metric} by window and segment")


def _point(act: Act, metric: str, champion: int | None) -> Point | None:
    held, window = act.facts.get(HELD_OUT), act.facts.get("window")
    if not isinstance(held, dict) or held.get("metric") != metric or act.version is None:
        return None
    value, low, high = (float(held[name]) for name in ("value", "low", "high"))
    own = act.version == champion
    return Point(window=str(window), version=act.version, value=value, low=low, high=high, champion=own)


def _reach(floor: float, found: Sequence[Point]) -> tuple[float, float]:
    values = [floor, *(each for point in found for each in (point.low, point.high))]
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _drawn(panel: Panel, windows: Sequence[str], found: Sequence[Point], *, told: bool) -> Iterable[str]:
    """Yield intervals, dots and champions; only the first segment's say what they are, so that pictures stay small."""
    at = {point.window: panel.x(windows.index(point.window) + 0.5) for point in found}
    ends = [(at[p.window], panel.y(p.high), 0.0, round(panel.y(p.low) - panel.y(p.high), 1)) for p in found]
    yield strokes(ends, REFERENCE)
    if told:
        yield dots([(at[p.window], panel.y(p.value), _told(p)) for p in found], REFERENCE, 2.6)
    else:
        marks = "".join(f"M{at[p.window]:g} {panel.y(p.value):g}h0" for p in found)
        yield f'<path d="{marks}" stroke="{REFERENCE}" stroke-width="5.2" stroke-linecap="round"/>'
    for point in found:
        if point.champion:
            x, y = at[point.window], panel.y(point.value)
            yield dot(x, y, LIVE, radius=5.5, hollow=True, title=_told(point))
            yield dot(x, y, LIVE, radius=2.2)
            yield text(x - 8, y - 5, f"@{point.version}", anchor="end", colour=FAINT)


def _told(point: Point) -> str:
    between = f"[{number(point.low)}, {number(point.high)}]"
    return f"{point.window}: {number(point.value)} {between}, version {point.version}"
