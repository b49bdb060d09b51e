"""The gate: promoted on the floor or a clear difference; never on missing, failed, stale or foreign evidence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.registry.gate import Claim, Evidence, Verdict, judge
from mlops_assets.rules import Gate

MADE = datetime(2026, 1, 12, tzinfo=UTC)
LABELS = np.random.default_rng(0).integers(0, 2, 400).astype(float)
NOISE = np.random.default_rng(1).normal(size=400)
REQUIRED = ("trained_on_named_rows",)


def evidence(record: str = "candidate", *, skill: float = 2.0, window: str = "2026-01-12") -> Evidence:
    """Scores whose AUC grows with `skill` from 0.5, on 400 held-out rows, with the one claim that is required."""
    return Evidence(
        record=record,
        window=window,
        made=MADE,
        rows="rows",
        labels=LABELS,
        scores=1 / (1 + np.exp(-(skill * (LABELS - 0.5) + NOISE))),
        claims=(Claim(name="trained_on_named_rows", record=record, passed=True, at=MADE),),
    )


def champion(*, skill: float = 1.0, window: str = "2026-01-05") -> Evidence:
    return evidence("champion", skill=skill, window=window)


def judged(candidate: Evidence, against: Evidence | None = None, *, floor: float = 0.6, margin: float = 0.0) -> Verdict:
    return judge(candidate, against, Gate(floor=floor, margin=margin), 0, task="binary", required=REQUIRED)


@pytest.mark.parametrize(("floor", "answer"), [(0.6, "promote"), (0.999, "refuse")])
def test_without_a_champion_the_floor_alone_decides(floor: float, answer: str):
    verdict = judged(evidence(), floor=floor)

    assert verdict.answer == answer
    assert f"floor {floor}" in verdict.reasons[0]


def test_a_clearly_better_candidate_is_promoted():
    verdict = judged(evidence(skill=3), champion(skill=0.5))

    assert verdict.promote
    assert 0 < verdict.lower < verdict.difference < verdict.upper
    assert verdict.difference == pytest.approx(verdict.candidate_value - verdict.champion_value)


@pytest.mark.parametrize("skill", [0.5, 2.0])
def test_an_equal_or_worse_candidate_is_refused(skill: float):
    assert judged(evidence(skill=skill), champion(skill=2), floor=0.5).answer == "refuse"


def test_the_lower_bound_has_to_clear_the_margin():
    before = judged(evidence(skill=3), champion(skill=0.5))

    assert judged(evidence(skill=3), champion(skill=0.5), margin=before.lower - 1e-9).promote
    assert not judged(evidence(skill=3), champion(skill=0.5), margin=before.lower).promote


def test_of_a_loss_less_is_better():
    gate = Gate(metric="log_loss", floor=0.69)

    better = judge(evidence(skill=3), champion(skill=0.5), gate, 0, task="binary", required=REQUIRED)
    worse = judge(evidence(skill=0.5), None, Gate(metric="log_loss", floor=0.1), 0, task="binary", required=REQUIRED)

    assert better.promote
    assert better.difference > 0
    assert worse.answer == "refuse"


def test_the_same_evidence_has_the_same_verdict():
    assert judged(evidence(), champion()) == judged(evidence(), champion())


@pytest.mark.parametrize(("window", "answer"), [("2026-01-19", "superseded"), ("2026-01-12", "promote")])
def test_a_candidate_older_than_its_champion_is_superseded(window: str, answer: str):
    assert judged(evidence(skill=3), champion(skill=0.5, window=window)).answer == answer


def test_the_champion_itself_is_kept():
    assert judged(evidence(), evidence()).answer == "keep"


FLAWS: dict[str, Callable[[Evidence], Evidence]] = {
    "check 'trained_on_named_rows' is missing": lambda found: replace(found, claims=()),
    "failed": lambda found: replace(found, claims=(replace(found.claims[0], passed=False),)),
    "is about record other, not candidate": lambda found: replace(
        found, claims=(replace(found.claims[0], record="other"),)
    ),
    "older than its record": lambda found: replace(
        found, claims=(replace(found.claims[0], at=MADE - timedelta(seconds=1)),)
    ),
    "scores on the held-out rows are missing": lambda found: replace(found, scores=None),
    "not all finite": lambda found: replace(found, scores=np.full(400, np.nan)),
    "3 scores for 400": lambda found: replace(found, scores=np.zeros(3)),
    "one class only": lambda found: replace(found, labels=np.ones(400)),
}


@pytest.mark.parametrize("problem", FLAWS)
def test_flawed_evidence_never_promotes_and_says_what_is_wrong(problem: str):
    verdict = judged(FLAWS[problem](evidence()))

    assert verdict.answer == "refuse"
    assert problem in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("flawed", "problem"),
    [
        (replace(champion(), scores=None), "the champion's scores"),
        (replace(champion(), rows="others"), "the champion was scored on rows others"),
        (replace(champion(), labels=1 - LABELS), "counts the classes"),
    ],
)
def test_a_champion_that_was_not_measured_on_the_same_rows_is_not_replaced(flawed: Evidence, problem: str):
    verdict = judged(evidence(skill=3), flawed)

    assert verdict.answer == "refuse"
    assert problem in verdict.reasons[0]


@given(st.sets(st.sampled_from(sorted(FLAWS)), min_size=1), st.booleans(), st.floats(-1, 1))
def test_no_combination_of_flaws_is_promoted(flaws: set[str], crowned: bool, margin: float):
    found = evidence(skill=3)
    for flaw in sorted(flaws, key=lambda name: name == "check 'trained_on_named_rows' is missing"):
        found = FLAWS[flaw](found)

    assert not judged(found, champion(skill=0.1) if crowned else None, margin=margin).promote


def test_a_metric_the_task_has_not_is_named():
    with pytest.raises(LookupError, match="no metric 'rmse' of a binary label"):
        judge(evidence(), None, Gate(metric="rmse", floor=1), 0, task="binary")
