"""The log's file format: frames in an append-only file, each whole or refused, readable past any damage.

A frame is magic, body length, CRC32 of the rest, sequence number, 16-byte id, body. A file begins with an opening frame
and ends with a closing one, once its writer is done with it; both carry the next sequence number and no body, so that
a reader knows how many frames there were.

A body is stuffed: wherever it holds all of the magic but its last byte, a zero follows. So no text that a request sends
looks like a frame, wherever a reader starts, and whatever is lost before it.
"""

import fcntl
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MAGIC = b"\x1c" + b"\x1e" * 15  # its first byte comes once, so it never overlaps itself; and it has no zero
_OLD = b"MLog"  # the magic of files from before bodies were stuffed; such a file holds no other
_CUT = MAGIC[:-1]
_STUFFED = _CUT + b"\0"
OPENING, CLOSING = bytes(16), b"\xff" * 16
_HEAD = struct.Struct("<II")
_TAIL = struct.Struct("<Q16s")
_NEAR = 65_536  # bytes: below this a scan is faster than another halving

Data = bytes | mmap.mmap


class LogRefused(Exception):
    """A frame could not be written. Nothing of it is in the file, and nothing was acknowledged."""


class Frame(NamedTuple):
    """One frame as it was written."""

    seq: int
    id: bytes
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a file holds, and what it should hold but does not.

    `missing` counts sequence numbers without a frame, `skipped` bytes of damage between frames, `torn` bytes after the
    last whole frame (a write cut off by a kill: never acknowledged). `closed` is whether the writer finished the file.
    """

    frames: list[Frame]
    missing: int
    skipped: int
    torn: int
    closed: bool


def pack(seq: int, id_: bytes, body: bytes = b"") -> bytes:
    """Return a frame's bytes."""
    if MAGIC[0] in body:  # most have not even that byte, and looking for one is five times as fast
        body = body.replace(_CUT, _STUFFED)
    rest = _TAIL.pack(seq, id_) + body
    return MAGIC + _HEAD.pack(len(body), zlib.crc32(rest)) + rest


class FrameFile:
    """A log file that one process appends to. While it is open it is locked, so nobody deletes it."""

    def __init__(self, path: Path) -> None:
        """Open or create `path`.

        Raises:
            LogRefused: If the file cannot be made.
        """
        self.path = path
        try:
            self._fd = _open_locked(path)
        except OSError as error:
            raise LogRefused(f"{path}: {error.strerror}") from error
        self.size = os.fstat(self._fd).st_size

    def append(self, frames: bytes) -> None:
        """Write `frames` in one call: all of it, or nothing.

        Raises:
            LogRefused: If the system took less; the file is then cut back to where it was.
        """
        try:
            written = os.write(self._fd, frames)
        except OSError as error:
            raise LogRefused(f"{self.path}: {error.strerror}") from error
        if written < len(frames):
            self._cut_back(written)
            raise LogRefused(f"{self.path}: took {written} of {len(frames)} bytes; is the disk full?")
        self.size += written

    def sync(self) -> None:
        """Force what was appended to the platter.

        Raises:
            LogRefused: If the disk failed; then nobody knows how much of what was not yet forced is on it.
        """
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise LogRefused(f"{self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file and give up its lock."""
        os.close(self._fd)

    def _cut_back(self, written: int) -> None:
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:  # the piece stays, and readers step over it; a later cut must not reach back to before it
            self.size += written


def read_frames(data: Data) -> Reading:
    """Return every whole frame of a file's bytes; damage is stepped over and counted."""
    frames: list[Frame] = []
    numbers: set[int] = set()
    magic = _magic(data)
    first, end, skipped, at = None, None, 0, 0
    while (found := _next_frame(data, at, magic)) is not None:
        start, frame, after = found
        skipped += start - at
        at = after
        if frame.id == OPENING:
            first = frame.seq if first is None else first
        elif frame.id == CLOSING:
            end = frame.seq
        else:
            numbers.add(frame.seq)
            frames.append(frame)
    if numbers:
        first = min(numbers) if first is None else min(first, *numbers)
        last = max(numbers) + 1
    else:
        first = last = first or 0
    expected = max(last, end or 0) - first
    return Reading(
        frames=frames, missing=expected - len(numbers), skipped=skipped, torn=len(data) - at, closed=end is not None
    )


def find_frame(data: Data, id_: bytes) -> Frame | None:
    """Return the frame with `id_` from a file whose ids ascend: by halving, then a scan of what is near."""
    magic = _magic(data)
    before = len(magic) + _HEAD.size + _TAIL.size - len(id_)
    low, high = 0, len(data)
    while high - low > _NEAR:
        middle = (low + high) // 2
        found = _next_frame(data, middle, magic)
        if found is None or found[0] >= high or found[1].id > id_:
            high = middle
        else:
            low = found[0]
    until = high + before + len(id_)
    at = data.find(id_, low, until)
    while at >= 0:
        found = _frame_at(data, at - before, magic)
        if found is not None and found[0].id == id_:
            return found[0]
        at = data.find(id_, at + 1, until)
    return None


def mapped(path: Path) -> Data:
    """Return a file's bytes without reading them yet.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""


def _open_locked(path: Path) -> int:
    """Return a locked descriptor of `path`; open it again if a sealer deleted it just before the lock was ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def _magic(data: Data) -> bytes:
    return _OLD if data[: len(_OLD)] == _OLD else MAGIC


def _next_frame(data: Data, at: int, magic: bytes) -> tuple[int, Frame, int] | None:
    """Return start, frame and end of the first valid frame from `at` on."""
    while (at := data.find(magic, at)) >= 0:
        if (found := _frame_at(data, at, magic)) is not None:
            return at, *found
        at += 1
    return None


def _frame_at(data: Data, at: int, magic: bytes) -> tuple[Frame, int] | None:
    """Return the valid frame that starts at `at`, if one does, and its end."""
    head = at + len(magic)
    rest = head + _HEAD.size
    start = rest + _TAIL.size
    if at < 0 or start > len(data) or data[at:head] != magic:
        return None
    length, crc = _HEAD.unpack_from(data, head)
    end = start + length
    if end > len(data) or zlib.crc32(data[rest:end]) != crc:
        return None
    seq, id_ = _TAIL.unpack_from(data, rest)
    body = data[start:end]
    return Frame(seq, id_, body.replace(_STUFFED, _CUT) if magic == MAGIC else body), end
