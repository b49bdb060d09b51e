"""A yes is asked for until it has succeeded: once at a time, thrice at most, whoever was killed before."""

import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from mlops_assets.retraining.asked import Request, Runs, next_request
from mlops_assets.retraining.loop_state import decide_segment, opened
from mlops_assets.retraining.stored import PATIENCE, Decisions, Stored, stored_decisions
from mlops_assets.settings import Settings
from mlops_assets_tests.retraining.bath import NOW, PRODUCT, THIRD, acted, decide, decided_on, judged

NONE = Runs()
SECOND = timedelta(seconds=1)


def asked(settings: Settings, runs: Runs = NONE, *, after: timedelta = timedelta(0)) -> Request | None:
    """What somebody who has just been started asks for."""
    return next_request(PRODUCT, settings, opened(settings, PRODUCT), "bath", NOW + after, lambda _: runs)


@pytest.fixture
def yes(settings: Settings) -> str:
    """The decision to retrain Bath on its third week."""
    judged(settings, "2026-01-20")
    return decide(settings).id


def test_a_yes_is_asked_for_with_its_attempt_in_the_key(settings: Settings, yes: str):
    request = asked(settings)

    assert request is not None
    assert (request.key, request.decision.target) == (f"{yes} attempt 1", THIRD)


def test_nothing_is_asked_for_before_a_yes(settings: Settings):
    judged(settings, "2026-01-20", state="ok")
    decide(settings)

    assert asked(settings) is None


@pytest.mark.parametrize(
    ("runs", "attempt"),
    [
        (Runs(failed=1), 2),
        (Runs(failed=2), 3),
        (Runs(failed=3), None),
        (Runs(waiting=True), None),
        (Runs(failed=1, waiting=True), None),
        (Runs(failed=1, ended=True), None),
    ],
)
def test_a_failed_run_is_asked_for_again_thrice_in_all(settings: Settings, yes: str, runs: Runs, attempt: int | None):
    request = asked(settings, runs)

    assert (request.key if request else None) == (attempt and f"{yes} attempt {attempt}")


@pytest.mark.usefixtures("yes")
def test_who_was_killed_before_its_run_appeared_is_followed_by_another_with_the_same_key(settings: Settings):
    first, second = asked(settings), asked(settings, after=PATIENCE - SECOND)
    third, back_in_time = asked(settings, after=PATIENCE), asked(settings, after=-SECOND)

    assert first is not None
    assert second is None
    assert third is not None
    assert back_in_time is not None  # a clock that was set back does not hold a claim for ever
    assert first.key == third.key == back_in_time.key


@pytest.mark.usefixtures("yes")
def test_a_pause_holds_the_request_back(settings: Settings):
    acted(settings, "pause", "audit")
    paused = asked(settings)
    acted(settings, "resume", "done")

    assert paused is None
    assert asked(settings) is not None


def test_a_training_whose_run_dagster_has_forgotten_is_not_asked_for_again(settings: Settings, yes: str):
    decided_on(settings, 2, yes)

    assert asked(settings) is None


def test_a_training_that_was_made_by_hand_meanwhile_is_not_asked_for_again(settings: Settings, yes: str):
    decided_on(settings, 2, None)

    assert asked(settings) is None
    assert yes


def test_while_a_training_is_to_come_nothing_else_is_decided(settings: Settings, yes: str):
    judged(settings, "2026-01-21")

    def decided(runs: Runs) -> tuple[str, ...]:
        later = NOW + timedelta(days=3)
        found = decide_segment(PRODUCT, settings, "bath", later, running=False, runs_of=lambda _: runs)
        assert found is not None
        return found.reasons

    assert decided(NONE) == ("a retraining of this segment is in progress",)
    assert decided(Runs(waiting=True, failed=1)) == ("a retraining of this segment is in progress",)
    assert len(decided(Runs(failed=3))) == 2  # both alarms: it is given up, and decided anew after the cooldown
    assert len([each for each in stored_decisions(settings.home, "houses") if each.retrain]) == 2
    assert yes


def test_many_who_decide_and_ask_at_once_store_one_decision_and_ask_for_one_run(settings: Settings):
    judged(settings, "2026-01-20")
    requests: list[Request] = []
    gate = threading.Barrier(6)

    def tick() -> None:
        reading = opened(settings, PRODUCT)
        gate.wait()
        decide_segment(PRODUCT, settings, "bath", NOW, running=False, reading=reading, runs_of=lambda _: NONE)
        found = next_request(PRODUCT, settings, reading, "bath", NOW, lambda _: NONE)
        requests.extend([found] if found else [])

    threads = [threading.Thread(target=tick) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    decisions = stored_decisions(settings.home, "houses")
    assert [each.retrain for each in decisions] == [True, False]  # the others find it in progress
    assert [request.decision.id for request in requests] == [decisions[0].id]


def test_decisions_of_before_can_be_read(tmp_path: Path):
    """Earlier versions stored neither asks nor the alarms that were considered."""
    decisions = Decisions(tmp_path, "houses")
    told = {"id": "a", "product": "houses", "segment": "bath", "at": "2026-01-20T00:00:00.000+00:00"}
    answer = {
        "decided_at": told["at"],
        "retrain": False,
        "target": None,
        "reasons": ["no"],
        "alarms": [],
        "trigger": None,
    }
    with decisions.deciding():
        decisions._chain.append(told | answer)

    [read] = stored_decisions(tmp_path, "houses")

    assert read == msgspec.convert(told | answer, Stored)
    assert (read.asks, read.considered) == ([], [])
