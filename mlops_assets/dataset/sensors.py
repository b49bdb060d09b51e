"""The data sensor: annotations, dataset and features follow the source and the labels that come late."""

from datetime import UTC, datetime
from functools import partial

import dagster as dg

from mlops_assets.asking import run_requests
from mlops_assets.dataset.follow import due
from mlops_assets.evidence.step import NotReady
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import EVERY_S


def data_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each window whose rows or labels are new, once its labels are due.

    It has no cursor to lose: what it need not look into again is noted beside the evidence.
    """

    @dg.sensor(
        name=f"{product.name}_data",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows the source and late labels: one run per window that has something new.",
    )
    def data(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        try:
            requests = run_requests(context.instance, job.name, partial(due, product, load_settings(), now), now)
        except NotReady as problem:
            return dg.SkipReason(str(problem))
        return dg.SensorResult(run_requests=requests)

    return data
