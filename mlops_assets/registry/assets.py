"""Promotion in the graph: `<product>/model` -> `<product>/champion`. An act: never skipped, it reconciles."""

import dagster as dg

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.step import Step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.step import ChampionStep
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Look, Told, dep, segments_by_window, step_asset


def champion_asset(product: ModelProduct) -> dg.AssetsDefinition:
    """Return the asset whose partition is the decision on that partition's candidate."""
    return step_asset(
        ChampionStep,
        product,
        Stage.CHAMPION,
        Look(
            description="The decision on each candidate: promoted, refused or superseded, with the reasons.",
            kinds=frozenset({"mlflow"}),
        ),
        deps=[dep(product, Stage.MODEL)],
        checks={"gate": "The candidate reaches the floor and beats the champion by the margin (warns when refused)."},
        partitions=segments_by_window(product),
        then=project_aliases,
    )


def project_aliases(context: dg.AssetExecutionContext, step: Step, _: Held) -> Told:
    """Let MLflow's aliases say what the ledger says. Without MLflow the ledger stands; the next tick repairs them."""
    from mlflow.exceptions import MlflowException

    tracker = MlflowTracker(step.settings.mlflow_uri)
    for segment in step.product.segments:
        champion = step.archive.ledger.champion(step.product.name, segment)
        if champion is None or champion.version is None:
            continue
        try:
            tracker.set_champion(step.product.name, segment, champion.version)
        except MlflowException as problem:
            context.log.warning("MLflow's alias of %s lags behind the ledger: %s", segment, problem)
    return Told()
