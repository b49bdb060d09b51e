"""Scores of two variants, counted in bins -> how far they differ, and the evidence that it is over a margin.

The measure is the population stability index, sum((p - q) ln(p / q)), over five parts of the second's scores. The
evidence is that of `sequences`, for several classes instead of two (weight Dirichlet(1/2)). It is valid for parts that
were chosen from the counts themselves, since it pays for every choice of cuts that there was. Plain floats, since
five parts are too few for arrays, and a worker that answers requests runs this.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import comb, inf, lgamma, log

PARTS = 5
_PERCENTS = 102  # bins of a probability, or of a class
_PLACES = (2 * _PERCENTS, 40_000)  # of a cut: at a bin or between two, where there are percents and where values
_APART = 5.5  # bins: percents, or 6% of a value; so far from a champion that always says the same is something else
_HALVINGS = 40
_NEWTON = 60  # steps at most; a handful is usual
_ROUNDS = 3  # of drawing the plane anew; more find no more
_TINY = 1e-9

Floats = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How often a variant gave a score, by bins of it; each counts for `weight`, as it may be counted so often."""

    bins: Mapping[int, int]
    weight: float = 1.0


def parts_of(first: Scores, second: Scores) -> tuple[list[float], list[float]]:
    """Return both counts over the same parts, five at most, about equally large in the second.

    A cut lies in the middle between two scores of the second: the first may lie anywhere about them.
    """
    cuts = _cuts(second.bins)
    return _over(first, cuts), _over(second, cuts)


def index(first: Floats, second: Floats) -> float:
    """Return the population stability index of two counts, each a half more, so that no part is empty."""
    return _index(_smooth(first), _smooth(second))


def shifted(first: Scores, second: Scores, margin: float) -> float:
    """Return the evidence that the index of two variants' scores is over `margin`, in nats."""
    counts = parts_of(first, second)
    if not all(map(sum, counts)) or index(*counts) <= margin:
        return -inf
    percents = all(0 <= place < _PERCENTS for place in (*first.bins, *second.bins))
    choices = log(2 * PARTS) + log(comb(_PLACES[not percents], len(counts[0]) - 1))  # of so many cuts
    return sum(map(_log_mixed, counts)) + _unlikely(*counts, margin) - choices


def _cuts(bins: Mapping[int, int]) -> list[float]:
    """Return where to cut so that the parts are as near to fifths as may be; about the only score there is, if so."""
    places = sorted(place for place, count in bins.items() if count)
    if len(places) < 2:
        return [place + side * _APART for place in places for side in (-1, 1)]
    sums = list(accumulate(bins[place] for place in places))
    between = range(len(places) - 1)
    nearest = {min(between, key=lambda at: abs(sums[at] - part * sums[-1] / PARTS)) for part in range(1, PARTS)}
    return [(places[at] + places[at + 1]) / 2 for at in sorted(nearest)]


def _over(scores: Scores, cuts: Sequence[float]) -> list[float]:
    """Return the counts over the parts between `cuts`."""
    parts = [0.0] * (len(cuts) + 1)
    for place, count in scores.bins.items():
        parts[bisect_left(cuts, place)] += scores.weight * count
    return parts


def _unlikely(first: Floats, second: Floats, margin: float) -> float:
    """Return a bound from below on -ln(likelihood) of both counts, whatever shares of index `margin` at most they have.

    The index is convex, so those shares lie on one side of each plane that touches it. The least on that side is found
    through its dual, each value of which is a bound; then the plane is drawn again where the shares found are.
    """
    p, q = _smooth(first), _smooth(second)
    best = -inf
    for _ in range(_ROUNDS):
        p, q = _toward(p, q, margin)
        slopes = [log(a / b) + 1 - b / a for a, b in zip(p, q, strict=True)]
        slopes += [log(b / a) + 1 - a / b for a, b in zip(p, q, strict=True)]
        value, p, q = _on_one_side(first, second, slopes, margin)
        best = max(best, value)
    return best


def _on_one_side(
    first: Floats, second: Floats, slopes: Floats, margin: float
) -> tuple[float, list[float], list[float]]:
    """Return the least -ln(likelihood) where shares times slopes are `margin` at most, and the shares there."""
    cut = len(first)

    def at(price: float) -> tuple[float, list[float], list[float]]:
        p, q = _shares(first, slopes[:cut], price), _shares(second, slopes[cut:], price)
        over = sum(a * b for a, b in zip((*p, *q), slopes, strict=True)) - margin
        return over, p, q

    low, high = 0.0, 1.0
    while at(high)[0] > 0 and high < 1e9:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        price = (low + high) / 2
        low, high = (price, high) if at(price)[0] > 0 else (low, price)
    over, p, q = at(high)
    likely = sum(count * log(share) for count, share in zip((*first, *second), (*p, *q), strict=True) if count)
    return high * over - likely, p, q


def _shares(counts: Floats, slopes: Floats, price: float) -> list[float]:
    """Return the shares with the least -ln(likelihood) + price * (shares times slopes)."""
    lowest = min(slopes)
    floor = -price * lowest
    level = max(count - price * slope for count, slope in zip(counts, slopes, strict=True))
    if level <= floor:  # the part with the lowest slope has no count, and may have to take what is left
        taken = [count / (floor + price * slope) if count else 0.0 for count, slope in zip(counts, slopes, strict=True)]
        if sum(taken) <= 1:
            taken[slopes.index(lowest)] += 1 - sum(taken)
            return taken
    for _ in range(_NEWTON):
        taken = [count / (level + price * slope) if count else 0.0 for count, slope in zip(counts, slopes, strict=True)]
        steep = sum(share * share / count for share, count in zip(taken, counts, strict=True) if count)
        step = (sum(taken) - 1) / steep
        if step <= _TINY * max(1.0, abs(level)):
            break
        level += step
    return [count / (level + price * slope) if count else 0.0 for count, slope in zip(counts, slopes, strict=True)]


def _toward(p: Floats, q: Floats, margin: float) -> tuple[list[float], list[float]]:
    """Return both shares, mixed with their mean until their index is `margin`."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        weight = (low + high) / 2
        low, high = (weight, high) if _index(*_mixed(p, q, weight)) > margin else (low, weight)
    return _mixed(p, q, high)


def _mixed(p: Floats, q: Floats, weight: float) -> tuple[list[float], list[float]]:
    p, q = [max(a, _TINY) for a in p], [max(b, _TINY) for b in q]
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    near = [[a + weight * (m - a) for a, m in zip(side, middle, strict=True)] for side in (p, q)]
    return near[0], near[1]


def _smooth(counts: Floats) -> list[float]:
    whole = sum(counts) + len(counts) / 2
    return [(count + 0.5) / whole for count in counts]


def _index(p: Floats, q: Floats) -> float:
    return sum((a - b) * log(a / b) for a, b in zip(p, q, strict=True))


def _log_mixed(counts: Floats) -> float:
    """Return ln(likelihood) of counts, mixed over all shares with the weight Dirichlet(1/2)."""
    half = len(counts) / 2
    each = sum(lgamma(count + 0.5) - lgamma(0.5) for count in counts)
    return each + lgamma(half) - lgamma(sum(counts) + half)
