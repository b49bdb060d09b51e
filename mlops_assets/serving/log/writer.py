"""The inference log: one file per worker and monitoring window, and what a frame's body says of its predictions.

An acknowledged prediction is in the file, whatever happens to the process next: `append` returns after the write, and
the answer leaves after `append`. `durable.DurableLog` forces it to the platter too, where that is declared.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl

from mlops_assets.serving.log.frames import CLOSING, OPENING, FrameFile, LogRefused, pack
from mlops_assets.serving.log.ids import ms_of, time_of, to_ms
from mlops_assets.windows import Grid

SHADOW = "shadow"  # the folder beside `log` for what shadows would have said
Kind = Literal["int", "float", "str", "bool", "datetime", "image", "hash"]
TYPES: dict[Kind, pl.DataType] = {
    "int": pl.Int64(),
    "float": pl.Float64(),
    "str": pl.String(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
    "image": pl.Binary(),
    "hash": pl.String(),
}


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """Name and kind of each input and feature of a model, in the order of its rows; its classes, if it has several."""

    inputs: list[tuple[str, Kind]]
    features: list[tuple[str, Kind]]
    classes: list[str] = []


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row: its place in a batch, its key, the model's output, its inputs, its features unless those are inputs.

    `digest` is the hash of computed features, where that is logged; then `features` are there for a sample alone.
    `probabilities` are those of the classes, where there are several; then `output` is the place of the likeliest.
    """

    index: int | None
    key: str | None
    output: float
    inputs: tuple[object, ...]
    features: tuple[object, ...] | None
    digest: bytes | None = None
    probabilities: tuple[float, ...] | None = None


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
    """One request: µs from receipt to log, what was deployed, and its rows. `status` is the answer's, of HTTP."""

    latency_us: int
    deployment: str
    parts: list[Part]
    status: int = 200


class LogWriter:
    """The predictions of one worker, numbered without a gap from 0 over all windows. Ids must ascend.

    While the disk takes nothing an answer is refused, or (`when_full` is "serve") counted in `unlogged`; it uses up its
    number then, so that whoever reads the file sees that something is missing.
    """

    def __init__(
        self,
        folder: Path,
        grid: Grid,
        writer: str,
        *,
        when_full: Literal["refuse", "serve"] = "refuse",
        sync: bool = False,
    ) -> None:
        """Write to `<folder>/<window>/<writer>.log`; nothing is created before the first prediction.

        With `sync` a new file's name is forced to the platter; `sync()` does so with what it holds.
        """
        self._folder = folder
        self._grid = grid
        self._writer = writer
        self._serves = when_full == "serve"
        self._durable = sync
        self._seq = 0
        self._file: FrameFile | None = None
        self.encode = msgspec.msgpack.Encoder().encode
        self.end_ms = 0
        self.unlogged = 0

    def append(self, id_: bytes, body: Body) -> bool:
        """Log one request under the window of its id, and return whether it was.

        Raises:
            LogRefused: If it could not be written, and unlogged answers are not served; the log is as before.
        """
        try:
            if self._file is None or ms_of(id_) >= self.end_ms:
                self._open(id_)
            assert self._file is not None
            self._file.append(pack(self._seq, id_, self.encode(body)))
        except LogRefused as refused:
            self._skip(1)
            return self.refused(refused, answers=1)
        self._seq += 1
        return True

    def extend(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Log requests, given as id and encoded body, in one write for each window.

        Raises:
            LogRefused: If one could not be written; those of the windows before it are.
        """
        first, frames = self._seq, list[bytes]()
        try:
            for id_, body in entries:
                if self._file is None or ms_of(id_) >= self.end_ms:
                    self._flush(frames)
                    self._open(id_)
                frames.append(pack(self._seq + len(frames), id_, body))
            self._flush(frames)
        except LogRefused:
            self._skip(len(entries) - (self._seq - first))
            raise

    def sync(self) -> None:
        """Force what was logged to the platter.

        Raises:
            LogRefused: If the disk failed.
        """
        if self._file is not None:
            self._file.sync()

    def refused(self, why: LogRefused, *, answers: int) -> bool:
        """Return False and count answers that leave all the same, if that is declared.

        Raises:
            LogRefused: `why`, if it is not.
        """
        if not self._serves:
            raise why
        self.unlogged += answers
        return False

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

    def _skip(self, answers: int) -> None:
        self._seq += answers if self._serves else 0

    def _flush(self, frames: list[bytes]) -> None:
        if frames:
            assert self._file is not None
            self._file.append(b"".join(frames))
            self._seq += len(frames)
            frames.clear()

    def _open(self, id_: bytes) -> None:
        self.close()
        window = self._grid.key(time_of(id_))
        file = FrameFile(self._folder / window / f"{self._writer}.log")
        try:
            file.append(pack(self._seq, OPENING))
            if self._durable:
                for folder in (file.path.parent, self._folder, self._folder.parent):
                    _sync_folder(folder)
        except LogRefused:
            file.close()
            raise
        self._file, self.end_ms = file, to_ms(self._grid.bounds(window)[1])


def _sync_folder(folder: Path) -> None:
    """Force the names in `folder` to the platter."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise LogRefused(f"{folder}: {error.strerror}") from error
