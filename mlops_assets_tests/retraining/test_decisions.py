from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.detection.verdict import ColumnShift, Verdict
from mlops_assets.parts import Retrain
from mlops_assets.retraining.decisions import (
    Alarm,
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
        ({"labelled": labelled(rows=212)}, "only 212 of 500 labelled rows in 2026-03-02"),
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
