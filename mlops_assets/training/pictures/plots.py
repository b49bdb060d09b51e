"""The numbers behind a model -> its pictures as SVG: ROC, calibration, importance, residuals."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from mlops_assets.chart import (
    BAND,
    FAINT,
    INK,
    REFERENCE,
    Panel,
    boxes,
    dots,
    line,
    number,
    picture,
    strokes,
    text,
    ticks,
)
from mlops_assets.training.pictures.curves import Bin, Residuals, Roc, thinned

WIDTH, LEFT, TOP, SIDE = 400, 52, 46, 300
MOST_FEATURES = 15
LONGEST = 20  # characters of a name

Ticks = Sequence[tuple[float, str]]


def roc_plot(curve: Roc, *, auc: float, rows: int) -> str:
    """Return the true positive rate over the false positive rate; the dashed line is guessing."""
    panel = Panel(left=LEFT, top=TOP, width=SIDE, height=SIDE, across=(0, 1), up=(0, 1))
    few = thinned(curve)
    parts = [
        *heads(f"ROC: AUC {auc:.4g}", f"{rows:,} held-out rows; dashed: guessing"),
        panel.axes(ticks(0, 1, percent=True), ticks(0, 1, percent=True)),
        line([(panel.x(0), panel.y(0)), (panel.x(1), panel.y(1))], FAINT, width=1, dash="4 3"),
        panel.curve(few.false_positive.tolist(), few.true_positive.tolist(), REFERENCE),
        _below(panel, "false positive rate; up: true positive rate"),
    ]
    return picture(WIDTH, TOP + SIDE + 42, parts, title=f"ROC curve, AUC {auc:.4g}")


def calibration_plot(bins: Sequence[Bin], *, error: float, of: str) -> str:
    """Return the share of rows that are `of` what was scored over their mean score, and how many rows each bin has."""
    most = max([each.score for each in bins] + [each.share.high or each.share.value for each in bins])
    reach = min(1.0, most * 1.05) or 1.0
    panel = Panel(left=LEFT, top=TOP, width=SIDE, height=240, across=(0, reach), up=(0, reach))
    rows = Panel(left=LEFT, top=TOP + 262, width=SIDE, height=38, across=(0, reach), up=(0, 1))
    marks = [(panel.x(b.score), panel.y(b.share.value), _told(b)) for b in bins]
    whiskers = [
        (panel.x(b.score), panel.y(b.share.high), 0.0, round(panel.y(b.share.low) - panel.y(b.share.high), 1))
        for b in bins
        if b.share.low is not None and b.share.high is not None
    ]
    parts = [
        *heads(f"Calibration: error {error:.3g}", "dot: share and 95% interval; dashed: as scored"),
        panel.axes((), ticks(0, reach, percent=True)),
        line([(panel.x(0), panel.y(0)), (panel.x(reach), panel.y(reach))], FAINT, width=1, dash="4 3"),
        strokes(whiskers, REFERENCE),
        dots(marks, REFERENCE, 3.5),
        _row_counts(rows, bins),
        _below(rows, f"mean score; up: share that is {of}; below: rows"),
    ]
    return picture(WIDTH, TOP + 262 + 38 + 42, parts, title=f"Calibration, error {error:.3g}")


def importance_plot(shares: Mapping[str, float]) -> str:
    """Return a bar per feature, the greatest share of the model's gain first; at most 15."""
    ranked = sorted(shares.items(), key=lambda each: -each[1])
    shown, step = ranked[:MOST_FEATURES], 18
    most = (shown[0][1] if shown else 0) or 1.0
    panel = Panel(left=140, top=TOP, width=212, height=step * len(shown), across=(0, most), up=(0, 1))
    rest = sum(share for _, share in ranked[MOST_FEATURES:])
    said = "share of what the model gains"
    if len(ranked) > MOST_FEATURES:
        said += f"; {len(ranked) - MOST_FEATURES} more features have {rest:.1%}"
    parts = heads("Importance", said)
    for place, (name, share) in enumerate(shown):
        y = TOP + step * place
        parts.append(text(133, y + 13, short(name), anchor="end"))
        parts.append(text(round(panel.x(share) + 5, 1), y + 13, f"{share:.1%}", colour=FAINT))
    bars = [
        (panel.left, TOP + step * at + 3, panel.x(share) - panel.left, step - 6) for at, (_, share) in enumerate(shown)
    ]
    parts.append(boxes(bars, REFERENCE))
    return picture(WIDTH, TOP + step * len(shown) + 14, parts, title="Importance of features")


