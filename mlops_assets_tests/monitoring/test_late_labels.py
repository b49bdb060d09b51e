"""Labels that come late, by inference id or by key: into the window of the prediction, and its quality is made anew."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.monitoring import estimates
from mlops_assets.monitoring.follow import LATE_LABELS, sealable
from mlops_assets.monitoring.groups import Compared
from mlops_assets.monitoring.late_labels import label_place
from mlops_assets.monitoring.performance import Quality
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.parts import Value
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, deployment, make, outcomes, over, sales, write

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY, WEEK = "bath|2026-01-20", f"bath|{WEEKS[2]}"
STEPS = (PredictionsStep, ProfileStep, DriftStep, PerformanceStep)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weeks of houses, and the champion of Bath, trained on them; a worker has closed the 20th, in the third."""
    found = trained(tmp_path)
    over(found, NOON + timedelta(days=1), "w", since=datetime(2026, 1, 20))
    return found


def trained(folder: Path, *, rows: int = 100) -> Settings:
    found = deployment(folder, sales(2, rows=rows))
    for week in WEEKS[:2]:
        make(found, HOUSES, f"bath|{week}")
    champion(found, make(found, HOUSES, f"bath|{WEEKS[1]}", Stage.MODEL)[Stage.MODEL], 1)
    return found


def third_week() -> pl.DataFrame:
    """The houses of Bath that the source tells of when the third week is over."""
    return sales(3, rows=100).filter(pl.col("town") == "bath").tail(100)


def live() -> pl.DataFrame:
    """Houses of Bath that are in nobody's file."""
    return sales(3, rows=300).filter(pl.col("town") == "bath").tail(100)


def answer(settings: Settings, rows: pl.DataFrame, *, at: datetime = NOON) -> list[str]:
    act = Archive(settings.home).ledger.version("houses", 1)
    assert act is not None
    return answered(settings, Archive(settings.home).held(act.record or ""), 1, rows, at, "w")


def judge(settings: Settings, product: ModelProduct = HOUSES, *, day: str = DAY) -> dict[Stage, Held]:
    """Make the four stages of the window, as the seal job does."""
    archive = Archive(settings.home)
    steps = [kind(product=product, archive=archive, settings=settings) for kind in STEPS]
    return {step.stage: step.make(day) for step in steps}


def told_by_source(settings: Settings, rows: pl.DataFrame) -> None:
    """Let the user's file hold `rows` too, and the data step read them."""
    write(settings, pl.concat([sales(2, rows=100), rows]))
    make(settings, HOUSES, WEEK)


def quality(settings: Settings, held: Held) -> Quality:
    return msgspec.json.decode(Archive(settings.home).data(held, "quality"), type=Quality)


def due(settings: Settings) -> list[tuple[str, str]]:
    """What the seal sensor asks for, and why."""
    return [(each.partition, each.why) for each in sealable(HOUSES, settings, NOON + timedelta(days=9))]


def test_a_row_of_the_source_with_the_key_of_a_request_is_its_label(settings: Settings):
    answer(settings, third_week())
    before = judge(settings)[Stage.PERFORMANCE]
    told_by_source(settings, third_week())

    after = judge(settings)

    assert {stage for stage, held in after.items() if not held.skipped} == {Stage.PERFORMANCE}
    measured = quality(settings, after[Stage.PERFORMANCE])
    assert (before.record.facts["matured"], measured.share, measured.matured) == (0.0, 1.0, 100)
    assert measured.metrics["auc"].value > 0.7
    assert Place(product="houses", stage="annotations", partition=WEEK) in {
        each.place for each in after[Stage.PERFORMANCE].record.inputs
    }


def test_labels_of_other_keys_other_windows_and_other_towns_are_not_those_of_the_requests(settings: Settings):
    rows = third_week()
    answer(settings, rows.head(60))
    before = judge(settings)[Stage.PERFORMANCE]
    next_week = rows.head(60).with_columns(pl.col("seen") + timedelta(days=7))
    york = rows.head(60).with_columns(town=pl.lit("york"))
    told_by_source(settings, pl.concat([rows.tail(40), next_week, york]))

    after = judge(settings)[Stage.PERFORMANCE]

    assert (after.skipped, after.id) == (True, before.id)
    assert due(settings) == []


def test_an_outcome_by_id_goes_before_the_label_of_the_key(settings: Settings):
    rows = third_week()
    ids = answer(settings, rows)
    told_by_source(settings, rows)
    turned = {id_: str(1 - sold) for id_, sold in zip(ids[:50], rows["sold"][:50], strict=True)}
    outcomes(settings, turned, NOON + timedelta(hours=3))

    measured = quality(settings, judge(settings)[Stage.PERFORMANCE])

    assert measured.matured == 100
    assert 0.4 < measured.metrics["accuracy"].value < 0.6


