"""What MLflow shows of a training: runs with parameters and metrics, one registered model per product, aliases.

MLflow is a projection: the ledger is the truth about champions, and everything here may be said twice. It is imported
at first use (1.4 s, and 1.6 s more where a fresh SQLite store is made), with its telemetry off.
"""
# MLflow's types are partial.
# pyright: reportUnknownMemberType=false

import fcntl
import os
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH = 1000  # metrics in one request: MLflow's limit
_PARAMS = 100  # parameters in one request: MLflow's limit
_SEARCHED = 50_000  # runs in one answer: MLflow's limit
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run says. `history` has one value per iteration or epoch, `artifacts` bytes by relative path.

    `nested` are the runs below it, of which a number names each for good.
    """

    name: str
    at: datetime
    params: Mapping[str, int | float | str | bool] = field(default_factory=dict[str, int | float | str | bool])
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    history: Mapping[str, list[float]] = field(default_factory=dict[str, list[float]])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    artifacts: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    nested: Sequence["Report"] = ()


@dataclass(frozen=True)
class MlflowTracker:
    """A tracker on the MLflow store or server at `uri`."""

    uri: str

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client; a SQLite store is made first if it is not there."""
        with quiet_mlflow(), self._alone():
            from mlflow import MlflowClient

            client = MlflowClient(self.uri, self.uri)
            client.search_experiments(max_results=1)
        return client

    def experiment(self, name: str) -> str:
        """Return the id of the experiment `name`, which is made if need be; a local one keeps its artifacts beside."""
        client = self.client
        with self._alone():
            found = client.get_experiment_by_name(name)
            if found is not None:
                return found.experiment_id
            folder = self._file.parent / "mlartifacts" / name if self._file else None
            return client.create_experiment(name, artifact_location=folder.as_uri() if folder else None)

    def run_of(self, experiment: str, record: str) -> str | None:
        """Return the run that was told of `record`, by a process that may have been killed since."""
        of = f"tags.record = '{record}' and tags.trial IS NULL"
        runs = self.client.search_runs([self.experiment(experiment)], of, order_by=["attributes.start_time ASC"])
        return runs[0].info.run_id if runs else None

    def open(self, experiment: str, dagster_run: str, name: str) -> str:
        """Return the run of a Dagster run, made in one write that says whose it is: a kill leaves none without owner.

        dagster-mlflow, which finds a run by the same tag, would make one first and tag it then.
        """
        from mlflow.tracking.context import registry

        at = self.experiment(experiment)
        found = self.client.search_runs([at], f"tags.dagster_run_id = '{dagster_run}'", max_results=1)
        if found:
            return found[0].info.run_id
        tags = cast("dict[str, str]", registry.resolve_tags({"dagster_run_id": dagster_run}))
        return self.client.create_run(at, run_name=name, tags=tags).info.run_id

    def log(self, run_id: str, report: Report) -> None:
        """Write `report` to a run, and what is nested to runs below it; the same report twice changes nothing."""
        self._write(run_id, report)
        if not report.nested:
            return
        experiment = self.client.get_run(run_id).info.experiment_id
        known = self._nested(experiment, run_id)
        for number, nested in enumerate(report.nested, start=1):
            child = known.get(str(number)) or self._open_nested(experiment, run_id, number, nested)
            self._write(child, nested)
            self.finish(child)

    def finish(self, run_id: str) -> None:
        """Let a run be FINISHED, whatever became of the process that opened it."""
        self.client.set_terminated(run_id, "FINISHED")

    def link(self, run_id: str) -> str | None:
        """Return where MLflow's UI shows a run; None for a store that has no server."""
        if not self.uri.startswith(("http://", "https://")):
            return None
        return f"{self.uri.rstrip('/')}/#/experiments/{self.client.get_run(run_id).info.experiment_id}/runs/{run_id}"

    def register(self, product: str, run_id: str, *, record: str, segment: str, window: str) -> int:
        """Return the version of `record`: the one it has, else a new one whose source is the run's folder `model`."""
        client = self.client
        with self._alone():
            if not client.search_registered_models(f"name='{product}'"):
                client.create_registered_model(product, tags={"product": product})
            found = client.search_model_versions(f"name='{product}' and tags.record='{record}'")
            if found:
                return min(int(version.version) for version in found)
            source = f"{client.get_run(run_id).info.artifact_uri}/model"
            tags = {"record": record, "segment": segment, "window": window}
            made = client.create_model_version(product, source, run_id, tags=tags, await_creation_for=0)
        client.set_tag(run_id, "version", f"{product}@{made.version}")
        return int(made.version)

    def set_champion(self, product: str, segment: str, version: int) -> None:
        """Let the alias `champion-<segment>` point to `version`."""
        if self.champion(product, segment) != version:
            self.client.set_registered_model_alias(product, alias_of(segment), str(version))

    def champion(self, product: str, segment: str) -> int | None:
        """Return the version that the alias points to, or None."""
        found = self.client.search_registered_models(f"name='{product}'")
        aliases = cast("dict[str, str]", found[0].aliases) if found else {}
        return int(aliases[alias_of(segment)]) if alias_of(segment) in aliases else None

    def close_lost(self, experiment: str, is_over: Callable[[str], bool]) -> list[str]:
        """Mark open runs whose Dagster run is over (its process was killed) as FAILED, and return their ids."""
        runs = self.client.search_runs([self.experiment(experiment)], "attributes.status = 'RUNNING'")
        lost = [run.info.run_id for run in runs if is_over(_opened_by(run.data.tags))]
        for run_id in lost:
            self.client.set_terminated(run_id, "FAILED")
        return lost

    def _write(self, run_id: str, report: Report) -> None:
        from mlflow.entities import Metric, Param, RunTag

        at = round(report.at.timestamp() * 1000)
        metrics = [Metric(name, value, at, 0) for name, value in report.metrics.items()]
        for name, values in report.history.items():
            metrics += [Metric(name, value, at, step) for step, value in enumerate(values, start=1)]
        params = [Param(name, str(value)) for name, value in report.params.items()]
        tags = [RunTag(name, value) for name, value in report.tags.items()]
        self.client.update_run(run_id, name=report.name)
        self.client.log_batch(run_id, metrics[:_BATCH], params[:_PARAMS], tags)
        for first in range(_BATCH, len(metrics), _BATCH):
            self.client.log_batch(run_id, metrics[first : first + _BATCH])
        for first in range(_PARAMS, len(params), _PARAMS):
            self.client.log_batch(run_id, params=params[first : first + _PARAMS])
        self._store(run_id, report.artifacts)

    def _nested(self, experiment: str, run_id: str) -> dict[str, str]:
        """Return the runs below a run by their number."""
        below = self.client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'", max_results=_SEARCHED)
        return {run.data.tags["trial"]: run.info.run_id for run in below if "trial" in run.data.tags}

    def _open_nested(self, experiment: str, run_id: str, number: int, report: Report) -> str:
        tags = {"mlflow.parentRunId": run_id, **report.tags, "trial": str(number)}
        return self.client.create_run(experiment, run_name=report.name, tags=tags).info.run_id

    @property
    def _file(self) -> Path | None:
        local = self.uri.startswith("sqlite:///")
        return Path(self.uri.removeprefix("sqlite:///").partition("?")[0]).absolute() if local else None

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Hold a local store against other processes: two that make it at once fail with 'duplicate column name'.

        It must not be nested: whoever holds it and asks again waits for ever.
        """
        if self._file is None:
            yield
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _store(self, run_id: str, artifacts: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, data in artifacts.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            if artifacts:
                self.client.log_artifacts(run_id, folder)


def alias_of(segment: str) -> str:
    """Return the alias of a segment's champion; MLflow allows no dot in one."""
    return f"champion-{segment.replace('.', '--')}"


def _opened_by(tags: Mapping[str, str]) -> str:
    """Return which Dagster run opened a run: dagster-mlflow's tag, or ours of a nested one."""
    return tags.get("dagster_run_id") or tags.get("dagster/run_id", "")


@contextmanager
def quiet_mlflow(*, patient: bool = True) -> Generator[None]:
    """Keep MLflow's telemetry off, and take back what is written into the environment.

    It tries a dead server for minutes; not `patient`, it gives up in seconds.
    """
    kept = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", *_IMPATIENT)}
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ |= {} if patient else _IMPATIENT
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
