"""The endpoint in the graph: `champion` -> `endpoint` and `traffic` -> `predictions`, each `<product>/...`."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import Check
from mlops_assets.evidence.step import Step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.assets import project_aliases
from mlops_assets.serving.routing.deploy import wait_until_served
from mlops_assets.serving.steps import EndpointStep, PredictionsStep
from mlops_assets.serving.workers import live_workers
from mlops_assets.training.resources import close_lost
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Look, Told, dep, segments_by_window, step_asset

HEARTBEAT = timedelta(hours=2)
PATIENCE_S = 30.0


def endpoint_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset whose materialization deploys the champions and waits until every live worker serves them."""
    return step_asset(
        EndpointStep,
        product,
        Stage.ENDPOINT,
        Look(
            description="The champions of all segments, deployed and answering.",
            kinds=frozenset({"http"}),
            fresh_for=HEARTBEAT,
        ),
        deps=[dep(product, Stage.CHAMPION)],
        checks={
            "answers_as_offline": "No worker refused the models: each compared them with offline ones on a probe set.",
            "is_served": "Every live worker answers with this deployment (without one, it waits for the next worker).",
        },
        partitions=None,
        pool=f"{product.name}_endpoint",
        then=_deployed,
    )


def predictions_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset with the inference log's sealed windows, by inference id, and the outcomes they got."""
    return step_asset(
        PredictionsStep,
        product,
        Stage.PREDICTIONS,
        Look(
            description="Every acknowledged answer of a closed window, with inputs, features and version.",
            kinds=frozenset({"polars"}),
        ),
        deps=[dep(product, "traffic")],
        checks={
            "is_complete": "Sequence numbers have no gap for any writer.",
            "online_equals_offline": "Features computed in the endpoint equal those computed here.",
        },
        partitions=segments_by_window(product, monitored=True),
    )


def _deployed(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Wait for the workers and say which serve the deployment; MLflow's aliases and runs are brought up to date too."""
    folder = step.settings.serving(step.product.name)
    serving = wait_until_served(folder, held.id, PATIENCE_S)
    live = live_workers(folder, datetime.now(UTC))
    refused = [f"{worker.url}: {worker.error}" for worker in live if worker.refused == held.id]
    project_aliases(context, step)
    close_lost(context, MlflowTracker(step.settings.mlflow_uri), step.product.name)
    return Told(
        metadata={"workers": dg.MetadataValue.json([worker.url for worker in serving])},
        checks=list(_claims(len(serving), len(live), refused)),
    )


def _claims(serving: int, live: int, refused: list[str]) -> Iterable[Check]:
    yield Check(name="answers_as_offline", passed=not refused, facts={"refused": list(refused)})
    nobody = live == 0
    passed = serving == live and not nobody
    yield Check(
        name="is_served",
        passed=passed,
        severity="warn" if nobody else "error",
        facts={"serving": serving, "live": live},
    )
