"""What is read from real Dagster instances: runs that failed for good, sensors, daemons and freshness."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from mlops_assets.alerting.resources import DagsterInstance
from mlops_assets.alerting.runs import TAKEN_UP, Run, Runs, followed, run_alerts, settled
from mlops_assets.alerting.sensors import alerts_sensor
from mlops_assets.definitions import build
from mlops_assets_tests.houses import HOUSES, deployment
from mlops_assets_tests.tiny import Tiny

NOW = datetime.now(UTC)
BATH = "bath|2026-01-05"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster with its storage in memory."""
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster with its storage on disk: only there are sensors and their ticks kept."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def job(
    instance: dg.DagsterInstance, problem: str | None, *, run_key: str | None = None, name: str = "houses_seal"
) -> str:
    """Execute a run of a job for a partition of Bath, which fails of `problem` if there is one, and return its id."""

    @dg.op
    def work() -> None:
        if problem:
            try:
                raise ValueError(problem)
            except ValueError as error:
                raise dg.Failure("the step failed") from error

    @dg.job(name=name)
    def made() -> None:
        work()

    tags = {"dagster/partition": BATH, **({"dagster/run_key": run_key} if run_key else {})}
    return made.execute_in_process(instance=instance, raise_on_error=False, tags=tags).run_id


def follow(instance: dg.DagsterInstance, before: Runs) -> Runs:
    dagster = DagsterInstance(instance, ["houses"])
    return followed(before, *dagster.runs(before.newest, before.under_way))


def told(runs: Runs, *, after: timedelta = timedelta(0)) -> list[str]:
    now = datetime.now(UTC) + after
    return [found.alert.words for found in run_alerts(settled(runs, now), "houses", set(), "http://ui")]


def test_a_failed_run_is_told_with_its_innermost_reason_and_mended_by_a_later_success(instance: dg.DagsterInstance):
    other = job(instance, "not ours", name="somebody_elses")
    run = job(instance, "the ledger is broken")

    failed = follow(instance, Runs())
    [found] = run_alerts(failed, "houses", set(), "http://ui")
    job(instance, None)
    mended = follow(instance, failed)

    assert found.alert.words == f"houses_seal failed for {BATH}: work: the ledger is broken"
    assert (found.alert.segment, found.alert.link) == ("bath", f"http://ui/runs/{run}")
    assert other not in failed.failed
    assert told(mended) == []


def test_a_run_that_will_be_asked_for_again_is_told_after_its_last_attempt_or_when_nobody_did(
    instance: dg.DagsterInstance,
):
    job(instance, "no", run_key="bath x attempt 1")
    first = follow(instance, Runs())
    job(instance, "no", run_key="bath x attempt 2")
    second = follow(instance, first)
    job(instance, "never", run_key="bath x attempt 3")
    third = follow(instance, second)

    assert [told(first), told(second)] == [[], []]
    assert told(second, after=TAKEN_UP) == [f"houses_seal failed for {BATH}: work: no"]
    assert told(third) == [f"houses_seal failed for {BATH}: work: never"]


def test_what_failed_for_good_and_is_tried_once_more_in_vain_stays_told(instance: dg.DagsterInstance):
    job(instance, "no", run_key="bath x attempt 3")
    job(instance, "still no", run_key="bath y attempt 1")

    assert told(follow(instance, Runs())) == [f"houses_seal failed for {BATH}: work: still no"]


def test_a_failure_that_a_failed_check_explains_is_not_told_twice(instance: dg.DagsterInstance):
    job(instance, "no")

    assert list(run_alerts(follow(instance, Runs()), "houses", {BATH}, "http://ui")) == []


