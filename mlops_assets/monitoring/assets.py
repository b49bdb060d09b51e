"""Monitoring in the graph: `<product>/predictions` -> `profile` -> `drift`, and `performance` on matured labels."""

import shutil
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import msgspec
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from mlops_assets.chart import as_markdown
from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import Step
from mlops_assets.monitoring.drawn import (
    distances_table,
    judged,
    moved,
    pictures,
    quality_plot,
    quantiles_table,
    verdicts,
    with_scores,
)
from mlops_assets.monitoring.page_read import write_page
from mlops_assets.monitoring.performance import Quality
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.plots import verdict_timeline
from mlops_assets.monitoring.shown import tables
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.monitoring.tracked import track
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.training.tracking import MlflowTracker
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
        then=_profiled,
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
        deps=[dep(product, Stage.PREDICTIONS), dep(product, Stage.ANNOTATIONS, _window_of_data(product))],
        checks={
            "reaches_floor": "The gate's metric is at or above its floor, once enough labels are in (warns).",
            "no_concept_drift": "Loss is as on held-out rows, once enough labels are in (warns: asks for retraining).",
        },
        partitions=segments_by_window(product, monitored=True),
        then=_measured,
    )


def _window_of_data(product: ModelProduct) -> dg.PartitionMapping:
    """Return which window of data holds a monitoring window; traffic goes on after the last one, and has none."""
    if product.windows is None:
        return dg.AllPartitionMapping()
    return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)


def _measured(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Show each metric with its maturity, and write those of a matured window onto its version's MLflow run."""
    shown = {name: dg.MetadataValue.md(table) for name, table in tables(step.archive, held).items()}
    plot = as_markdown(quality_plot(step.archive, step.product, held.record.place.partition), "quality over time")
    shown |= {"quality over time": dg.MetadataValue.md(plot), **_page(context, step, held)}
    quality = msgspec.json.decode(step.archive.data(held, "quality"), type=Quality)
    tracker = MlflowTracker(step.settings.mlflow_uri)
    written = track(tracker, step.archive.ledger, step.product, held, quality)
    return Told(metadata={**shown, "mlflow": dg.MetadataValue.text(written)})


def _profiled(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Show the window's quantiles, and offer its whylogs profile."""
    stored = step.archive.home / held.file("whylogs").address
    shown = dg.MetadataValue.md(quantiles_table(step.archive, held))
    offered = _downloads(context.instance, "profile", stored, held.record.place)
    return Told(metadata={"quantiles": shown, "whylogs profile": dg.MetadataValue.path(stored), **offered})


def _drawn(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Draw the columns that moved, the scores and the verdicts so far, and write the window's page."""
    found = judged(step.archive, held)
    columns = with_scores(moved(found), found.reference)
    before = verdicts(step.archive, step.product, held.record.place.partition)
    drawn = {
        **{f"plot: {column}": svg for column, svg in pictures(step.archive, found, columns).items()},
        "verdicts": verdict_timeline(before),
    }
    shown = {name: dg.MetadataValue.md(as_markdown(svg, name)) for name, svg in drawn.items()}
    table = dg.MetadataValue.md(distances_table(found))
    return Told(metadata={**shown, "distances": table, **_page(context, step, held)})


def _page(context: dg.AssetExecutionContext, step: Step, held: Held) -> dict[str, dg.MetadataValue]:
    """Write the page of a record's window, and return where it is; a window without a verdict has none."""
    place = msgspec.structs.replace(held.record.place, stage=str(Stage.DRIFT))
    if step.archive.head(place) is None:
        return {}
    page = write_page(step.settings, step.archive, step.product, place.partition)
    return {"page": dg.MetadataValue.path(page), **_downloads(context.instance, "page", page, place)}


def _downloads(instance: dg.DagsterInstance, name: str, file: Path, place: Place) -> dict[str, dg.MetadataValue]:
    """Return the link under which Dagster's UI gives out a file; none if its logs are kept elsewhere than on disk.

    The UI sends nothing but files in the folder of its logs, and follows no symbolic link out of it.
    """
    logs, ending = instance.compute_log_manager, file.suffix.removeprefix(".")
    key = ["mlops_assets", place.product, place.stage, place.partition]
    if not isinstance(logs, LocalComputeLogManager):
        return {}
    _put(file, Path(logs.get_captured_local_path(key, ending)))
    url = "/".join(["/logs", *(quote(part, safe="") for part in key), ending])
    return {f"download {name}": dg.MetadataValue.url(url)}


def _put(file: Path, there: Path) -> None:
    """Let `there` be the same file, so that it takes no room, or a copy of it on another disk."""
    there.parent.mkdir(parents=True, exist_ok=True)
    there.unlink(missing_ok=True)
    try:
        there.hardlink_to(file)
    except FileExistsError:  # put there by another run in the meantime
        pass
    except OSError:
        shutil.copyfile(file, there)
