"""Training in the graph: `<product>/features` of the last windows -> `<product>/model`, one MLflow run each."""

from datetime import UTC, datetime

import dagster as dg

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.step import Step, parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import Compute
from mlops_assets.training.resources import KEY, MlflowRun, end_mlflow_on_run_finished
from mlops_assets.training.step import ModelStep, report
from mlops_assets.training.tracking import MlflowTracker, origin_tags
from mlops_assets.wiring import Events, Look, Platform, Told, check_specs, dep, events, partition_of, segments_by_window

CHECKS = {
    "reaches_floor": "The gate's metric reaches its floor on held-out rows (warns: a weak model is kept for a look).",
    "trained_on_named_rows": "The rows read are exactly those that the record names.",
}


def model_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset that trains `product`: one model per segment and window on the last windows.

    The dagster-mlflow hook ends its run FAILED or FINISHED with the step.
    """
    key = dg.AssetKey(product.key(Stage.MODEL))
    partitions = segments_by_window(product)
    back = dg.TimeWindowPartitionMapping(start_offset=1 - product.trainer.windows) if product.windows else None
    look = Look(
        description=f"Predicts `{product.label.column}` with {product.trainer.kind}.",
        kinds=frozenset({product.trainer.kind}),
    )

    @dg.asset(
        key=key,
        deps=[dep(product, Stage.FEATURES, back)],
        partitions_def=partitions,
        check_specs=check_specs(key, CHECKS, partitions),
        required_resource_keys={KEY, "platform"},
        hooks={end_mlflow_on_run_finished},
        pool="gpu" if product.compute.gpu else None,
        op_tags={"dagster-k8s/config": pod_resources(product.compute)},
        group_name=product.name,
        owners=list(product.owners),
        kinds=set(look.kinds),
        description=look.description,
    )
    def model(context: dg.AssetExecutionContext) -> Events:
        platform: Platform = context.resources.platform
        yield from events(context, platform.step(ModelStep, product), _publish, first=_begin)

    return model


def pod_resources(compute: Compute) -> dict[str, Json]:
    """Return what a step pod asks of Kubernetes, as dagster-k8s wants it."""
    asked: dict[str, Json] = {"cpu": f"{compute.cpu:g}", "memory": compute.memory}
    gpu: dict[str, Json] = {"nvidia.com/gpu": str(compute.gpu)} if compute.gpu else {}
    return {
        "container_config": {"resources": {"requests": {**asked, **gpu}, "limits": {"memory": compute.memory, **gpu}}}
    }


def _begin(context: dg.AssetExecutionContext, step: Step) -> None:
    """Open the MLflow run of a training before it begins, so that one that fails is shown as FAILED."""
    if step.status(partition_of(context))[0] in ("missing", "stale", "failed"):
        context.resources.mlflow.start(step.product.name)


def _publish(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Show a new model in MLflow and register its version in the ledger; both only once per record."""
    product, ledger = step.product.name, step.archive.ledger
    known = next((act for act in ledger.acts(product, "register") if act.record == held.id), None)
    if known is None:
        known = ledger.register(_registered(context, step, held))
    run_id = str(known.facts["mlflow_run_id"])
    shown = {"version": f"{product}@{known.version}", "mlflow_run_id": run_id}
    return Told(metadata={name: dg.MetadataValue.text(text) for name, text in shown.items()})


def _registered(context: dg.AssetExecutionContext, step: Step, held: Held) -> Act:
    place, product = held.record.place, step.product.name
    segment, window = parse(place.partition)
    mlflow: MlflowRun = context.resources.mlflow
    run_id = mlflow.start(product)
    tracker = MlflowTracker(step.settings.mlflow_uri)
    asset = f"{product}/{Stage.MODEL}"
    origin = origin_tags(
        record=held.id, run_id=context.run.run_id, asset=asset, partition=place.partition, ui_url=step.settings.ui_url
    )
    tags = {**origin, **{key: value for key, value in context.run.tags.items() if key.startswith("mlops_assets/")}}
    tracker.log(run_id, report(step.archive, held, tags))
    version = tracker.register(product, run_id, record=held.id, segment=segment, window=window)
    return Act(
        kind="register",
        product=product,
        segment=segment,
        version=version,
        record=held.id,
        by="training",
        reason=context.run.tags.get("mlops_assets/reason", "materialized by hand or backfill"),
        at=stamp(datetime.now(UTC)),
        facts={
            "mlflow_run_id": run_id,
            "dagster_run_id": context.run.run_id,
            "decision": context.run.tags.get("mlops_assets/decision"),
            "window": window,
        },
    )
