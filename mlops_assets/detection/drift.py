"""A live window against its model's reference windows: ok, drift or cannot tell.

Every component of the window is compared with the spread of the reference windows, so what ordinary windows differ by
is no drift however many rows there are; Šidák over the components, each with its weight. An alarm also has to lie
further out than every reference window does from the rest (full conformal rank: Vovk et al., Algorithmic Learning in a
Random World, 2005), so that with R windows at most one window in R + 1 alarms falsely, whatever the distribution, if
windows are exchangeable. Resampled windows are so only as far as the rows behind them are many: their number is part of
the noise. What is too little for one window to show is gathered from window to window (`sequence`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mlops_assets.detection.components import JOINT, Component, components
from mlops_assets.detection.noise import Deviations, deviations
from mlops_assets.detection.sequence import ARL, Evidence, gathered, height, risen
from mlops_assets.detection.shifts import Moved, alarm_words, ok_words, shifts
from mlops_assets.detection.verdict import Kind, Verdict
from mlops_assets.training.bins import Bins, Counts
from mlops_assets.training.reference import FEWEST, PREDICTION, Reference

ALPHA = 0.01
FEWEST_WINDOWS = 10
POWER = 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdict on a window, and the evidence to carry to the next one of the same model."""

    verdict: Verdict
    evidence: Evidence | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Test:
    """The live window, per component: p-values corrected for all components.

    `as_extreme` counts reference windows whose smallest p-value is as small; `least` is the smallest among them.
    """

    deviations: Deviations
    p_values: Floats
    as_extreme: int
    least: float


def judge(live: Counts, reference: Reference, *, phase: int | None = None, carried: Evidence | None = None) -> Judged:
    """Return the verdict on a window counted over the reference's bins.

    `phase` is its place in the season, `carried` the evidence of the windows before it (None: it is the first).

    Raises:
        ValueError: If `live` was counted over other bins.
    """
    if live.bins != reference.bins.id:
        raise ValueError(f"counts over bins {live.bins[:12]}, but the reference has bins {reference.bins.id[:12]}")
    windows = len(reference.windows)
    if live.changes and live.rows:  # a window without rows has no schema
        words = f"schema changed: {'; '.join(live.changes)}"
        verdict = Verdict(state="drift", kind="schema", p_value=0.0, rows=live.rows, windows=windows, words=words)
        return Judged(verdict=verdict, evidence=carried)
    if problem := _too_little(live, reference):
        words = f"cannot tell: {problem}"
        verdict = Verdict(state="cannot tell", kind="data", p_value=None, rows=live.rows, windows=windows, words=words)
        return Judged(verdict=verdict, evidence=carried)
    found = components([*reference.windows, live], reference.bins, reference.rows)
    test = _test(found, live, reference, phase)
    evidence = gathered(carried, _normal(test, windows), found, live.bins)
    return Judged(verdict=_answer(found, test, evidence, live, reference), evidence=evidence)


def promised(reference: Reference) -> float:
    """Return the share of ordinary windows that may alarm: by their own rank, or by evidence gathered over several."""
    return 1 / (len(reference.windows) + 1) + 1 / ARL


def _answer(found: Sequence[Component], test: Test, evidence: Evidence, live: Counts, reference: Reference) -> Verdict:
    p_value, gathered_height = float(test.p_values.min()), height(evidence, found)
    smallest = _smallest_shift(found, test, reference.bins)
    at_once = p_value <= ALPHA and not test.as_extreme
    slowly = gathered_height >= ARL and not at_once
    moved, over = _moved_slowly(found, test, evidence) if slowly else (_moved(found, test) if at_once else [], 1)
    drift, kind, share = at_once or slowly, _kind(moved), promised(reference)
    columns = shifts(moved, live, reference) if drift else ()
    words = (
        alarm_words(kind, columns, p_value, reference, over=over, promised=share, height=gathered_height)
        if drift
        else ok_words(live.rows, reference, smallest)
    )
    return Verdict(
        state="drift" if drift else "ok",
        kind=kind,
        p_value=p_value,
        columns=columns,
        smallest_shift=smallest,
        rows=live.rows,
        windows=len(reference.windows),
        as_extreme=test.as_extreme,
        promised=share,
        over=over,
        words=words,
    )


