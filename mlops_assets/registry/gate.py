"""Evidence about a candidate and the champion -> promoted or not, with every reason. Pure; in doubt, not promoted.

Both are measured on the same newest held-out rows of the candidate, which neither was trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import numpy as np

from mlops_assets.evidence.records import Json
from mlops_assets.registry.paired import Difference, difference
from mlops_assets.rules import Gate
from mlops_assets.training.metrics import HIGHER_IS_BETTER, Floats, Metric, metric_named
from mlops_assets.training.model import Task

Answer = Literal["promote", "refuse", "superseded", "keep", "wait", "ramp"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A check's answer about one record: in `words` for a person, in `facts` for a picture."""

    name: str
    record: str
    passed: bool
    at: datetime
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Who let a criterion that was not met pass, why, and until when."""

    name: str
    by: str
    reason: str
    until: datetime


NONE_WAIVED: Mapping[str, Waiver] = {}


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
    interval. `superseded`: the champion is newer. `keep`: the candidate is the champion. `wait`: people have to agree.
    `ramp`: it passed, and is tried on live traffic before it is champion.
    """

    answer: Answer
    reasons: tuple[str, ...]
    metric: str
    candidate_value: float | None = None
    champion_value: float | None = None
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None
    spread: tuple[float, ...] = ()

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
    waived: Mapping[str, Waiver] = NONE_WAIVED,
) -> Verdict:
    """Return whether `candidate` replaces `champion`; without one, the floor alone decides.

    `required` names the claims without which nothing is promoted. One that failed passes only if it is `waived`, and
    the waiver had not ended when it was measured; one that is missing, stale or foreign never does. The floor is the
    worst value allowed: the least AUC, the greatest log loss. A candidate is better only when the whole 95% interval of
    the difference is above the margin.

    Raises:
        LookupError: If the task has no such metric.
    """
    metric = metric_named(task, gate.metric)
    if champion is not None and candidate.record == champion.record:
        return Verdict(answer="keep", reasons=("it is the champion already",), metric=gate.metric)
    if champion is not None and candidate.window < champion.window:
        reason = f"superseded: it learned up to {candidate.window}, the champion up to {champion.window}"
        return Verdict(answer="superseded", reasons=(reason,), metric=gate.metric)
    if problems := unscored("candidate", candidate):
        reasons = (*problems, *_objections(candidate, (), waived))
        return Verdict(answer="refuse", reasons=reasons, metric=gate.metric)
    found = _by_metric(metric, candidate, champion, gate, seed)
    if objections := _objections(candidate, required, waived):
        reasons = (*objections, *(() if found.promote else found.reasons))
        return replace(found, answer="refuse", reasons=reasons)
    excused = [_excuse(claim, waived[claim.name]) for claim in candidate.claims if _is_excused(claim, waived)]
    return replace(found, reasons=(*found.reasons, *excused)) if found.promote else found


def _is_excused(claim: Claim, waived: Mapping[str, Waiver]) -> bool:
    return not claim.passed and claim.name in waived and claim.at < waived[claim.name].until


def _excuse(claim: Claim, waiver: Waiver) -> str:
    until = waiver.until.isoformat(timespec="minutes")
    return f"{claim.name} is waived by {waiver.by} until {until}, for: {waiver.reason}; {claim.words or 'it failed'}"


def _objections(evidence: Evidence, required: Sequence[str], waived: Mapping[str, Waiver]) -> list[str]:
    """Return what is wrong with the claims: missing, foreign, stale, failed."""
    about = {claim.name for claim in evidence.claims if claim.record == evidence.record}
    objections = [f"check {name!r} is missing" for name in required if name not in about]
    for claim in evidence.claims:
        if claim.record != evidence.record:
            objections.append(f"check {claim.name!r} is about record {claim.record[:12]}, not {evidence.record[:12]}")
        elif claim.at < evidence.made:
            objections.append(f"check {claim.name!r} is of {claim.at.isoformat()}, older than its record")
        elif not claim.passed and not _is_excused(claim, waived):
            objections.append(f"{claim.name}: {claim.words}" if claim.words else f"check {claim.name!r} failed")
    return objections


def unscored(who: str, evidence: Evidence) -> list[str]:
    """Return why the scores of `who` say nothing: missing, not one for each row, not finite; nothing if they do."""
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


def _by_metric(metric: Metric, candidate: Evidence, champion: Evidence | None, gate: Gate, seed: int) -> Verdict:
    """Return what floor and margin say of a candidate that was scored."""
    assert candidate.labels is not None
    assert candidate.scores is not None
    value = float(metric(candidate.labels, candidate.scores, None))
    refused = Verdict(answer="refuse", reasons=(_short(value, gate),), metric=gate.metric, candidate_value=value)
    if not _reaches(value, gate):
        return refused
    if champion is None:
        reason = f"{gate.metric} {value:.4g} reaches the floor {gate.floor:g}, and there is no champion yet"
        return replace(refused, answer="promote", reasons=(reason,))
    problems = unscored("champion", champion) or _incomparable(candidate, champion)
    if problems or champion.scores is None:
        return replace(refused, reasons=tuple(problems))
    sign = 1 if gate.metric in HIGHER_IS_BETTER else -1
    found = difference(metric, candidate.labels, candidate.scores, champion.scores, sign=sign, seed=seed)
    clears = found.lower is not None and found.lower > gate.margin
    return Verdict(
        answer="promote" if clears else "refuse",
        reasons=(_told(gate, value, found, clears=clears),),
        metric=gate.metric,
        candidate_value=value,
        champion_value=found.other,
        difference=found.value,
        lower=found.lower,
        upper=found.upper,
        spread=found.spread,
    )


def _told(gate: Gate, value: float, found: Difference, *, clears: bool) -> str:
    side = "better" if found.value >= 0 else "worse"
    by = f"{gate.metric} {value:.4g} against the champion's {found.other:.4g}: {side} by {abs(found.value):.4g}"
    if found.lower is None or found.upper is None:
        return f"{by}, but there are too few rows of a class to say how sure that is"
    interval = f"95% interval [{found.lower:.4g}, {found.upper:.4g}]"
    return f"{by}, {interval}, which {'clears' if clears else 'does not clear'} the margin {gate.margin:g}"
