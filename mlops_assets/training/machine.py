"""What a training may use: GPUs, and a folder in which it leaves checkpoints."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a training was given.

    It trains on `gpus` GPUs, on the CPU if that is 0; with `cpu_if_no_gpu` also where there is none. What it leaves in
    `checkpoints` is found there by a training of the same recipe after it was killed; None keeps nothing.
    """

    gpus: int = 0
    cpu_if_no_gpu: bool = False
    checkpoints: Path | None = None


CPU = Machine()
