"""The resource `mlflow` and its hook: dagster-mlflow's own, imported and opened only when a step first uses them.

Importing mlflow takes seconds, and most steps that hold the resource skip. What is added to dagster-mlflow 0.29 is that
a run is closed by its own step (dagster-mlflow waits for the last step of the job) and never left open or FINISHED when
its process is stopped.
"""
# The types of Dagster's hooks and of dagster-mlflow are partial.
# pyright: reportUnknownMemberType=false

import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import dagster as dg

from mlops_assets.settings import Settings
from mlops_assets.training.tracking import MlflowTracker, quiet_mlflow

KEY = "mlflow"


class MlflowRun:
    """dagster-mlflow's `MlFlow`, opened at first use: every function of `mlflow`, on the run of this Dagster run."""

    def __init__(self, context: dg.InitResourceContext) -> None:
        """Open nothing yet."""
        self._context = context
        self._cleanup = ExitStack()
        self._real: object | None = None
        self._experiment = ""

    @property
    def opened(self) -> bool:
        """Whether somebody has used it, so that there is a run."""
        return self._real is not None

    @property
    def tracker(self) -> MlflowTracker:
        """The store in which the run is."""
        return MlflowTracker(self._context.resource_config["mlflow_tracking_uri"])

    def start(self, experiment: str | None = None) -> str:
        """Return the id of this Dagster run's MLflow run in `experiment`, which is opened if it is not open yet.

        Another asset of the same Dagster run may have one in another experiment: it is ended, and opened again when
        that asset uses it.
        """
        if self._real is not None and experiment not in (None, self._experiment):
            self.close("FINISHED")
        if self._real is None:
            self._experiment = experiment or self._context.resource_config["experiment_name"]
            self._real = self._open(self._experiment)
        from mlflow import active_run

        run = active_run()
        assert run is not None
        return run.info.run_id

    def close(self, status: str) -> None:
        """End the run if it is still open; whoever uses it next opens it again."""
        if self.opened:
            self.end_run(status)
        self._real = None
        self._cleanup.close()

    def __getattr__(self, name: str) -> Callable[..., object]:
        """Return the function `name` of `mlflow`, in the opened run."""
        if self._real is None:
            self.start()
        return getattr(self._real, name)

    def _open(self, experiment: str) -> object:
        self.tracker.close_lost(experiment, self._is_over)
        if (run := self._context.run) is not None:
            self.tracker.open(experiment, run.run_id, run.job_name)
        self._cleanup.enter_context(quiet_mlflow())
        with _as_it_is():
            from dagster_mlflow.resources import MlFlow

            config = {"experiment_name": experiment, "mlflow_tracking_uri": self.tracker.uri, "env": dict[str, str]()}
            try:
                return MlFlow(self._context.replace_config(config))
            except BaseException:
                import mlflow

                mlflow.end_run("FAILED")
                raise

    def _is_over(self, run_id: str) -> bool:
        return self._context.instance is not None and _is_over(self._context.instance, run_id)


def close_lost(context: dg.AssetExecutionContext, tracker: MlflowTracker, experiment: str) -> list[str]:
    """Mark the runs of `experiment` as FAILED whose Dagster run is over, its process killed; return their ids."""
    from mlflow.exceptions import MlflowException

    try:
        return tracker.close_lost(experiment, partial(_is_over, context.instance))
    except MlflowException as problem:
        context.log.warning("MLflow's lost runs of %s are not closed: %s", experiment, problem)
        return []


def _is_over(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


@dg.resource(config_schema={"experiment_name": str, "mlflow_tracking_uri": str})
def mlflow_run(context: dg.InitResourceContext) -> Generator[MlflowRun]:
    """Give `context.resources.mlflow`; a run that nobody ended is FAILED if a step failed or was stopped."""
    run = MlflowRun(context)
    try:
        yield run
    finally:
        run.close("FAILED" if _stopped(context) else "FINISHED")


def mlflow_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource to bind as `mlflow`; a run that names no experiment is one of `mlops_assets`."""
    return mlflow_run.configured({"experiment_name": "mlops_assets", "mlflow_tracking_uri": settings.mlflow_uri})


def _end_run(context: dg.HookContext, events: Sequence[dg.DagsterEvent]) -> dg.HookExecutionResult:
    run: MlflowRun = context.resources.mlflow
    used = run.opened
    if used:
        _dagster_mlflow_hook().hook_fn(context, events)
        if any(event.is_step_success for event in events):
            run.close("FINISHED")
    return dg.HookExecutionResult(hook_name="end_mlflow_on_run_finished", is_skipped=not used)


end_mlflow_on_run_finished = dg.HookDefinition(
    name="end_mlflow_on_run_finished", hook_fn=_end_run, required_resource_keys={KEY}
)


def _dagster_mlflow_hook() -> dg.HookDefinition:
    with _as_it_is():
        from dagster_mlflow.hooks import end_mlflow_on_run_finished as real

    return real


@contextmanager
def _as_it_is() -> Generator[None]:
    """Let dagster-mlflow be beta, and use a deprecated property of Dagster's, without saying so at every training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _stopped(context: dg.InitResourceContext) -> bool:
    instance, run = context.instance, context.run
    if sys.exc_info()[0] is not None or instance is None or run is None:
        return True
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1)
    return bool(failures.records)
