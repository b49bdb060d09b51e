"""Files of dead workers stay, and cost next to nothing: one that has not changed is not read again."""

import os
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.serving.workers import Registration, Worker, WorkerFiles, live_workers, workers

START = datetime(2026, 1, 20, tzinfo=UTC)


def registered(folder: Path, writer: str) -> Registration:
    worker = Worker(writer=writer, pid=1, url="http://127.0.0.1:9", clock="server", started=START)
    registration = Registration(folder, worker)
    registration.beat(START)
    return registration


def test_a_worker_that_did_not_beat_is_not_read_again_and_one_that_did_is(tmp_path: Path):
    files = WorkerFiles(tmp_path)
    assert files.read() == []
    registered(tmp_path, "dead")
    alive = registered(tmp_path, "living")
    before = {worker.writer: worker for worker, _ in files.read()}

    alive.serves("d1")
    after = {worker.writer: worker for worker, _ in files.read()}

    assert after["dead"] is before["dead"]
    assert after["living"].deployment == "d1"
    (tmp_path / "workers" / "dead.json").unlink()
    assert [worker.writer for worker, _ in files.read()] == ["living"]


def test_who_lives_is_found_without_reading_the_files_of_the_dead(tmp_path: Path):
    registered(tmp_path, "living")
    registered(tmp_path, "stopped").stop()
    dead = tmp_path / "workers" / "dead.json"
    dead.write_text("not to be read")
    os.utime(dead, (0, 0))

    assert [worker.writer for worker in live_workers(tmp_path, datetime.now(UTC))] == ["living"]
    dead.unlink()
    assert {worker.writer for worker, _ in workers(tmp_path)} == {"living", "stopped"}
