"""Runs that nobody executes any more are reported failed; those that somebody does are left alone."""

import fcntl
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from mlops_assets.operations.lost import LAUNCHED, report_lost

STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    run = dg.DagsterRun(job_name="tiny_seal", run_id=str(uuid4()), status=STARTED, tags=tags)
    return instance.add_run(run).run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_launched_run_is_lost_once_its_code_server_is_gone(instance, tmp_path: Path):
    gone, there = tmp_path / "gone", tmp_path / "there"
    lost = started(instance, {LAUNCHED: json.dumps({"host": "localhost", "socket": str(gone)})})
    alive = started(instance, {LAUNCHED: json.dumps({"host": "localhost", "socket": str(there)})})
    of_others = started(instance, {})

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(there))
        server.listen()
        found = report_lost(instance, tmp_path)

    assert found == [lost]
    assert [status(instance, each) for each in (lost, alive, of_others)] == [FAILURE, STARTED, STARTED]


def test_a_run_in_the_foreground_is_lost_once_its_process_holds_its_file_no_more(instance, tmp_path: Path):
    lost, alive = started(instance, {}), started(instance, {})
    files = [tmp_path / "foreground" / each for each in (lost, alive)]
    files[0].parent.mkdir()
    for file in files:
        file.touch()

    with files[1].open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = report_lost(instance, tmp_path)

    assert found == [lost]
    assert [status(instance, each) for each in (lost, alive)] == [FAILURE, STARTED]
    assert [file.exists() for file in files] == [False, True]
