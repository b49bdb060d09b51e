"""A window in which a canary answered too: inputs are judged on all rows, scores on the champion's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.monitoring.beside import predictions_of, speaking
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.product import Stage
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.houses import (
    HOUSES,
    WEEKS,
    answered,
    champion,
    deployment,
    make,
    outcomes,
    over,
    registered,
    sales,
)

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY = "bath|2026-01-20"
STEPS = (PredictionsStep, ProfileStep, DriftStep, PerformanceStep)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses, the champion of Bath, and a candidate after it; two workers have closed the 20th."""
    found = deployment(tmp_path, sales(3, rows=300))
    for week in WEEKS:
        make(found, HOUSES, f"bath|{week}")
    models = [make(found, HOUSES, f"bath|{week}", Stage.MODEL)[Stage.MODEL] for week in WEEKS[1:]]
    champion(found, models[0], 1)
    registered(found, models[1], 2)
    for writer in "wv":
        over(found, NOON + timedelta(days=1), writer, since=datetime(2026, 1, 20))
    return found


def live(rows: int, skip: int = 0) -> pl.DataFrame:
    return sales(3, rows=300).filter(pl.col("town") == "bath").tail(rows + skip).head(rows)


def held(settings: Settings, version: int) -> Held:
    act = Archive(settings.home).ledger.version("houses", version)
    assert act is not None
    return Archive(settings.home).held(act.record or "")


def answer(settings: Settings, rows: pl.DataFrame, version: int, variant: str) -> list[str]:
    writer = "w" if variant == "champion" else "v"
    return answered(settings, held(settings, version), version, rows, NOON, writer, variant)


def judge(settings: Settings) -> dict[Stage, Held]:
    archive = Archive(settings.home)
    steps = [kind(product=HOUSES, archive=archive, settings=settings) for kind in STEPS]
    return {step.stage: step.make(DAY) for step in steps}


@pytest.mark.parametrize("canaries", [60, 150])
def test_a_window_is_judged_by_the_champion_however_much_a_canary_answered(settings: Settings, canaries: int):
    answer(settings, live(90, skip=canaries), 1, "champion")
    answer(settings, live(canaries), 2, "canary")

    judged = judge(settings)

    facts = judged[Stage.PROFILE].record.facts
    assert (facts["version"], facts["profiled"], facts["scored_again"]) == (1, 90 + canaries, canaries)
    assert judged[Stage.PROFILE].record.failed == []
    assert judged[Stage.DRIFT].record.facts["state"] == "ok"
    assert judged[Stage.PERFORMANCE].record.facts["version"] == 1


def test_inputs_that_moved_are_seen_although_the_champion_answered_too_few_to_tell(settings: Settings):
    answer(settings, live(15, skip=100).with_columns(price=pl.col("price") * 0.2 + 80), 1, "champion")
    answer(settings, live(100).with_columns(price=pl.col("price") * 0.2 + 80), 2, "canary")

    assert judge(settings)[Stage.DRIFT].record.facts["state"] == "drift"


def test_odd_scores_of_a_canary_are_no_drift_of_the_champion(settings: Settings):
    answer(settings, live(90, skip=60), 1, "champion")
    answer(settings, live(60), 2, "canary")
    archive = Archive(settings.home)
    sealed = PredictionsStep(product=HOUSES, archive=archive, settings=settings).make(DAY)
    canary = pl.col("variant") == "canary"
    odd = predictions_of(archive, sealed).with_columns(output=pl.when(canary).then(0.99).otherwise("output"))

    seen = speaking(archive, held(settings, 1), 1, odd)

    assert seen.height == 150
    predictor = Predictor(
        decode_spec(archive.data(held(settings, 1), "spec")), archive.data(held(settings, 1), "model")
    )
    inputs = seen.select("input.price", "input.rooms", "input.street").rows()
    assert seen["output"].to_list() == [score.output for score in predictor.many(inputs)]
    assert seen["feature.price"].null_count() == 0


def test_quality_is_that_of_the_champion_s_answers(settings: Settings):
    mine = answer(settings, live(90, skip=60), 1, "champion")
    theirs = answer(settings, live(60), 2, "canary")
    sold = dict(zip([*mine, *theirs], live(150)["sold"].to_list(), strict=True))
    outcomes(settings, {name: str(label) for name, label in sold.items()}, NOON + timedelta(days=1))

    facts = judge(settings)[Stage.PERFORMANCE].record.facts

    assert (facts["version"], facts["labels"]) == (1, 90)


def test_a_window_that_a_canary_answered_alone_is_judged_by_the_champion_of_today(settings: Settings):
    answer(settings, live(120), 2, "canary")

    judged = judge(settings)

    facts = judged[Stage.PROFILE].record.facts
    assert (facts["version"], facts["profiled"], facts["scored_again"]) == (1, 120, 120)
    assert judged[Stage.DRIFT].record.facts["state"] == "ok"
    assert judged[Stage.PERFORMANCE].record.facts["matured"] == 0


def test_what_a_canary_answered_before_it_became_champion_is_its_own(settings: Settings):
    answer(settings, live(40, skip=80), 2, "canary")
    champion(settings, held(settings, 2), 2)
    answer(settings, live(80), 2, "champion")

    facts = judge(settings)[Stage.PROFILE].record.facts

    assert (facts["version"], facts["profiled"], facts["scored_again"]) == (2, 120, 0)


@pytest.mark.parametrize("personal", [("street",), ()])
def test_rows_whose_inputs_the_log_does_not_keep_are_not_scored_again(settings: Settings, personal: tuple[str, ...]):
    answer(settings, live(90, skip=60), 1, "champion")
    answer(settings, live(60), 2, "canary")
    archive = Archive(settings.home)
    rows = predictions_of(archive, PredictionsStep(product=HOUSES, archive=archive, settings=settings).make(DAY))
    kept = rows if personal else rows.drop("input.street")

    assert speaking(archive, held(settings, 1), 1, kept, personal=personal).height == 90
