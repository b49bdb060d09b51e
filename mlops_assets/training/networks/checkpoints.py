"""A training's state in a file, so that one that was killed goes on where it was, and ends with the same bytes."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.evidence.store import replace
from mlops_assets.training.networks.forms import Tensors, packed, unpacked

SOONEST_S = 2.0  # between two checkpoints
SPARING = 100  # times what the last one took, so that writing them takes at most 1% of the time
_HASH, _LENGTH = 32, 8


class Progress(Struct, frozen=True, kw_only=True):
    """How far a training is: whole epochs, batches of the one under way, and what was measured after each epoch."""

    epoch: int = 0
    batch: int = 0
    history: dict[str, list[float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A training's progress and its tensors: weights, the best ones, the optimiser's, losses of the epoch under way."""

    progress: Progress
    tensors: Tensors


def fingerprint(words: bytes, *arrays: NDArray[np.generic]) -> str:
    """Return the sha256 of what a training is asked for and of its rows."""
    whole = hashlib.sha256(words)
    for array in arrays:
        whole.update(f"{array.dtype}{array.shape}".encode())
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


class Checkpoints:
    """The newest state of one training in `path`, whose name is the training's fingerprint."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.perf_counter) -> None:
        """Keep it in `path`; its folder is made when it is first written."""
        self._path, self._clock = path, clock
        self._last, self._took = clock(), 0.0

    def found(self) -> State | None:
        """Return the state that was kept, or None if there is none, or it is torn, changed or of another training."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        seal, body = data[:_HASH], data[_HASH:]
        if seal != self._seal(body):
            return None
        length = int.from_bytes(body[:_LENGTH], "little")
        progress = msgspec.json.decode(body[_LENGTH : _LENGTH + length], type=Progress)
        return State(progress=progress, tensors=unpacked(body[_LENGTH + length :]))

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self._clock() - self._last >= max(SOONEST_S, SPARING * self._took)

    def keep(self, state: Callable[[], State]) -> None:
        """Write the state at once, in place of the last one."""
        began = self._clock()
        now = state()
        progress = msgspec.json.encode(now.progress)
        body = len(progress).to_bytes(_LENGTH, "little") + progress + packed(now.tensors)
        replace(self._path, self._seal(body) + body)
        self._last = self._clock()
        self._took = self._last - began

    def _seal(self, body: bytes) -> bytes:
        """Return the hash of the file and of whose it is."""
        return hashlib.sha256(self._path.stem.encode() + body).digest()
