"""Child processes that end with their parent, also if it is killed; only one parent at a time has any under a home."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlops_assets.operations import keeper

_PAUSE_S = 0.05


class Busy(ValueError):
    """Another process has children under this home."""


class Children:
    """The children of this process, each in a process group of its own, so that Ctrl-C reaches the parent alone."""

    def __init__(self, lock: IO[str]) -> None:
        """Start the keeper, which holds the home until the last child has ended."""
        self._started: list[subprocess.Popen[bytes]] = []
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", keeper.__file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        assert self._keeper.stdin is not None
        self._told = self._keeper.stdin

    def start(
        self, command: Sequence[str], env: Mapping[str, str], *, quiet: bool = False
    ) -> "subprocess.Popen[bytes]":
        """Return a new child; before it runs `command` it has told the keeper its group."""
        out = subprocess.DEVNULL if quiet else None
        process = subprocess.Popen(command, env=env, stdout=out, start_new_session=True, preexec_fn=self._tell)
        self._started.append(process)
        return process

    def end(self) -> None:
        """End all children and what they have started, and return when they are gone."""
        self._told.close()
        while self._keeper.poll() is None:
            for process in self._started:
                process.poll()  # or what has ended would still count as a process
            time.sleep(_PAUSE_S)
        keeper.end([process.pid for process in self._started if process.poll() is None], within_s=0)  # no keeper left
        for process in self._started:
            process.wait()

    def _tell(self) -> None:
        os.write(self._told.fileno(), f"{os.getpid()}\n".encode())


@contextmanager
def children(home: Path, *, within_s: float = keeper.WITHIN_S + 5) -> Generator[Children]:
    """Give this process children, which end with the block; those of a killed predecessor are waited for.

    Raises:
        Busy: If the children of another process still run under `home` after `within_s` seconds.
    """
    with held(home, within_s=within_s) as lock:
        started = Children(lock)
        try:
            yield started
        finally:
            started.end()


@contextmanager
def held(home: Path, *, within_s: float = 0.0) -> Generator[IO[str]]:
    """Hold the only right to have children under `home`.

    Raises:
        Busy: If another process still holds it after `within_s` seconds.
    """
    path = home / "locks" / "children"
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + within_s
    with path.open("a+") as lock:
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise Busy(f"process {_holder(lock)} already runs under {home}; stop it, or choose another --home")
            time.sleep(_PAUSE_S)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: IO[str]) -> str:
    lock.seek(0)
    return lock.read() or "?"
