"""The seal sensor: closed windows of live traffic are sealed, profiled and judged."""

from collections.abc import Collection, Generator
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.asking import run_requests
from mlops_assets.evidence.step import Due
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.monitoring.follow import sealable
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import EVERY_S, under_way


def seal_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each closed window that is not sealed, or has outcomes or labels that are not.

    It has no cursor to lose: what it need not look into again is noted beside the evidence.
    """

    @dg.sensor(
        name=f"{product.name}_seal",
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows closed windows of live traffic: seal, profile, judge; again when labels come in.",
    )
    def seal(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now, settings = datetime.now(UTC), load_settings()
        scored = under_way(context.instance, f"{product.name}_scores", "dagster/partition") if product.scores else ()

        def due(busy: Collection[str]) -> Generator[Due]:
            return sealable(product, settings, now, {*busy, *scored})  # whoever scores a window seals it too

        return dg.SensorResult(run_requests=run_requests(context.instance, job.name, due, now))

    return seal
