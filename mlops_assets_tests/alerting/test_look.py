"""Every kind of alert from real evidence: records, ledger, workers, logs and stored decisions of a small product."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.alerting.automation import Overdue, Sensor
from mlops_assets.alerting.history import History
from mlops_assets.alerting.look import last_look, look
from mlops_assets.alerting.runs import Run
from mlops_assets.alerting.serving import rollback_alerts
from mlops_assets.alerting.shown import shown, shown_lines
from mlops_assets.detection.verdict import ColumnShift, Verdict
from mlops_assets.evidence.archive import Archive, Built
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import Check, Place, Recipe
from mlops_assets.monitoring.steps import verdict_built
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.stored import Decisions, Stored
from mlops_assets.rules import Spending
from mlops_assets.serving.routing.deploy import Deployment, write_deployment
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets_tests.alerting.fakes import Orchestra, Outbox
from mlops_assets_tests.houses import HOUSES, deployment, make, over, sales

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Houses of two towns, each with version 1 as its champion; nothing else is made."""
    found = deployment(tmp_path, sales(1))
    for town in HOUSES.segments:
        promoted(found, 1, town=town)
    return found


def promoted(settings: Settings, version: int, *, town: str = "bath", kind: str = "promote") -> Act:
    ledger = Archive(settings.home).ledger
    now = ledger.champion("houses", town)
    at = stamp(NOW + timedelta(seconds=len(ledger.chain.links())))
    who, why = ("gate", "better") if kind == "promote" else ("ana (asserted)", "it sells nothing")
    act = Act(kind=kind, product="houses", segment=town, version=version, record="c0" * 32, by=who, reason=why, at=at)  # type: ignore[arg-type]
    return ledger.move_champion(act, expected=now.version if now else None)


def judged(
    settings: Settings, day: str, *, kind: str | None = "data", stage: Stage = Stage.DRIFT, version: int = 1
) -> str:
    """Store the verdict on a day in Bath as its step does, and return its record; without a kind it is ok."""
    words = f"{kind} drift: price is 1.5 sd higher" if kind else "no drift"
    shift = ColumnShift(column="price", effect=1.5, unit="sd", p_value=1e-9, words="price is 1.5 sd higher")
    verdict = Verdict(
        state="drift" if kind else "ok",
        kind=kind or "data",  # type: ignore[arg-type]
        p_value=1e-9,
        columns=(shift,) if kind else (),
        rows=100,
        windows=28,
        words=words,
    )
    recipe = Recipe(place=Place(product="houses", stage=stage, partition=f"bath|{day}"), code=f"{version}{words}")
    built = verdict_built(verdict, "no_drift", {"version": version})
    return Archive(settings.home).make(recipe, [], lambda: built).id


def looked(
    settings: Settings,
    orchestra: Orchestra | None = None,
    outbox: Outbox | None = None,
    *,
    at: datetime = NOW,
    product: ModelProduct = HOUSES,
) -> Outbox:
    """Look once, as after a restart, and return what was sent."""
    outbox = outbox or Outbox()
    look(settings, [product], orchestra or Orchestra(), outbox, at)
    return outbox


def test_nothing_is_wrong_with_a_product_that_is_as_it_should_be(settings: Settings):
    judged(settings, "2026-01-20", kind=None)

    assert looked(settings).sent == []


@pytest.mark.parametrize(
    ("kind", "stage", "level"),
    [
        ("data", Stage.DRIFT, "warning"),
        ("prediction", Stage.DRIFT, "warning"),
        ("joint", Stage.DRIFT, "warning"),
        ("concept", Stage.PERFORMANCE, "warning"),
        ("schema", Stage.DRIFT, "error"),
    ],
)
def test_a_verdict_of_drift_is_told_with_its_record_and_its_end_too(settings: Settings, kind, stage, level):
    record = judged(settings, "2026-01-20", kind=kind, stage=stage)

    outbox = looked(settings)
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)
    judged(settings, "2026-01-21", kind=None, stage=stage)
    looked(settings, outbox=outbox, at=NOW + 20 * MINUTE)

    assert outbox.titles == [f"houses bath: {kind} drift", f"houses bath: {kind} drift is over"]
    message = outbox.sent[0][1]
    assert (message.level, message.body.splitlines()) == (
        level,
        [
            f"2026-01-20: {kind} drift: price is 1.5 sd higher",
            f"evidence: record {record[:16]}",
            f"http://127.0.0.1:3000/assets/houses/{stage}?view=partitions&partition=bath%7C2026-01-20",
        ],
    )


