"""What each variant did since its segment was last routed otherwise: requests, errors, latency and scores, in bins.

Bins are integers that ascend with what they hold, so neighbours may be merged, and counts of several workers added.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, zip_longest
from math import frexp, isfinite
from pathlib import Path
from traceback import extract_tb
from zlib import crc32

import msgspec

from mlops_assets.evidence.records import Struct
from mlops_assets.training.model import Task
from mlops_assets.training.predictor import Score

_FINE = 3  # bits below the leading one: 8 bins for each doubling of the latency, each at most 1/8 wide
_LONGEST_US = 2**26 - 1  # 67 s; what takes longer counts as that
_STEPS = 100  # bins of a probability
_PARTS = 64  # bins of a value for each doubling of it, each at most 1.6% wide
_REACH = 64  # doublings below 1; what is smaller counts as 0
_LARGEST = 2.0**64  # what is larger counts as that
NO_NUMBER = -(10**9)  # the bin of NaN and infinity
_KEYS = 2**17  # places for sticky values; two at one place count as one, whatever they are

Binned = Callable[[float], int]


class VariantCounts(Struct, frozen=True, kw_only=True):
    """What one variant did in one worker.

    `requests` were given to it; in `errors` of them it raised, and the champion answered. `latency` holds the others,
    by bins of µs from receipt to log (`latency_us` names a bin's bound; of a shadow only its own work); `shared` are
    those of them that tell nothing of it alone. `scores` holds by bins of the output who is independent: the first row
    of each request, and of each sticky value only its first; that was so in each of `keyed` workers apart.
    `dropped` requests came too fast for a shadow. `why` is the latest error.
    """

    requests: int = 0
    errors: int = 0
    latency: list[int] = msgspec.field(default_factory=list[int])
    scores: dict[int, int] = msgspec.field(default_factory=dict[int, int])
    shared: list[int] = msgspec.field(default_factory=list[int])
    keyed: int = 0
    dropped: int = 0
    why: str | None = None


class Tally:
    """The counts of one variant while it goes on; each method is for one thread at a time."""

    __slots__ = ("_binned", "_keys", "_latency", "_scores", "_shared", "dropped", "errors", "why")

    def __init__(self, task: Task) -> None:
        """Begin at zero, for a model of `task`."""
        self._binned = score_bin(task)
        self._latency = [0] * (latency_bin(_LONGEST_US) + 1)
        self._shared = self._latency.copy()
        self._scores: dict[int, int] = {}
        self._keys: bytearray | None = None
        self.errors = 0
        self.dropped = 0
        self.why: str | None = None

    def answered(self, us: int, rows: Sequence[Score]) -> None:
        """Count one request that took `us`, and the output of the first of `rows`."""
        self._latency[latency_bin(us)] += 1
        if rows:
            place = self._binned(rows[0].output)
            self._scores[place] = self._scores.get(place, 0) + 1

    def answered_for(self, key: bytes | None, us: int, rows: Sequence[Score], *, shared: bool) -> None:
        """Count one request as `answered` does, but no output of a `key` that was counted before.

        It is `shared` if others may have answered a part of it: what it took is then not to be judged.
        """
        self.answered(us, rows if rows and (key is None or self._is_new(key)) else ())
        if shared:
            self._shared[latency_bin(us)] += 1

    def _is_new(self, key: bytes) -> bool:
        keys = self._keys
        if keys is None:
            keys = self._keys = bytearray(_KEYS)
        place = crc32(key) % _KEYS
        if keys[place]:
            return False
        keys[place] = 1
        return True

    def explain(self, error: Exception) -> None:
        """Keep what failed and where; its message stays out, as it may quote a request."""
        where = extract_tb(error.__traceback__)[-1:]
        self.why = type(error).__name__ + "".join(f" at {Path(each.filename).name}:{each.lineno}" for each in where)

    @property
    def latency(self) -> list[int]:
        """The latencies so far, by all bins."""
        return self._latency.copy()

    def counts(self) -> VariantCounts:
        """Return the counts so far."""
        latency = _trimmed(self._latency)
        answered = sum(latency)
        return VariantCounts(
            requests=answered + self.errors,
            errors=self.errors,
            latency=latency,
            scores=self._scores.copy(),
            shared=_trimmed(self._shared),
            keyed=int(self._keys is not None),
            dropped=self.dropped,
            why=self.why,
        )


def added(parts: Iterable[VariantCounts]) -> VariantCounts:
    """Return the counts of several workers together."""
    requests = errors = dropped = keyed = 0
    latency: list[int] = []
    shared: list[int] = []
    scores: dict[int, int] = {}
    why: str | None = None
    for part in parts:
        why = part.why or why
        requests, errors, dropped = requests + part.requests, errors + part.errors, dropped + part.dropped
        keyed += part.keyed
        latency = [a + b for a, b in zip_longest(latency, part.latency, fillvalue=0)]
        shared = [a + b for a, b in zip_longest(shared, part.shared, fillvalue=0)]
        for place, count in part.scores.items():
            scores[place] = scores.get(place, 0) + count
    return VariantCounts(
        requests=requests,
        errors=errors,
        latency=latency,
        scores=scores,
        shared=shared,
        keyed=keyed,
        dropped=dropped,
        why=why,
    )


def _trimmed(bins: Sequence[int]) -> list[int]:
    last = next((place for place in reversed(range(len(bins))) if bins[place]), -1)
    return list(bins[: last + 1])


def counts_key(segment: str, variant: str, version: int) -> str:
    """Return how a worker's file names a variant's counts: `segment/variant/version`."""
    return f"{segment}/{variant}/{version}"


def latency_bin(us: int) -> int:
    """Return the bin of a latency in µs: below 16 its own, then 8 for each doubling, up to 67 s."""
    us = min(us, _LONGEST_US)
    finer = us.bit_length() - _FINE - 1
    return us if finer <= 0 else (finer << _FINE) + (us >> finer)


def latency_us(place: int) -> int:
    """Return the longest latency, in µs, that `latency_bin` puts into a bin."""
    finer = max(0, (place >> _FINE) - 1)
    return ((place - (finer << _FINE) + 1) << finer) - 1


def quantile_us(latency: Sequence[int], share: float) -> int | None:
    """Return the bound of the bin that holds the `share` (0 to 1) quantile of binned latencies; None without any."""
    sums = list(accumulate(latency))
    return latency_us(bisect_left(sums, max(1.0, share * sums[-1]))) if sums and sums[-1] else None


def score_bin(task: Task) -> Binned:
    """Return what tells the bin of an output: the class, the percent of a probability, or the size of a value."""
    return {"binary": _percent, "multiclass": _class, "regression": _size}[task]


def _percent(output: float) -> int:
    return int(output * _STEPS) if isfinite(output) else NO_NUMBER


def _class(output: float) -> int:
    return int(output) if isfinite(output) else NO_NUMBER


def _size(output: float) -> int:
    if not isfinite(output):
        return NO_NUMBER
    part, doublings = frexp(min(abs(output), _LARGEST))  # part in [0.5, 1), or 0
    if doublings < -_REACH or not part:
        return 0
    size = 1 + (doublings + _REACH) * _PARTS + int((part - 0.5) * 2 * _PARTS)
    return size if output > 0 else -size


def by_segment(counts: Mapping[str, VariantCounts]) -> dict[tuple[str, str, int], VariantCounts]:
    """Return a worker's counts by segment, variant and version."""
    keys = {key: key.split("/") for key in counts}
    return {(segment, variant, int(version)): counts[key] for key, (segment, variant, version) in keys.items()}
