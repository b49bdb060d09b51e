"""The inference log: one file per worker and monitoring window, and what a frame's body says of its predictions.

An acknowledged prediction is in the file, whatever happens to the process next: `append` returns after the write, and
the answer leaves after `append`. Nothing is forced to the platter: a power cut may lose the last seconds.
"""

from pathlib import Path
from typing import Literal

import msgspec
import polars as pl

from mlops_assets.serving.log.frames import CLOSING, OPENING, FrameFile, LogRefused, pack
from mlops_assets.serving.log.ids import ms_of, time_of, to_ms
from mlops_assets.windows import Grid

Kind = Literal["int", "float", "str", "bool", "datetime", "image"]
TYPES: dict[Kind, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "str": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
    "image": pl.Binary(),
}


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """Name and kind of each input and feature of a model, in the order of its rows."""

    inputs: list[tuple[str, Kind]]
    features: list[tuple[str, Kind]]


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row: its place in a batch, its key, the model's output, its inputs, its features unless those are inputs."""

    index: int | None
    key: str | None
    output: float
    inputs: tuple[object, ...]
    features: tuple[object, ...] | None


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The rows of a request that one model answered. `columns` is an encoded `Columns`: a frame explains itself.

    `variant` is who that model was: champion, canary, split or shadow.
    """

    segment: str
    version: int
    columns: msgspec.Raw
    rows: list[Row]
    variant: str = "champion"


class Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request: µs from receipt to log, what was deployed, and its rows."""

    latency_us: int
    deployment: str
    parts: list[Part]


class LogWriter:
    """The predictions of one worker, numbered without a gap from 0 over all windows. Ids must ascend."""

    def __init__(self, folder: Path, grid: Grid, writer: str) -> None:
        """Write to `<folder>/<window>/<writer>.log`; nothing is created before the first prediction."""
        self._folder = folder
        self._grid = grid
        self._writer = writer
        self._encoder = msgspec.msgpack.Encoder()
        self._seq = 0
        self._file: FrameFile | None = None
        self.end_ms = 0

    def append(self, id_: bytes, body: Body) -> None:
        """Log one request under the window of its id.

        Raises:
            LogRefused: If it could not be written; the log is as before.
        """
        if self._file is None or ms_of(id_) >= self.end_ms:
            self._open(id_)
        assert self._file is not None
        self._file.append(pack(self._seq, id_, self._encoder.encode(body)))
        self._seq += 1

    def close_until(self, ms: int) -> None:
        """Finish the file of a window that ended by `ms`; no id before `ms` may follow."""
        if self._file is not None and ms >= self.end_ms:
            self.close()

    def close(self) -> None:
        """Finish the open file with a closing frame, for which a full disk has no room."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.append(pack(self._seq, CLOSING))
        except LogRefused:  # the frames before it are safe, and sealing only misses the proof that they are the last
            pass
        finally:
            file.close()

    def _open(self, id_: bytes) -> None:
        self.close()
        window = self._grid.key(time_of(id_))
        file = FrameFile(self._folder / window / f"{self._writer}.log")
        try:
            file.append(pack(self._seq, OPENING))
        except LogRefused:
            file.close()
            raise
        self._file, self.end_ms = file, to_ms(self._grid.bounds(window)[1])
