"""Sealed windows through profile, drift and performance: judged by the model that answered in them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.step import NotReady
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, deployment, make, outcomes, over, sales

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY = "bath|2026-01-20"
STEPS = (PredictionsStep, ProfileStep, DriftStep, PerformanceStep)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses, and the champion of Bath, trained on the first two; a worker has closed the 20th."""
    found = deployment(tmp_path, sales(3, rows=300))
    for week in WEEKS:
        make(found, HOUSES, f"bath|{week}")
    champion(found, make(found, HOUSES, f"bath|{WEEKS[1]}", Stage.MODEL)[Stage.MODEL], 1)
    over(found, NOON + timedelta(days=1), "w", since=datetime(2026, 1, 20))
    return found


def live(rows: int = 120) -> pl.DataFrame:
    """Houses of Bath that no model has seen."""
    return sales(3, rows=300).filter(pl.col("town") == "bath").tail(rows)


def answer(settings: Settings, rows: pl.DataFrame, *, version: int = 1, writer: str = "w") -> list[str]:
    act = Archive(settings.home).ledger.version("houses", version)
    assert act is not None
    return answered(settings, Archive(settings.home).held(act.record or ""), version, rows, NOON, writer)


def judge(settings: Settings) -> dict[Stage, Held]:
    """Make the four stages of the window, as the seal job does."""
    archive = Archive(settings.home)
    steps = [kind(product=HOUSES, archive=archive, settings=settings) for kind in STEPS]
    return {step.stage: step.make(DAY) for step in steps}


def verdict(settings: Settings, held: Held) -> Verdict:
    return msgspec.json.decode(Archive(settings.home).data(held, "verdict"), type=Verdict)


def test_a_window_like_training_is_no_drift_and_says_what_it_would_have_seen(settings: Settings):
    answer(settings, live())

    judged = judge(settings)

    found = verdict(settings, judged[Stage.DRIFT])
    assert found.state == "ok"
    assert found.smallest_shift["price"] > 0
    assert judged[Stage.PROFILE].record.facts["profiled"] == 120
    assert [check.passed for check in judged[Stage.PROFILE].record.checks] == [True]
    assert judged[Stage.DRIFT].record.state == {"model": judged[Stage.PROFILE].record.state["model"], "before": ""}


def test_prices_that_moved_are_a_data_drift_that_warns_and_blocks_nothing(settings: Settings):
    answer(settings, live().with_columns(price=pl.col("price") * 0.2 + 80))

    drift = judge(settings)[Stage.DRIFT]

    found = verdict(settings, drift)
    assert (found.state, found.columns[0].column) == ("drift", "price")
    [check] = [check for check in drift.record.checks if check.name == "no_drift"]
    assert (check.passed, check.severity, drift.record.failed) == (False, "warn", [])
    assert drift.record.facts["version"] == 1


def test_an_empty_window_cannot_be_told(settings: Settings):
    judged = judge(settings)

    found = verdict(settings, judged[Stage.DRIFT])
    assert (found.state, found.words) == ("cannot tell", "cannot tell: no predictions in this window")
    assert verdict(settings, judged[Stage.PERFORMANCE]).state == "cannot tell"


def test_late_outcomes_make_anew_the_performance_and_not_the_drift(settings: Settings):
    ids = answer(settings, live())
    first = judge(settings)
    told = dict(zip(ids, (str(1 - sold) for sold in live()["sold"]), strict=True))
    outcomes(settings, told, NOON + timedelta(days=3))

    second = judge(settings)

    assert {stage: held.skipped for stage, held in second.items()} == {
        Stage.PREDICTIONS: False,
        Stage.PROFILE: True,
        Stage.DRIFT: True,
        Stage.PERFORMANCE: False,
    }
    before, after = (verdict(settings, each[Stage.PERFORMANCE]) for each in (first, second))
    assert (before.state, after.state, after.kind) == ("cannot tell", "drift", "concept")
    assert second[Stage.PERFORMANCE].record.facts["matured"] == 1.0
    assert float(str(second[Stage.PERFORMANCE].record.facts["auc"])) < 0.3


def test_outcomes_as_predicted_are_no_concept_drift(settings: Settings):
    ids = answer(settings, live())
    outcomes(settings, dict(zip(ids, map(str, live()["sold"]), strict=True)), NOON + timedelta(days=3))

    performance = judge(settings)[Stage.PERFORMANCE]

    assert verdict(settings, performance).state == "ok"
    assert all(check.passed for check in performance.record.checks)


@pytest.mark.parametrize(("new", "judged_by"), [(60, 2), (39, 1)])
def test_a_window_of_two_versions_is_judged_by_the_newest_with_enough_rows(
    settings: Settings, new: int, judged_by: int
):
    champion(settings, make(settings, HOUSES, f"bath|{WEEKS[2]}", Stage.MODEL)[Stage.MODEL], 2)
    answer(settings, live(80), writer="v")
    answer(settings, live(new).with_columns(id="new-" + pl.col("id")), version=2)
    over(settings, NOON + timedelta(days=1), "v", since=datetime(2026, 1, 20))

    profile = judge(settings)[Stage.PROFILE].record

    assert profile.facts["version"] == judged_by
    assert (profile.facts["profiled"], profile.facts["logged"]) == (new if judged_by == 2 else 80, 80 + new)
    assert [check.passed for check in profile.checks] == [True]


def test_a_window_is_judged_as_it_was_served_even_after_a_new_champion(settings: Settings):
    answer(settings, live())
    before = judge(settings)
    champion(settings, make(settings, HOUSES, f"bath|{WEEKS[2]}", Stage.MODEL)[Stage.MODEL], 2)

    after = judge(settings)

    assert all(held.skipped for held in after.values())
    assert after[Stage.DRIFT].id == before[Stage.DRIFT].id


def test_without_any_model_there_is_nothing_to_judge_by(tmp_path: Path):
    settings = deployment(tmp_path)
    make(settings, HOUSES, f"bath|{WEEKS[0]}", *DATA)
    over(settings, NOON + timedelta(days=1), "w", since=datetime(2026, 1, 20))

    with pytest.raises(NotReady, match=r"houses/predictions\[bath\|2026-01-20\]: no model of this segment was ever"):
        judge(settings)
