"""The scores sensor: windows of the table are scored, sealed and judged by themselves."""

from datetime import UTC, datetime
from functools import partial

import dagster as dg

from mlops_assets.asking import run_requests
from mlops_assets.evidence.step import NotReady
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.product import ModelProduct
from mlops_assets.serving.scoring.follow import unscored
from mlops_assets.settings import load_settings
from mlops_assets.wiring import EVERY_S


def scores_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each window whose rows in the table are new, once it is over.

    It has no cursor to lose: what it need not look into again is noted beside the evidence.
    """

    @dg.sensor(
        name=f"{product.name}_scores",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows the table: one run per window with new rows scores, seals and judges it.",
    )
    def scores(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        try:
            due = partial(unscored, product, load_settings(), now)
            return dg.SensorResult(run_requests=run_requests(context.instance, job.name, due, now))
        except NotReady as problem:
            return dg.SkipReason(str(problem))

    return scores
