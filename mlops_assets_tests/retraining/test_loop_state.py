"""The state of a loop, read from evidence and ledger, and the decision that is stored with its reasons."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.product import Stage
from mlops_assets.retraining.loop_state import decide_segment
from mlops_assets.retraining.stored import stored_decisions
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import champion, make, over, registered
from mlops_assets_tests.retraining.bath import (
    AT,
    DAY,
    NOW,
    PRODUCT,
    THIRD,
    acted,
    decide,
    decided_on,
    judged,
    refused,
    trained,
    with_policy,
)


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


def test_rows_that_the_champion_learned_from_are_not_new(settings: Settings):
    judged(settings, "2026-01-20")
    sixty, seventy = (decide(settings, product=with_policy(min_rows=rows)) for rows in (71, 70))

    assert sixty.reasons[0].startswith("only 70 of 71 new labelled rows up to 2026-01-19")
    assert seventy.retrain


def test_a_dismissed_alarm_is_closed_and_the_same_window_judged_anew_is_another_one(settings: Settings):
    alarm = judged(settings, "2026-01-20")
    acted(settings, "dismiss", "a bank holiday", segment="bath", record=alarm)
    dismissed = decide(settings)
    judged(settings, "2026-01-20", again=1)

    assert dismissed.reasons == ("no open alarm",)
    assert decide(settings).retrain


def test_a_person_is_answered_once_by_each_segment_that_was_asked_for(settings: Settings):
    acted(settings, "retrain", "the street names were cleaned")
    acted(settings, "retrain", "for york", segment="york")

    first = decide(settings, product=with_policy(min_rows=9_999))
    decided_on(settings, 2, first.id)
    second = decide_segment(PRODUCT, settings, "bath", NOW, running=False)

    assert (first.retrain, first.trigger, len(first.asks)) == (True, "a person", 1)
    assert first.reasons == ("jo asks: the street names were cleaned",)
    assert second is None  # no verdict, and nobody asks any more


def test_a_person_waits_while_there_is_nothing_to_learn(settings: Settings):
    acted(settings, "retrain", "try again")
    decided_on(settings, 2)

    waiting = decide(settings)
    make(settings, PRODUCT, "bath|2026-01-26")
    kept = decide(settings)

    assert waiting.reasons[0].startswith("nothing new to learn from: 2026-01-19 is trained already")
    assert (waiting.trigger, kept.trigger) == ("a person", "a person")


@pytest.mark.parametrize(("promoted", "day"), [("2026-01-22", 29), ("2031-01-01", 28)])
def test_the_schedule_counts_from_the_champion_and_under_a_replayed_clock_from_its_labels(
    settings: Settings, promoted: str, day: int
):
    """The champion's labels were due on the 21st; it was promoted on the 22nd, or in a replay's distant future."""
    ledger = Archive(settings.home).ledger
    acts = [msgspec.structs.replace(act, at=f"{promoted}T00:00:00.000+00:00") for act in ledger.acts("houses")]
    ledger.chain.path.unlink()
    for act in acts:
        Archive(settings.home).ledger.add(act)
    product, due = with_policy(every="7d"), datetime(2026, 1, day, tzinfo=UTC)

    early, late = (decide(settings, product=product, now=due + step) for step in (-DAY / 24, DAY / 24))

    assert (early.retrain, late.retrain) == (False, True)
    assert early.reasons == ("no open alarm", f"the next training is scheduled from {due:%Y-%m-%dT%H:%M}+00:00")
    assert late.trigger == "schedule"


def test_newer_labels_than_the_champions_ask_where_the_policy_says_so(settings: Settings):
    quiet, asked = (
        decide_segment(PRODUCT, settings, "bath", NOW, running=False),
        decide(settings, product=with_policy(on_new_data=True)),
    )

    assert quiet is None
    assert (asked.retrain, asked.target, asked.trigger) == (True, THIRD, "new data")
    assert asked.reasons == ("new data: 2026-01-19 has labels, and the champion learned up to 2026-01-12",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"trainer": {"windows": 2, "params": {"num_iterations": 9}}}, "trainer"),
        ({"gate": {"metric": "auc", "floor": 0.7}}, None),
        ({"seed": 5}, "seed"),
    ],
)
def test_a_new_recipe_asks_and_a_new_gate_does_not(settings: Settings, changes: dict[str, object], said: str | None):
    policy = {"retrain": {"min_rows": 9_999, "on_new_recipe": True}}
    product = PRODUCT.model_validate(PRODUCT.model_dump(mode="json") | policy | changes)

    decision = decide(settings, product=product)

    assert decision.retrain is (said is not None)
    assert decision.reasons == (
        (f"new recipe: {said} changed since the champion was trained",) if said else ("no open alarm",)
    )


def test_a_new_recipe_that_the_gate_refused_does_not_ask_again(settings: Settings):
    product = with_policy(on_new_recipe=True).model_copy(update={"seed": 5})
    asked = decide(settings, product=product)
    refused(settings, trained(settings, THIRD, product), 2, asked)

    assert asked.trigger == "new recipe"
    assert decide(settings, product=product, now=NOW + 2 * DAY).reasons == ("no open alarm",)


def test_a_budget_that_is_used_up_says_when_it_is_free(settings: Settings):
    product = with_policy(cooldown="0s", budget={"trainings": 1, "per": "30d"})
    judged(settings, "2026-01-20")

    first, second = (decide(settings, product=product, now=NOW + step) for step in (0 * DAY, 2 * DAY))

    assert first.retrain
    assert second.reasons == ("budget used up (1 trainings in 30d) until 2026-02-27T06:00+00:00",)
    assert decide(settings, product=product, now=NOW + 31 * DAY).retrain
