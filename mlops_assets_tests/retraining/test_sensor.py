"""The retrain sensor against a real Dagster instance: what it asks for, what it tells, and what a restart changes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.product import Stage
from mlops_assets.retraining.sensors import retrain_sensor
from mlops_assets.retraining.stored import stored_decisions
from mlops_assets.settings import Settings, exports
from mlops_assets.wiring import segments_by_window
from mlops_assets_tests.retraining.bath import PRODUCT, THIRD, acted, decide, judged, promoted

KEY = dg.AssetKey(["houses", "decisions"])
JOB = "houses_retrain"
FAILS = "the disk is full"


@dataclass(kw_only=True)
class Daemon:
    """Ticks the sensor and submits what it asks for, each run key once, as Dagster's daemon does."""

    instance: dg.DagsterInstance
    settings: Settings
    fails: bool = False
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        @dg.asset(key=["houses", "model"], partitions_def=segments_by_window(PRODUCT))
        def model(context: dg.AssetExecutionContext) -> None:
            if self.fails:
                raise RuntimeError(FAILS)
            promoted(self.settings, 2, context.run.tags["mlops_assets/decision"])

        job = dg.define_asset_job(JOB, selection=[dg.AssetKey(["houses", "model"])])
        self.definitions = dg.Definitions(assets=[model], jobs=[job], sensors=[retrain_sensor(PRODUCT, job)])

    def asked(self) -> list[dg.RunRequest]:
        """Tick without a cursor, and return what is asked for."""
        context = dg.build_sensor_context(instance=self.instance, definitions=self.definitions)
        data = self.definitions.resolve_sensor_def("houses_retrain").evaluate_tick(context)
        return list(data.run_requests or [])

    def tick(self) -> list[dg.RunRequest]:
        """Tick, and run what is asked for."""
        requests = [request for request in self.asked() if not self.runs(request.run_key or "")]
        for request in requests:
            self.definitions.resolve_job_def(JOB).execute_in_process(
                instance=self.instance,
                partition_key=request.partition_key,
                tags={**request.tags, "dagster/run_key": request.run_key or ""},
                raise_on_error=False,
            )
        return requests

    def runs(self, run_key: str) -> int:
        return len(self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": run_key})))

    def told(self) -> list[dg.AssetMaterialization]:
        """The materializations of the table of decisions, oldest first."""
        found = self.instance.fetch_materializations(KEY, limit=100, ascending=True).records
        return [record.asset_materialization for record in found if record.asset_materialization]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def daemon(settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    return Daemon(instance=instance, settings=settings)


def restarted(daemon: Daemon, *, patient: bool = True) -> Daemon:
    """Another process, which knows nothing but what is stored; `patient`: claims of the killed one are void by now."""
    if patient:
        (daemon.settings.home / "decisions" / "houses.asked.json").unlink(missing_ok=True)
    return Daemon(instance=daemon.instance, settings=daemon.settings, fails=daemon.fails)


def test_a_yes_is_asked_for_once_with_reason_and_evidence_and_then_it_is_quiet(daemon: Daemon):
    alarm = judged(daemon.settings, "2026-01-20")

    [request] = daemon.tick()
    after = [daemon.tick() for _ in range(3)]

    [yes] = [each for each in stored_decisions(daemon.settings.home, "houses") if each.retrain]
    assert (request.partition_key, request.run_key) == (f"bath|{THIRD}", f"{yes.id} attempt 1")
    told = {name.removeprefix("mlops_assets/"): tag for name, tag in request.tags.items()}
    assert {name: told[name] for name in ("decision", "attempt", "product", "segment", "trigger", "alarms")} == {
        "decision": yes.id,
        "attempt": "1",
        "product": "houses",
        "segment": "bath",
        "trigger": "data drift",
        "alarms": alarm,
    }
    assert told["reason"] == "2026-01-20: data drift: price is 1.5 sd higher"
    assert after == [[], [], []]
    champion = Archive(daemon.settings.home).ledger.champion("houses", "bath")
    assert champion is not None
    assert champion.version == 2


def test_a_run_that_fails_is_asked_for_thrice_and_then_not_before_the_cooldown_is_over(daemon: Daemon):
    judged(daemon.settings, "2026-01-20")
    daemon.fails = True

    keys = [request.run_key for _ in range(6) for request in daemon.tick()]

    [yes, *noes] = stored_decisions(daemon.settings.home, "houses")
    assert keys == [f"{yes.id} attempt {attempt}" for attempt in (1, 2, 3)]
    assert noes[-1].reasons[0].startswith("all 3 runs of the last training failed; cooldown until ")


def test_a_run_that_succeeds_at_last_ends_it(daemon: Daemon):
    judged(daemon.settings, "2026-01-20")
    daemon.fails = True
    daemon.tick()
    daemon = restarted(daemon)
    daemon.fails = False

    [request] = daemon.tick()

    assert (request.run_key or "").endswith(" attempt 2")
    assert restarted(daemon).tick() == []


def test_who_was_killed_between_deciding_and_asking_loses_nothing(daemon: Daemon):
    judged(daemon.settings, "2026-01-20")
    decide(daemon.settings)

    [request] = daemon.tick()

    assert request.partition_key == f"bath|{THIRD}"
    assert restarted(daemon).tick() == []


def test_who_was_killed_between_asking_and_submitting_is_followed_with_the_same_key(daemon: Daemon):
    judged(daemon.settings, "2026-01-20")
    [lost] = daemon.asked()

    at_once, later = restarted(daemon, patient=False).asked(), restarted(daemon).tick()

    assert at_once == []  # another daemon may be about to submit it
    assert [request.run_key for request in later] == [lost.run_key]
    assert daemon.runs(lost.run_key or "") == 1


@pytest.mark.parametrize(
    ("status", "tags", "again"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, {}, " attempt 1"),
        (dg.DagsterRunStatus.STARTING, {}, None),
        (dg.DagsterRunStatus.STARTED, {}, None),
        (dg.DagsterRunStatus.CANCELING, {}, None),
        (dg.DagsterRunStatus.CANCELED, {}, None),
        (dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "true"}, None),
        (dg.DagsterRunStatus.FAILURE, {"dagster/will_retry": "false"}, " attempt 2"),
    ],
)
def test_the_state_of_its_run_says_whether_it_is_asked_for_again(
    daemon: Daemon, status: dg.DagsterRunStatus, tags: dict[str, str], again: str | None
):
    judged(daemon.settings, "2026-01-20")
    [lost] = daemon.asked()
    run_tags = {**lost.tags, "dagster/run_key": lost.run_key or "", "dagster/partition/segment": "bath", **tags}
    create_run_for_test(daemon.instance, job_name=JOB, status=status, tags=run_tags)

    requests = restarted(daemon).asked()

    assert [(request.run_key or "")[64:] for request in requests] == ([again] if again else [])


