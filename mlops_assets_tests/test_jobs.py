"""A job's runs: how long each may last and whose it is, by its partition, whoever asks for it."""

from collections.abc import Mapping

import dagster as dg
import pytest
from dagster._core.definitions.run_request import RunRequest

from mlops_assets.graph import build_definitions
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Compute, Need
from mlops_assets.settings import Settings
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, deployment

SLOW = HOUSES.model_copy(
    update={
        "compute": Compute(minutes=90, segments={"york": Need(gpu=2, minutes=240)}),
        "team": "credit",
        "project": "lending 2026",
    }
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return deployment(tmp_path_factory.mktemp("jobs"))


def resolved(settings: Settings, name: str, product: ModelProduct = SLOW) -> dg.JobDefinition:
    """One of the product's jobs, as the code location has it."""
    bound = dg.Definitions(resources={"platform": Platform(), "mlflow": mlflow_resource(settings)})
    return dg.Definitions.merge(build_definitions(product, settings), bound).resolve_job_def(f"houses_{name}")


def asked(made: dg.JobDefinition, partition: str | None) -> Mapping[str, str]:
    """The tags of a run that a sensor asks for, as the daemon resolves them."""
    request = RunRequest(partition_key=partition, tags={"mlops_assets/reason": "because"})
    found = request.with_resolved_tags_and_config(made, [], None) if partition else request
    return {**made.run_tags, **found.tags}


@pytest.mark.parametrize(("name", "day"), [("data", "2026-01-05"), ("seal", "2026-01-07"), ("retrain", "2026-01-05")])
def test_a_run_may_last_as_long_as_its_segment_needs(settings: Settings, name: str, day: str):
    made = resolved(settings, name)

    assert asked(made, f"bath|{day}")["dagster/max_runtime"] == "5400"
    assert asked(made, f"york|{day}")["dagster/max_runtime"] == "14400"
    assert asked(made, f"york|{day}")["dagster/partition/segment"] == "york"
    assert asked(made, f"york|{day}")["mlops_assets/reason"] == "because"


def test_a_run_without_a_partition_may_last_as_long_as_the_product_says(settings: Settings):
    assert asked(resolved(settings, "deploy"), None)["dagster/max_runtime"] == "5400"


@pytest.mark.parametrize("name", ["data", "retrain", "deploy"])
def test_a_run_says_whose_it_is(settings: Settings, name: str):
    tags = asked(resolved(settings, name), "bath|2026-01-05" if name != "deploy" else None)

    assert {tag: tags[f"mlops_assets/{tag}"] for tag in ("product", "team", "project")} == {
        "product": "houses",
        "team": "credit",
        "project": "lending 2026",
    }
    assert "mlops_assets/team" not in asked(resolved(settings, "deploy", HOUSES), None)


def test_only_a_run_that_trains_has_the_pod_of_a_training(settings: Settings):
    tags = [asked(resolved(settings, name), "york|2026-01-05") for name in ("data", "retrain")]

    assert ["dagster-k8s/config" in each for each in tags] == [False, True]
    assert '"nvidia.com/gpu":"2"' in tags[1]["dagster-k8s/config"]


def test_a_run_in_the_foreground_has_the_tags_of_its_partition(settings: Settings):
    with dg.DagsterInstance.ephemeral() as instance:
        resolved(settings, "retrain").execute_in_process(
            partition_key="york|2026-01-05", instance=instance, raise_on_error=False
        )

        tags = instance.get_runs()[0].tags
    assert (tags["dagster/max_runtime"], "dagster-k8s/config" in tags) == ("14400", True)
