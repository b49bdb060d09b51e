"""The resource `mlflow` in real Dagster runs: an MLflow run ends as its step did, and is not opened for nothing."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.settings import load_settings
from mlops_assets.training.resources import close_lost, end_mlflow_on_run_finished, mlflow_resource
from mlops_assets.training.tracking import MlflowTracker

Body = Callable[[dg.AssetExecutionContext], object]


def training(uri: str, body: Body) -> dg.Definitions:
    """A training step like ours, and a step after it in the same Dagster run."""

    @dg.asset(required_resource_keys={"mlflow"}, hooks={end_mlflow_on_run_finished})
    def model(context: dg.AssetExecutionContext) -> None:
        body(context)

    @dg.asset(deps=[model])
    def champion() -> None: ...

    settings = replace(load_settings(), mlflow_uri=uri)
    jobs = [dg.define_asset_job("train")]
    return dg.Definitions([model, champion], resources={"mlflow": mlflow_resource(settings)}, jobs=jobs)


def train(tracker: MlflowTracker, instance: dg.DagsterInstance, body: Body) -> dg.ExecuteInProcessResult:
    job = training(tracker.uri, body).resolve_job_def("train")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def failing_job() -> dg.JobDefinition:
    """The job that the multiprocess executor loads again in its own processes."""

    def fail(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.start("processes")
        raise ValueError("boom")

    return training(os.environ["STORE"], fail).resolve_job_def("train")


def killed_job() -> dg.JobDefinition:
    """A training whose process is killed, as the system does where memory is short."""

    def die(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.start("killed")
        os.kill(os.getpid(), signal.SIGKILL)

    return training(os.environ["STORE"], die).resolve_job_def("train")


def statuses(tracker: MlflowTracker, product: str) -> list[str]:
    return [run.info.status for run in tracker.client.search_runs([tracker.experiment(product)])]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_training_is_finished_by_its_own_step_and_leaves_the_environment_alone(
    tracker: MlflowTracker, instance: dg.DagsterInstance
):
    before = dict(os.environ)
    seen: list[str] = []

    def body(context: dg.AssetExecutionContext) -> None:
        seen.append(context.resources.mlflow.start("finished"))
        context.resources.mlflow.log_metric("auc", 0.9)

    result = train(tracker, instance, body)

    run = tracker.client.get_run(seen[0])
    assert result.success
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"auc": 0.9})
    assert {name for name in os.environ if os.environ[name] != before.get(name)} <= {"MLFLOW_DISABLE_TELEMETRY"}


def test_a_run_in_no_named_experiment_is_one_of_the_code_location(tracker: MlflowTracker, instance: dg.DagsterInstance):
    train(tracker, instance, lambda context: context.resources.mlflow.log_param("by", "a user's own asset"))

    assert statuses(tracker, "mlops_assets") == ["FINISHED"]


def test_a_failed_training_is_shown_failed_and_the_next_one_opens_its_own_run(
    tracker: MlflowTracker, instance: dg.DagsterInstance
):
    def fail(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.start("failed")
        raise ValueError("boom")

    failed = train(tracker, instance, fail)
    train(tracker, instance, lambda context: context.resources.mlflow.start("failed"))

    assert not failed.success
    assert sorted(statuses(tracker, "failed")) == ["FAILED", "FINISHED"]


def test_a_failed_training_in_a_process_of_its_own_is_shown_failed(
    tracker: MlflowTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STORE", tracker.uri)
    tracker.experiment("processes")

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = dg.execute_job(dg.reconstructable(failing_job), instance=instance)

    assert not result.success
    assert statuses(tracker, "processes") == ["FAILED"]


def test_a_stopped_training_is_shown_failed(tracker: MlflowTracker, instance: dg.DagsterInstance):
    def stop(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.start("stopped")
        raise KeyboardInterrupt

    result = train(tracker, instance, stop)

    assert not result.success
    assert statuses(tracker, "stopped") == ["FAILED"]


def test_a_training_that_skips_opens_no_run(tracker: MlflowTracker, instance: dg.DagsterInstance):
    result = train(tracker, instance, lambda context: None)

    assert result.success
    assert statuses(tracker, "skipped") == []


def test_a_run_whose_process_was_killed_is_closed_by_the_next_training(
    tracker: MlflowTracker, instance: dg.DagsterInstance
):
    over = train(tracker, instance, lambda context: None)
    lost, alive = (tracker.client.create_run(tracker.experiment("lost")).info.run_id for _ in range(2))
    tracker.client.set_tag(lost, "dagster_run_id", over.run_id)
    tracker.client.set_tag(alive, "dagster_run_id", "of another instance")

    train(tracker, instance, lambda context: context.resources.mlflow.start("lost"))

    assert tracker.client.get_run(lost).info.status == "FAILED"
    assert tracker.client.get_run(alive).info.status == "RUNNING"


def test_a_training_whose_process_was_killed_is_shown_failed_once_it_is_looked_after(
    tracker: MlflowTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STORE", tracker.uri)
    tracker.experiment("killed")

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = dg.execute_job(dg.reconstructable(killed_job), instance=instance)
        before = statuses(tracker, "killed")
        closed = close_lost(dg.build_asset_context(instance=instance), tracker, "killed")

    assert not result.success
    assert before == ["RUNNING"]
    assert len(closed) == 1
    assert statuses(tracker, "killed") == ["FAILED"]


def test_a_run_has_its_owner_from_its_first_write_on(
    tracker: MlflowTracker, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    def stopped(tags: object) -> None:  # what dagster-mlflow calls once it has a run
        raise KeyboardInterrupt

    def start(context: dg.AssetExecutionContext) -> None:
        monkeypatch.setattr("mlflow.set_tags", stopped)
        context.resources.mlflow.start("owned")

    result = train(tracker, instance, start)

    (run,) = tracker.client.search_runs([tracker.experiment("owned")])
    assert run.data.tags["dagster_run_id"] == result.run_id
    assert run.data.tags["mlflow.source.type"]
    assert run.info.status == "FAILED"


def test_a_users_assets_in_the_same_dagster_run_keep_a_run_of_their_own(
    tracker: MlflowTracker, instance: dg.DagsterInstance
):
    @dg.asset(required_resource_keys={"mlflow"})
    def before(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.log_metric("before", 1.0)

    @dg.asset(required_resource_keys={"mlflow"}, hooks={end_mlflow_on_run_finished}, deps=[before])
    def model(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.start("beside")
        context.resources.mlflow.log_metric("auc", 0.9)

    @dg.asset(required_resource_keys={"mlflow"}, deps=[model])
    def after(context: dg.AssetExecutionContext) -> None:
        context.resources.mlflow.log_metric("after", 2.0)

    settings = replace(load_settings(), mlflow_uri=tracker.uri)
    resources = {"mlflow": mlflow_resource(settings)}

    result = dg.materialize([before, model, after], resources=resources, instance=instance)

    of_this_run = f"tags.dagster_run_id = '{result.run_id}'"
    theirs = tracker.client.search_runs([tracker.experiment("mlops_assets")], of_this_run)
    ours = tracker.client.search_runs([tracker.experiment("beside")], of_this_run)
    assert [(run.info.status, run.data.metrics) for run in theirs] == [("FINISHED", {"before": 1.0, "after": 2.0})]
    assert [(run.info.status, run.data.metrics) for run in ours] == [("FINISHED", {"auc": 0.9})]
