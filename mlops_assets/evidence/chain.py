"""An append-only file of JSON lines, each carrying the hash of the one before."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mlops_assets.evidence.records import BrokenEvidence, Json, Struct, canonical, digest

GENESIS = "0" * 64


class Link(Struct, frozen=True, kw_only=True):
    """One line: `hash` is the sha256 of number, predecessor and body."""

    number: int
    previous: str
    body: dict[str, Json]
    hash: str


class Chain:
    """Hash-chained lines in one file; one writer at a time, any number of readers."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, which appears with the first line."""
        self.path = path
        self._read: list[Link] = []
        self._offset = 0

    def links(self) -> list[Link]:
        """Return all whole lines, oldest first; only what is new is read from disk.

        Raises:
            BrokenEvidence: If a line was changed, removed or is out of order; it names the line.
        """
        if not self.path.exists():
            self._read, self._offset = [], 0
            return []
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._offset:
                self._read, self._offset = [], 0
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        for line in whole.split(b"\n")[:-1]:
            self._read.append(self._checked(line))
        self._offset += len(whole)
        if _is_link(data[len(whole) : -1]):
            raise BrokenEvidence(f"{self.path}:{len(self._read) + 1}", "changed; a whole line without its end")
        return self._read

    def reread(self) -> list[Link]:
        """Return all lines, every hash computed anew from disk."""
        self._read, self._offset = [], 0
        return self.links()

    @contextmanager
    def writing(self) -> Generator[list[Link]]:
        """Hold the only right to append, and give the lines as they are now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.links()

    def append(self, body: dict[str, Json]) -> Link:
        """Append one line and force it to disk; call it while `writing`. A torn tail left by a crash is cut off."""
        links = self.links()
        number, previous = len(links), links[-1].hash if links else GENESIS
        link = Link(number=number, previous=previous, body=body, hash=_hash(number, previous, body))
        line = canonical(link) + b"\n"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(handle, self._offset)
            os.pwrite(handle, line, self._offset)
            os.fsync(handle)
        finally:
            os.close(handle)
        self.links()
        return link

    def _checked(self, line: bytes) -> Link:
        number = len(self._read)
        previous = self._read[-1].hash if self._read else GENESIS
        try:
            link = msgspec.json.decode(line, type=Link)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokenEvidence(f"{self.path}:{number + 1}", f"not a line of this file ({error})") from error
        if not _sound(link, line) or (link.number, link.previous) != (number, previous):
            raise BrokenEvidence(
                f"{self.path}:{number + 1}", "changed, removed or out of order; its hash does not follow"
            )
        return link


def _is_link(tail: bytes) -> bool:
    """Return whether a line is complete: what a crash leaves of one, less its last byte, never is."""
    try:
        return bool(tail) and bool(msgspec.json.decode(tail, type=Link))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _sound(link: Link, line: bytes) -> bool:
    """Return whether a line's bytes are those that were hashed: the line without its hash, as `append` writes it.

    Nothing is made canonical anew: that would take 20 times as long, and the bytes say it.
    """
    place = f'"number":{link.number},"previous":"{link.previous}"}}'
    end = f',"hash":"{link.hash}",{place}'.encode()
    return line.endswith(end) and digest(line[: -len(end)] + f",{place}".encode()) == link.hash


def _hash(number: int, previous: str, body: dict[str, Json]) -> str:
    return digest(canonical({"number": number, "previous": previous, "body": body}))