def residuals_plot(found: Residuals, *, rmse: float, rows: int) -> str:
    """Return what happened over what was predicted, and how the errors spread."""
    both = np.concatenate([found.actual, found.predicted])
    low, high = float(both.min()), float(both.max())
    margin = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    reach = (low - margin, high + margin)
    panel = Panel(left=LEFT + 8, top=TOP, width=SIDE, height=SIDE, across=reach, up=reach)
    errors = Panel(
        left=LEFT + 372,
        top=TOP,
        width=SIDE,
        height=SIDE,
        across=(float(found.edges[0]), float(found.edges[-1])),
        up=(0, float(found.counts.max()) * 1.05 or 1.0),
    )
    pairs = zip(found.predicted.tolist(), found.actual.tolist(), strict=True)
    bars = [
        (errors.x(a), errors.y(n), errors.x(b) - errors.x(a) - 1, errors.y(0) - errors.y(n))
        for (a, b), n in zip(pairwise(found.edges.tolist()), found.counts.tolist(), strict=True)
        if n
    ]
    parts = [
        *heads(f"Residuals: RMSE {number(rmse)}", f"{rows:,} held-out rows, {len(found.actual)} drawn; dashed: exact"),
        panel.axes(ticks(*reach), ticks(*reach)),
        line(
            [(panel.x(reach[0]), panel.y(reach[0])), (panel.x(reach[1]), panel.y(reach[1]))], FAINT, width=1, dash="4 3"
        ),
        _specks([(panel.x(x), panel.y(y)) for x, y in pairs], REFERENCE),
        _below(panel, "predicted; up: actual"),
        errors.axes(ticks(*errors.across), ticks(0, errors.up[1], 3)),
        boxes(bars, BAND),
        line([(errors.x(0), errors.y(0)), (errors.x(0), errors.top)], INK, width=1, dash="4 3"),
        _below(errors, "predicted less actual; up: rows; outer bars: all beyond"),
    ]
    return picture(LEFT + 372 + SIDE + 30, TOP + SIDE + 42, parts, title=f"Residuals, RMSE {number(rmse)}")


def heads(title: str, said: str) -> list[str]:
    """Return a picture's title, and what its strokes mean."""
    return [text(12, 17, title, weight=600, size=13), text(12, 33, said, colour=FAINT)]


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name, cut where it is too long."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _below(panel: Panel, words: str) -> str:
    return text(panel.left, panel.top + panel.height + 31, words, colour=FAINT)


def _told(each: Bin) -> str:
    return f"scored {each.score:.1%}, found {each.share.value:.1%} of {each.rows:,}"


def _row_counts(panel: Panel, bins: Sequence[Bin]) -> str:
    """Return a stroke per bin, as high as it has rows."""
    most = max(each.rows for each in bins)
    bars = [(panel.x(b.score) - 3, panel.y(b.rows / most), 6.0, panel.y(0) - panel.y(b.rows / most)) for b in bins]
    return panel.axes(ticks(*panel.across, percent=True), [(1.0, number(most))]) + boxes(bars, BAND)


def _specks(places: Sequence[tuple[float, float]], colour: str) -> str:
    """Return dots as one path, which takes a tenth of the bytes."""
    drawn = "".join(f"M{x:g} {y:g}h0" for x, y in places)
    return f'<path d="{drawn}" stroke="{colour}" stroke-opacity="0.6" stroke-width="4" stroke-linecap="round"/>'