def test_two_hundred_windows_that_drift_at_once_are_one_message(settings: Settings):
    looked(settings)
    for day in range(200):
        judged(settings, f"{datetime(2026, 1, 20) + timedelta(days=day):%Y-%m-%d}")

    outbox = looked(settings)

    [title] = outbox.titles
    assert title == "houses bath: data drift"
    assert "; 200 windows since 2026-01-20" in outbox.sent[0][1].body


def test_a_drift_that_came_and_was_answered_between_two_looks_is_told_still(settings: Settings):
    looked(settings)
    judged(settings, "2026-01-20")
    promoted(settings, 2)

    outbox = looked(settings, at=NOW + MINUTE)

    assert outbox.titles == ["houses bath: data drift is over"]


def test_a_verdict_that_a_person_dismissed_is_over(settings: Settings):
    record = judged(settings, "2026-01-20")
    outbox = looked(settings)

    act = Act(kind="dismiss", product="houses", segment="bath", record=record, by="ana", reason="a fair", at=stamp(NOW))
    Archive(settings.home).ledger.add(act)
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)

    assert outbox.titles == ["houses bath: data drift", "houses bath: data drift is over"]


def test_a_partition_that_failed_a_blocking_check_is_told_with_its_quarantined_rows_until_it_is_mended(tmp_path: Path):
    good = sales(1)
    bad = good.with_columns(pl.when(pl.col("id") == good["id"][0]).then(None).otherwise("price").alias("price"))
    settings = deployment(tmp_path, good)
    town, week = good["town"][0], "2026-01-05"
    make(settings, HOUSES, f"{town}|{week}")  # what a column holds is frozen by the first rows
    bad.write_csv(settings.root / "houses.csv")
    make(settings, HOUSES, f"{town}|{week}", Stage.ANNOTATIONS, Stage.DATASET)

    outbox = looked(settings)
    good.write_csv(settings.root / "houses.csv")
    make(settings, HOUSES, f"{town}|{week}", Stage.ANNOTATIONS, Stage.DATASET)
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)

    assert outbox.titles == [
        f"houses {town}: failed check of dataset",
        f"houses {town}: failed check of dataset is over",
    ]
    assert outbox.sent[0][1].level == "error"
    assert f"{week}: dataset failed schema (1 of 70 rows, set aside with their reason)" in outbox.sent[0][1].body


def test_a_live_window_that_warns_is_told_by_its_check(settings: Settings):
    short = Check(
        name="reaches_floor", passed=False, severity="warn", blocking=False, facts={"auc": 0.41, "floor": 0.6}
    )
    recipe = Recipe(place=Place(product="houses", stage=Stage.PERFORMANCE, partition="bath|2026-01-20"), code="x")
    built = Built(outputs={"verdict": (b"{}", "json")}, checks=(short,), facts={"state": "ok", "version": 1})
    Archive(settings.home).make(recipe, [], lambda: built)

    outbox = looked(settings)

    assert outbox.titles == ["houses bath: reaches_floor warns"]
    assert "2026-01-20: reaches_floor (auc 0.41, floor 0.6)" in outbox.sent[0][1].body


def worker(settings: Settings, *, beat: datetime = NOW) -> Registration:
    """A worker of houses that was last heard at `beat`."""
    one = Worker(writer="w", pid=1, url="http://127.0.0.1:9", clock="server", started=beat)
    registered = Registration(settings.serving("houses"), one)
    registered.beat(beat)
    heard(settings, beat)
    return registered


def heard(settings: Settings, beat: datetime) -> None:
    os.utime(settings.serving("houses") / "workers" / "w.json", (beat.timestamp(), beat.timestamp()))


def deployed(settings: Settings, name: str) -> None:
    wanted = Deployment(id=name * 64, product="houses", at=stamp(NOW), routes={})
    write_deployment(settings.serving("houses"), wanted)


def test_a_deployment_that_a_worker_refuses_is_told_at_once_with_its_reason(settings: Settings):
    registered = worker(settings)
    deployed(settings, "a")
    registered.refuses("a" * 64, "probe 3: 0.41 here, 0.44 offline")
    heard(settings, NOW)

    outbox = looked(settings)
    registered.serves("a" * 64)
    heard(settings, NOW + 10 * MINUTE)
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)

    assert outbox.titles == ["houses: failed deployment", "houses: failed deployment is over"]
    assert "http://127.0.0.1:9 refused it: probe 3: 0.41 here, 0.44 offline" in outbox.sent[0][1].body


