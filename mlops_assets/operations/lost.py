"""Runs whose process was killed: they are reported failed, so that their work is taken up again.

What the daemon launched is retried by it (`run_retries` in dagster.yaml). What ran in the foreground is not: what it
left undone is due again for the sensors, and for the next `backfill`.
"""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from mlops_assets.loop import abandoned

LAUNCHED = ".dagster/grpc_info"  # Dagster's tag on a run: where the code server is that executes it
UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def report_lost(instance: dg.DagsterInstance, dagster_home: Path) -> list[str]:
    """Report runs as failed that nobody executes any more, free their pools, and return their ids."""
    lost = [*_launched(instance), *_foreground(instance, dagster_home)]
    for run in lost:
        instance.report_run_failed(run, "The process that executed this run was killed.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    for file in abandoned(dagster_home):
        file.unlink(missing_ok=True)
    return [run.run_id for run in lost]


def _launched(instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
    for run in instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY)):
        if LAUNCHED in run.tags and not _answers(json.loads(run.tags[LAUNCHED])):
            yield run


def _foreground(instance: dg.DagsterInstance, dagster_home: Path) -> Iterator[dg.DagsterRun]:
    for file in abandoned(dagster_home):
        run = instance.get_run_by_id(file.name)
        if run is not None and not run.is_finished:
            yield run


def _answers(server: dict[str, str | int]) -> bool:
    """Return whether a code server still listens at its socket or port."""
    try:
        if "socket" in server:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(server["socket"]))
        else:
            socket.create_connection((str(server["host"]), int(server["port"])), timeout=2).close()
    except OSError:
        return False
    return True
