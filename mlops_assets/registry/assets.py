"""Promotion in the graph: `<product>/model` -> `<product>/champion`. An act: never skipped, it reconciles."""

import dagster as dg

from mlops_assets.chart import as_markdown
from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import Check, Json
from mlops_assets.evidence.step import Step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.criteria.declared import CRITERIA, declared
from mlops_assets.registry.shown import pictures
from mlops_assets.registry.step import ChampionStep
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Look, Told, dep, segments_by_window, step_asset

APPROVED = {"approved": "Everybody who has to agree has (warns while a candidate waits for somebody)."}


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
        checks={
            "gate": "The candidate reaches the floor and beats the champion by the margin (warns when refused).",
            **{name: CRITERIA[name] for name in declared(product)},
            **(APPROVED if product.approval else {}),
        },
        partitions=segments_by_window(product),
        then=_publish,
    )


def _publish(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    """Show what was measured, and let MLflow say who is champion; a criterion that was not measured says so."""
    project_aliases(context, step)
    drawn = {name: dg.MetadataValue.md(as_markdown(svg, name)) for name, svg in pictures(step.archive, held).items()}
    return Told(metadata=drawn, checks=missing(step.product, held))


def missing(product: ModelProduct, held: Held) -> list[Check]:
    """Return a check for each criterion that a decision did not come to; Dagster wants an answer of every one."""
    known = {check.name for check in held.record.checks}
    facts: dict[str, Json] = {"words": "not measured: there was nothing to decide on it"}
    return [
        Check(name=name, passed=False, severity="warn", blocking=False, facts=facts)
        for name in declared(product)
        if name not in known
    ]


def project_aliases(context: dg.AssetExecutionContext, step: Step) -> None:
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
