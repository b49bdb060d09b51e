"""What happens in an endpoint -> JSON lines on stderr: one for each turn of its life and each failure of its own.

A line never holds a body, a value of a request, a key, or the message of an unforeseen exception, which may quote any
of them. Of each kind there are at most so many lines in ten seconds; how many were left out is in the next one.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Literal

import msgspec

Level = Literal["info", "warning", "error"]
Kept = Literal["events", "requests"]
Said = str | int | float | list[str] | None
SPAN_S = 10.0
LINES = 50  # of a kind in a span
REQUESTS = 20_000  # the same for the lines of requests, which somebody asked for
_FRAMES = 12  # innermost ones of a traceback


class Events:
    """Writes lines of one process. May be used from any thread."""

    def __init__(self, product: str, writer: str, *, kept: Kept = "events", write: Callable[[str], object]) -> None:
        """Name `product` and `writer` in each line; `write` takes one that ends with a line feed."""
        self.requests = kept == "requests"
        self._product = product
        self._writer = writer
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._span: dict[str, tuple[float, int]] = {}

    def tell(self, event: str, said: Mapping[str, Said], level: Level = "info") -> None:
        """Write one line, unless there were too many of this kind; what is None is left out."""
        left_out = self._left_out(event, REQUESTS if event == "request" else LINES)
        if left_out is None:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": level, "event": event, "product": self._product, "writer": self._writer}
        more = {"left_out": left_out} if left_out else {}
        told = {name: value for name, value in said.items() if value is not None}
        self._write(self._encode({**line, **told, **more}).decode() + "\n")

    def unforeseen(self, error: BaseException, said: Mapping[str, Said]) -> None:
        """Write where an exception that nobody foresaw came from; its message stays out, as it may quote a request."""
        found = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        frames = [f"{each.filename}:{each.lineno} in {each.name}" for each in found]
        self.tell("unforeseen_error", {"kind": type(error).__name__, **said, "trace": frames}, "error")

    def _left_out(self, event: str, limit: int) -> int | None:
        """Return how many lines of this kind were left out before this one, or None if it is to be left out too."""
        now = monotonic()
        began, count = self._span.get(event, (now, 0))
        over = now - began >= SPAN_S
        self._span[event] = (now, 1) if over else (began, count + 1)
        if over:
            return max(0, count - limit)
        return None if count >= limit else 0


def to_stderr(line: str) -> None:
    """Write a line at once, whoever reads it or not."""
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads any more, or the disk is full: answers go on
        pass


class Bridge(logging.Handler):
    """Writes what libraries log as lines too; their messages are about connections, not about what is in them."""

    def __init__(self, events: Events) -> None:
        """Write warnings and what is worse."""
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; of an exception only where it came from."""
        level: Level = "warning" if record.levelno < logging.ERROR else "error"
        if record.exc_info and record.exc_info[1] is not None:
            self._events.unforeseen(record.exc_info[1], {"logger": record.name})
        else:
            self._events.tell(f"log.{record.name}", {"said": record.getMessage().strip()[:500]}, level)
