"""The seal sensor (closed windows of traffic) and the retrain sensor (stored decisions)."""

from datetime import UTC, datetime

import dagster as dg
import msgspec

from mlops_assets.monitoring.decisions import RetrainDecision
from mlops_assets.monitoring.follow import sealable
from mlops_assets.monitoring.loop_state import decide_segment
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import UnresolvedAssetJobDefinition, fresh_key

EVERY_S = 2  # less than the 5 s in which the daemon looks at its sensors: each time that it does
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def seal_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each closed window with traffic or outcomes that are not sealed yet."""

    @dg.sensor(
        name=f"{product.name}_seal",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows closed windows of live traffic: seal, profile, judge; again when outcomes come in.",
    )
    def seal(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        busy = _under_way(context.instance, job.name, "dagster/partition")
        settled = msgspec.json.decode(context.cursor or "{}", type=dict[str, str])
        found, settled = sealable(product, load_settings(), datetime.now(UTC), settled)
        keys = {p: fresh_key(context.instance, job.name, f"{p} {version}") for p, version in found if p not in busy}
        requests = [dg.RunRequest(partition_key=p, run_key=key) for p, key in keys.items() if key is not None]
        return dg.SensorResult(run_requests=requests, cursor=msgspec.json.encode(settled).decode())

    return seal


def retrain_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that decides for each segment, stores the decision, and asks for a training if it is a yes."""

    @dg.sensor(
        name=f"{product.name}_retrain",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Decides whether to retrain; every decision is stored with its reasons (mlops-assets why).",
    )
    def retrain(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        busy = _under_way(context.instance, job.name, "dagster/partition/segment")
        decided = [
            decide_segment(product, load_settings(), s, datetime.now(UTC), running=s in busy) for s in product.segments
        ]
        decisions = [decision for decision in decided if decision is not None]
        requests = [_request(decision) for decision in decisions if decision.retrain]
        said = "; ".join(f"{each.segment}: {', '.join(each.reasons)}" for each in decisions)
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else said or "nothing judged yet")

    return retrain


def _under_way(instance: dg.DagsterInstance, job: str, tag: str) -> set[str]:
    """Return what a tag says of the job's runs that wait or run; one that was never submitted is asked for again."""
    return {run.tags.get(tag, "") for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY))}


def _request(decision: RetrainDecision) -> dg.RunRequest:
    return dg.RunRequest(
        partition_key=f"{decision.segment}|{decision.target}",
        run_key=decision.id,
        tags={"mlops_assets/decision": decision.id, "mlops_assets/reason": "; ".join(decision.reasons)[:500]},
    )