def test_a_run_under_way_is_looked_at_again_until_it_ends(instance: dg.DagsterInstance):
    run = instance.create_run_for_job(_nothing, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": BATH})

    waiting = follow(instance, Runs())
    instance.report_run_failed(run, "The process that executed this run was killed.")
    ended = follow(instance, waiting)

    assert waiting.under_way == (run.run_id,)
    assert (ended.under_way, told(ended)) == (
        (),
        [f"houses_seal failed for {BATH}: run: The process that executed this run was killed."],
    )


def test_deleted_runs_do_not_stop_the_reading(instance: dg.DagsterInstance):
    first = job(instance, None)
    read = follow(instance, Runs())
    instance.delete_run(first)
    job(instance, "no")

    assert len(told(follow(instance, read))) == 1


def test_an_older_failure_that_ends_late_does_not_hide_a_newer_one():
    newer = Run(id="b", order=2, product="houses", job="j", partition=None, state="failed", problem="newer")
    older = Run(id="a", order=1, product="houses", job="j", partition=None, state="failed", problem="older")

    runs = followed(followed(Runs(), [newer], "b"), [older], None)

    assert told(runs) == ["j failed: newer"]


@dg.op
def _work() -> None: ...


@dg.job(name="houses_seal")
def _nothing() -> None:
    _work()


def test_a_decision_has_a_run_once_one_carries_its_tag(instance: dg.DagsterInstance):
    dagster = DagsterInstance(instance, ["houses"])
    before = dagster.launched("d1")
    instance.create_run_for_job(_nothing, tags={"mlops_assets/decision": "d1"})

    assert (before, dagster.launched("d1"), dagster.launched("d2")) == (False, True, False)


def sensor(
    instance: dg.DagsterInstance, name: str, status: InstigatorStatus, ticked: datetime | None
) -> InstigatorState:
    """Store what a daemon stores of a sensor; without `ticked`, its last tick failed."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="mlops_assets.definitions"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = SensorInstigatorData(
        last_tick_timestamp=time.time(),
        min_interval=2,
        last_sensor_start_timestamp=(NOW - timedelta(days=2)).timestamp(),
        last_tick_success_timestamp=ticked.timestamp() if ticked else None,
    )
    state = InstigatorState(origin, InstigatorType.SENSOR, status, data)
    instance.add_instigator_state(state)
    return state


def tick(
    instance: dg.DagsterInstance, state: InstigatorState, status: TickStatus, at: datetime, error: str = ""
) -> None:
    instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            selector_id=state.selector_id,
            instigator_name=state.instigator_name,
            instigator_type=InstigatorType.SENSOR,
            status=status,
            timestamp=at.timestamp(),
            error=SerializableErrorInfo(error, [], None) if error else None,
        )
    )


def test_sensors_are_read_with_their_last_good_tick_and_what_the_last_bad_one_said(stored: dg.DagsterInstance):
    hour = timedelta(hours=1)
    sensor(stored, "houses_data", InstigatorStatus.DECLARED_IN_CODE, NOW)
    sensor(stored, "houses_retrain", InstigatorStatus.STOPPED, NOW - hour)
    failing = sensor(stored, "houses_seal", InstigatorStatus.DECLARED_IN_CODE, None)
    tick(stored, failing, TickStatus.SKIPPED, NOW - hour)
    tick(stored, failing, TickStatus.FAILURE, NOW, "BrokenEvidence: ledger.jsonl:3: changed\n")
    sensor(stored, "flats_seal", InstigatorStatus.STOPPED, NOW)

    found = {each.name: each for each in DagsterInstance(stored, ["houses"]).sensors("houses")}

    assert set(found) == {"houses_data", "houses_retrain", "houses_seal"}
    assert (found["houses_data"].off, found["houses_data"].ticked) == (False, NOW)
    assert found["houses_retrain"].off
    seal = found["houses_seal"]
    assert (seal.ticked, seal.problem) == (NOW - hour, "BrokenEvidence: ledger.jsonl:3: changed")


def test_an_asset_is_overdue_when_dagsters_freshness_says_so(instance: dg.DagsterInstance):
    dagster, key = DagsterInstance(instance, ["houses"]), dg.AssetKey(["houses", "profile"])
    instance.report_runless_asset_event(dg.AssetMaterialization(key))

    for state in (FreshnessState.PASS, FreshnessState.FAIL):  # what the freshness daemon reports when a state changes
        before = dagster.overdue("houses")
        instance._report_runless_asset_event(
            FreshnessStateChange(
                key=key, new_state=state, previous_state=FreshnessState.UNKNOWN, state_change_timestamp=time.time()
            )
        )
    [found] = dagster.overdue("houses")

    assert before == []
    assert found.stage == "profile"
    assert found.materialized is not None
    assert found.materialized.date() == datetime.now(UTC).date()


def test_daemons_that_are_needed_are_read_with_their_heartbeats(instance: dg.DagsterInstance):
    for name in ("SENSOR", "RETIRED"):
        instance.add_daemon_heartbeat(DaemonHeartbeat(NOW.timestamp(), name, None, []))

    found = DagsterInstance(instance, ["houses"]).heartbeats()

    assert found == ({"SENSOR": NOW} if "SENSOR" in instance.get_required_daemon_types() else {})


def test_an_instance_in_memory_has_no_sensors_to_tell_of(instance: dg.DagsterInstance):
    dagster = DagsterInstance(instance, ["houses"])

    assert (dagster.sensors("houses"), dagster.overdue("houses")) == ([], [])


def test_a_deployment_has_one_alerts_sensor_that_is_on_and_asks_for_no_run(tiny_product: Tiny):
    definition = build(tiny_product.settings).resolve_sensor_def("alerts")

    assert definition.default_status == dg.DefaultSensorStatus.RUNNING
    assert definition.targets == []


def test_a_tick_of_the_sensor_looks_and_says_what_came_of_it(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    settings = deployment(tmp_path)
    monkeypatch.setenv("MLOPS_ASSETS_HOME", str(settings.home))
    job(instance, "no")

    data = alerts_sensor([HOUSES]).evaluate_tick(dg.build_sensor_context(instance=instance))

    assert (data.run_requests, data.skip_message) == ([], "1 open, 1 new, 0 over")
