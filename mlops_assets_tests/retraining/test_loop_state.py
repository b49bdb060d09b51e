"""The state of a loop, read from evidence and ledger, and the decision that is stored with its reasons."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mlops_assets.detection.verdict import ColumnShift, Verdict
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Place, Recipe
from mlops_assets.parts import Retrain
from mlops_assets.product import Stage
from mlops_assets.retraining.decisions import RetrainDecision
from mlops_assets.retraining.loop_state import decide_segment
from mlops_assets.retraining.stored import stored_decisions
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, champion, deployment, make, over, registered, sales

PRODUCT = HOUSES.model_copy(update={"retrain": Retrain(min_rows=50, cooldown=timedelta(days=1), attempts=2)})
FIRST, SECOND, THIRD = WEEKS
NOW = datetime(2026, 1, 28, 6, tzinfo=UTC)  # labels of the third week were due on the 28th at midnight
DAY = timedelta(days=1)
AT = "2026-01-28T00:00:00.000+00:00"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of Bath, whose champion is version 1, trained up to the second."""
    found = deployment(tmp_path, sales(3))
    for week in WEEKS:
        make(found, PRODUCT, f"bath|{week}")
    champion(found, trained(found, SECOND), 1)
    return found


def trained(settings: Settings, week: str) -> Held:
    return make(settings, PRODUCT, f"bath|{week}", Stage.MODEL)[Stage.MODEL]


def judged(
    settings: Settings,
    day: str,
    *,
    version: int = 1,
    state: str = "drift",
    stage: Stage = Stage.DRIFT,
    kind: str = "data",
    town: str = "bath",
) -> str:
    """Store the verdict on a day, `price` having moved, and return its record."""
    shift = ColumnShift(column="price", effect=1.5, unit="sd", p_value=1e-9, words="price is 1.5 sd higher")
    found = Verdict(
        state=state,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
        p_value=1e-9,
        columns=(shift,) if state == "drift" else (),
        rows=100,
        windows=28,
        words=f"{kind} drift: price is 1.5 sd higher",
    )
    recipe = Recipe(place=Place(product="houses", stage=stage, partition=f"{town}|{day}"), code=f"{version}{state}")
    facts = {"state": state, "version": version}
    built = Built(outputs={"verdict": (msgspec.json.encode(found), "json")}, facts=facts)
    return Archive(settings.home).make(recipe, [], lambda: built).id


def decide(settings: Settings, *, now: datetime = NOW, running: bool = False) -> RetrainDecision:
    decision = decide_segment(PRODUCT, settings, "bath", now, running=running)
    assert decision is not None
    return decision


def decided_on(settings: Settings, version: int, decision: str | None = None) -> None:
    """Train and register a candidate of the third week, and let the gate decide."""
    registered(settings, trained(settings, THIRD), version, decision)
    make(settings, PRODUCT, f"bath|{THIRD}", Stage.CHAMPION)


def refused(settings: Settings, held: Held, version: int, decision: RetrainDecision) -> None:
    """Let the gate refuse a candidate that a decision asked for."""
    act = registered(settings, held, version, decision.id)
    Archive(settings.home).ledger.add(msgspec.structs.replace(act, kind="refuse", by="gate", reason="no better"))


def test_nothing_is_decided_before_a_champion_or_a_verdict(settings: Settings):
    before_a_verdict = decide_segment(PRODUCT, settings, "bath", NOW, running=False)
    judged(settings, "2026-01-20", town="york")
    before_a_champion = decide_segment(PRODUCT, settings, "york", NOW, running=False)

    assert (before_a_verdict, before_a_champion) == (None, None)
    assert stored_decisions(settings.home, "houses") == []


def test_an_alarm_and_due_labels_ask_for_the_newest_window_and_the_answer_is_stored(settings: Settings):
    alarm = judged(settings, "2026-01-20")

    decision = decide(settings)

    assert (decision.retrain, decision.target, decision.alarms) == (True, THIRD, (alarm,))
    [stored] = stored_decisions(settings.home, "houses")
    assert (stored.id, stored.segment, stored.target, stored.trigger) == (decision.id, "bath", THIRD, "data drift")
    assert stored.reasons == ["2026-01-20: data drift: price is 1.5 sd higher"]


def test_quiet_windows_are_no_reason_and_the_no_is_stored_once(settings: Settings):
    judged(settings, "2026-01-20", state="ok")

    first, second = decide(settings), decide(settings, now=NOW + timedelta(hours=1))

    assert (first.retrain, first.reasons) == (False, ("no open alarm",))
    assert first.id == second.id
    assert len(stored_decisions(settings.home, "houses")) == 1


def test_what_was_wrong_with_an_earlier_model_is_no_reason_to_replace_the_one_that_serves(settings: Settings):
    judged(settings, "2026-01-20", version=7)

    assert decide(settings).reasons == ("no open alarm",)


def test_an_alarm_of_another_segment_is_not_this_ones(settings: Settings):
    judged(settings, "2026-01-20", state="ok")
    judged(settings, "2026-01-20", town="york")

    assert decide(settings).reasons == ("no open alarm",)


