"""The alerts sensor: one per deployment; it looks at what changed and tells what is new."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.alerting.look import look
from mlops_assets.alerting.notifier import AppriseNotifier
from mlops_assets.alerting.resources import DagsterInstance
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings

EVERY_S = 30


def alerts_sensor(products: Sequence[ModelProduct]) -> dg.SensorDefinition:
    """Return the sensor `alerts`, which asks for no run: drift, failures and stalls of `products` go to people."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells people what needs them, once; MLOPS_ASSETS_ALERTS says where. mlops-assets alerts lists it.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings = load_settings()
        dagster = DagsterInstance(context.instance, [product.name for product in products])
        return dg.SkipReason(look(settings, products, dagster, AppriseNotifier(settings.alerts), datetime.now(UTC)))

    return alerts