def test_a_deployment_that_nobody_serves_is_told_once_a_restart_would_be_over(settings: Settings):
    worker(settings).serves("a" * 64)
    heard(settings, NOW)
    deployed(settings, "a")

    served = looked(settings)
    silent = looked(settings, at=NOW + MINUTE)
    told = looked(settings, at=NOW + 3 * MINUTE)

    assert (served.sent, silent.sent) == ([], [])
    assert told.titles == ["houses: failed deployment"]
    assert "no worker is alive; the last one was heard at " in told.sent[0][1].body


def test_a_deployment_that_nobody_was_ever_asked_to_serve_is_no_alert(settings: Settings):
    deployed(settings, "a")

    looked(settings)

    assert looked(settings, at=NOW + HOUR).sent == []


def test_a_rollback_is_told_and_is_over_with_the_next_champion(settings: Settings):
    promoted(settings, 2)
    looked(settings)
    promoted(settings, 1, kind="rollback")

    outbox = looked(settings, at=NOW + MINUTE)
    promoted(settings, 3)
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)

    assert outbox.titles == ["houses bath: rollback", "houses bath: rollback is over"]
    assert "rolled back to version 1 by ana (asserted): it sells nothing" in outbox.sent[0][1].body


def test_a_budget_that_is_exceeded_is_told_once_and_its_end_too(settings: Settings):
    recipe = Recipe(place=Place(product="houses", stage="model", partition="bath|2026-01-05"), code="test")
    built = Built(outputs={"model": (b"1", "txt")}, gpu_s=7200)
    Archive(settings.home).make(recipe, [], lambda: built)
    limits = {"cpu_hours": 1, "gpu_hours": 1.5, "per": "30d"}
    product = HOUSES.model_copy(update={"spending": Spending.model_validate(limits)})

    outbox = looked(settings, at=datetime.now(UTC), product=product)
    looked(settings, outbox=outbox, at=datetime.now(UTC) + MINUTE, product=product)
    looked(settings, outbox=outbox, at=datetime.now(UTC) + timedelta(days=31), product=product)

    assert outbox.titles == ["houses: over budget", "houses: over budget is over"]
    assert outbox.sent[0][1].body.splitlines() == [
        "2 of 1.5 GPU hours were used in the last 30 days; mlops-assets costs houses",
        "http://127.0.0.1:3000/assets/houses/costs",
    ]


def test_windows_that_stay_unsealed_are_told_after_a_while(settings: Settings):
    over(settings, datetime(2026, 1, 15), "w")

    early = looked(settings)
    late = looked(settings, at=NOW + HOUR)

    assert early.sent == []
    assert late.titles == ["houses bath: stalled automation", "houses york: stalled automation"]
    assert "2026-01-05 and 9 more are closed, but not sealed" in late.sent[0][1].body


def decided(settings: Settings, *, retrain: bool, reasons: list[str], id_: str = "d1") -> None:
    stored = Stored(
        id=id_,
        product="houses",
        segment="bath",
        at=stamp(NOW),
        decided_at=stamp(NOW),
        retrain=retrain,
        target="2026-01-19" if retrain else None,
        reasons=reasons,
        alarms=["a1"],
        trigger="data drift",
    )
    decisions = Decisions(settings.home, "houses")
    with decisions.deciding():
        decisions.keep(stored)


def test_a_decision_that_a_person_must_take_is_told_until_one_is_taken(settings: Settings):
    decided(settings, retrain=False, reasons=["2 candidates already failed for this alarm: a person must decide"])

    outbox = looked(settings)
    decided(settings, retrain=False, reasons=["no open alarm"], id_="d2")
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)

    assert outbox.titles == ["houses bath: a person must decide", "houses bath: a person must decide is over"]
    assert outbox.sent[0][1].body.endswith("\nmlops-assets why houses")


def test_a_training_that_was_decided_on_and_never_began_is_told_and_one_that_began_is_not(settings: Settings):
    decided(settings, retrain=True, reasons=["2026-01-20: data drift"])
    outbox, began = Outbox(), Outbox()

    for minutes in (0, 9, 11):
        looked(settings, outbox=outbox, at=NOW + minutes * MINUTE)
    looked(settings, Orchestra(with_runs={"d1"}), began, at=NOW + HOUR)

    assert outbox.titles == ["houses bath: stalled automation"]
    assert "a retraining on 2026-01-19 was decided on at" in outbox.sent[0][1].body
    assert began.titles == ["houses bath: stalled automation is over"]


