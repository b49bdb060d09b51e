"""Costs as an SVG picture: what each day took against the budget, and what each version cost."""

from collections.abc import Sequence

from mlops_assets.chart import BAND, FAINT, LIVE, REFERENCE, Panel, Ticks, box, picture, some, text, ticks
from mlops_assets.costs.models import ModelCost
from mlops_assets.costs.rollup import Costs

WIDTH, LEFT = 760, 60
DAYS, MODELS = 30, 30  # in the picture, the newest
Part = tuple[str, str, float]  # name, colour, s


def costs_plot(found: Costs) -> str:
    """Return a picture of two panels: CPU and GPU time by day, and by version the parts that it is made of."""
    days = [(each.day, [("CPU", BAND, each.cpu_s), ("GPU", LIVE, each.gpu_s)]) for each in found.days[-DAYS:]]
    versions = [(str(each.version), _parts(each)) for each in found.models[-MODELS:]]
    parts = _bars(40, days, "CPU and GPU time by day, s", "CPU light, GPU dark")
    parts += _bars(230, versions, "Time by version, s", "training blue, gate dark, its own data light")
    return picture(WIDTH, 390, parts, title=f"What {found.product} cost")


def _parts(each: ModelCost) -> list[Part]:
    named = (("data", BAND, each.data), ("training", REFERENCE, each.training), ("gate", LIVE, each.gate))
    return [(name, colour, sum_.cpu_s + sum_.gpu_s) for name, colour, sum_ in named]


def _bars(top: float, bars: Sequence[tuple[str, list[Part]]], title: str, legend: str) -> list[str]:
    """Return a panel with one bar for each of `bars`, its parts on top of each other."""
    highest = max((sum(size for _, _, size in parts) for _, parts in bars), default=0.0) or 1.0
    count = max(len(bars), 6)
    panel = Panel(left=LEFT, top=top, width=WIDTH - LEFT - 16, height=110, across=(0, count), up=(0, highest))
    labels: Ticks = [(place + 0.5, label) for place, label in some([name for name, _ in bars], 8)]
    drawn = [
        panel.axes(labels, ticks(0, highest), title),
        text(WIDTH - 16, top - 8, legend, anchor="end", colour=FAINT),
    ]
    width = round(panel.width / count - 4, 1)
    for place, (label, parts) in enumerate(bars):
        below = 0.0
        for name, colour, size in parts:
            high, low = panel.y(below + size), panel.y(below)
            if size > 0:
                told = f"{label}: {name} {size:.1f} s"
                drawn.append(box(panel.x(place) + 2, high, width, round(low - high, 1), colour, title=told))
            below += size
    return drawn
