"""The scores sensor: windows of the table are scored, sealed and judged by themselves."""

from datetime import datetime
from functools import partial

import dagster as dg

from mlops_assets.asking import AskedFor, follower
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.product import ModelProduct
from mlops_assets.serving.scoring.follow import unscored
from mlops_assets.settings import load_settings


def scores_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each window whose rows in the table are new, once it is over."""

    def new(instance: dg.DagsterInstance, now: datetime) -> AskedFor:
        return partial(unscored, product, load_settings(), now)

    says = "Follows the table: one run per window with new rows scores, seals and judges it."
    return follower(f"{product.name}_scores", job, new, says)
