"""The retrain sensor: stored decisions, and the trainings that they ask for."""

from datetime import UTC, datetime

import dagster as dg

from mlops_assets.product import ModelProduct
from mlops_assets.retraining.decisions import RetrainDecision
from mlops_assets.retraining.loop_state import decide_segment
from mlops_assets.settings import load_settings
from mlops_assets.wiring import EVERY_S, UnresolvedAssetJobDefinition, under_way


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
        busy = under_way(context.instance, job.name, "dagster/partition/segment")
        decided = [
            decide_segment(product, load_settings(), s, datetime.now(UTC), running=s in busy) for s in product.segments
        ]
        decisions = [decision for decision in decided if decision is not None]
        requests = [_request(decision) for decision in decisions if decision.retrain]
        said = "; ".join(f"{each.segment}: {', '.join(each.reasons)}" for each in decisions)
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else said or "nothing judged yet")

    return retrain


def _request(decision: RetrainDecision) -> dg.RunRequest:
    return dg.RunRequest(
        partition_key=f"{decision.segment}|{decision.target}",
        run_key=decision.id,
        tags={"mlops_assets/decision": decision.id, "mlops_assets/reason": "; ".join(decision.reasons)[:500]},
    )
