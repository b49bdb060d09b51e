"""What Dagster's instance says of runs, sensors, daemons and freshness, in plain structs."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.events import JobFailureData
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData, TickStatus

from mlops_assets.alerting.automation import Overdue, Sensor
from mlops_assets.alerting.runs import Run, State
from mlops_assets.asking import ATTEMPTS, RUN_KEY
from mlops_assets.evidence.ledger import stamp
from mlops_assets.product import Stage

PAGE = 10_000  # runs read at a look; the first one begins with the newest that many
SENSORS = ("data", "seal", "retrain")
JOBS = (*SENSORS, "deploy", "decide", "approve", "costs")
ENDED: dict[dg.DagsterRunStatus, State] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "canceled",
}


class DagsterInstance:
    """An `Orchestrator` over Dagster's own storage."""

    def __init__(self, instance: dg.DagsterInstance, products: Sequence[str]) -> None:
        """Read `instance`; runs of other jobs than those of `products` are no concern."""
        self._instance = instance
        self._jobs = {f"{product}_{job}": product for product in products for job in JOBS}

    def runs(self, newest: str | None, under_way: Sequence[str]) -> tuple[list[Run], str | None]:
        """Return the runs after `newest` and those `under_way`, as they are now, and the newest one seen.

        Runs are followed in the order in which they were stored, not by a clock that may step back.
        """
        known = newest if newest and self._instance.has_run(newest) else None  # deleted: they are read anew
        new = self._instance.get_run_records(limit=PAGE, ascending=known is not None, cursor=known)
        records = list(new)
        if under_way:
            records += self._instance.get_run_records(dg.RunsFilter(run_ids=list(under_way)))
        found = [run for record in records if (run := self._run(record)) is not None]
        last = max(new, key=lambda record: record.storage_id, default=None)
        return found, last.dagster_run.run_id if last else known

    def launched(self, decision: str) -> bool:
        """Return whether a run was ever started for a decision."""
        return bool(self._instance.get_runs(dg.RunsFilter(tags={"mlops_assets/decision": decision}), limit=1))

    def sensors(self, product: str) -> list[Sensor]:
        """Return the product's sensors that a daemon knows."""
        if self._instance.schedule_storage is None:
            return []
        names = {f"{product}_{name}" for name in SENSORS}
        states = self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        return [self._sensor(state) for state in states if state.instigator_name in names]

    def overdue(self, product: str) -> list[Overdue]:
        """Return the product's assets that are overdue, as the freshness daemon last found."""
        keys = {dg.AssetKey([product, stage]): stage for stage in Stage}
        records = self._instance.get_freshness_state_records(list(keys))
        late = [key for key, record in records.items() if record.freshness_state == FreshnessState.FAIL]
        return [Overdue(stage=keys[key], materialized=self._materialized(key)) for key in late]

    def heartbeats(self) -> dict[str, datetime]:
        """Return when each daemon that is needed was last heard."""
        needed = self._instance.get_required_daemon_types()
        beats = self._instance.get_daemon_heartbeats().items()
        return {name: _at(beat.timestamp) for name, beat in beats if name in needed}

    def _run(self, record: dg.RunRecord) -> Run | None:
        run = record.dagster_run
        if run.job_name not in self._jobs:
            return None
        state = ENDED.get(run.status, "under way")
        return Run(
            id=run.run_id,
            order=record.storage_id,
            product=self._jobs[run.job_name],
            job=run.job_name,
            partition=run.tags.get("dagster/partition"),
            state=state,
            ended=stamp(_at(record.end_time)) if record.end_time else None,
            last=_is_last(run),
            problem=self._problem(run.run_id) if state == "failed" else "",
        )

    def _problem(self, run_id: str) -> str:
        """Return what a run failed of, as its innermost cause says it, without the stack."""
        for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE):
            for record in self._instance.get_records_for_run(run_id, of_type=kind, limit=1).records:
                event = record.event_log_entry.dagster_event
                if event is None:
                    continue
                data = event.event_specific_data  # a run that was reported failed has none
                error = data.error if isinstance(data, StepFailureData | JobFailureData) else None
                while error is not None and error.cause is not None:
                    error = error.cause
                said = error.message.strip().partition(": ")[2] if error else event.message or ""
                return f"{(event.step_key or 'run').rpartition('__')[2]}: {said}"[:500]
        return ""

    def _sensor(self, state: InstigatorState) -> Sensor:
        data = state.instigator_data
        ticked, problem = None, ""
        if isinstance(data, SensorInstigatorData):
            good = data.last_tick_success_timestamp
            if good is None:  # the last tick failed, or one is under way
                good, problem = self._ticks(state)
            ticked = max(good or 0.0, data.last_sensor_start_timestamp or 0.0)
        return Sensor(
            name=state.instigator_name,
            off=state.status == InstigatorStatus.STOPPED,
            ticked=_at(ticked) if ticked else None,
            problem=problem,
        )

    def _ticks(self, state: InstigatorState) -> tuple[float | None, str]:
        """Return when a sensor last ticked well, and what its newest tick says if that one failed."""
        origin, selector = state.instigator_origin_id, state.selector_id
        well = [TickStatus.SUCCESS, TickStatus.SKIPPED]
        good = self._instance.get_ticks(origin, selector, limit=1, statuses=well)
        bad = self._instance.get_ticks(origin, selector, limit=1, statuses=[TickStatus.FAILURE])
        error = bad[0].error if bad and (not good or bad[0].timestamp > good[0].timestamp) else None
        return good[0].timestamp if good else None, error.message.strip()[:500] if error else ""

    def _materialized(self, key: dg.AssetKey) -> datetime | None:
        event = self._instance.get_latest_materialization_event(key)
        return _at(event.timestamp) if event else None


def _is_last(run: dg.DagsterRun) -> bool:
    """Return whether nobody will soon ask for a run again: no sensor asked for it, or it has done so often enough."""
    key = run.tags.get(RUN_KEY)
    numbered = re.search(r" attempt (\d+)$", key or "")
    return key is None or (numbered is not None and int(numbered[1]) >= ATTEMPTS)


def _at(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=UTC)
