"""Labels in the graph: `<product>/source` -> `<product>/annotations`."""

import dagster as dg

from mlops_assets.annotations.step import AnnotationsStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.wiring import Look, dep, segments_by_window, step_asset

CHECKS = {
    "source_is_as_declared": "The source can be read, has rows, and its header is the one that was first seen.",
    "labels_are_known": "Every label is one of the declared or first seen classes, or a number in a regression.",
    "labels_are_confident": "At least 90% of the labels have a confidence of 0.90 or more; ties are not guessed.",
    "label_shares_are_steady": "Label shares have not shifted against the window before (warns).",
}


def annotations_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with one label per item: its annotators, confidence and since when it is known."""
    look = Look(
        description=f"Labels `{product.label.column}` by item, with annotators, confidence and known-since time.",
        kinds=frozenset({"polars"}),
    )
    deps = [dep(product, "source")]
    if product.windows:
        deps.append(dep(product, Stage.PREDICTIONS, dg.TimeWindowPartitionMapping()))
    return step_asset(
        AnnotationsStep,
        product,
        Stage.ANNOTATIONS,
        look,
        deps=deps,
        checks=CHECKS,
        partitions=segments_by_window(product),
    )
