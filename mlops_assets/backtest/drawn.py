"""A backtest -> its plot as PNG, and one HTML page with plot and table that needs no network."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from mlops_assets.backtest.outcome import DRIFT, EVERY, NEVER, Backtest
from mlops_assets.backtest.words import HEAD, NOTES, cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, LIMIT, EVENLY, MARK = "#1f2328", "#8c959f", "#2f6fa8", "#8c959f", "#b83a06"
STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; color: #1f2328; max-width: 1000px; margin: 0 auto; padding: 24px; }
table { border-collapse: collapse; font-size: 13.5px; } th, td { padding: 4px 10px; border-bottom: 1px solid #d1d9e0; }
td, th { text-align: right; font-variant-numeric: tabular-nums; } td:first-child, th:first-child { text-align: left; }
tr.declared td { background: #fff4ec; font-weight: 600; } img { max-width: 100%; } p { color: #59636e; }
"""


def png(found: Backtest) -> bytes:
    """Return the plot: quality against retrains with its limit, and quality over time."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 8), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=[3, 2])
        _frontier(above, found)
        _over_time(below, found)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def html(found: Backtest, plot: bytes) -> str:
    """Return the page."""
    title = escape(f"Backtest of {found.product}, segment {found.segment}")
    about = f"{found.metric} on {found.rows:,} rows, {found.windows[0]} to {found.windows[-1]}."
    caution = f"<p><b>Caution:</b> {escape(found.caution)}.</p>" if found.caution else ""
    picture = base64.b64encode(plot).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(about)}</p>{caution}"
        f'<img alt="quality against retrains, and over time" src="data:image/png;base64,{picture}">'
        f"<table>{_line('th', HEAD)}{''.join(_line('td', cells(row), row.declared) for row in found.policies)}</table>"
        f"<p>{escape(NOTES)}</p></html>"
    )


def _line(tag: str, texts: Sequence[str], declared: bool = False) -> str:
    marked = " class=declared" if declared else ""
    return f"<tr{marked}>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"


def _frontier(axes: "Axes", found: Backtest) -> None:
    counts = range(len(found.optimum))
    axes.plot(counts, found.optimum, color=LIMIT, label="best in hindsight")
    axes.plot(counts, found.evenly, color=EVENLY, linestyle="--", label="evenly spaced")
    for row in found.policies:
        size, shape, colour = (130, "*", MARK) if row.declared else (28, "o", INK)
        axes.scatter(row.retrains, row.quality, s=size, marker=shape, color=colour, zorder=3)
    for (retrains, quality), names in _together(found).items():
        left = retrains > 0.7 * counts[-1]
        axes.annotate(
            "\n".join(names),
            (retrains, quality),
            xytext=(-8 if left else 8, -4),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top",
            fontsize=8,
        )
    axes.set_xlabel("retrains")
    axes.set_ylabel(found.metric)
    axes.set_title(f"{found.product}, {found.segment}: quality against retrains", loc="left")
    axes.legend(frameon=False)


def _together(found: Backtest) -> dict[tuple[int, float], list[str]]:
    """Return the names of the policies by where they are; those that came to the same share a place."""
    places: dict[tuple[int, float], list[str]] = {}
    for row in found.policies:
        name = f"{row.policy} (declared)" if row.declared else row.policy
        places.setdefault((row.retrains, row.quality), []).append(name)
    return places


def _over_time(axes: "Axes", found: Backtest) -> None:
    places = range(len(found.windows))
    for name, colour, line in ((NEVER, FAINT, ":"), (DRIFT, MARK, "-"), (EVERY, LIMIT, "--")):
        row = found.row(name)
        axes.plot(places, [float("nan") if v is None else v for v in row.over_time], line, color=colour, label=name)
        if name == DRIFT:
            marked = [place for place, key in enumerate(found.windows) if key in row.retrained_on]
            axes.scatter(marked, [row.over_time[i] or float("nan") for i in marked], color=colour, s=22, zorder=3)
    step = max(1, len(found.windows) // 10)
    axes.set_xticks(list(places)[::step], found.windows[::step])
    axes.set_ylabel(found.metric)
    axes.set_title("quality over time (dots: the declared policy was retrained on this window)", loc="left")
    axes.legend(frameon=False, ncols=3)
