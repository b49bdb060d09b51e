"""What a worker did in each of the last seconds, from its counts: nothing is added to what a request costs."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from mlops_assets.serving.routing.counts import quantile_us
from mlops_assets.serving.routing.lanes import Answerer

SPAN = 240  # samples that are kept
STEP_S = 1.0  # between them
MINUTE = 60


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """The last samples, oldest first, `step_s` apart: answers a second by class of status, and latency in µs.

    Latency is None in a second without a prediction. `per_s` and the quantiles without a list are of the last minute,
    or of what there is of it; `errors` and `refused` count its answers.
    """

    step_s: float
    rate: list[float]
    errors: list[float]
    p50_us: list[int | None]
    p99_us: list[int | None]
    per_s: float
    refused: int
    failed: int
    minute_p50_us: int | None
    minute_p95_us: int | None
    minute_p99_us: int | None


class _Second(NamedTuple):
    """What happened between two samples."""

    seconds: float
    answered: int
    refused: int
    failed: int
    latency: list[int]


class _Drawn(NamedTuple):
    """The same as it is drawn."""

    rate: float
    errors: float
    p50_us: int | None
    p99_us: int | None


class Pulse:
    """Keeps the last minutes of one worker; every method is for its event loop, and takes some tens of µs."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._drawn: deque[_Drawn] = deque(maxlen=SPAN)
        self._minute: deque[_Second] = deque()
        self._bins: list[int] = []  # of the latencies of that minute
        self._classes: Mapping[int, int] = {}
        self._latency: dict[Answerer, list[int]] = {}
        self._at_s: float | None = None

    def take(self, now_s: float, answerers: Iterable[Answerer], classes: Mapping[int, int]) -> None:
        """Add what happened since the last sample; `classes` counts answers to predictions by status // 100 so far."""
        latency = {by: by.tally.latency for by in answerers if by.variant != "shadow"}
        over = {by: by.tally.latency for by in self._latency if by not in latency}  # what they did at last
        if self._at_s is not None:
            ended, refused, failed = (classes.get(each, 0) - self._classes.get(each, 0) for each in (2, 4, 5))
            both = ((now, self._latency.get(by, [])) for by, now in (latency | over).items())
            done = [_less(now, before) for now, before in both if now != before]
            merged = done[0] if len(done) == 1 else [sum(bins) for bins in zip(*done, strict=True)]
            self._keep(_Second(max(now_s - self._at_s, 1e-3), ended, refused, failed, merged))
        self._at_s, self._classes, self._latency = now_s, dict(classes), latency

    def recent(self) -> Recent:
        """Return the last samples and the last minute."""
        seconds = sum(second.seconds for second in self._minute)
        answered = sum(second.answered for second in self._minute)
        return Recent(
            step_s=STEP_S,
            rate=[each.rate for each in self._drawn],
            errors=[each.errors for each in self._drawn],
            p50_us=[each.p50_us for each in self._drawn],
            p99_us=[each.p99_us for each in self._drawn],
            per_s=round(answered / seconds, 2) if seconds else 0.0,
            refused=sum(second.refused for second in self._minute),
            failed=sum(second.failed for second in self._minute),
            minute_p50_us=quantile_us(self._bins, 0.5),
            minute_p95_us=quantile_us(self._bins, 0.95),
            minute_p99_us=quantile_us(self._bins, 0.99),
        )

    def _keep(self, second: _Second) -> None:
        rate, errors = (round(n / second.seconds, 2) for n in (second.answered, second.refused + second.failed))
        quantiles = (quantile_us(second.latency, share) for share in (0.5, 0.99))
        self._drawn.append(_Drawn(rate, errors, *quantiles))
        self._minute.append(second)
        self._bins = [a + b for a, b in zip_longest(self._bins, second.latency, fillvalue=0)]
        if len(self._minute) > MINUTE:
            self._bins = _less(self._bins, self._minute.popleft().latency)


def _less(now: Sequence[int], before: Sequence[int]) -> list[int]:
    return [a - b for a, b in zip_longest(now, before, fillvalue=0)]