@pytest.mark.parametrize("kind", ["pause", "register"])
def test_a_pause_and_a_model_of_which_dagster_forgot_the_run_are_no_stall(settings: Settings, kind):
    decided(settings, retrain=True, reasons=["2026-01-20: data drift"])
    facts = {"decision": "d1"}
    act = Act(kind=kind, product="houses", segment="bath", by="ana", reason="audit", at=stamp(NOW), facts=facts)
    Archive(settings.home).ledger.add(act)

    looked(settings)

    assert looked(settings, at=NOW + HOUR).sent == []


def test_runs_sensors_daemons_and_overdue_assets_are_told_as_dagster_says_it(settings: Settings):
    failed = Run(
        id="r1", order=1, product="houses", job="houses_seal", partition="bath|2026-01-20", state="failed", problem="no"
    )
    orchestra = Orchestra(
        ran=[failed],
        ticking=[
            Sensor(name="houses_seal", off=False, ticked=NOW - HOUR, problem="broken: ledger.jsonl:3"),
            Sensor(name="houses_data", off=True, ticked=NOW),
            Sensor(name="houses_retrain", off=False, ticked=NOW),
        ],
        late=[Overdue(stage="profile", materialized=datetime(2026, 1, 20, tzinfo=UTC))],
        beats={"SCHEDULER": NOW - HOUR, "BACKFILL": NOW + 2 * MINUTE},
    )

    outbox = looked(settings, orchestra)
    looked(settings, orchestra, outbox, at=NOW + 3 * MINUTE)

    assert outbox.titles == [
        "houses bath: failed run",
        "all products: stalled automation",
        "houses: stalled automation (2)",
        "houses: overdue",
    ]
    bodies = "\n".join(message.body for _, message in outbox.sent)
    assert "houses_seal failed for bath|2026-01-20: no\nhttp://127.0.0.1:3000/runs/r1" in bodies
    assert "the sensor houses_seal has not ticked since" in bodies
    assert ": broken: ledger.jsonl:3" in bodies
    assert "the sensor houses_data is switched off" in bodies
    assert "Dagster's daemon SCHEDULER has not been heard since" in bodies
    assert "profile is overdue: it was last materialized at 2026-01-20 00:00:00 UTC" in bodies


def test_broken_evidence_is_told_and_hides_neither_other_products_nor_what_was_open(settings: Settings):
    record = judged(settings, "2026-01-20")
    outbox = looked(settings)
    other = judged(settings, "2026-01-21")
    Archive(settings.home)._path("records", other).write_text("{}")
    second = HOUSES.model_copy(update={"name": "flats"})
    recipe = Recipe(place=Place(product="flats", stage=Stage.DATASET, partition="bath|2026-01-05"), code="x")
    failing = Built(outputs={"t": (b"", "bin")}, checks=(Check(name="schema", passed=False),))
    Archive(settings.home).make(recipe, [], lambda: failing)

    look(settings, [HOUSES, second], Orchestra(), outbox, NOW + MINUTE)

    assert outbox.titles[1:] == ["houses: broken evidence", "flats bath: failed check of dataset"]
    assert f"{other}: changed" in outbox.sent[1][1].body
    still = History(settings.home).cases().open.values()
    assert record in [case.alert.record for case in still]


