"""The seal sensor: closed windows of live traffic are sealed, profiled and judged."""

from datetime import UTC, datetime

import dagster as dg
import msgspec

from mlops_assets.monitoring.follow import sealable
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import EVERY_S, UnresolvedAssetJobDefinition, fresh_key, under_way


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
        busy = under_way(context.instance, job.name, "dagster/partition")
        settled = msgspec.json.decode(context.cursor or "{}", type=dict[str, str])
        found, settled = sealable(product, load_settings(), datetime.now(UTC), settled)
        keys = {p: fresh_key(context.instance, job.name, f"{p} {version}") for p, version in found if p not in busy}
        requests = [dg.RunRequest(partition_key=p, run_key=key) for p, key in keys.items() if key is not None]
        return dg.SensorResult(run_requests=requests, cursor=msgspec.json.encode(settled).decode())

    return seal
