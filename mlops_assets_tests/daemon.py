"""Dagster's own sensor daemon, which executes in its process, one after the other, the runs that it is asked for.

`python -m mlops_assets_tests.daemon [SENSOR MOMENT]` goes on until three rounds have asked for nothing; with SENSOR it
kills itself at that MOMENT of the sensor's tick: one of those below.
"""

import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration

from mlops_assets.wiring import EVERY_S

MOMENTS = ("RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED", "TICK_HELD")
QUIET_ROUNDS = 3
LOG = logging.getLogger()
INSTANCE = """\
telemetry: {enabled: false}
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
run_launcher: {module: dagster._core.launcher.sync_in_memory_run_launcher, class: SyncInMemoryRunLauncher}
"""


class Here(WorkspaceLoadTarget):
    """This deployment's definitions, loaded in this process."""

    def create_origins(self) -> Sequence[InProcessCodeLocationOrigin]:
        target = LoadableTargetOrigin(executable_path=sys.executable, module_name="mlops_assets.definitions")
        return [InProcessCodeLocationOrigin(target, location_name="mlops_assets")]


def prepare(dagster_home: Path) -> None:
    """Let the instance in `dagster_home` execute runs where they are asked for."""
    dagster_home.mkdir(parents=True, exist_ok=True)
    (dagster_home / "dagster.yaml").write_text(INSTANCE)


def main(sensor: str | None = None, moment: str | None = None) -> None:
    """Evaluate the sensors again and again, until nothing is due or the moment of death has come."""
    flags = {sensor: {moment: signal.SIGKILL}} if sensor and moment else None
    with dg.DagsterInstance.get() as instance, WorkspaceProcessContext(instance, Here()) as workspace:
        quiet, before = 0, -1
        while quiet < QUIET_ROUNDS:
            try:
                for problem in execute_sensor_iteration(workspace, LOG, None, None, debug_crash_flags=flags):
                    if problem is not None:
                        print(f"a tick failed: {problem.to_string()}", flush=True)
            except (
                DagsterInvariantViolationError
            ) as problem:  # two daemons note their first tick; Dagster's own goes on
                print(f"another daemon was faster: {problem}", flush=True)
            now = instance.get_runs_count()
            quiet, before = (quiet + 1 if now == before else 0), now
            time.sleep(EVERY_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
