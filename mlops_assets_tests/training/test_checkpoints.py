"""A training that was killed goes on from its checkpoint and ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mlops_assets.training.fitting import Params
from mlops_assets.training.machine import Machine, Place
from mlops_assets.training.networks import checkpoints, network
from mlops_assets.training.networks.attempts import descended
from mlops_assets.training.networks.checkpoints import Checkpoints, Progress, State, fingerprint
from mlops_assets.training.networks.descent import descend
from mlops_assets.training.networks.kinds import form_of
from mlops_assets.training.networks.weights import Weights
from mlops_assets_tests.training.networks import SMALL, bars, course

LONG: Params = {**SMALL, "epochs": 60, "patience": 60}
VICTIM = """
import sys
from dataclasses import replace
from pathlib import Path
from mlops_assets.training.networks import checkpoints
from mlops_assets.training.networks import descent
from mlops_assets.training.networks import network
from mlops_assets.training.machine import Machine
from mlops_assets_tests.training.networks import bars
from mlops_assets_tests.training.test_checkpoints import LONG

checkpoints.SOONEST_S, checkpoints.SPARING = 0.0, 0
learn = descent.Weights.learn
def slowly(self, loss):
    learn(self, loss)
    print("a batch", flush=True)
    sys.stdin.readline()
descent.Weights.learn = slowly
network.fit(replace(bars(), machine=Machine(checkpoints=Path(sys.argv[1]))), LONG, 0)
"""


class Killed(BaseException):
    """Stands for the end of a process."""


def killed_after(batches: int, folder: Path) -> None:
    """Start the training in a process, let it learn from some batches, and kill it."""
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with victim:
        assert victim.stdin
        assert victim.stdout
        for _ in range(batches):
            assert victim.stdout.readline() == "a batch\n"
            victim.stdin.write("go on\n")
            victim.stdin.flush()
        assert victim.stdout.readline() == "a batch\n"  # the one before is in a checkpoint
        os.kill(victim.pid, signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL


def test_a_training_killed_in_the_middle_of_an_epoch_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = network.fit(bars(), LONG, 0)
    killed_after(40, tmp_path)
    learned = list[object]()
    learn = Weights.learn
    monkeypatch.setattr(Weights, "learn", lambda self, loss: (learned.append(None), learn(self, loss)))

    resumed = network.fit(replace(bars(), machine=Machine(checkpoints=tmp_path)), LONG, 0)

    assert resumed.model_bytes == whole.model_bytes
    assert resumed.history == whole.history
    assert resumed.spec == whole.spec
    assert len(learned) == 60 * 3 - 40  # 160 rows to learn from are 3 batches


def test_a_training_that_ended_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = replace(bars(), machine=Machine(checkpoints=tmp_path))
    first = network.fit(data, {**SMALL, "epochs": 3}, 0)
    monkeypatch.setattr(Weights, "learn", None)

    assert network.fit(data, {**SMALL, "epochs": 3}, 0).model_bytes == first.model_bytes


@pytest.mark.parametrize("at", [0, 9, 40, 200, -1])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_is_not_trusted(tmp_path: Path, at: int, damage: str):
    kept = Checkpoints(tmp_path / f"{fingerprint(b'a')}.checkpoint")
    kept.keep(
        lambda: State(progress=Progress(history={"validation_loss": [0.5]}), tensors={"w": np.ones(50, np.float32)})
    )
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    assert kept.found() is not None

    path.write_bytes(whole[:at] if damage == "cut" else flipped(whole, at))

    assert kept.found() is None


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_a_checkpoint_of_another_training_is_not_trusted_under_this_ones_name(tmp_path: Path):
    theirs, ours = (tmp_path / f"{fingerprint(name)}.checkpoint" for name in (b"theirs", b"ours"))
    state = State(progress=Progress(epoch=3, history={}), tensors={"w": np.ones(2, np.float32)})
    Checkpoints(theirs).keep(lambda: state)
    ours.write_bytes(theirs.read_bytes())

    assert Checkpoints(theirs).found()
    assert Checkpoints(ours).found() is None


def test_other_parameters_seeds_rows_and_places_have_checkpoints_of_their_own(tmp_path: Path):
    first, start, rows, validation = course()
    others = [course(batch=16)[0], msgspec.structs.replace(first, seed=4), course(learning_rate=0.01)[0]]

    changed = replace(rows, labels=1 - rows.labels)
    trainings = [(first, rows), (first, changed), *((each, rows) for each in others)]

    for each, learned in trainings:
        descended(each, start, learned, validation, Place(), tmp_path)
    descended(first, {**start, "bias.0": start["bias.0"] + 1}, rows, validation, Place(), tmp_path)

    assert len(list(tmp_path.iterdir())) == 6


class Stopping(Checkpoints):
    """Ends the process, as it were, once `after` checkpoints are written."""

    def __init__(self, path: Path, after: int) -> None:
        super().__init__(path)
        self.left = after

    def keep(self, state: Callable[[], State]) -> None:
        super().keep(state)
        self.left -= 1
        if self.left == 0:
            raise Killed


def test_what_is_learned_does_not_hang_on_where_it_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked, start, rows, validation = course()
    form = form_of(asked.architecture)
    whole = descend(asked, form, start, rows, validation)
    monkeypatch.setattr(checkpoints, "SOONEST_S", 0.0)
    monkeypatch.setattr(checkpoints, "SPARING", 0)

    stops, path = 0, tmp_path / "a.checkpoint"
    while True:
        try:
            again = descend(asked, form, start, rows, validation, checkpoints=Stopping(path, after=2))
            break
        except Killed:
            stops += 1

    assert stops > 15
    assert again.history == whole.history
    assert again.best_epoch == whole.best_epoch
    for name, value in whole.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], value)


@pytest.mark.parametrize("disk_s", [0.001, 0.5])
def test_checkpoints_are_seconds_apart_and_take_a_hundredth_of_the_time(tmp_path: Path, disk_s: float):
    now, written = 0.0, list[float]()
    kept = Checkpoints(tmp_path / "a.checkpoint", clock=lambda: now)

    def state() -> State:
        nonlocal now
        now += disk_s  # what writing takes
        written.append(now)
        return State(progress=Progress(history={}), tensors={})

    while now < 300:
        now += 0.1  # a batch
        if kept.due:
            kept.keep(state)

    assert len(written) * disk_s <= 0.011 * now
    assert len(written) >= (140 if disk_s < 0.01 else 5)
