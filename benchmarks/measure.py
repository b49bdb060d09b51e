"""How figures are measured: in processes of one thread, in turns, the fastest of several rounds."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mlops_assets.settings import Settings, environment

DATA = Path(__file__).parent / ".data"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
PINNED = dict.fromkeys(THREADS, "1")


def fastest(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """Return the least that each of `measures` gave in `rounds` rounds; they take turns, so that noise meets all."""
    taken = [[measure() for measure in measures] for _ in range(rounds)]
    return [min(each) for each in zip(*taken, strict=True)]


def seconds(command: Sequence[str], settings: Settings) -> float:
    """Return how long `command` takes from start to exit, in s."""
    began = time.perf_counter()
    said(command, settings)
    return time.perf_counter() - began


def said(command: Sequence[str], settings: Settings) -> str:
    """Return what `command` printed.

    Raises:
        RuntimeError: If it failed, with what it said last.
    """
    done = subprocess.run(command, env=child_environment(settings), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def child_environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment of a measured process: this deployment's, its threads pinned."""
    return {**environment(settings), **PINNED}


def python(*arguments: str) -> list[str]:
    """Return the command that runs this Python without its warnings."""
    return [sys.executable, "-W", "ignore", *arguments]
