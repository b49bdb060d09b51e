"""Two processes train one network as one would; one that dies ends the training, and says so."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlops_assets.training.machine import Machine, Place
from mlops_assets.training.networks import distributed, network
from mlops_assets.training.networks.attempts import descended
from mlops_assets_tests.training.networks import SMALL, bars, course

TWO = Place(device="cpu", processes=2)
DEADLINE_S = 120


def workers(folder: str) -> list[int]:
    """Return the processes that train in a folder that begins with `folder`, without torchrun."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if (
            b"mlops_assets.training.networks.distributed" in words
            and b"torch.distributed.run" not in words
            and folder.encode() in b" ".join(words)
        ):
            found.append(int(path.parent.name))
    return found


def test_two_processes_learn_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    params = {**SMALL, "epochs": 3, "batch": 67}  # 134 rows: the processes' shares are not the same size
    alone = network.fit(bars(), params, 0)
    monkeypatch.setattr(network, "placed", lambda machine, found: TWO)

    together = network.fit(replace(bars(), machine=Machine(checkpoints=tmp_path)), params, 0)

    np.testing.assert_allclose(together.scores, alone.scores, atol=1e-4)
    assert len(list(tmp_path.iterdir())) == 1  # one checkpoint of both
    assert together.params == {**alone.params, "device": "cpu x 2"}
    assert together.history.keys() == alone.history.keys()
    for name, values in alone.history.items():
        np.testing.assert_allclose(together.history[name], values, rtol=1e-3)


@pytest.mark.parametrize(
    ("kinds", "right"),
    [
        (["memory", "refused"], ValueError("first")),
        (["memory"], torch.OutOfMemoryError("first")),
        ([], RuntimeError("one of 2 training processes (cpu) died; last was said:\nit fell over")),
    ],
)
def test_why_a_process_ended_is_what_the_training_says(tmp_path: Path, kinds: list[str], right: Exception):
    (tmp_path / "said").write_text("it fell over")
    for rank, kind in enumerate(kinds):
        text = "first" if kind == kinds[-1] else "second"
        (tmp_path / f"problem-{rank}.json").write_text(f'{{"kind": "{kind}", "text": "{text}"}}')

    problem = distributed.problem(tmp_path, TWO)

    assert type(problem) is type(right)
    assert str(problem) == str(right)


def test_a_process_that_dies_ends_the_training_and_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked, start, rows, validation = course(epochs=10**6, patience=10**6)
    killed = threading.Thread(target=kill_one, args=(str(tmp_path),))
    killed.start()

    with pytest.raises(RuntimeError, match=r"one of 2 training processes \(cpu\) died; last was said:(.|\n)*SIGKILL"):
        descended(asked, start, rows, validation, TWO, None)

    killed.join()
    assert workers(str(tmp_path)) == []


def kill_one(folder: str) -> None:
    """Kill one of two processes once both have begun to train."""
    wait_until(lambda: len(workers(folder)) == 2)
    os.kill(workers(folder)[0], signal.SIGKILL)


PARENT = """
import tempfile, sys
from mlops_assets.training.networks.attempts import descended
from mlops_assets_tests.training.networks import course
from mlops_assets_tests.training.test_distributed import TWO
tempfile.tempdir = sys.argv[1]
asked, start, rows, validation = course(epochs=10**6, patience=10**6)
descended(asked, start, rows, validation, TWO, None)
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    wait_until(lambda: len(workers(str(tmp_path))) == 2)

    parent.kill()
    parent.wait()

    wait_until(lambda: not workers(str(tmp_path)))


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
