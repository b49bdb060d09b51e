"""A confusion matrix as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.chart import FAINT, INK, RULE, boxes, picture, text
from mlops_assets.training.pictures.curves import Counts, Floats
from mlops_assets.training.pictures.plots import SIDE, TOP, WIDTH, heads, short

MOST_CLASSES = 12
STEPS = 8  # of shade
LIGHT, DARK = (0xFF, 0xFF, 0xFF), (0x2F, 0x6F, 0xA8)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Cells:
    """Where the cells are, in px, and what they show; `shares` are of the rows of an actual class."""

    left: int
    top: int
    size: int
    counts: Counts
    shares: Floats

    @property
    def side(self) -> int:
        return self.size * len(self.counts)


def confusion_plot(counts: Counts, classes: Sequence[str], *, said: str) -> str:
    """Return a cell per actual (down) and called (across) class; beyond 12 classes, those with the most errors."""
    chosen = _confused(counts)
    names = [classes[at] for at in chosen]
    cells = _Cells(
        left=108,
        top=TOP + 32,
        size=max(26, min(90, SIDE // len(chosen))),
        counts=counts[np.ix_(chosen, chosen)],
        shares=counts[np.ix_(chosen, chosen)] / np.maximum(counts.sum(axis=1)[chosen], 1)[:, None],
    )
    if len(chosen) < len(classes):
        said = f"{said}; {len(chosen)} of {len(classes)} classes shown"
    caption = text(12, TOP + 3, "actual down, called across; shade: share of the class", colour=FAINT)
    drawn = [caption, *_names(cells, names), _shades(cells), _grid(cells), _numbers(cells)]
    width = max(WIDTH, cells.left + cells.side + 20)
    return picture(width, cells.top + cells.side + 14, [*heads("Confusion", said), *drawn], title="Confusion matrix")


def _confused(counts: Counts) -> list[int]:
    """Return the places of the classes to show, in their order."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    return sorted(np.argsort(-errors, kind="stable")[:MOST_CLASSES].tolist())


def _names(cells: _Cells, names: Sequence[str]) -> list[str]:
    """Return the names of rows and columns; where one is wider than a column, columns have numbers."""
    numbered = max(map(len, names)) > cells.size // 7
    drawn: list[str] = []
    for place, name in enumerate(names):
        middle = cells.size * (place + 0.5)
        head, row = (str(place + 1), f"{place + 1}  {short(name, 12)}") if numbered else (name, name)
        drawn.append(text(cells.left + middle, cells.top - 6, head, anchor="middle", colour=FAINT))
        drawn.append(text(cells.left - 7, cells.top + middle + 4, row, anchor="end"))
    return drawn


def _shades(cells: _Cells) -> str:
    """Return the cells, the darker the greater their share, in eight steps."""
    steps = np.ceil(cells.shares * STEPS).astype(np.int64)
    drawn = ""
    for step in np.unique(steps[steps > 0]).tolist():
        places = np.argwhere(steps == step).tolist()
        corners = [(cells.left + cells.size * x, cells.top + cells.size * y, cells.size, cells.size) for y, x in places]
        mixed = (round(a + (b - a) * step / STEPS) for a, b in zip(LIGHT, DARK, strict=True))
        drawn += boxes(corners, "#" + "".join(f"{part:02x}" for part in mixed))
    return drawn


def _grid(cells: _Cells) -> str:
    left, top, side = cells.left, cells.top, cells.side
    rules = (f"M{left} {top + at}h{side}M{left + at} {top}v{side}" for at in range(0, side + 1, cells.size))
    return f'<path d="{"".join(rules)}" stroke="{RULE}"/>'


def _numbers(cells: _Cells) -> str:
    """Return the counts that are not 0, white on dark cells; grouped, they take half of the bytes."""
    drawn = {"#ffffff": "", INK: ""}
    for y, x in np.argwhere(cells.counts > 0).tolist():
        colour = "#ffffff" if cells.shares[y, x] > 0.5 else INK
        middle, base = cells.left + cells.size * (x + 0.5), cells.top + cells.size * (y + 0.5) + 4
        words = _count(int(cells.counts[y, x]), short=cells.size < 40)
        drawn[colour] += f'<text x="{middle:g}" y="{base:g}">{words}</text>'
    return "".join(f'<g fill="{colour}" text-anchor="middle">{each}</g>' for colour, each in drawn.items() if each)


def _count(count: int, *, short: bool) -> str:
    if not short or count < 1000:
        return f"{count:,}"
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{count // 1000}k"
