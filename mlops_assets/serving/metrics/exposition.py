"""Figures -> Prometheus' text format, version 0.0.4."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"  # the content type
BOUNDS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Labels = Mapping[str, str | int]
Kind = Literal["counter", "gauge"]


class Latencies(NamedTuple):
    """A histogram of seconds: how many are in each bucket of `BOUNDS_S` and above, not added up, and their sum."""

    labels: Labels
    buckets: Sequence[int]
    sum_s: float


def single(name: str, kind: Kind, says: str, value: float) -> Iterator[str]:
    """Yield the lines of one figure without labels."""
    return family(name, kind, says, [({}, value)])


def family(name: str, kind: Kind, says: str, samples: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    """Yield the lines of a figure with a value for each set of labels; the name of a counter ends with `_total`."""
    yield from _head(name, kind, says)
    for labels, value in samples:
        yield f"{name}{_labelled(labels)} {_number(value)}"


def histogram(name: str, says: str, samples: Iterable[Latencies]) -> Iterator[str]:
    """Yield the lines of histograms of seconds."""
    yield from _head(name, "histogram", says)
    for labels, buckets, sum_s in samples:
        sums = list(accumulate(buckets))
        for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], sums, strict=True):
            yield f"{name}_bucket{_labelled({**labels, 'le': bound})} {count}"
        yield f"{name}_sum{_labelled(labels)} {_number(sum_s)}"
        yield f"{name}_count{_labelled(labels)} {sums[-1]}"


def _head(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP {name} {says}"
    yield f"# TYPE {name} {kind}"


def _labelled(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}" if abs(value) < 1e9 else repr(value)
