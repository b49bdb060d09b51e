"""What time a prediction is made at: the server's clock, or one that a replay moves by a header."""

import time
from datetime import datetime
from typing import Protocol

from mlops_assets.serving.log.ids import moment, to_ms
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.windows import Grid

HEADER = "mlops-clock"


class Clock(Protocol):
    """Milliseconds since 1970."""

    def now_ms(self) -> int | None:
        """Return the time; None before a replay has said one."""
        ...

    def read(self, header: bytes | None) -> int:
        """Return the time of a request that may carry the clock header.

        Raises:
            Refused: 400, naming what is wrong with the header.
        """
        ...


class ServerClock:
    """The machine's clock; a client has no say in it."""

    def now_ms(self) -> int:
        """Return the machine's time."""
        return time.time_ns() // 1_000_000

    def read(self, header: bytes | None) -> int:
        """Return the machine's time, and refuse the header."""
        if header is not None:
            raise Refused(
                400, f"header {HEADER} is refused: this endpoint stamps with its own clock (not `--clock replay`)"
            )
        return time.time_ns() // 1_000_000


class ReplayClock:
    """The latest time that any request has named; an earlier one does not turn it back."""

    def __init__(self, grid: Grid) -> None:
        """Accept times on `grid`, the monitoring windows."""
        self._grid = grid
        self._ms: int | None = None

    def now_ms(self) -> int | None:
        """Return the latest time named."""
        return self._ms

    def read(self, header: bytes | None) -> int:
        """Return the clock's time after a request with this header."""
        if header is not None:
            self.move(header.decode("latin-1"))
        if self._ms is None:
            raise Refused(
                400, f"the replayed clock has no time yet; send header {HEADER} with an ISO time or ms since 1970"
            )
        return self._ms

    def move(self, to: str) -> int:
        """Move the clock on to an ISO 8601 time with offset, or to ms since 1970, and return its time.

        Raises:
            Refused: 400 if it is neither, or lies before the first monitoring window.
        """
        try:
            at = moment(int(to)) if to.isascii() and to.isdigit() else datetime.fromisoformat(to)
            ms = to_ms(at) if at.tzinfo is not None else None
        except (ValueError, OverflowError):
            ms = None
        if ms is None:
            right = "an ISO 8601 time with an offset, such as 2026-01-31T12:00:00Z, or ms since 1970"
            raise Refused(400, f"{HEADER}: found {to[:60]!r}; right is {right}")
        if self._ms is None and not self._grid.holds(moment(ms)):
            first = self._grid.bounds(self._grid.key(self._grid.start))[0]
            raise Refused(
                400, f"{HEADER}: {to!r} is before the first monitoring window; right is {first.isoformat()} or later"
            )
        self._ms = ms if self._ms is None else max(ms, self._ms)
        return self._ms
