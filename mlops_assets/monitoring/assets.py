"""Monitoring in the graph: `<product>/predictions` -> `profile` -> `drift`, and `performance` on matured labels."""

import dagster as dg

from mlops_assets.monitoring.steps import DriftStep, PerformanceStep, ProfileStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.wiring import Look, dep, segments_by_window, step_asset


def profile_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with each window's whylogs profile and exact counts over the champion's bins."""
    return step_asset(
        ProfileStep,
        product,
        Stage.PROFILE,
        Look(
            description="What serving saw: a whylogs profile and exact counts over the champion's bins.",
            kinds=frozenset({"whylogs"}),
        ),
        deps=[dep(product, Stage.PREDICTIONS)],
        checks={"rows_are_the_logs": "The profile counts as many rows as the sealed log holds."},
        partitions=segments_by_window(product, monitored=True),
    )


def drift_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with the verdict on each window: ok, drift or cannot tell, and the smallest shift it would have seen."""
    return step_asset(
        DriftStep,
        product,
        Stage.DRIFT,
        Look(
            description="Ok, drift or cannot tell: inputs and predictions against the champion's reference windows.",
            kinds=frozenset({"whylogs"}),
        ),
        deps=[dep(product, Stage.PROFILE)],
        checks={"no_drift": "The window is like the champion's reference windows (warns: it asks for retraining)."},
        partitions=segments_by_window(product, monitored=True),
    )


def performance_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with quality on matured labels, and the verdict on the relation between inputs and labels."""
    return step_asset(
        PerformanceStep,
        product,
        Stage.PERFORMANCE,
        Look(
            description="Quality on the labels that have come in, with the share that has, and concept drift.",
            kinds=frozenset({"polars"}),
        ),
        deps=[dep(product, Stage.PREDICTIONS)],
        checks={
            "reaches_floor": "The gate's metric is at or above its floor, once enough labels are in (warns).",
            "no_concept_drift": "Loss is as on held-out rows, once enough labels are in (warns: it asks for retraining).",
        },
        partitions=segments_by_window(product, monitored=True),
    )
