"""Numbers -> the strokes of a small SVG picture: a panel with its axes, lines, bands, dots and words.

Pictures are drawn for every window that is sealed, and kept in Dagster's event log. So they are written directly:
a few kilobytes in a few milliseconds, the same bytes each time, sharp on paper. Colours differ in lightness too, and no
meaning hangs on colour alone.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

INK, FAINT, RULE = "#1f2328", "#59636e", "#d1d9e0"
BAND, REFERENCE, LIVE = "#cfe0f1", "#2f6fa8", "#b83a06"
SIZE = 11  # of text, px
FAMILY = "system-ui, -apple-system, 'Segoe UI', sans-serif"

Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A rectangle of a picture in px, and the ranges of data that it shows; what lies beyond is drawn at its edge."""

    left: float
    top: float
    width: float
    height: float
    across: tuple[float, float]
    up: tuple[float, float]

    def x(self, value: float) -> float:
        """Return where a value is on the horizontal axis."""
        return round(self.left + self.width * _share(value, *self.across), 1)

    def y(self, value: float) -> float:
        """Return where a value is on the vertical axis."""
        return round(self.top + self.height * (1 - _share(value, *self.up)), 1)

    def axes(self, across: Ticks = (), up: Ticks = (), title: str = "") -> str:
        """Return the panel's rules, ticks and title."""
        bottom, right = self.top + self.height, self.left + self.width
        parts = [line([(self.left, bottom), (right, bottom)], RULE, width=1)]
        for value, label in up:
            parts.append(line([(self.left, self.y(value)), (right, self.y(value))], RULE, width=0.6))
            parts.append(text(self.left - 5, self.y(value) + 4, label, anchor="end", colour=FAINT))
        parts += [text(self.x(value), bottom + 14, label, anchor="middle", colour=FAINT) for value, label in across]
        return "".join(parts) + (text(self.left, self.top - 8, title, weight=600) if title else "")

    def curve(self, xs: Sequence[float], ys: Sequence[float], colour: str, *, dash: str = "") -> str:
        """Return a line through the points that lie across the panel."""
        low, high = self.across
        points = [(self.x(x), self.y(y)) for x, y in zip(xs, ys, strict=True) if low <= x <= high]
        return line(points, colour, dash=dash)

    def between(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str = BAND) -> str:
        """Return the area between two curves."""
        there = [(self.x(x), self.y(high)) for x, high in zip(xs, highs, strict=True)]
        back = [(self.x(x), self.y(low)) for x, low in zip(xs, lows, strict=True)]
        return f'<polygon points="{_points([*there, *reversed(back)])}" fill="{colour}"/>'


def picture(width: float, height: float, parts: Sequence[str], *, title: str) -> str:
    """Return the SVG of `parts`; `title` says to a screen reader what it shows."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:g}" height="{height:g}"'
    font = f'viewBox="0 0 {width:g} {height:g}" font-family="{FAMILY}" font-size="{SIZE}"'
    ground = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    return f"{head} {font}><title>{escape(title)}</title>{ground}{''.join(parts)}</svg>"


def as_markdown(svg: str, alt: str) -> str:
    """Return a picture as Markdown that Dagster's UI shows; it shows no link to data, and no SVG written out."""
    return f"![{alt}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"


def line(points: Sequence[tuple[float, float]], colour: str, *, width: float = 1.8, dash: str = "") -> str:
    """Return a line through points in px."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def box(x: float, y: float, width: float, height: float, fill: str, *, edge: str = "", title: str = "") -> str:
    """Return a rectangle; `title` is shown where the pointer rests on it."""
    edged = f' stroke="{edge}"' if edge else ""
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"{edged}>{told}</rect>'


def boxes(corners: Sequence[tuple[float, float, float, float]], fill: str) -> str:
    """Return rectangles of one colour; each is left, top, width and height, at least one px."""
    drawn = ""
    for x, y, width, height in corners:
        drawn += f"M{x:g} {y:g}h{max(width, 1):.4g}v{max(height, 1):.4g}h-{max(width, 1):.4g}z"
    return f'<path fill="{fill}" d="{drawn}"/>'


def strokes(ends: Sequence[tuple[float, float, float, float]], colour: str) -> str:
    """Return lines of one colour; each is where it begins, and how far it goes right and down."""
    drawn = (f"M{x:g} {y:g}l{right:g} {down:g}" for x, y, right, down in ends)
    return f'<path stroke="{colour}" stroke-width="1.8" d="{"".join(drawn)}"/>'


def dots(places: Sequence[tuple[float, float, str]], colour: str, radius: float) -> str:
    """Return dots of one colour; each is where it is, and what is shown where the pointer rests on it."""
    drawn = (
        f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}"><title>{escape(told)}</title></circle>' for x, y, told in places
    )
    return f'<g fill="{colour}">{"".join(drawn)}</g>'


def dot(x: float, y: float, colour: str, *, radius: float = 3.5, hollow: bool = False, title: str = "") -> str:
    """Return a dot; a hollow one is only outlined."""
    fill = "#ffffff" if hollow else colour
    told = f"<title>{escape(title)}</title>" if title else ""
    shape = f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{colour}" stroke-width="1.5">'
    return f"{shape}{told}</circle>"


def text(
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK, weight: int = 400, size: float = SIZE
) -> str:
    """Return words; `anchor` (start, middle, end) is what of them stands at `x`."""
    style = f'fill="{colour}" text-anchor="{anchor}"' + (f' font-weight="{weight}"' if weight != 400 else "")
    sized = "" if size == SIZE else f' font-size="{size:g}"'
    return f'<text x="{x:g}" y="{y:g}" {style}{sized}>{escape(words)}</text>'


def ticks(low: float, high: float, about: int = 4, *, percent: bool = False) -> list[tuple[float, str]]:
    """Return round values from `low` to `high` with their labels; `percent` writes shares as such."""
    span = high - low
    if not isfinite(span) or span <= 0:
        return [(low, _label(low, percent))]
    step = 10 ** floor(log10(span / about))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= about + 0.5)
    values = [place * step for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
    return [(value, _label(value, percent)) for value in values]


def some(labels: Sequence[str], most: int, *, apart: int = 1) -> list[tuple[float, str]]:
    """Return at most `most` of the labels by their places: the last one, and others at least `apart` places apart."""
    step = max(apart, ceil(len(labels) / most))
    return [(float(place), labels[place]) for place in range(len(labels) - 1, -1, -step)]


def number(value: float) -> str:
    """Return a number to three digits, as a person writes it: 0.0123, 1,230, 1.23e+08."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e7 else f"{value:.3g}"


def _label(value: float, percent: bool) -> str:
    return number(value) if not percent else f"{value:.0%}" if abs(value) >= 0.01 or not value else f"{value:.1%}"


def _share(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low and isfinite(value) else 0.5


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
