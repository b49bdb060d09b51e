"""Model inputs in the graph: `<product>/dataset` -> `<product>/features`."""

import dagster as dg

from mlops_assets.features.step import ROW_LOCAL, FeaturesStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.wiring import Look, dep, overdue_after, segments_by_window, step_asset

CHECKS = {
    ROW_LOCAL: "Each row's features are the same alone as in the batch; otherwise the endpoint could not compute them.",
    "features_are_usable": "Every feature is a number or text, not all null, and has no infinite value.",
    "rows_are_kept": "There is exactly one row of features for each row of the dataset.",
}


def features_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with the model's inputs, made by the function that the endpoint runs too."""
    return step_asset(
        FeaturesStep,
        product,
        Stage.FEATURES,
        Look(
            description="What the model sees, row by row: the same expressions run in the endpoint.",
            kinds=frozenset({"polars"}),
            fresh_for=overdue_after(product.windows, product.label.delay),
        ),
        deps=[dep(product, Stage.DATASET)],
        checks=CHECKS,
        partitions=segments_by_window(product),
    )