def _moved(found: Sequence[Component], test: Test) -> list[Moved]:
    scores = np.abs(test.deviations.scores[-1])
    return [
        Moved(component=component, score=float(score), p_value=float(p))
        for component, score, p in zip(found, scores, test.p_values, strict=True)
        if p <= ALPHA
    ]


def _moved_slowly(found: Sequence[Component], test: Test, evidence: Evidence) -> tuple[list[Moved], int]:
    """Return what the gathered evidence is about, and over how many windows."""
    carriers = risen(evidence, found)
    moved = [
        Moved(component=found[i], score=float(len(carriers) - rank), p_value=float(test.p_values[i]))
        for rank, (i, _) in enumerate(carriers)
    ]
    return moved, max((windows for _, windows in carriers), default=1)


def _too_little(live: Counts, reference: Reference) -> str | None:
    if not live.rows:
        return "no predictions in this window"
    if live.rows < FEWEST:
        return f"{live.rows} rows in this window, needs {FEWEST}"
    if len(reference.windows) < FEWEST_WINDOWS:
        return f"{len(reference.windows)} reference windows, needs {FEWEST_WINDOWS}"
    return None if reference.rows >= FEWEST else f"{reference.rows} rows behind the reference, needs {FEWEST}"


def _test(found: Sequence[Component], live: Counts, reference: Reference, phase: int | None) -> Test:
    rows = np.array([window.rows for window in (*reference.windows, live)], dtype=np.float64)
    behind = [reference.scored if component.column == PREDICTION else reference.rows for component in found]
    phases = [*reference.phases, phase] if phase is not None and reference.phases else None
    far = deviations(found, rows, np.array(behind, dtype=np.float64), phases, reference.cycle)
    p_values = _family(far.p_values, np.array([component.weight for component in found]))
    least = p_values.min(axis=1)
    return Test(
        deviations=far,
        p_values=p_values[-1],
        as_extreme=int((least[:-1] <= least[-1] * (1 + 1e-12)).sum()),
        least=float(least[:-1].min()),
    )


def _normal(test: Test, windows: int) -> Floats:
    """Return the live window's deviations as those of a standard normal, less the error of the reference's own mean.

    That error is the same in every live window, so that it would add up.
    """
    from scipy.special import ndtri  # pyright: ignore[reportMissingTypeStubs]

    halves = np.clip(test.deviations.p_values[-1] / 2, 1e-300, 0.5)
    distance = np.maximum(-np.asarray(ndtri(halves), dtype=np.float64) - 1 / sqrt(windows), 0.0)
    return np.sign(test.deviations.scores[-1]) * distance


def _smallest_shift(found: Sequence[Component], test: Test, bins: Bins) -> dict[str, float]:
    """Return the shift of the mean in sd that would be seen with 80% power, were a numeric column normal."""
    from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs]

    weights = np.array([component.weight for component in found])
    alone = -np.expm1(weights * np.log1p(-min(ALPHA, max(test.least, 1e-300))))
    critical = stdtrit(test.deviations.freedom[-1], 1 - np.maximum(alone, 1e-15) / 2)
    needed = (critical + NormalDist().inv_cdf(POWER)) * test.deviations.noise[-1]
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


def _family(p_values: Floats, weights: Floats) -> Floats:
    """Return p-values corrected for the family, of which each component has its weight.

    Šidák, J. Am. Stat. Assoc. 62, 1967; with weights as Holm, Scand. J. Stat. 6, 1979.
    """
    return -np.expm1(np.log1p(-np.minimum(p_values, 1 - 1e-16)) / weights)
