"""The code location: every product below `defs/`, and whatever else is declared there."""

import logging
import warnings
from pathlib import Path

import dagster as dg
from dagster.components.core.component_tree import ComponentTree

from mlops_assets.alerting.sensors import alerts_sensor
from mlops_assets.catalogue import DeclarationError, read_catalogue, read_folder
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.graph import build_definitions
from mlops_assets.settings import PACKAGE, Settings, load_settings
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.wiring import Platform

log = logging.getLogger("mlops_assets")


def build(settings: Settings) -> dg.Definitions:
    """Return the definitions of all products that can be loaded; what is wrong with others is logged as an error."""
    with warnings.catch_warnings():  # dagster's marks on what the design needs, with its version held still
        for mark in (dg.PreviewWarning, dg.BetaWarning):
            warnings.simplefilter("ignore", mark)
        return _built(settings)


def _built(settings: Settings) -> dg.Definitions:
    catalogue = read_catalogue(settings.defs)
    parts = [_others(settings)]
    for problem in catalogue.errors.values():
        log.error("%s", problem)
    for product in catalogue.products.values():
        try:
            parts.append(build_definitions(product, settings))
        except (ValueError, BrokenEvidence) as problem:
            log.error("%s", catalogue.wrong(product.name, problem))
    shared = dg.Definitions(
        sensors=[alerts_sensor(tuple(catalogue.products.values()))],
        resources={"platform": Platform(), "mlflow": mlflow_resource(settings)},
        executor=_executor(settings),
    )
    return dg.Definitions.merge(*parts, shared)


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    """Return what runs the steps of runs that are no job's: assets that a person picked in the UI.

    Such a run carries no tags of its partition, so with `step_pods` each step has a pod as its own asset asks for it.
    """
    if not settings.step_pods:
        return dg.in_process_executor
    from dagster_k8s import k8s_job_executor

    return k8s_job_executor


def _others(settings: Settings) -> dg.Definitions:
    """Return what the folders of the shipped `defs/` declare that is no model product: a user's own assets."""
    own = PACKAGE / "defs"
    if settings.defs != own or not (PACKAGE.parent / "pyproject.toml").exists():
        return dg.Definitions()
    tree = ComponentTree.for_project(PACKAGE.parent)
    return dg.Definitions.merge(
        *(tree.build_defs_at_path(folder) for folder in sorted(own.iterdir()) if _is_other(folder))
    )


def _is_other(folder: Path) -> bool:
    if not folder.is_dir() or folder.name.startswith(("_", ".")):
        return False
    try:
        return read_folder(folder) is None
    except DeclarationError:
        return False


@dg.definitions
def defs() -> dg.Definitions:
    """Return this deployment's definitions, as its environment says."""
    return build(load_settings())
