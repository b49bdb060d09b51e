"""What the gate compared -> the few numbers from which candidate and champion are drawn beside each other."""

import numpy as np

from mlops_assets.evidence.records import Struct
from mlops_assets.registry.criteria.calibration import curve, likeliest
from mlops_assets.registry.gate import Evidence, Verdict
from mlops_assets.training.model import Task
from mlops_assets.training.pictures.curves import roc, thinned

PICTURED = "pictured"  # the output of a decision


class Points(Struct, frozen=True, kw_only=True):
    """A curve's points, in order."""

    x: list[float]
    y: list[float]


class Drawn(Struct, frozen=True, kw_only=True):
    """A model's curves on the held-out rows; those that its task has not, or that nobody could measure, are None."""

    roc: Points | None = None
    calibration: Points | None = None


class Pictured(Struct, frozen=True, kw_only=True):
    """Candidate and champion on the same rows. `difference` is by how much the candidate is better.

    `spread` is the histogram of its resamples: two ends, then the counts; empty where nothing was compared.
    """

    metric: str
    margin: float
    candidate: Drawn
    champion: Drawn | None
    candidate_value: float | None
    champion_value: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    spread: list[float]


def pictured(verdict: Verdict, margin: float, task: Task, candidate: Evidence, champion: Evidence | None) -> Pictured:
    """Return what a decision is drawn from."""
    return Pictured(
        metric=verdict.metric,
        margin=margin,
        candidate=_drawn(task, candidate),
        champion=_drawn(task, champion) if champion else None,
        candidate_value=verdict.candidate_value,
        champion_value=verdict.champion_value,
        difference=verdict.difference,
        lower=verdict.lower,
        upper=verdict.upper,
        spread=list(verdict.spread),
    )


def _drawn(task: Task, found: Evidence) -> Drawn:
    labels, scores = found.labels, found.scores
    if task == "regression" or labels is None or scores is None or not len(labels) or len(labels) != len(scores):
        return Drawn()
    if not (np.isfinite(scores).all() and np.isfinite(labels).all()):
        return Drawn()
    ranks = roc(labels, scores) if task == "binary" else None
    few = thinned(ranks) if ranks else None
    said = curve(*likeliest(labels, scores))
    return Drawn(
        roc=Points(x=_short(few.false_positive), y=_short(few.true_positive)) if few else None,
        calibration=Points(x=_short(said.said), y=_short(said.happened)),
    )


def _short(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
