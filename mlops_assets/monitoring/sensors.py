"""The seal sensor: closed windows of live traffic are sealed, profiled and judged."""

from collections.abc import Collection, Generator
from datetime import datetime

import dagster as dg

from mlops_assets.asking import AskedFor, follower
from mlops_assets.evidence.step import Due
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.monitoring.follow import sealable
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings
from mlops_assets.wiring import under_way


def seal_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each closed window that is not sealed, or has outcomes or labels that are not."""

    def closed(instance: dg.DagsterInstance, now: datetime) -> AskedFor:
        settings = load_settings()
        scored = under_way(instance, f"{product.name}_scores", "dagster/partition") if product.scores else ()

        def due(busy: Collection[str]) -> Generator[Due]:
            return sealable(product, settings, now, {*busy, *scored})  # whoever scores a window seals it too

        return due

    says = "Follows closed windows of live traffic: seal, profile, judge; again when labels come in."
    return follower(f"{product.name}_seal", job, closed, says)