def test_only_records_that_changed_are_read_again(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    first = judged(settings, "2026-01-20")
    looked(settings, at=NOW + MINUTE)
    second = judged(settings, "2026-01-21")
    read: list[str] = []
    listed: list[str] = []
    held, stamps = Archive.held, Archive.stamps
    monkeypatch.setattr(
        Archive, "stamps", lambda archive, *where: (listed.append(where[1]), stamps(archive, *where))[1]
    )
    monkeypatch.setattr(Archive, "held", lambda archive, record: (read.append(record), held(archive, record))[1])

    later = datetime.now(UTC) + MINUTE  # well after the folder changed, however long the tests before took
    looked(settings, at=later)
    looked(settings, at=later + MINUTE)

    assert first not in read
    assert read == [second]
    assert listed == [Stage.DRIFT]


def test_what_is_remembered_may_be_lost_and_nothing_is_told_twice(settings: Settings):
    judged(settings, "2026-01-20")
    outbox = looked(settings)

    (settings.home / "alerts" / "looked.json").unlink()
    (settings.home / "alerts" / "heads" / "houses.json").write_text("not json")
    looked(settings, outbox=outbox, at=NOW + HOUR)

    assert len(outbox.sent) == 1


def test_two_looks_at_once_tell_once(settings: Settings):
    judged(settings, "2026-01-20")
    said: list[str] = []

    class Nested(Outbox):
        def send(self, to, message):
            said.append(look(settings, [HOUSES], Orchestra(), second, NOW))
            return Outbox.send(self, to, message)

    first, second = Nested(), Outbox()

    looked(settings, outbox=first)

    assert said == ["another look is under way"]
    assert (len(first.sent), second.sent) == (1, [])


def test_without_destinations_alerts_are_kept_and_shown_in_their_present_words(settings: Settings):
    judged(settings, "2026-01-20")
    looked(settings, outbox=Outbox(names=()))
    judged(settings, "2026-01-21")
    looked(settings, outbox=Outbox(names=()), at=NOW + MINUTE)

    found = shown(settings, (), "houses", NOW + MINUTE)

    assert last_look(settings.home).at == stamp(NOW + MINUTE)
    assert [each.words for each in found.open] == [
        "2026-01-21: data drift: price is 1.5 sd higher; 2 windows since 2026-01-20"
    ]
    assert shown_lines(found)[-1] == "nobody is told: MLOPS_ASSETS_ALERTS names no destination"
    assert shown(settings, (), "flats", NOW).open == []
    assert msgspec.to_builtins(found)["quiet"] is False


def test_what_is_shown_says_when_nobody_looks_and_who_fails(settings: Settings):
    from mlops_assets.alerting.notifier import Problem

    never = shown_lines(shown(settings, ("1 slack",), None, NOW))
    judged(settings, "2026-01-20")
    looked(
        settings, outbox=Outbox(names=("1 slack",), broken={"1 slack": Problem(words="refused with HTTP status 404")})
    )
    late = shown_lines(shown(settings, ("1 slack",), None, NOW + HOUR))

    assert never == [
        "no open alert",
        "nobody is looking: the sensor `alerts` last ticked never; mlops-assets up runs it",
    ]
    assert "1 slack fails: refused with HTTP status 404" in late
    assert any(line.startswith("nobody is looking: the sensor `alerts` last ticked 20") for line in late)


def test_a_deployment_that_was_taken_back_is_told_until_another_one_is_asked_for(settings: Settings):
    ledger = Archive(settings.home).ledger

    def said(kind: str, record: str, reason: str) -> None:
        act = Act(kind=kind, product="houses", record=record * 64, by="endpoint", reason=reason, at=stamp(NOW))  # type: ignore[arg-type]
        ledger.add(msgspec.structs.replace(act, facts={"put_back": "a" * 64} if kind == "fail" else {}))

    for kind, record in (("deploy", "a"), ("deploy", "b"), ("fail", "b")):
        said(kind, record, "http://127.0.0.1:9 refused it: changed")
    deployed(settings, "a")
    registered = worker(settings)
    registered.serves("a" * 64)
    heard(settings, NOW)

    outbox = looked(settings)
    said("deploy", "a", "bath@1")
    heard(settings, NOW + 10 * MINUTE)
    looked(settings, outbox=outbox, at=NOW + 10 * MINUTE)

    assert outbox.titles == ["houses: failed deployment", "houses: failed deployment is over"]
    assert f"the deployment {'b' * 12}… failed: http://127.0.0.1:9 refused it: changed; " in outbox.sent[0][1].body
    assert f"{'a' * 12}… goes on" in outbox.sent[0][1].body


def test_a_canary_that_was_taken_back_is_told_and_is_over_when_another_is_tried(settings: Settings):
    promoted(settings, 1)
    ledger = Archive(settings.home).ledger
    champion = ledger.champion("houses", "bath")
    assert champion is not None
    facts = {"variant": "canary", "cause": "worse"}
    act = msgspec.structs.replace(champion, kind="withdraw", version=2, by="ramp", reason="it failed", facts=facts)
    ledger.add(act)

    [found] = rollback_alerts(HOUSES, settings, Archive(settings.home))
    ledger.add(msgspec.structs.replace(act, kind="traffic", version=3, facts={"variant": "canary", "share": "0.05"}))
    [later] = rollback_alerts(HOUSES, settings, Archive(settings.home))

    assert (found.alert.words, found.over, later.over) == ("canary 2 was taken back: it failed", False, True)
