"""A live window against its model's reference windows: ok, drift or cannot tell.

Every component of the window is compared with the spread of the reference windows, so what ordinary windows differ by
is no drift however many rows there are (prediction-t, variance floored at sampling variance); Šidák over components.
An alarm also has to lie further out than every reference window does from the rest (full conformal rank: Vovk et al.,
Algorithmic Learning in a Random World, 2005), so that with R windows at most one window in R + 1 alarms falsely,
whatever the distribution, if windows are exchangeable. Resampled windows are so only as far as the rows behind them are
many: their number is part of the noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mlops_assets.detection.components import JOINT, Component, components
from mlops_assets.detection.shifts import Moved, alarm_words, ok_words, shifts
from mlops_assets.detection.verdict import Kind, Verdict
from mlops_assets.training.bins import Bins, Counts
from mlops_assets.training.reference import PREDICTION, Reference

ALPHA = 0.01
FEWEST_ROWS = 40
FEWEST_WINDOWS = 10
POWER = 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Test:
    """The live window, per component: deviation in units of `noise`, and its p-value corrected for all components.

    `as_extreme` counts reference windows whose largest deviation is as large; `furthest` is the largest among them.
    """

    scores: Floats
    p_values: Floats
    noise: Floats
    as_extreme: int
    furthest: float


def judge(live: Counts, reference: Reference) -> Verdict:
    """Return the verdict on a window counted over the reference's bins.

    Raises:
        ValueError: If `live` was counted over other bins.
    """
    if live.bins != reference.bins.id:
        raise ValueError(f"counts over bins {live.bins[:12]}, but the reference has bins {reference.bins.id[:12]}")
    windows = len(reference.windows)
    if live.changes and live.rows:  # a window without rows has no schema
        words = f"schema changed: {'; '.join(live.changes)}"
        return Verdict(state="drift", kind="schema", p_value=0.0, rows=live.rows, windows=windows, words=words)
    if problem := _too_little(live, reference):
        words = f"cannot tell: {problem}"
        return Verdict(state="cannot tell", kind="data", p_value=None, rows=live.rows, windows=windows, words=words)
    found = components([*reference.windows, live], reference.bins, reference.rows)
    behind = [reference.scored if component.column == PREDICTION else reference.rows for component in found]
    test = _test(found, [*reference.windows, live], behind)
    return _answer(found, test, live, reference)


def _answer(found: Sequence[Component], test: Test, live: Counts, reference: Reference) -> Verdict:
    p_value = float(test.p_values.min())
    smallest = _smallest_shift(found, test, reference.bins, len(reference.windows) - 1)
    drift = p_value <= ALPHA and not test.as_extreme
    moved = [
        Moved(component=component, score=float(score), p_value=float(p))
        for component, score, p in zip(found, test.scores, test.p_values, strict=True)
        if drift and p <= ALPHA
    ]
    columns = shifts(moved, live, reference)
    kind = _kind(moved)
    return Verdict(
        state="drift" if drift else "ok",
        kind=kind,
        p_value=p_value,
        columns=columns,
        smallest_shift=smallest,
        rows=live.rows,
        windows=len(reference.windows),
        as_extreme=test.as_extreme,
        words=alarm_words(kind, columns, p_value, reference) if drift else ok_words(live.rows, reference, smallest),
    )


def _too_little(live: Counts, reference: Reference) -> str | None:
    if not live.rows:
        return "no predictions in this window"
    if live.rows < FEWEST_ROWS:
        return f"{live.rows} rows in this window, needs {FEWEST_ROWS}"
    if len(reference.windows) < FEWEST_WINDOWS:
        return f"{len(reference.windows)} reference windows, needs {FEWEST_WINDOWS}"
    return None if reference.rows >= FEWEST_ROWS else f"{reference.rows} rows behind the reference, needs {FEWEST_ROWS}"


def _test(found: Sequence[Component], windows: Sequence[Counts], rows_behind: Sequence[int]) -> Test:
    """Compare each window with all the others, so that the live one and the reference ones are treated alike."""
    values = np.stack([component.values for component in found], axis=1)
    variances = np.stack([component.variances for component in found], axis=1)
    values = values - values.mean(axis=0)
    others = len(windows) - 1
    mean = (values.sum(axis=0) - values) / others
    spread = ((values**2).sum(axis=0) - values**2 - others * mean**2) / (others - 1)
    sampling = (variances.sum(axis=0) - variances) / others
    between = np.maximum(spread - sampling, 0.0)
    rows = np.array([[window.rows] for window in windows])
    of_mean = np.maximum(sampling / others, variances * rows / np.array(rows_behind))
    noise = np.sqrt(between * (1 + 1 / others) + variances + of_mean)
    scores = np.abs(values - mean) / noise
    furthest = scores.max(axis=1)
    return Test(
        scores=scores[-1],
        p_values=_family(2 * _student_tail(scores[-1], others - 1), len(found)),
        noise=noise[-1],
        as_extreme=int((furthest[:-1] >= furthest[-1] * (1 - 1e-12)).sum()),
        furthest=float(furthest[:-1].max()),
    )


def _smallest_shift(found: Sequence[Component], test: Test, bins: Bins, freedom: int) -> dict[str, float]:
    """Return the shift of the mean in sd that would be seen with 80% power, were a numeric column normal."""
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

    alone = -np.expm1(np.log1p(-ALPHA) / len(found))
    critical = max(float(stdtrit(freedom, 1 - alone / 2)), test.furthest)
    needed = (critical + NormalDist().inv_cdf(POWER)) * test.noise
    numeric = {part.column for part in bins.numeric}
    smallest: dict[str, float] = {}
    for component, least in zip(found, needed, strict=True):
        if component.what == "mean":  # sqrt(12) · (U - 1/2) under a shift: E = sqrt(12) · (Φ(shift / sqrt 2) - 1/2)
            shift = sqrt(2) * NormalDist().inv_cdf(0.5 + min(float(least) / sqrt(12), 0.4998))
        elif component.what.startswith("level") and component.column in numeric:
            shift = 2 * float(least)  # arcsin sqrt(p) moves by half of p's shift in sd
        else:
            continue
        smallest[component.column] = round(min(shift, smallest.get(component.column, shift)), 4)
    return smallest


def _kind(moved: Sequence[Moved]) -> Kind:
    columns = {each.component.column for each in moved}
    if columns - {JOINT, PREDICTION}:
        return "data"
    return "joint" if JOINT in columns else "prediction" if columns else "data"


def _family(p_values: Floats, tests: int) -> Floats:
    """Return p-values corrected for `tests` tests (Šidák, J. Am. Stat. Assoc. 62, 1967)."""
    return -np.expm1(tests * np.log1p(-np.minimum(p_values, 1 - 1e-16)))


def _student_tail(values: Floats, freedom: int) -> Floats:
    from scipy.special import stdtr  # pyright: ignore[reportMissingTypeStubs]

    return np.asarray(stdtr(freedom, -values), dtype=np.float64)