def test_every_decision_is_told_once_in_a_table_whoever_tells_it(daemon: Daemon):
    judged(daemon.settings, "2026-01-20", state="ok")
    decide(daemon.settings)  # by one that was killed before it could tell
    daemon.tick()
    judged(daemon.settings, "2026-01-20")
    acted(daemon.settings, "pause", "audit | of streets")
    for each in (daemon, restarted(daemon), daemon, restarted(daemon)):
        each.tick()

    decisions = stored_decisions(daemon.settings.home, "houses")
    told = daemon.told()
    assert [made.metadata["decision"].value for made in told] == [decision.id for decision in decisions]
    assert [made.metadata["answer"].value for made in told] == ["no", "no"]
    assert told[-1].metadata["reasons"].value == "paused: audit | of streets"
    assert told[-1].metadata["times"].value.endswith("none is repaired yet")  # type: ignore[union-attr]
    _, _, newest, oldest = str(told[-1].metadata["decisions"].value).splitlines()
    assert newest.endswith("| bath | no | data drift | paused: audit \\| of streets |")
    assert oldest.endswith("| bath | no |  | no open alarm |")


def test_segments_are_decided_on_their_own(daemon: Daemon):
    """York has a verdict, but no champion."""
    judged(daemon.settings, "2026-01-20", town="york")
    judged(daemon.settings, "2026-01-20", stage=Stage.PERFORMANCE, kind="concept")
    judged(daemon.settings, "2026-01-20", state="ok")

    requests = daemon.tick()

    assert [request.partition_key for request in requests] == [f"bath|{THIRD}"]
    assert {decision.segment for decision in stored_decisions(daemon.settings.home, "houses")} == {"bath"}


def test_evidence_that_is_mended_is_read_again_without_a_restart(daemon: Daemon):
    record = judged(daemon.settings, "2026-01-20")
    path = daemon.settings.home / "records" / record[:2] / record
    whole = path.read_bytes()
    path.write_bytes(whole + b" ")
    with pytest.raises(BrokenEvidence, match=record):
        daemon.asked()

    path.write_bytes(whole)

    assert len(daemon.asked()) == 1


def test_who_asked_by_hand_goes_with_the_training_so_that_they_cannot_approve_it(daemon: Daemon):
    judged(daemon.settings, "2026-01-20", state="ok")
    acted(daemon.settings, "retrain", "new prices")

    [request] = daemon.asked()

    assert request.tags["mlops_assets/asked_by"] == '["jo"]'