def test_a_concept_drift_is_an_alarm_as_well(settings: Settings):
    judged(settings, "2026-01-20", state="ok")
    judged(settings, "2026-01-20", stage=Stage.PERFORMANCE, kind="concept")

    decision = decide(settings)

    assert (decision.retrain, decision.trigger) == (True, "concept drift")


def test_a_window_whose_model_is_trained_teaches_nothing_new(settings: Settings):
    judged(settings, "2026-01-20")
    decided_on(settings, 2)

    [reason] = decide(settings).reasons

    assert reason.startswith(
        "nothing new to learn from: 2026-01-19 is trained already; labels of 2026-01-26 are due at"
    )


def test_a_model_that_the_gate_never_saw_is_asked_for_again(settings: Settings):
    judged(settings, "2026-01-20")
    trained(settings, THIRD)

    decision = decide(settings)

    assert (decision.retrain, decision.target) == (True, THIRD)


def test_an_alarm_after_the_newest_labels_waits_for_its_own(settings: Settings):
    judged(settings, "2026-01-27")

    [reason] = decide(settings).reasons

    assert reason == (
        "nothing new to learn from: 2026-01-19 ends before the alarm of 2026-01-27;"
        " labels of 2026-01-26 are due at 2026-02-04T00:00+00:00"
    )


def test_no_next_window_is_promised_where_the_windows_end(settings: Settings):
    ending = PRODUCT.windows.model_copy(update={"end": datetime(2026, 1, 26)})  # type: ignore[union-attr]
    judged(settings, "2026-01-27")

    decision = decide_segment(PRODUCT.model_copy(update={"windows": ending}), settings, "bath", NOW, running=False)

    assert decision is not None
    assert decision.reasons == ("nothing new to learn from: 2026-01-19 ends before the alarm of 2026-01-27",)


def test_two_refused_candidates_of_one_drift_call_for_a_person(settings: Settings):
    judged(settings, "2026-01-20")
    first = decide(settings)
    refused(settings, trained(settings, THIRD), 2, first)
    judged(settings, "2026-01-21")
    make(settings, PRODUCT, "bath|2026-01-26")
    make(settings, PRODUCT.model_copy(update={"seed": 1}), f"bath|{THIRD}")
    once = decide(settings, now=NOW + 2 * DAY)
    again = make(settings, PRODUCT.model_copy(update={"seed": 1}), f"bath|{THIRD}", Stage.MODEL)[Stage.MODEL]
    refused(settings, again, 3, first)

    twice = decide(settings, now=NOW + 2 * DAY)

    assert not any("a person must decide" in reason for reason in once.reasons)
    assert "2 candidates already failed for this alarm: a person must decide" in twice.reasons


def test_a_promotion_closes_the_alarms_of_its_data_and_later_ones_stay_open(settings: Settings):
    judged(settings, "2026-01-20")
    asked = decide(settings)
    model = trained(settings, THIRD)
    registered(settings, model, 2, asked.id)
    champion(settings, model, 2)
    make(settings, PRODUCT, f"bath|{THIRD}", Stage.CHAMPION)
    judged(settings, "2026-01-20", version=2)
    after = decide(settings, now=NOW + 2 * DAY)
    judged(settings, "2026-01-27", version=2)

    later = decide(settings, now=NOW + 2 * DAY)

    assert after.reasons == ("no open alarm",)
    assert "nothing new to learn from: 2026-01-19 is trained already" in later.reasons[0]


@pytest.mark.parametrize("hours", [6, 30])
def test_a_retraining_is_followed_by_its_cooldown(settings: Settings, hours: int):
    judged(settings, "2026-01-20")
    decide(settings)

    decision = decide(settings, now=NOW + timedelta(hours=hours))

    assert decision.retrain is (hours > 24)
    assert decision.retrain or decision.reasons == ("cooldown until 2026-01-29T06:00+00:00",)


def test_a_pause_and_a_run_in_progress_are_named(settings: Settings):
    judged(settings, "2026-01-20")
    ledger = Archive(settings.home).ledger
    ledger.add(Act(kind="pause", product="houses", by="jo", reason="audit until Friday", at=AT))

    paused = decide(settings, running=True)
    ledger.add(Act(kind="resume", product="houses", by="jo", reason="done", at=AT))
    resumed = decide(settings)

    assert paused.reasons == ("paused: audit until Friday", "a retraining of this segment is in progress")
    assert resumed.retrain


def test_the_time_of_a_decision_is_that_of_the_replayed_traffic(settings: Settings):
    judged(settings, "2026-01-20")
    over(settings, datetime(2026, 1, 28), "w")

    decision = decide(settings, now=datetime(2027, 1, 1, tzinfo=UTC))

    assert decision.at == datetime(2026, 1, 28, tzinfo=UTC)
    [stored] = stored_decisions(settings.home, "houses")
    assert (stored.at, stored.decided_at) == (AT, "2027-01-01T00:00:00.000+00:00")
