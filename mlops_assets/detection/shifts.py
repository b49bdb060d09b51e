"""Components that moved -> columns, each with an effect in a unit that a person can weigh, and the words for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops_assets.detection.components import (
    JOINT,
    Component,
    correlation_distance,
    joint_columns,
    mean_and_sd,
    reconstruction,
)
from mlops_assets.detection.verdict import ColumnShift, Kind, Unit
from mlops_assets.training.bins import ColumnCounts, Counts, merge
from mlops_assets.training.reference import PREDICTION, Reference

SHOWN = 3
SLIGHT = 0.05  # sd; a smaller change of mean or sd is not what made ranks move, the shape is
NAMES: dict[Kind, str] = {"data": "data drift", "joint": "joint drift", "prediction": "prediction drift"}
PHRASES = {"missing": "is missing", "infinite": "is infinite", "outside": "lies outside training's range"}


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A component that moved, by how much of its noise."""

    component: Component
    score: float
    p_value: float


def shifts(moved: Sequence[Moved], live: Counts, reference: Reference) -> tuple[ColumnShift, ...]:
    """Return one shift per column, the furthest first: that of its mean if it moved, else of what moved furthest.

    Joint drift is named only where no input moved by itself: a moved column alone changes its correlations.
    """
    by_column: dict[str, list[Moved]] = {}
    for each in sorted(moved, key=lambda each: -each.score):
        by_column.setdefault(each.component.column, []).append(each)
    joint = by_column.pop(JOINT, None)
    before = merge(reference.windows)
    told = [next((each for each in group if each.component.what == "mean"), group[0]) for group in by_column.values()]
    found = [_shift(each, live, before, reference) for each in told]
    if joint is not None and not by_column.keys() - {PREDICTION}:
        found = [*_decoupled(joint[0], live, reference), *found]
    return tuple(found)


def alarm_words(
    kind: Kind,
    columns: Sequence[ColumnShift],
    p_value: float,
    reference: Reference,
    *,
    over: int,
    promised: float,
    height: float,
) -> str:
    """Return the sentence for an alarm: what moved, how sure, and how often this would be wrong."""
    shown = "; ".join(column.words for column in columns[:SHOWN])
    more = f"; and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    alone = "p < 1e-12" if p_value < 1e-12 else f"p = {p_value:.1g}"
    sure = alone if over == 1 else f"{over} windows together say so, {height:,.0f} to 1"
    return f"{NAMES[kind]}: {shown}{more} ({sure}; {_promise(kind, reference, promised)})"


def ok_words(rows: int, reference: Reference, smallest: dict[str, float]) -> str:
    """Return the sentence for a quiet window, with what it could not have seen."""
    quiet = f"no drift in {rows:,} rows: nothing moved beyond how {len(reference.windows)} reference windows differ"
    if not smallest:
        return quiet
    least = max(smallest, key=lambda column: smallest[column])
    shift = f"a shift of the mean by {smallest[least]:.2f} sd in any one column would be seen in 4 of 5 cases"
    return f"{quiet}; {shift} (least well in {least})"


def _promise(kind: Kind, reference: Reference, promised: float) -> str:
    bound = f"at most 1 in {int(1 / promised)} ordinary windows alarms"
    rows = reference.scored if kind == "prediction" else reference.rows
    enough = reference.kind == "windows" or rows >= len(reference.windows) * reference.rows_per_window
    return bound if enough else f"{bound}, as far as {rows:,} rows can tell"


def _shift(moved: Moved, live: Counts, before: Counts, reference: Reference) -> ColumnShift:
    column, what = moved.component.column, moved.component.what.split()[0]
    now, then = live.columns[column], before.columns[column]
    numeric = next((part for part in reference.bins.numeric if part.column == column), None)
    if what in PHRASES:
        return _missing(moved, what, now, then)
    if numeric is None:
        levels = next(part.levels for part in reference.bins.text if part.column == column)
        return _level(moved, moved.component.what, levels, now, then)
    mean, sd = mean_and_sd(live, reference.bins, column)
    mean_then, sd_then = mean_and_sd(before, reference.bins, column)
    ratio, by = sd / sd_then if sd_then else 1.0, mean - mean_then
    if what == "spread" and abs(ratio - 1) >= SLIGHT:
        return _made(moved, ratio - 1, "ratio", f"{column} varies {ratio:.2f} times as much")
    if what in ("mean", "level") and abs(by) >= SLIGHT:
        return _made(moved, by, "sd", f"{column} is {abs(by):.2f} sd {'higher' if by > 0 else 'lower'}")
    elsewhere = float(np.abs(_shares(now.bins) - _shares(then.bins)).sum() / 2)
    return _made(moved, elsewhere, "share", f"{column} has {elsewhere:.0%} of its values elsewhere")


def _missing(moved: Moved, what: str, now: ColumnCounts, then: ColumnCounts) -> ColumnShift:
    def share(counts: ColumnCounts) -> float:
        odd = {"missing": counts.null, "infinite": counts.inf, "outside": counts.bins[0] + counts.bins[-1]}
        return odd[what] / max(counts.valid + counts.null + counts.inf, 1)

    words = f"{moved.component.column} {PHRASES[what]} in {share(now):.1%} of rows (was {share(then):.1%})"
    return _made(moved, share(now) - share(then), "share", words)


def _level(moved: Moved, what: str, levels: Sequence[str], now: ColumnCounts, then: ColumnCounts) -> ColumnShift:
    names = [*(f"level {level!r}" for level in levels), "other", "unseen"]
    place = names.index(what)
    share, was = (counts.bins[place] / max(counts.valid + counts.null, 1) for counts in (now, then))
    column = moved.component.column
    subject = {"other": f"{column} has a rare value", "unseen": f"{column} has a value new to training"}
    words = f"{subject.get(what, f'{column} is {what[6:]}')} in {share:.1%} of rows (was {was:.1%})"
    return _made(moved, share - was, "share", words)


def _decoupled(joint: Moved, live: Counts, reference: Reference) -> list[ColumnShift]:
    windows = [*reference.windows, live]
    if joint.component.what == "reconstruction":
        shares = reconstruction(windows, reference.bins, reference.rows)
    else:
        distances = correlation_distance(windows, reference.bins)
        shares = None if distances is None else distances.sum(axis=2)
    if shares is None:
        return []
    change = shares[-1] - shares[:-1].mean(axis=0)
    deviation = np.abs(change) / np.maximum(shares[:-1].std(axis=0, ddof=1), 1e-12)
    names = joint_columns(reference.bins)
    far: list[int] = [i for i in np.argsort(-deviation)[:SHOWN].tolist() if deviation[i] >= deviation.max() / 2]
    return [
        ColumnShift(
            column=names[i],
            effect=round(float(change[i]), 6),
            unit="share",
            p_value=joint.p_value,
            words=f"{names[i]} no longer moves with the other inputs as it did",
        )
        for i in far
    ]


def _made(moved: Moved, effect: float, unit: Unit, words: str) -> ColumnShift:
    return ColumnShift(
        column=moved.component.column, effect=round(effect, 6), unit=unit, p_value=moved.p_value, words=words
    )


def _shares(counts: Sequence[int]) -> np.ndarray:
    return np.array(counts) / max(sum(counts), 1)
