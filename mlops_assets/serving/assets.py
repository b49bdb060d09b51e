"""The endpoint in the graph: `champion` -> `endpoint` and `traffic` -> `predictions`, each `<product>/...`."""

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import Check, Json
from mlops_assets.evidence.step import NotReady, Step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.assets import project_aliases
from mlops_assets.serving.routing.deploy import wait_until_served
from mlops_assets.serving.routing.rollout import Rollout, rolled_out
from mlops_assets.serving.steps import EndpointStep, PredictionsStep
from mlops_assets.training.resources import close_lost
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.windows import ALL
from mlops_assets.wiring import Look, Told, dep, segments_by_window, step_asset

HEARTBEAT = timedelta(hours=2)
PATIENCE_S = 30.0
BACK_S = 5.0  # the models before are still loaded


def endpoint_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset whose materialization deploys the champions and waits until every live worker serves them.

    It fails if one does not; then the deployment before is asked for again, and the ledger says why.
    """
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
            "is_served": "Every live worker answers with this deployment (warns without one: the next one serves it).",
        },
        partitions=None,
        pool=f"{product.name}_endpoint",
        after=_deployed,
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
        deps=[dep(product, "traffic"), *([dep(product, Stage.SCORES)] if product.scores else [])],
        checks={
            "is_complete": "Sequence numbers have no gap for any writer.",
            "online_equals_offline": "Features computed in the endpoint equal those computed here.",
        },
        partitions=segments_by_window(product, monitored=True),
    )


def _deployed(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Wait for the workers and say which serve the deployment; MLflow's aliases and runs are brought up to date too.

    Raises:
        NotReady: If a worker refuses it or does not answer in time; the deployment before is asked for again by then.
    """
    folder = step.settings.serving(step.product.name)
    found = rolled_out(folder, held.id, PATIENCE_S)
    if found.problems and isinstance(step, EndpointStep):
        raise NotReady(_taken_back(step, held, found), check="answers_as_offline" if found.refused else "is_served")
    project_aliases(context, step)
    close_lost(context, MlflowTracker(step.settings.mlflow_uri), step.product.name)
    return Told(
        metadata={"workers": dg.MetadataValue.json([worker.url for worker in found.serving])},
        checks=list(_claims(found)),
    )


def _taken_back(step: EndpointStep, held: Held, found: Rollout) -> str:
    """Ask for the deployment before again, and return what failed and what serves now."""
    why = "; ".join(found.problems)
    with step.alone(ALL):  # nobody else may ask for another one meanwhile
        before = step.take_back(held, why)
    if before is None:
        return f"{why}; there is no deployment before it to go back to"
    serving = wait_until_served(step.settings.serving(step.product.name), before, BACK_S)
    return f"{why}; {before[:12]}… is asked for again, and {len(serving)} of {len(found.live)} workers serve it"


def _claims(found: Rollout) -> Iterable[Check]:
    replaced, serving, live = found.newer is not None, len(found.serving), len(found.live)
    refused: dict[str, Json] = {"refused": list(found.refused)}
    yield Check(name="answers_as_offline", passed=replaced or not found.refused, facts=refused)
    yield Check(
        name="is_served",
        passed=bool(live) and (serving == live or replaced),
        severity="error" if live else "warn",
        facts={"serving": serving, "live": live, "newer": found.newer},
    )
