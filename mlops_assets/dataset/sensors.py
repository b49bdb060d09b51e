"""The data sensor: annotations, dataset and features follow the source and the labels that come late."""

from datetime import UTC, datetime

import dagster as dg

from mlops_assets.dataset.follow import due
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import EVERY_S, UnresolvedAssetJobDefinition, fresh_key


def data_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each window whose rows or labels are new, once its labels are due."""

    @dg.sensor(
        name=f"{product.name}_data",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows the source and late labels: one run per window that has something new.",
    )
    def data(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            found, cursor = due(product, load_settings(), datetime.now(UTC), context.cursor)
        except NotReady as problem:
            return dg.SkipReason(str(problem))
        keys = {each: fresh_key(context.instance, job.name, f"{each.partition} {each.version}") for each in found}
        requests = [
            dg.RunRequest(partition_key=each.partition, run_key=key, tags={"mlops_assets/reason": each.why})
            for each, key in keys.items()
            if key is not None
        ]
        return dg.SensorResult(run_requests=requests, cursor=cursor)

    return data
