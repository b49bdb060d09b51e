"""What a training may use: GPUs, and a folder in which it leaves checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a training was given.

    It trains on `gpus` GPUs, on the CPU if that is 0; with `cpu_if_no_gpu` also where there is none. What it leaves in
    `checkpoints` is found there by a training of the same recipe after it was killed; None keeps nothing.
    """

    gpus: int = 0
    cpu_if_no_gpu: bool = False
    checkpoints: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a training runs: on the CPU or on GPUs, in one process or in several, one for each GPU."""

    device: Literal["cpu", "cuda"] = "cpu"
    processes: int = 1


CPU = Machine()


def placed(machine: Machine, found: int) -> Place:
    """Return where to train on a machine that has `found` GPUs.

    Raises:
        ValueError: If it has fewer than were asked for, and the declaration does not allow for that.
    """
    usable = min(machine.gpus, found)
    if usable < machine.gpus and not machine.cpu_if_no_gpu:
        right = "a machine that has them, or `compute: {cpu_if_no_gpu: true}` to train with what is there"
        raise ValueError(
            f"`compute: {{gpu: {machine.gpus}}}` asks for {_counted(machine.gpus)}, found {found}; right is {right}"
        )
    return Place(device="cuda", processes=usable) if usable else Place()


def in_words(place: Place, machine: Machine) -> str:
    """Return where a training ran, and what it had asked for where that is not the same."""
    used = place.processes if place.device == "cuda" else 0
    ran = place.device if place.processes == 1 else f"{place.device} x {place.processes}"
    return ran if used >= machine.gpus else f"{ran} (asked for {_counted(machine.gpus)})"


def _counted(gpus: int) -> str:
    return f"{gpus} GPU" if gpus == 1 else f"{gpus} GPUs"
