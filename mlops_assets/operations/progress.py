"""Progress of many runs: a bar where there is a terminal, a line each where there is none."""

import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from mlops_assets.training.search import log as trials

Report = Callable[[str, str | None], None]


class _Lines(logging.Handler):
    """Prints what is logged, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record's message."""
        print(f"  {record.getMessage()}", flush=True)


@contextmanager
def progress(total: int) -> Generator[Report]:
    """Yield a function that is told each finished thing, and what there is to say of it; a search tells its trials."""
    began = time.monotonic()
    done = 0
    live = sys.stdout.isatty()

    def report(name: str, note: str | None) -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - began) / done * (total - done)
        bar = "█" * (24 * done // total) + "░" * (24 - 24 * done // total)
        line = f"{bar} {done}/{total}  {name}  {left:.0f} s left" if live else f"{done}/{total} {name}"
        print(f"\r\033[K{line}" if live else line, end="" if live and not note else "\n", flush=True)
        if note:
            print(f"  {note}", flush=True)

    with _told(trials):
        yield report
    if live and done:
        print(flush=True)


@contextmanager
def _told(logger: logging.Logger) -> Generator[None]:
    """Print what `logger` says at INFO, as long as the block lasts."""
    lines, level = _Lines(), logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
