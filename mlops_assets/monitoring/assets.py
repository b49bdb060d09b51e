"""Monitoring in the graph: `<product>/predictions` -> `profile` -> `drift`, and `performance` on matured labels."""

from base64 import b64encode

import dagster as dg

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.step import Step
from mlops_assets.monitoring.drawn import drawings
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.wiring import Look, Told, dep, overdue_after, segments_by_window, step_asset


def profile_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with each window's whylogs profile and exact counts over the champion's bins."""
    return step_asset(
        ProfileStep,
        product,
        Stage.PROFILE,
        Look(
            description="What serving saw: a whylogs profile and exact counts over the champion's bins.",
            kinds=frozenset({"whylogs"}),
            fresh_for=overdue_after(product.grid, product.monitor.grace),
        ),
        deps=[dep(product, Stage.PREDICTIONS)],
        checks={"rows_are_the_logs": "The profile counts as many rows as the sealed log holds."},
        partitions=segments_by_window(product, monitored=True),
    )


def drift_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with each window's verdict (ok, drift, cannot tell) and the smallest shift it could see."""
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
        then=_drawn,
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
            "no_concept_drift": "Loss is as on held-out rows, once enough labels are in (warns: asks for retraining).",
        },
        partitions=segments_by_window(product, monitored=True),
    )


def _drawn(_: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Draw the columns that moved, reference against live; a window that is as usual needs no picture."""
    counted = held.record.inputs[0].record
    pictures = drawings(step.archive, held, counted) if held.record.facts["kind"] != "schema" else {}
    shown = {
        f"plot: {column}": dg.MetadataValue.md(f"![{column}](data:image/png;base64,{b64encode(png).decode()})")
        for column, png in pictures.items()
    }
    return Told(metadata=shown)
