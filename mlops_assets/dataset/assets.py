"""Rows in the graph: `<product>/annotations` and served rows -> `<product>/dataset`."""

import dagster as dg

from mlops_assets.dataset.step import DatasetStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.wiring import Look, dep, segments_by_window, step_asset

CHECKS = {
    "schema": "Every cell has its column's type, range and categories (pandera); failing rows are quarantined.",
    "keys_are_unique": "No key occurs twice; all copies are quarantined.",
    "no_time_leak": "No label was known before its row's time.",
}


def dataset_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with rows joined with labels, as of the newest label's known-since time."""
    deps = [dep(product, Stage.ANNOTATIONS), dep(product, "source")]
    if product.windows:
        deps.append(dep(product, Stage.PREDICTIONS, dg.TimeWindowPartitionMapping()))
    return step_asset(
        DatasetStep,
        product,
        Stage.DATASET,
        Look(
            description="Rows of the source and of live traffic, joined with their labels.",
            kinds=frozenset({"polars", "pandera"}),
        ),
        deps=deps,
        checks=CHECKS,
        partitions=segments_by_window(product),
    )
