"""Losses against the held-out loss, in one window and over several."""

import numpy as np
import pytest

from mlops_assets.detection.loss import LossEvidence, judge_loss
from mlops_assets.training.reference import LossReference

HELD_OUT = LossReference(mean=0.5, sd=0.4, rows=2_000)


def losses(random: np.random.Generator, rows: int = 100, *, by: float = 0.0):
    return np.abs(random.normal(0.5 + by, 0.4, rows))


def reference(random: np.random.Generator, rows: int = 2_000) -> LossReference:
    known = losses(random, rows)
    return LossReference(mean=float(known.mean()), sd=float(known.std(ddof=1)), rows=rows)


def test_a_much_higher_loss_is_concept_drift_at_once():
    verdict = judge_loss(losses(np.random.default_rng(0), by=0.5), 100, HELD_OUT).verdict

    assert (verdict.state, verdict.kind, verdict.over) == ("drift", "concept", 1)
    assert verdict.columns[0].effect > 0.5
    assert "held out (p = " in verdict.words


def test_a_lower_loss_is_no_drift():
    assert judge_loss(losses(np.random.default_rng(0), by=-0.3), 100, HELD_OUT).verdict.state == "ok"


def test_a_slightly_higher_loss_is_found_over_several_windows():
    delays: list[int] = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        known, carried = reference(random), None
        for window in range(1, 40):
            judged = judge_loss(losses(random, by=0.08), 100, known, carried=carried)
            carried = judged.evidence
            if judged.verdict.over > 1:
                delays.append(window)
                assert f"{judged.verdict.over} windows together say so" in judged.verdict.words
                break

    assert len(delays) == 10
    assert np.mean(delays) < 12


@pytest.mark.parametrize("rows", [100, 1_000])
def test_ordinary_windows_alarm_no_more_often_than_promised(rows):
    alarms: list[bool] = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        known, carried = reference(random), None
        for _ in range(60):
            judged = judge_loss(losses(random, rows), rows, known, carried=carried)
            carried = judged.evidence
            alarms.append(judged.verdict.state == "drift")

    assert np.mean(alarms) <= 1.5 * judge_loss(losses(random), 100, HELD_OUT).verdict.promised


@pytest.mark.parametrize(
    ("matured", "rows", "known", "words"),
    [
        (30, 100, HELD_OUT, "30% of 100 rows have a label, needs 80%"),
        (20, 20, HELD_OUT, "20 matured labels, needs 40"),
        (100, 100, None, "0 held-out losses, needs 50"),
    ],
)
def test_too_few_labels_is_cannot_tell_and_the_evidence_goes_on(matured, rows, known, words):
    carried = LossEvidence(heights=[3.0, 4.0], ages=[2, 2])

    judged = judge_loss(np.full(matured, 0.5), rows, known, carried=carried)

    assert judged.verdict.state == "cannot tell"
    assert words in judged.verdict.words
    assert judged.evidence == carried
