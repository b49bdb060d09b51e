"""Losses of a window's matured rows against the held-out loss: does the relation of inputs and outcome still hold?

Only labels show that: inputs can stay as they are while every answer becomes wrong. So there is no verdict before
enough labels have matured, and the words say so. One-sided: a loss that falls asks for nothing.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mlops_assets.detection.noise import student_tail
from mlops_assets.detection.sequence import ARL, multiplied
from mlops_assets.detection.verdict import ColumnShift, Verdict, concept
from mlops_assets.evidence.records import Struct
from mlops_assets.training.reference import FEWEST, LOSS, LossReference

ALPHA = 0.01
PROMISED = ALPHA + 1 / ARL
FEWEST_HELD_OUT = 50
MATURE = 0.8
LATE = "concept drift cannot be seen before labels mature"
SHIFTS = np.array([1.0, 2.0])  # of the mean loss, in units of its noise
TWICE = 2.0  # standard errors of the held-out mean that are taken off: they are the same in every window

Floats = NDArray[np.float64]


class LossEvidence(Struct, frozen=True, kw_only=True):
    """What windows so far say about a higher loss, per shift looked for, and for how many windows each does."""

    heights: list[float]
    ages: list[int]


@dataclass(frozen=True, kw_only=True)
class JudgedLoss:
    """The verdict on a window's loss, and the evidence to carry to the next window of the same model."""

    verdict: Verdict
    evidence: LossEvidence | None


def judge_loss(
    losses: Floats, rows: int, reference: LossReference | None, *, carried: LossEvidence | None = None
) -> JudgedLoss:
    """Return whether the loss is above the held-out loss; `losses` are of the matured among the window's `rows`.

    By this window alone: one-sided Welch test, the windows' own spread included (Biometrika 34, 1947). Or by evidence
    gathered over several windows, as `sequence` does for inputs.
    """
    if (problem := immature(len(losses), rows, reference)) or reference is None:
        words = f"cannot tell: {problem}; {LATE}"
        return JudgedLoss(verdict=concept("cannot tell", None, len(losses), words, promised=PROMISED), evidence=carried)
    live, sd = float(losses.mean()), float(losses.std(ddof=1))
    p_value, error = _welch(live, sd, len(losses), reference)
    evidence = _gathered(carried, p_value, error)
    height = float(np.mean(evidence.heights))
    numbers = f"loss {live:.3g} on {len(losses):,} matured rows, {reference.mean:.3g} held out"
    at_once = p_value <= ALPHA
    if not at_once and height < ARL:
        return JudgedLoss(
            verdict=concept("ok", p_value, len(losses), f"no concept drift: {numbers}", promised=PROMISED),
            evidence=evidence,
        )
    over = 1 if at_once else evidence.ages[int(np.argmax(evidence.heights))]
    sure = f"p = {p_value:.1g}" if at_once else f"{over} windows together say so, {height:,.0f} to 1"
    effect = (live - reference.mean) / reference.sd if reference.sd else float("inf")
    shift = ColumnShift(column=LOSS, effect=round(effect, 6), unit="sd", p_value=p_value, words=numbers)
    words = f"concept drift: {numbers} ({sure}); {LATE}"
    verdict = concept("drift", p_value, len(losses), words, promised=PROMISED, columns=(shift,), over=over)
    return JudgedLoss(verdict=verdict, evidence=evidence)


def immature(matured: int, rows: int, reference: LossReference | None) -> str | None:
    """Return what is missing until a loss is judged, or None if the labels suffice."""
    if reference is None or reference.rows < FEWEST_HELD_OUT:
        return f"{reference.rows if reference else 0} held-out losses, needs {FEWEST_HELD_OUT}"
    return too_few(matured, rows)


def too_few(matured: int, rows: int) -> str | None:
    """Return which labels are missing until anything is judged by them, or None if they suffice."""
    if matured < MATURE * rows:
        return f"{matured / rows:.0%} of {rows:,} rows have a label, needs {MATURE:.0%}"
    return f"{matured} matured labels, needs {FEWEST}" if matured < FEWEST else None


def _welch(live: float, sd: float, rows: int, reference: LossReference) -> tuple[float, float]:
    """Return the one-sided p-value of a higher mean, and the reference's own share of the noise, in [0, 1]."""
    of_live, of_reference = sd**2 / rows + reference.between**2, reference.sd**2 / reference.rows
    variance = of_live + of_reference
    if variance == 0:
        return (0.0 if live > reference.mean else 1.0), 0.0
    freedom = variance**2 / (of_live**2 / (rows - 1) + of_reference**2 / (reference.rows - 1))
    score = (live - reference.mean) / sqrt(variance)
    return float(student_tail(np.array([score]), np.array([freedom]))[0]), sqrt(of_reference / variance)


def _gathered(carried: LossEvidence | None, p_value: float, error: float) -> LossEvidence:
    """Return the evidence after one more window, less the error of the held-out mean."""
    from scipy.special import ndtri  # pyright: ignore[reportMissingTypeStubs]

    heights = np.array(carried.heights) if carried else np.zeros(len(SHIFTS))
    ages = np.array(carried.ages) if carried else np.zeros(len(SHIFTS), dtype=np.int64)
    score = -np.asarray(ndtri(np.clip(p_value, 1e-300, 1 - 1e-16))) - TWICE * error
    raised, aged = multiplied(heights, ages, score, SHIFTS, np.full(len(SHIFTS), 1 / len(SHIFTS)))
    return LossEvidence(heights=raised.tolist(), ages=aged.tolist())
