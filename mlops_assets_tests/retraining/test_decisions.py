from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.detection.verdict import ColumnShift, Verdict
from mlops_assets.parts import Budget, Retrain
from mlops_assets.retraining.decisions import (
    Alarm,
    Ask,
    Champion,
    Labelled,
    LoopState,
    Training,
    alarm_of,
    decide,
    failed_attempts,
    open_alarms,
)

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = timedelta(days=7)
POLICY = Retrain(cooldown=timedelta(days=1), min_rows=500, importance=0.05, attempts=2)


def alarm(id: str = "a1", *, day: int = 3, kind: str = "data", columns: dict | None = None) -> Alarm:
    start = MONDAY + timedelta(days=day)
    return Alarm(
        id=id,
        window=f"{start:%Y-%m-%d}",
        start=start,
        end=start + timedelta(days=1),
        kind=kind,
        columns={"age": 0.5} if columns is None else columns,
        words=f"{kind} drift: age is 0.50 sd higher",
    )


def state(**changes: object) -> LoopState:
    """An open alarm of this week about an important column, and the week's labels just in: all is ready."""
    ready = {
        "product": "loans",
        "segment": "north",
        "now": MONDAY + WEEK + timedelta(days=2),
        "alarms": (alarm(),),
        "champion": Champion(version=3, window="2026-02-23", importance={"age": 0.4, "car": 0.012, "loan": 0.588}),
        "labelled": Labelled(window="2026-03-02", rows=2_100, end=MONDAY + WEEK, trained=False),
    }
    return LoopState(**ready | changes)


def labelled(**changes: object) -> Labelled:
    return Labelled(**{"window": "2026-03-02", "rows": 2_100, "end": MONDAY + WEEK, "trained": False} | changes)


def test_an_alarm_that_matters_and_new_labels_start_a_training():
    decision = decide(POLICY, state())

    assert (decision.retrain, decision.target, decision.alarms) == (True, "2026-03-02", ("a1",))
    assert decision.reasons == ("2026-03-05: data drift: age is 0.50 sd higher",)
    assert decision.trigger == "data drift"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alarms": ()}, "no open alarm"),
        ({"paused": "audit until Friday"}, "paused: audit until Friday"),
        ({"running": True}, "a retraining of this segment is in progress"),
        ({"champion": None}, "no champion yet: the first model is made by a backfill, not by an alarm"),
        ({"last_retrain": MONDAY + timedelta(days=8, hours=6)}, "cooldown until 2026-03-11T06:00+00:00"),
        ({"labelled": labelled(rows=212)}, "only 212 of 500 new labelled rows up to 2026-03-02"),
        ({"attempts": {"a1": 2}}, "2 candidates already failed for this alarm: a person must decide"),
        ({"labelled": None}, "no labelled window yet"),
        (
            {"alarms": (alarm(columns={"car": 0.4}),)},
            "2026-03-05: the columns that moved (car) carry 1.2% of the model's importance (needs 5.0%)",
        ),
        (
            {"alarms": (alarm(kind="schema", columns={}),)},
            "2026-03-05: schema drift: age is 0.50 sd higher; retraining does not mend a schema, a person must",
        ),
        (
            {
                "labelled": labelled(trained=True),
                "labels_window": "2026-03-09",
                "labels_due": MONDAY + 2 * WEEK + timedelta(days=2),
            },
            "nothing new to learn from: 2026-03-02 is trained already; labels of 2026-03-09 are due at"
            " 2026-03-18T00:00+00:00",
        ),
        (
            {"alarms": (alarm(day=9),), "labels_due": MONDAY + 2 * WEEK},
            "nothing new to learn from: 2026-03-02 ends before the alarm of 2026-03-11; labels are due at"
            " 2026-03-16T00:00+00:00",
        ),
    ],
)
def test_one_obstacle_is_enough_and_is_named_with_its_numbers(changes, reason):
    decision = decide(POLICY, state(**changes))

    assert (decision.retrain, decision.target, decision.alarms) == (False, None, ())
    assert decision.reasons == (reason,)


def test_every_obstacle_is_named_not_only_the_first():
    decision = decide(POLICY, state(paused="audit", running=True, labelled=labelled(rows=1)))

    assert [reason.split()[0] for reason in decision.reasons] == ["paused:", "a", "only"]


ASK = Ask(id="ask1", by="jo", reason="cleaned streets")
EVERY = POLICY.model_copy(update={"every": WEEK})
BUDGET = POLICY.model_copy(update={"budget": Budget(trainings=2, per=timedelta(days=30))})
DATA = POLICY.model_copy(update={"on_new_data": True})
RECIPE = POLICY.model_copy(update={"on_new_recipe": True})


def champion(**changes: object) -> Champion:
    known = {"version": 3, "window": "2026-02-23", "importance": {"age": 0.4, "car": 0.012, "loan": 0.588}}
    return Champion(**known | changes)


OLD = champion(made=MONDAY)
CHANGED = champion(changed=("trainer", "code"))


