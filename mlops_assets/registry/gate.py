"""Evidence about a candidate and the champion -> promoted or not, with every reason. Pure; in doubt, not promoted.

Both are measured on the same newest held-out rows of the candidate, which neither was trained on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from mlops_assets.rules import Gate
from mlops_assets.training.metrics import HIGHER_IS_BETTER, Floats, Metric, metric_named
from mlops_assets.training.model import Task

Answer = Literal["promote", "refuse", "superseded", "keep"]
RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
UNDEFINED = 0.05  # share of resamples that may lack a class before the interval means nothing
_AT_ONCE = 2_000_000  # weights held at once


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A check's answer about one record."""

    name: str
    record: str
    passed: bool
    at: datetime


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What is known of one model record.

    `window` is the newest window it learned from, `made` when its record was. `rows` names the held-out rows on which
    `scores` were computed, by the content root of their table; `labels` and `scores` are None where nobody scored it,
    and `problem` says why.
    """

    record: str
    window: str
    made: datetime
    rows: str
    labels: Floats | None
    scores: Floats | None
    claims: tuple[Claim, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer, and what it rests on.

    `difference` is by how much the candidate is better (positive for a lower loss too), `lower` and `upper` its 95%
    interval. `superseded`: the champion is newer. `keep`: the candidate is the champion.
    """

    answer: Answer
    reasons: tuple[str, ...]
    metric: str
    candidate_value: float | None = None
    champion_value: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None

    @property
    def promote(self) -> bool:
        """Whether the candidate becomes champion."""
        return self.answer == "promote"


def judge(
    candidate: Evidence,
    champion: Evidence | None,
    gate: Gate,
    seed: int,
    *,
    task: Task,
    required: tuple[str, ...] = (),
) -> Verdict:
    """Return whether `candidate` replaces `champion`; without one, the floor alone decides.

    `required` names the claims without which nothing is promoted. The floor is the worst value allowed: the least AUC,
    the greatest log loss. A candidate is better only when the whole 95% interval of the difference is above the margin.

    Raises:
        LookupError: If the task has no such metric.
    """
    metric = metric_named(task, gate.metric)
    if champion is not None and candidate.record == champion.record:
        return Verdict(answer="keep", reasons=("it is the champion already",), metric=gate.metric)
    if champion is not None and candidate.window < champion.window:
        reason = f"superseded: it learned up to {candidate.window}, the champion up to {champion.window}"
        return Verdict(answer="superseded", reasons=(reason,), metric=gate.metric)
    objections = _objections(candidate, required) + _unscored("candidate", candidate)
    if objections or candidate.labels is None or candidate.scores is None:
        return Verdict(answer="refuse", reasons=tuple(objections), metric=gate.metric)
    value = float(metric(candidate.labels, candidate.scores, None))
    if not _reaches(value, gate):
        return Verdict(answer="refuse", reasons=(_short(value, gate),), metric=gate.metric, candidate_value=value)
    if champion is None:
        reason = f"{gate.metric} {value:.4g} reaches the floor {gate.floor:g}, and there is no champion yet"
        return Verdict(answer="promote", reasons=(reason,), metric=gate.metric, candidate_value=value)
    return _compared(candidate, champion, gate, seed, metric, value)


def _objections(evidence: Evidence, required: tuple[str, ...]) -> list[str]:
    """Return what is wrong with the claims: missing, foreign, stale, failed."""
    about = {claim.name for claim in evidence.claims if claim.record == evidence.record}
    objections = [f"check {name!r} is missing" for name in required if name not in about]
    for claim in evidence.claims:
        if claim.record != evidence.record:
            objections.append(f"check {claim.name!r} is about record {claim.record[:12]}, not {evidence.record[:12]}")
        elif claim.at < evidence.made:
            objections.append(f"check {claim.name!r} is of {claim.at.isoformat()}, older than its record")
        elif not claim.passed:
            objections.append(f"check {claim.name!r} failed")
    return objections


def _unscored(who: str, evidence: Evidence) -> list[str]:
    if evidence.labels is None or evidence.scores is None:
        return [f"the {who}'s scores on the held-out rows are missing" + (evidence.problem and f": {evidence.problem}")]
    if not len(evidence.labels) or len(evidence.labels) != len(evidence.scores):
        return [f"the {who} has {len(evidence.scores)} scores for {len(evidence.labels)} held-out rows"]
    if not (np.isfinite(evidence.scores).all() and np.isfinite(evidence.labels).all()):
        return [f"the {who}'s held-out scores or labels are not all finite numbers"]
    return []


def _incomparable(candidate: Evidence, champion: Evidence) -> list[str]:
    if champion.rows != candidate.rows:
        return [f"the champion was scored on rows {champion.rows[:12]}, the candidate on {candidate.rows[:12]}"]
    if np.asarray(champion.labels).tolist() != np.asarray(candidate.labels).tolist():
        return ["the champion counts the classes of the held-out rows in another way than the candidate"]
    return []


def _reaches(value: float, gate: Gate) -> bool:
    return value >= gate.floor if gate.metric in HIGHER_IS_BETTER else value <= gate.floor


def _short(value: float, gate: Gate) -> str:
    if np.isnan(value):
        return f"{gate.metric} is not defined on the held-out rows: they have one class only"
    return f"{gate.metric} {value:.4g} does not reach the floor {gate.floor:g}"


def _compared(candidate: Evidence, champion: Evidence, gate: Gate, seed: int, metric: Metric, value: float) -> Verdict:
    objections = _unscored("champion", champion) or _incomparable(candidate, champion)
    if objections or champion.scores is None or candidate.scores is None or candidate.labels is None:
        return Verdict(answer="refuse", reasons=tuple(objections), metric=gate.metric, candidate_value=value)
    sign = 1 if gate.metric in HIGHER_IS_BETTER else -1
    against = float(metric(candidate.labels, champion.scores, None))
    drawn = sign * _resampled(metric, candidate.labels, candidate.scores, champion.scores, seed)
    defined = bool(np.isnan(drawn).mean() <= UNDEFINED)
    lower, upper = np.nanquantile(drawn, INTERVAL).tolist() if defined else (float("nan"), float("nan"))
    found = f"{gate.metric} {value:.4g} against the champion's {against:.4g}: better by {sign * (value - against):.4g}"
    interval = f"95% interval [{lower:.4g}, {upper:.4g}]" if defined else "too few rows of a class for an interval"
    clears = defined and lower > gate.margin
    return Verdict(
        answer="promote" if clears else "refuse",
        reasons=(f"{found}, {interval}, which {'clears' if clears else 'does not clear'} the margin {gate.margin:g}",),
        metric=gate.metric,
        candidate_value=value,
        champion_value=against,
        difference=sign * (value - against),
        lower=lower if defined else None,
        upper=upper if defined else None,
    )


def _resampled(metric: Metric, labels: Floats, candidate: Floats, champion: Floats, seed: int) -> Floats:
    """Return the paired bootstrap's differences, shape (1000,): Efron and Tibshirani, chapter 16 (1993).

    A resample is how often each row was drawn; both models are measured with the same counts.
    """
    random, rows = np.random.default_rng(seed), len(labels)
    step = max(1, _AT_ONCE // rows)
    differences: list[Floats] = []
    for first in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - first)
        places = random.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        weights = np.bincount(places.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float64)
        differences.append(metric(labels, candidate, weights) - metric(labels, champion, weights))
    return np.concatenate(differences)