def test_labels_that_failed_their_check_do_not_count(settings: Settings):
    answer(settings, third_week())
    some_wrong = third_week().with_columns(sold=pl.when(pl.col("street") == "mill").then(7).otherwise("sold"))
    write(settings, pl.concat([sales(2, rows=100), some_wrong], how="vertical_relaxed"))
    labels = make(settings, HOUSES, WEEK, Stage.ANNOTATIONS)[Stage.ANNOTATIONS]

    assert labels.record.failed == ["labels_are_known"]
    assert judge(settings)[Stage.PERFORMANCE].record.facts["labels"] == 0


def test_the_seal_sensor_asks_once_for_a_window_whose_labels_came_by_key_and_again_when_they_change(settings: Settings):
    answer(settings, third_week())
    judge(settings)
    sealed = due(settings)
    told_by_source(settings, third_week())

    came = due(settings)
    judge(settings)
    quiet = due(settings)
    told_by_source(settings, third_week().with_columns(sold=1 - pl.col("sold")))
    corrected = due(settings)

    assert (sealed, quiet) == ([], [])
    assert came == corrected == [(DAY, LATE_LABELS)]


def test_outcomes_by_id_that_become_labels_of_their_keys_ask_for_nothing_more(settings: Settings):
    rows = third_week()
    ids = answer(settings, rows)
    judge(settings)
    outcomes(settings, dict(zip(ids, map(str, rows["sold"]), strict=True)), NOON + timedelta(hours=3))
    judge(settings)

    make(settings, HOUSES, WEEK)

    assert due(settings) == []
    assert judge(settings)[Stage.PERFORMANCE].skipped


def test_quality_is_shown_with_value_and_groups_as_declared(settings: Settings):
    product = HOUSES.model_copy(update={"value": Value(true_positive=10, false_positive=-4), "groups": ("street",)})
    answer(settings, third_week())
    told_by_source(settings, third_week())

    held = judge(settings, product)[Stage.PERFORMANCE]

    facts = held.record.facts
    assert facts["value_total"] == pytest.approx(100 * float(str(facts["value_per_row"])))
    [streets] = msgspec.json.decode(Archive(settings.home).data(held, "groups"), type=list[Compared])
    assert {group.name for group in streets.groups} == {"high", "low", "mill"}
    assert facts["selection_ratio_street"] == streets.ratio


def test_an_estimate_below_the_floor_fails_no_check_before_labels_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(estimates, "FEWEST", 20)
    monkeypatch.setattr(estimates, "FEWEST_OF_CLASS", 5)
    product = HOUSES.model_copy(update={"gate": HOUSES.gate.model_copy(update={"floor": 0.999})})
    answer(settings, third_week())

    before = judge(settings, product)[Stage.PERFORMANCE].record
    told_by_source(settings, third_week())
    after = judge(settings, product)[Stage.PERFORMANCE].record

    assert all(check.passed for check in before.checks)
    assert not next(check for check in after.checks if check.name == "reaches_floor").passed
    assert 0.5 < float(str(before.facts["estimated_auc"])) < 0.999


def test_without_windows_of_data_labels_of_a_segment_are_in_one_place_and_after_the_last_window_in_none():
    timeless = HOUSES.model_validate(
        HOUSES.model_dump(mode="json")
        | {"windows": None, "source": {"path": "houses.csv", "key": "id", "segment": "town"}}
    )
    ended = HOUSES.model_validate(
        HOUSES.model_dump(mode="json") | {"windows": {"every": "week", "start": "2026-01-05", "end": "2026-01-19"}}
    )

    found = [label_place(product, DAY) for product in (HOUSES, timeless, ended)]

    assert [place.partition if place else None for place in found] == [WEEK, "bath|all", None]


def test_evidence_goes_on_from_the_labels_that_the_window_before_has_by_then(tmp_path: Path):
    """Both days are sealed before a label comes; the second day is then judged on what the first has gathered."""
    settings = trained(tmp_path, rows=300)
    over(settings, NOON + timedelta(days=2), "w", since=datetime(2026, 1, 20))
    rows, days = live().head(60), (DAY, "bath|2026-01-21")
    ids = [answer(settings, rows, at=at) for at in (NOON, NOON + timedelta(days=1))]
    sealed = [judge(settings, day=day)[Stage.PERFORMANCE] for day in days]
    for each in ids:
        outcomes(settings, dict(zip(each, map(str, rows["sold"]), strict=True)), NOON + timedelta(days=3))

    first, second = (judge(settings, day=day)[Stage.PERFORMANCE] for day in days)
    again = judge(settings, day=days[1])[Stage.PERFORMANCE]

    assert [held.record.state["before"] for held in sealed] == ["", ""]
    assert (first.record.state["before"], second.record.state["before"]) == ("", first.id)
    assert again.skipped
