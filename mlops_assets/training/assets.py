"""Training in the graph: `<product>/features` of the last windows -> `<product>/model`, one MLflow run each."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.chart import as_markdown
from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.step import Step, parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import TRAINERS
from mlops_assets.training.compute import gpu_pool, largest, pod_tags
from mlops_assets.training.pictures.windows_plot import held_out_facts, points, windows_plot
from mlops_assets.training.plan import plan_of
from mlops_assets.training.report import origin_tags, report
from mlops_assets.training.resources import KEY, end_mlflow_on_run_finished
from mlops_assets.training.shown import Shown, shown
from mlops_assets.training.step import ModelStep
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Events, Look, Platform, Told, check_specs, dep, events, partition_of, segments_by_window

CHECKS = {
    "reaches_floor": "The gate's metric reaches its floor on held-out rows (warns: a weak model is kept for a look).",
    "trained_on_named_rows": "The rows read are exactly those that the record names.",
}


def model_asset(product: ModelProduct, gpu_nodes: Mapping[str, str]) -> dg.AssetsDefinition:
    """Return the asset that trains `product`: one model per segment and window on the last windows.

    On Kubernetes, a training with a GPU runs on nodes with the labels `gpu_nodes`.

    The dagster-mlflow hook ends its run FAILED or FINISHED with the step.
    """
    key = dg.AssetKey(product.key(Stage.MODEL))
    partitions = segments_by_window(product)
    back = dg.TimeWindowPartitionMapping(start_offset=1 - product.trainer.windows) if product.windows else None
    trainers = plan_of(product, product.segments[0]).kinds
    look = Look(
        description=f"Predicts `{product.label.column}` with {' or '.join(trainers)}.",
        kinds=frozenset(kind if kind in TRAINERS else "python" for kind in trainers),
    )

    @dg.asset(
        key=key,
        deps=[dep(product, Stage.FEATURES, back)],
        partitions_def=partitions,
        check_specs=check_specs(key, CHECKS, partitions),
        required_resource_keys={KEY, "platform"},
        hooks={end_mlflow_on_run_finished},
        pool=gpu_pool(product),
        op_tags=pod_tags(largest(product), gpu_nodes),
        group_name=product.name,
        owners=list(product.owners),
        kinds=set(look.kinds),
        description=look.description,
    )
    def model(context: dg.AssetExecutionContext) -> Events:
        platform: Platform = context.resources.platform
        yield from events(context, platform.step(ModelStep, product), _publish, first=_begin)

    return model


def _begin(context: dg.AssetExecutionContext, step: Step) -> None:
    """Open the MLflow run of a training before it begins, so that one that fails is shown as FAILED."""
    if step.status(partition_of(context))[0] in ("missing", "stale", "failed"):
        context.resources.mlflow.start(step.product.name)


def _publish(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Show a new model in MLflow and register its version in the ledger, both only once per record; and draw it."""
    product, ledger = step.product, step.archive.ledger
    seen = shown(step.archive, held, product.gate.metric)
    known = next((act for act in ledger.acts(product.name, "register") if act.record == held.id), None)
    if known is None:
        known = ledger.register(_registered(context, step, held, seen))
    drawn = windows_plot(
        points(ledger, product.name, product.gate.metric),
        metric=product.gate.metric,
        floor=product.gate.floor,
        first=known.segment or "",
    )
    return Told(metadata={**_told(step, known), **_numbers(seen), **_pictures({**seen.pictures, "by window": drawn})})


def _told(step: Step, known: Act) -> dict[str, dg.MetadataValue]:
    run_id = str(known.facts["mlflow_run_id"])
    link = MlflowTracker(step.settings.mlflow_uri).link(run_id)
    ui = f"mlflow ui --backend-store-uri {step.settings.mlflow_uri}"
    return {
        "version": dg.MetadataValue.text(f"{step.product.name}@{known.version}"),
        "mlflow_run_id": dg.MetadataValue.text(run_id),
        "mlflow": dg.MetadataValue.url(link) if link else dg.MetadataValue.text(ui),
    }


def _numbers(seen: Shown) -> dict[str, dg.MetadataValue]:
    return {name: dg.MetadataValue.float(value) for name, value in seen.numbers.items()}


def _pictures(pictures: Mapping[str, str]) -> dict[str, dg.MetadataValue]:
    return {f"plot: {name}": dg.MetadataValue.md(as_markdown(svg, name)) for name, svg in pictures.items()}


def _registered(context: dg.AssetExecutionContext, step: Step, held: Held, seen: Shown) -> Act:
    """Log and register a model; a run that was killed while it did so is taken up again, so that it has one run."""
    product, archive, tags = step.product.name, step.archive, context.run.tags
    segment, window = parse(held.record.place.partition)
    tracker = MlflowTracker(step.settings.mlflow_uri)
    run_id = tracker.run_of(product, held.id) or context.resources.mlflow.start(product)
    tracker.log(run_id, report(archive, held, seen, run_id=run_id, tags=_tags(context, step, held)))
    version = tracker.register(product, run_id, record=held.id, segment=segment, window=window)
    tracker.finish(run_id)
    return Act(
        kind="register",
        product=product,
        segment=segment,
        version=version,
        record=held.id,
        by="training",
        reason=tags.get("mlops_assets/reason", "materialized by hand or backfill"),
        at=stamp(datetime.now(UTC)),
        facts={
            "mlflow_run_id": run_id,
            "dagster_run_id": context.run.run_id,
            "decision": tags.get("mlops_assets/decision"),
            "asked_by": json.loads(tags.get("mlops_assets/asked_by", "[]")),  # by hand; they cannot approve it
            "window": window,
            **held_out_facts(step.product.gate.metric, seen.measured),
        },
    )


def _tags(context: dg.AssetExecutionContext, step: Step, held: Held) -> dict[str, str]:
    place, ui = held.record.place, step.settings.ui_url
    asset = f"{place.product}/{place.stage}"
    origin = origin_tags(record=held.id, run_id=context.run.run_id, asset=asset, partition=place.partition, ui_url=ui)
    return {**origin, **{key: value for key, value in context.run.tags.items() if key.startswith("mlops_assets/")}}
