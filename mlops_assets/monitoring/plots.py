"""Two pictures as PNG: a column's reference against live, and a segment's verdicts over time."""

# pyright: reportUnknownMemberType=false

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.detection.verdict import State, Verdict
from mlops_assets.training.bins import Counts, NumericBins, TextBins, merge
from mlops_assets.training.reference import Reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: dict[State, str] = {"ok": "#2e7d32", "drift": "#c62828", "cannot tell": "#9e9e9e"}
LATEST = 60


def reference_vs_live(column: str, live: Counts, reference: Reference) -> bytes:
    """Return a PNG of a column's share of rows per bin: the reference windows' range, their mean, and this window.

    Raises:
        LookupError: If the column is not among those counted.
    """
    parts = {part.column: part for part in (*reference.bins.numeric, *reference.bins.text)}
    if column not in parts or column not in live.columns:
        raise LookupError(f"no column {column!r}; counted are: {', '.join(live.columns)}")
    windows = np.array([_shares(window, column) for window in reference.windows])
    pooled = _shares(merge(reference.windows), column)
    names = _names(parts[column])
    figure = _figure()
    axes = figure.subplots()
    places = np.arange(len(names))
    low, high = windows.min(axis=0), windows.max(axis=0)
    axes.fill_between(places, low, high, step="mid", color="#bbdefb", label="reference windows")
    axes.step(places, pooled, where="mid", color="#1565c0", label="reference")
    axes.step(places, _shares(live, column), where="mid", color="#c62828", label="live")
    axes.set_xticks(places, names, rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("share of rows")
    axes.set_title(f"{column}: {live.rows:,} live rows")
    axes.legend(fontsize=8)
    return _png(figure)


def verdict_timeline(verdicts: Sequence[tuple[str, Verdict]]) -> bytes:
    """Return a PNG of the last 60 verdicts, oldest first: colour is the state, height how unlikely the window was."""
    latest = verdicts[-LATEST:]
    figure = _figure()
    axes = figure.subplots()
    heights = [0.3 if verdict.p_value is None else -np.log10(max(verdict.p_value, 1e-12)) for _, verdict in latest]
    places = np.arange(len(latest))
    axes.bar(places, np.maximum(heights, 0.3), color=[COLOURS[verdict.state] for _, verdict in latest])
    axes.axhline(2, color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(places, [window for window, _ in latest], rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("-log10 p (line: 0.01)")
    axes.set_title("green: ok, red: drift, grey: cannot tell")
    return _png(figure)


def _shares(counts: Counts, column: str) -> np.ndarray:
    found = counts.columns[column]
    return np.array([*found.bins, found.null, found.inf]) / max(counts.rows, 1)


def _names(part: NumericBins | TextBins) -> list[str]:
    if isinstance(part, TextBins):
        return [*part.levels, "other", "unseen", "null", "inf"]
    below = [f"< {part.edges[0]:.3g}"] if part.edges else ["all"]
    return [*below, *(f"≥ {edge:.3g}" for edge in part.edges), "null", "inf"]


def _figure() -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(8, 3.5), layout="constrained")


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
