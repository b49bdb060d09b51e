"""One training in several processes under torchrun, one for each GPU of this machine.

`python -m torch.distributed.run ... -m mlops_assets.training.networks.distributed FOLDER` is one of these processes.
What they need lies in FOLDER, and what they make; they end when the process that started them does.
"""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

import fcntl
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from mlops_assets.evidence.records import Struct
from mlops_assets.training.machine import Place
from mlops_assets.training.networks.checkpoints import Checkpoints
from mlops_assets.training.networks.descent import Course, Descent, descend
from mlops_assets.training.networks.forms import Examples, Tensors, packed, unpacked
from mlops_assets.training.networks.ranks import World

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
_STOP_S = 30.0  # until processes that do not stop are killed
_LAST_WORDS = 8000  # characters: the traceback of a process, and what torchrun says of it


class Handed(Struct, frozen=True, kw_only=True):
    """What each process is told beside its files."""

    course: Course
    device: Literal["cpu", "cuda"]
    checkpoint: str | None


class Measured(Struct, frozen=True, kw_only=True):
    """What the first process says beside the weights."""

    history: dict[str, list[float]]
    best_epoch: int


class Problem(Struct, frozen=True, kw_only=True):
    """Why a process ended."""

    kind: Literal["refused", "memory"]
    text: str


def descend_together(
    course: Course, start: Tensors, rows: Examples, validation: Examples, place: Place, checkpoint: Path | None
) -> Descent:
    """Return what `descend` does, learned by the processes of `place`; each batch is shared among them.

    Raises:
        ValueError: If the loss is not finite after the first epoch.
        torch.OutOfMemoryError: If a GPU's memory does not suffice.
        RuntimeError: If one of the processes died.
    """
    with tempfile.TemporaryDirectory(prefix="training-") as name, Path(name, "alive").open("w") as alive:
        folder = Path(name)
        fcntl.flock(alive, fcntl.LOCK_EX)
        handed = Handed(course=course, device=place.device, checkpoint=str(checkpoint) if checkpoint else None)
        (folder / "handed.json").write_bytes(msgspec.json.encode(handed))
        (folder / "start").write_bytes(packed(start))
        for part, examples in (("rows", rows), ("validation", validation)):
            for field in ("dense", "codes", "labels"):
                np.save(folder / f"{part}.{field}.npy", getattr(examples, field))
        if _run(folder, place.processes):
            raise problem(folder, place)
        measured = msgspec.json.decode((folder / "measured.json").read_bytes(), type=Measured)
        tensors = unpacked((folder / "weights").read_bytes())
        return Descent(tensors=tensors, history=measured.history, best_epoch=measured.best_epoch)


def main(folder: Path) -> int:
    """Train as one of the processes, and return 0, or 1 where it could not; the first one writes what was learned."""
    import torch
    from torch import distributed

    from mlops_assets.training.networks.kinds import form_of

    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    handed = msgspec.json.decode((folder / "handed.json").read_bytes(), type=Handed)
    distributed.init_process_group(BACKENDS[handed.device])
    world = World(rank=distributed.get_rank(), size=distributed.get_world_size())
    if handed.device == "cuda":
        torch.cuda.set_device(world.rank)
    try:
        descent = descend(
            handed.course,
            form_of(handed.course.architecture),
            unpacked((folder / "start").read_bytes()),
            *(_examples(folder, part) for part in ("rows", "validation")),
            device=handed.device,
            world=world,
            checkpoints=Checkpoints(Path(handed.checkpoint)) if handed.checkpoint else None,
        )
    except (ValueError, torch.OutOfMemoryError) as error:
        kind = "refused" if isinstance(error, ValueError) else "memory"
        (folder / f"problem-{world.rank}.json").write_bytes(msgspec.json.encode(Problem(kind=kind, text=str(error))))
        return 1
    if world.rank == 0:
        (folder / "weights").write_bytes(packed(descent.tensors))
        measured = Measured(history=descent.history, best_epoch=descent.best_epoch)
        (folder / "measured.json").write_bytes(msgspec.json.encode(measured))
    distributed.destroy_process_group()
    return 0


def problem(folder: Path, place: Place) -> Exception:
    """Return why the training could not be done; what the processes themselves say comes first."""
    import torch

    found = [msgspec.json.decode(path.read_bytes(), type=Problem) for path in sorted(folder.glob("problem-*.json"))]
    texts = {each.kind: each.text for each in reversed(found)}
    if "refused" in texts:
        return ValueError(texts["refused"])
    if "memory" in texts:
        return torch.OutOfMemoryError(texts["memory"])
    said = (folder / "said").read_text(errors="replace")[-_LAST_WORDS:]
    return RuntimeError(f"one of {place.processes} training processes ({place.device}) died; last was said:\n{said}")


def _run(folder: Path, processes: int) -> int:
    """Return how torchrun ended; what it and the processes said is in `folder`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with (folder / "said").open("wb") as said:
        torchrun = subprocess.Popen([*command, "-m", __spec__.name, str(folder)], stdout=said, stderr=said)
        try:
            return torchrun.wait()
        finally:
            if torchrun.poll() is None:
                torchrun.terminate()
                _ended(torchrun)


def _ended(torchrun: "subprocess.Popen[bytes]") -> None:
    try:
        torchrun.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        torchrun.kill()
        torchrun.wait()


def _examples(folder: Path, part: str) -> Examples:
    """Return the rows of `part`, read from the disk where they are needed."""
    dense, codes, labels = (np.load(folder / f"{part}.{field}.npy", "c") for field in ("dense", "codes", "labels"))
    return Examples(dense=dense, codes=codes, labels=labels)


def _end_with_parent(folder: Path) -> None:
    """Wait until the starting process lets go of its lock, which it does by dying, and end."""
    with (folder / "alive").open() as alive:
        fcntl.flock(alive, fcntl.LOCK_SH)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
