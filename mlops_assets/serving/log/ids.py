"""Inference ids: UUIDv7 (RFC 9562), so an id says when its prediction was made. Row `i` of a batch is `<id>.<i>`."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_MS = (datetime(9999, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)  # a window has to end by then


@dataclass(frozen=True, kw_only=True)
class InferenceId:
    """An id as a client sends it: the request's 16 bytes, and the row if it names one of a batch."""

    request: bytes
    row: int | None = None

    def __str__(self) -> str:
        """Return the id's text."""
        return text(self.request) if self.row is None else f"{text(self.request)}.{self.row}"


class Ids:
    """Ids of one process, each greater than the one before, whatever the clock does.

    Within a millisecond a 32-bit counter goes on (RFC 9562 §6.2, method 1), so an id never runs ahead of its clock.
    """

    def __init__(self) -> None:
        """Draw the random bits from the system's entropy."""
        self._random = random.Random()
        self._ms = 0
        self._count = 0

    def new(self, ms: int) -> bytes:
        """Return the next id, at `ms` since 1970, or at the last id's time if that is later."""
        if ms > self._ms:
            self._ms, self._count = ms, self._random.getrandbits(31)
        else:
            self._count += 1
        high, low = self._count >> 20, self._count & 0xFFFFF
        bits = (self._ms << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | (low << 42) | self._random.getrandbits(42)
        return bits.to_bytes(16, "big")

    def advance(self, ms: int) -> None:
        """Promise that no later id is from before `ms`."""
        if ms > self._ms:
            self._ms, self._count = ms, self._random.getrandbits(31)


def text(request: bytes) -> str:
    """Return an id's canonical UUID text."""
    h = request.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def parse(value: str) -> InferenceId:
    """Return the id in `value`: a canonical UUIDv7, or `<UUIDv7>.<row>`.

    Raises:
        ValueError: If it is neither.
    """
    uuid, dot, row = value.partition(".")
    if len(uuid) == 36 and uuid.count("-") == 4 and (not dot or (row.isascii() and row.isdigit() and len(row) <= 9)):
        try:
            request = bytes.fromhex(uuid.replace("-", ""))
        except ValueError:
            request = b""
        right = len(request) == 16 and text(request) == uuid and request[6] >> 4 == 7 and request[8] >> 6 == 0b10
        if right and ms_of(request) < _END_MS:
            return InferenceId(request=request, row=int(row) if dot else None)
    raise ValueError(f"{value[:60]!r} is no inference id; right is a UUIDv7, or <UUIDv7>.<row> for a row of a batch")


def ms_of(request: bytes) -> int:
    """Return an id's time in ms since 1970."""
    return int.from_bytes(request[:6], "big")


def time_of(request: bytes) -> datetime:
    """Return an id's time, in UTC."""
    return moment(ms_of(request))


def moment(ms: int) -> datetime:
    """Return `ms` since 1970 as a UTC datetime."""
    return EPOCH + timedelta(milliseconds=ms)


def to_ms(at: datetime) -> int:
    """Return an aware datetime as ms since 1970, rounded down.

    Raises:
        ValueError: If it is before 1970 or after 9998.
    """
    ms = (at - EPOCH) // timedelta(milliseconds=1)
    if not 0 <= ms < _END_MS:
        raise ValueError(f"{at.isoformat()} is no time for an inference id; right is a year from 1970 to 9998")
    return ms
