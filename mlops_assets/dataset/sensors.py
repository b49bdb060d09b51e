"""The data sensor: annotations, dataset and features follow the source and the labels that come late."""

from datetime import datetime
from functools import partial

import dagster as dg

from mlops_assets.asking import AskedFor, follower
from mlops_assets.dataset.follow import due
from mlops_assets.jobs import UnresolvedAssetJobDefinition
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings


def data_sensor(product: ModelProduct, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Return the sensor that asks for each window whose rows or labels are new, once its labels are due."""

    def new(instance: dg.DagsterInstance, now: datetime) -> AskedFor:
        return partial(due, product, load_settings(), now)

    says = "Follows the source and late labels: one run per window that has something new."
    return follower(f"{product.name}_data", job, new, says)