@pytest.mark.parametrize(
    ("policy", "changes", "trigger", "reason"),
    [
        (POLICY, {"asks": (ASK,)}, "a person", "jo asks: cleaned streets"),
        (
            EVERY,
            {"champion": OLD},
            "schedule",
            "scheduled every 7d, the last training was at 2026-03-02T00:00+00:00",
        ),
        (
            DATA,
            {},
            "new data",
            "new data: 2026-03-02 has labels, and the champion learned up to 2026-02-23",
        ),
        (
            RECIPE,
            {"champion": CHANGED},
            "new recipe",
            "new recipe: trainer, code changed since the champion was trained",
        ),
    ],
)
def test_others_than_alarms_ask_too_where_the_policy_says_so(policy, changes, trigger, reason):
    decision = decide(policy, state(alarms=(), **changes))

    assert (decision.retrain, decision.target, decision.trigger) == (True, "2026-03-02", trigger)
    assert decision.reasons == (reason,)
    assert decision.asks == tuple(ask.id for ask in changes.get("asks", ()))


@pytest.mark.parametrize("changes", [{}, {"champion": OLD}, {"champion": CHANGED}, {"labelled": labelled(rows=9_999)}])
def test_by_default_only_alarms_and_people_ask(changes):
    decision = decide(POLICY, state(alarms=(), **changes))

    assert (decision.retrain, decision.reasons, decision.trigger) == (False, ("no open alarm",), None)


RESTING = {"last_retrain": MONDAY + timedelta(days=8, hours=6)}
SPENT = {"trainings": (MONDAY, MONDAY + timedelta(days=2))}
FEW = {"labelled": labelled(rows=10)}
KNOWN = {"labelled": labelled(trained=True)}
COOLDOWN, ROWS = "cooldown until 2026-03-11T06:00+00:00", "only 10 of 500 new labelled rows up to 2026-03-02"
TRAINED = "nothing new to learn from: 2026-03-02 is trained already"
MONEY = "budget used up (2 trainings in 30d) until 2026-04-01T00:00+00:00"


@pytest.mark.parametrize(
    ("policy", "asks", "changes", "reason"),
    [
        (POLICY, {"alarms": (alarm(),)}, RESTING, COOLDOWN),
        (POLICY, {"asks": (ASK,)}, RESTING, None),
        (RECIPE, {"champion": CHANGED}, RESTING, COOLDOWN),
        (BUDGET, {"alarms": (alarm(),)}, SPENT, MONEY),
        (BUDGET, {"asks": (ASK,)}, SPENT, None),
        (POLICY, {"alarms": (alarm(),)}, FEW, ROWS),
        (DATA, {}, FEW, ROWS),
        (EVERY, {"champion": OLD}, FEW, ROWS),
        (RECIPE, {"champion": CHANGED}, FEW, None),
        (POLICY, {"asks": (ASK,)}, FEW, None),
        (POLICY, {"asks": (ASK,)}, KNOWN, TRAINED),
        (RECIPE, {"champion": CHANGED}, KNOWN, TRAINED),
        (EVERY, {"champion": OLD}, KNOWN, TRAINED),
        (POLICY, {"asks": (ASK,)}, {"paused": "audit"}, "paused: audit"),
        (POLICY, {"asks": (ASK,)}, {"running": True}, "a retraining of this segment is in progress"),
        (DATA, {}, {"running": True}, "a retraining of this segment is in progress"),
    ],
)
def test_each_trigger_heeds_what_concerns_it(policy, asks, changes, reason):
    decision = decide(policy, state(**{"alarms": ()} | asks | changes))

    assert decision.retrain is (reason is None)
    assert reason is None or decision.reasons == (reason,)
    assert decision.trigger  # who asked is named in a no as well


def test_new_data_that_a_refused_candidate_learned_from_does_not_ask_again():
    assert decide(DATA, state(alarms=(), **KNOWN)).reasons == ("no open alarm",)


def test_a_person_may_ask_again_where_candidates_failed_too_often():
    failed = state(attempts={"a1": 2}, asks=(ASK,))

    decision = decide(POLICY, failed)

    assert (decision.retrain, decision.trigger) == (True, "a person")
    assert decision.alarms == ("a1",)  # what it learns from holds the alarm's window, so it answers that too


def test_the_next_scheduled_training_is_named_while_nothing_is_to_do():
    decision = decide(EVERY, state(alarms=(), last_retrain=MONDAY + timedelta(days=6)))

    assert decision.reasons == ("no open alarm", "the next training is scheduled from 2026-03-15T00:00+00:00")


def test_a_budget_is_free_again_when_its_oldest_training_is_out_of_the_period():
    april = datetime(2026, 4, 1, tzinfo=UTC)

    assert decide(BUDGET, state(now=april, **SPENT)).retrain
    assert decide(BUDGET, state(trainings=(MONDAY,))).retrain


def test_after_all_runs_of_a_training_failed_the_next_one_waits_an_hour_even_without_a_cooldown():
    policy = POLICY.model_copy(update={"cooldown": timedelta(0)})
    now = state().now

    decision = decide(policy, state(last_retrain=now - timedelta(minutes=20), failed_runs=3))

    assert decision.reasons == ("all 3 runs of the last training failed; cooldown until 2026-03-11T00:40+00:00",)
    assert decide(policy, state(last_retrain=now - timedelta(minutes=61), failed_runs=3)).retrain


