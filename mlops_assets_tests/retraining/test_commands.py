"""`why`, `status`, `retrain` and `dismiss` on the loop of Bath."""

import json
from datetime import UTC, datetime

import pytest

from mlops_assets.cli import main
from mlops_assets.evidence.archive import Archive
from mlops_assets.operations.acts import person
from mlops_assets.settings import Settings, exports
from mlops_assets_tests.houses import over
from mlops_assets_tests.retraining.bath import DAY, NOW, THIRD, decide, decided_on, judged, promoted


@pytest.fixture
def here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The loop of Bath, for commands in this process."""
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    return settings


def test_why_shows_each_decision_with_who_asked_and_its_alarms_and_how_soon_drifts_were_repaired(
    here: Settings, capsys: pytest.CaptureFixture[str]
):
    judged(here, "2026-01-19", state="ok")
    decide(here)
    alarm = judged(here, "2026-01-20")
    yes = decide(here)
    promoted(here, 2, yes.id)

    code = main(["why", "houses"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == f"2026-01-28T06:00:00 bath       {'no':22} no open alarm"
    assert lines[1].startswith("2026-01-28T06:00:00 bath       retrain on 2026-01-19  2026-01-20: data drift: price")
    assert lines[2].strip() == f"asked by data drift; alarm 2026-01-20 data {alarm[:12]}"
    assert lines[3] == "drifts"
    assert lines[4].startswith("  bath       data       2026-01-20: found after ")
    assert "by houses@2, not deployed yet" in lines[4]
    assert lines[5].startswith("  mean time to detect ")


def test_why_as_json_holds_decisions_alarms_drifts_and_times(here: Settings, capsys: pytest.CaptureFixture[str]):
    alarm = judged(here, "2026-01-20")
    yes = decide(here)
    decide(here, now=NOW + 2 * DAY, running=True)

    main(["why", "houses", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert [each["retrain"] for each in found["decisions"]] == [True, False]
    assert found["decisions"][0]["id"] == yes.id
    assert (found["alarms"][alarm]["window"], found["alarms"][alarm]["kind"]) == ("2026-01-20", "data")
    assert [(drift["ending"], drift["alarms"], drift["decision"]) for drift in found["drifts"]] == [
        ("open", [alarm], yes.id)
    ]
    assert found["times"]["mean_time_to_repair_s"] is None
    assert {name: found["times"][name] for name in ("found", "open", "repaired")} == {
        "found": 1,
        "open": 1,
        "repaired": 0,
    }


@pytest.mark.parametrize(
    ("since", "shown"),
    [("2026-01-28", 1), ("2026-01-28T07:59+02:00", 1), ("2026-01-28T08:01+02:00", 0), ("2026-01-28T06:00:00Z", 1)],
)
def test_since_is_a_time_and_not_a_text(here: Settings, capsys: pytest.CaptureFixture[str], since: str, shown: int):
    judged(here, "2026-01-20", state="ok")
    decide(here)

    main(["why", "houses", "--since", since, "--json"])

    assert len(json.loads(capsys.readouterr().out)["decisions"]) == shown


def test_what_is_no_time_is_refused_with_what_would_be(here: Settings, capsys: pytest.CaptureFixture[str]):
    code = main(["why", "houses", "--since", "yesterday"])

    assert code == 1
    assert "'yesterday' is no time; right is an ISO time" in capsys.readouterr().err
    assert here


def test_status_says_how_soon_drifts_are_found_and_repaired(here: Settings, capsys: pytest.CaptureFixture[str]):
    judged(here, "2026-01-20")
    decide(here)

    main(["status", "houses"])
    lines = capsys.readouterr().out
    main(["status", "houses", "--json"])
    [status] = json.loads(capsys.readouterr().out)

    assert "1 drift found, 0 repaired, 1 open; mean time to detect" in lines
    bath, york = status["segments"]
    assert bath["drifts"]["found"] == 1
    assert york["drifts"] is None


def test_a_person_asks_and_the_next_decision_answers(here: Settings, capsys: pytest.CaptureFixture[str]):
    code = main(["retrain", "houses", "--segment", "bath", "--reason", "cleaned streets"])

    decision = decide(here)
    assert code == 0
    assert "houses: a training of bath is asked for (cleaned streets)" in capsys.readouterr().out
    assert (decision.retrain, decision.target) == (True, THIRD)
    assert decision.reasons == (f"{person()} asks: cleaned streets",)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["retrain", "houses", "--reason", "x"], 1, "houses[york] has no champion yet; mlops-assets backfill houses"),
        (
            ["retrain", "houses", "--segment", "rome", "--reason", "x"],
            4,
            "no segment 'rome'; known segments: bath",
        ),
        (["dismiss", "houses", "--reason", "x"], 4, "houses: no such open alarm; open alarms: none"),
        (["dismiss", "castles", "--reason", "x"], 4, "castles"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_cannot_be_asked_for_is_refused_and_says_what_can(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
):
    assert main(arguments) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ([], []),
        (["--window", "2026-01-20"], ["2026-01-21"]),
        (["--segment", "bath"], []),
        (["--alarm", "FIRST"], ["2026-01-21"]),
    ],
)
def test_dismissed_alarms_are_closed_by_a_persons_act(
    here: Settings, capsys: pytest.CaptureFixture[str], chosen: list[str], left: list[str]
):
    first, second = judged(here, "2026-01-20"), judged(here, "2026-01-21")
    words = [first[:10] if word == "FIRST" else word for word in chosen]

    code = main(["dismiss", "houses", *words, "--reason", "a bank holiday"])

    decision = decide(here)
    dismissals = Archive(here.home).ledger.acts("houses", "dismiss")
    assert code == 0
    assert "dismissed " in capsys.readouterr().out
    assert [(act.by, act.reason, act.segment) for act in dismissals] == [(person(), "a bank holiday", "bath")] * (
        2 - len(left)
    )
    assert decision.considered == tuple(record for record in (second,) if left)
    assert decision.retrain is bool(left)


def test_an_alarm_that_is_not_open_is_refused_with_those_that_are(here: Settings, capsys: pytest.CaptureFixture[str]):
    alarm = judged(here, "2026-01-20")

    code = main(["dismiss", "houses", "--window", "2026-01-25", "--reason", "x"])

    assert code == 4
    assert f"open alarms: {alarm[:12]} bath 2026-01-20: data drift" in capsys.readouterr().err


def test_the_times_of_a_replay_are_told_by_both_clocks(here: Settings, capsys: pytest.CaptureFixture[str]):
    judged(here, "2026-01-20")
    over(here, datetime(2026, 1, 28), "w")
    yes = decide(here, now=datetime.now(UTC))
    decided_on(here, 2, yes.id)

    main(["why", "houses"])

    assert "found after 1 w, open, wall clock: from sealing 0.0 s" in capsys.readouterr().out
