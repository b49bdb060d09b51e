"""Windows in a row: small shifts add up, ordinary noise does not."""

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.detection.drift import judge, promised
from mlops_assets.detection.sequence import Evidence
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.records import Struct
from mlops_assets.training.reference import Reference
from mlops_assets_tests.detection.populations import counts, reference_of, table


def stream(seen: Reference, random: np.random.Generator, windows: int, *, by: float = 0.0) -> list[Verdict]:
    """Verdicts on windows in a row whose second column is `by` sd higher; the evidence goes from one to the next."""
    carried: Evidence | None = None
    found: list[Verdict] = []
    for _ in range(windows):
        live = table(random, 500, jitter=0.05).with_columns(n1=pl.col("n1") + by)
        judged = judge(counts(live, seen), seen, carried=carried)
        carried = msgspec.json.decode(msgspec.json.encode(judged.evidence), type=Evidence)  # as it is stored
        found.append(judged.verdict)
    return found


def test_a_shift_too_small_for_one_window_is_found_over_several_and_named():
    found: list[Verdict] = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        seen = reference_of(table(random, 500, windows=28, jitter=0.05), 500)
        found.append(next(v for v in stream(seen, random, 25, by=0.17) if v.state == "drift" and v.over > 1))

    assert all(verdict.over >= 3 for verdict in found)
    assert all("windows together say so" in verdict.words for verdict in found)
    assert [verdict.columns[0].column for verdict in found].count("n1") >= 5


def test_ordinary_windows_in_a_row_alarm_no_more_often_than_promised():
    alarms: list[bool] = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        seen = reference_of(table(random, 500, windows=28, jitter=0.05), 500)
        alarms += [verdict.state == "drift" for verdict in stream(seen, random, 30)]

    assert np.mean(alarms) <= promised(seen)


def test_evidence_falls_again_when_the_world_is_as_it_was():
    random = np.random.default_rng(1)
    seen = reference_of(table(random, 500, windows=28), 500)
    carried: Evidence | None = None
    states: list[str] = []
    for by in [0.3] * 6 + [0.0] * 8:
        judged = judge(counts(table(random, 500).with_columns(n1=pl.col("n1") + by), seen), seen, carried=carried)
        carried = judged.evidence
        states.append(judged.verdict.state)

    assert "drift" in states[:6]
    assert states[-4:] == ["ok"] * 4


def test_evidence_of_another_model_does_not_count():
    random = np.random.default_rng(2)
    one, other = (reference_of(table(random, 500, windows=28), 500) for _ in range(2))
    moved = table(random, 500).with_columns(n1=pl.col("n1") + 0.6)
    carried = judge(counts(moved, one), one).evidence
    live = counts(table(random, 500), other)

    assert judge(live, other, carried=carried) == judge(live, other)


def test_a_window_that_cannot_be_judged_hands_the_evidence_on():
    random = np.random.default_rng(3)
    seen = reference_of(table(random, 500, windows=28), 500)
    carried = judge(counts(table(random, 500), seen), seen).evidence

    judged = judge(counts(table(random, 10), seen), seen, carried=carried)

    assert judged.verdict.state == "cannot tell"
    assert judged.evidence == carried
    assert isinstance(judged.evidence, Struct)


@pytest.mark.parametrize("windows", [1, 2])
def test_one_or_two_windows_are_never_alarmed_by_gathered_evidence(windows):
    random = np.random.default_rng(4)
    seen = reference_of(table(random, 500, windows=28, jitter=0.05), 500)

    assert all(verdict.over == 1 for verdict in stream(seen, random, windows, by=0.2))