@pytest.mark.parametrize(
    "weighty",
    [
        alarm(kind="concept", columns={"loss": 0.3}),
        alarm(kind="prediction", columns={"prediction": 0.3}),
        alarm(columns={"car": 0.4, "prediction": 0.1}),
        alarm(kind="joint", columns={"age": 0.1}),
    ],
)
def test_loss_scores_and_important_columns_matter(weighty):
    assert decide(POLICY, state(alarms=(weighty,))).retrain


@pytest.mark.parametrize(
    ("shift", "unit", "matters"),
    [(0.1, "sd", True), (-0.2, "sd", True), (0.09, "sd", False), (0.04, "share", True), (0.03, "share", False)],
)
def test_a_score_matters_from_a_shift_on_that_has_a_meaning(shift, unit, matters):
    """Normal distributions 0.1 sd apart have a total variation of 0.04."""
    moved = ColumnShift(column="prediction", effect=shift, unit=unit, p_value=1e-9, words="the score moved")
    verdict = Verdict(
        state="drift", kind="prediction", p_value=1e-9, columns=(moved,), rows=9, windows=28, words="moved"
    )
    raised = alarm_of(verdict, record="r", window="2026-03-05", start=MONDAY, end=MONDAY + WEEK)

    decision = decide(POLICY, state(alarms=(raised,)))

    assert decision.retrain is matters
    small = abs(shift) if unit == "sd" else 0.08
    assert matters or decision.reasons == (f"2026-03-05: the score moved by {small:.2f} sd (needs 0.10)",)


def test_an_unimportant_alarm_beside_an_important_one_does_not_hold_it_up():
    light, heavy = alarm("light", columns={"car": 1.0}), alarm("heavy")

    decision = decide(POLICY, state(alarms=(light, heavy)))

    assert decision.retrain
    assert decision.alarms == ("light", "heavy")  # the training answers both: it learns from the data of both
    assert len(decision.reasons) == 1


def test_an_alarm_after_the_data_stays_open_when_an_earlier_one_is_answered():
    decision = decide(POLICY, state(alarms=(alarm("early"), alarm("late", day=8))))

    assert decision.alarms == ("early",)


def test_a_product_without_windows_learns_from_all_it_has():
    decision = decide(POLICY, state(labelled=labelled(window="all", end=None), alarms=(alarm(day=90),)))

    assert (decision.retrain, decision.target) == (True, "all")


def test_cooldown_ends():
    assert decide(POLICY, state(last_retrain=MONDAY)).retrain


def test_the_same_inputs_have_the_same_id_at_any_time_and_others_another():
    later = state(now=MONDAY + timedelta(days=20))
    same, other = decide(POLICY, later), decide(POLICY, state(running=True))

    assert decide(POLICY, state()).id == same.id != other.id
    assert decide(Retrain(min_rows=100), state()).id != same.id


def test_the_id_changes_when_time_alone_changes_the_answer():
    waiting = state(last_retrain=MONDAY + timedelta(days=8, hours=6))
    over = state(last_retrain=MONDAY + timedelta(days=8, hours=6), now=MONDAY + timedelta(days=10))

    assert decide(POLICY, waiting).id != decide(POLICY, over).id


def test_a_training_on_its_data_closes_an_alarm_and_a_failed_one_does_not():
    early, late = alarm("early", day=3), alarm("late", day=8)
    good = Training(until=MONDAY + WEEK, alarms=("early",), failed=False)
    failed = Training(until=MONDAY + WEEK, alarms=("early",), failed=True)

    assert [a.id for a in open_alarms([late, early], [])] == ["early", "late"]
    assert [a.id for a in open_alarms([late, early], [good])] == ["late"]
    assert [a.id for a in open_alarms([late, early], [failed])] == ["early", "late"]
    assert [a.id for a in open_alarms([late, early], [failed], frozenset({"late"}))] == ["early"]


def test_failed_candidates_are_counted_per_alarm():
    trainings = [
        Training(until=None, alarms=("a", "b"), failed=True),
        Training(until=None, alarms=("a",), failed=True),
        Training(until=None, alarms=("a",), failed=False),
    ]

    assert failed_attempts(trainings) == {"a": 2, "b": 1}


def test_only_drift_is_an_alarm():
    shift = ColumnShift(column="age", effect=0.5, unit="sd", p_value=1e-9, words="age is 0.50 sd higher")
    drift = Verdict(
        state="drift", kind="data", p_value=1e-9, columns=(shift,), rows=300, windows=28, words="data drift"
    )
    quiet = Verdict(state="ok", kind="data", p_value=0.4, rows=300, windows=28, words="no drift")
    place = {"record": "r1", "window": "2026-03-05", "start": MONDAY, "end": MONDAY + WEEK}

    raised = alarm_of(drift, **place)

    assert raised is not None
    assert (raised.id, raised.columns, raised.words) == ("r1", {"age": 0.5}, "data drift")
    assert alarm_of(quiet, **place) is None
