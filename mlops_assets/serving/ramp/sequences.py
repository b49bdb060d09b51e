"""What two variants did so far -> evidence that one is worse, in nats; valid however often somebody looks.

While a hypothesis holds, the evidence against it ever reaches ln(1 / chance) with that chance at most, over all looks
together (Ville 1939). For a share it is the likelihood of the counts, mixed over all shares with the weight
Beta(1/2, 1/2), over their likelihood at the share in question (Robbins, Ann. Math. Stat. 41, 1970; Howard, Ramdas,
McAuliffe and Sekhon, Ann. Stat. 49, 2021). The evidence of two variants adds up, and a hypothesis about both is given
the shares that suit it best (Turner and Grünwald, AISTATS 2023). Requests are taken to be independent of each other.

All of that holds for numbers in [0, 1] as well, which are then parts of a hit: the likelihood ratio is convex in the
number, so its mean is no more than that of hits with the same mean (Hoeffding, J. Am. Stat. Assoc. 58, 1963).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import exp, inf, lgamma, log, log1p, sqrt

TUNED_AT = 500  # outcomes of the smaller variant at which the interval of a difference is tightest
_STEPS = 60  # of a search by thirds
_HALVINGS = 24
_BETS = tuple(0.9 * 0.6**power for power in range(11))
_GUESSES = (0.02, 0.1, 0.2, 0.3, 0.5, 0.8)  # of a mean loss; the nearer, the less evidence it takes
_LATE = 0.05  # the share of requests that are slower than the 95th percentile


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean and variance of `count` numbers."""

    count: int
    mean: float
    variance: float


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A difference, and what it lies between at every look, but for the chance that was asked for."""

    value: float
    low: float
    high: float


def higher_share(hits: tuple[int, int], counts: tuple[int, int], margin: float) -> float:
    """Return the evidence that the first of two shares is higher than the second by over `margin`, in [0, 1]."""
    if not all(counts) or margin >= 1:
        return -inf
    first, second = (hit / count for hit, count in zip(hits, counts, strict=True))

    def at(share: float) -> float:
        return _against(hits[0], counts[0], share + margin) + _against(hits[1], counts[1], share)

    if first <= second + margin:
        return _against(hits[0], counts[0], first) + _against(hits[1], counts[1], second)
    return _least(at, second, first - margin)  # the least of a sum of convex functions lies between theirs


def higher_mean(first: Mean, second: Mean, margin: float) -> float:
    """Return the evidence that the mean of the first is over `margin`, in [-1, 1], higher; of numbers in [0, 1].

    It is exact at every count, and does not depend on the order in which the numbers came.
    """
    if not first.count or not second.count or first.mean - second.mean <= margin:
        return -inf
    over = _over(first)
    under = _over(Mean(count=second.count, mean=1 - second.mean, variance=second.variance))
    return _least(lambda mean: over(min(1.0, mean + margin)) + under(1 - mean), max(0.0, -margin), 1.0)


@lru_cache(maxsize=64)
def bounded_difference(first: Mean, second: Mean, chance: float) -> Interval:
    """Return the difference of two means of numbers in [0, 1], and an interval that misses it with `chance` at most.

    It holds at every count and every look: it is all differences against which there is no evidence (`higher_mean`).
    """
    enough = log(2 / chance)

    def limit(one: Mean, other: Mean) -> float:
        low, high = -1.0, one.mean - other.mean
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if higher_mean(one, other, middle) >= enough else (low, middle)
        return low

    return Interval(value=first.mean - second.mean, low=limit(first, second), high=-limit(second, first))


def slower(first: Sequence[int], second: Sequence[int], bounds: Sequence[float], ratio: float) -> float:
    """Return the evidence that the first of two 95th percentiles is over `ratio` times the second.

    Both are counted in bins, each up to its place in `bounds`, which ascend. Wherever the second's percentile may lie:
    either more than one in 20 of its requests are not below that bin, or more than one in 20 of the first's are above
    `ratio` times the bin's bound. Only one bin is the true one, so looking at all of them costs nothing.
    """
    above = [_above(counts, len(bounds)) for counts in (first, second)]
    if not all(counts[0] for counts in above):
        return -inf
    least = inf
    for place, bound in enumerate(bounds):
        past = min(bisect_left(bounds, ratio * bound), len(bounds) - 1)
        late = _at_most(above[0][past + 1], above[0][0], _LATE)
        least = min(least, late + _at_least(above[1][place], above[1][0], _LATE))
    return least


def difference(first: Mean, second: Mean, chance: float) -> Interval:
    """Return the difference of two means, and an interval that ever misses it with about `chance`, of many numbers.

    An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Ann. Stat. 52, 2024, theorem
    2.2): it needs enough numbers of each for their means to be about normal, and no bounds. It runs on the smaller
    variant's information, so that a small canary beside a large champion has the narrowest interval at `TUNED_AT`.
    Few numbers may have missed what is rare and large, so each variance is taken to be at least that of all numbers.
    """
    value = first.mean - second.mean
    whole = (first.count * first.variance + second.count * second.variance) / (first.count + second.count)
    spreads = max(first.variance, whole), max(second.variance, whole)
    variance = spreads[0] / first.count + spreads[1] / second.count
    if variance <= 0:
        return Interval(value=value, low=value, high=value)
    pooled = sum(spreads) / 2
    information = pooled / variance
    tuned = (-2 * log(chance) + log(-2 * log(chance) + 1)) / TUNED_AT
    grown = information * tuned
    half = sqrt(variance * 2 * (grown + 1) / grown * (log1p(grown) / 2 - log(chance)))
    return Interval(value=value, low=value - half, high=value + half)


def _least(convex: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(_STEPS):
        near, far = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, far) if convex(near) <= convex(far) else (near, high)
    return convex((low + high) / 2)


def _over(found: Mean) -> Callable[[float], float]:
    """Return what tells the evidence that numbers in [0, 1] do not have some mean or less.

    Half of it is that of hits, which suits what is rare; half uses how little the numbers vary, by exp(bet * (sum -
    count * mean) - (-ln(1 - bet) - bet) * sum of (number - guess)^2) over a fixed grid of bets and guesses. Each of
    these is a supermartingale (Fan, Grama and Liu, Electron. J. Probab. 20, 2015, via Howard, Ramdas, McAuliffe and
    Sekhon, theorem 4: empirical Bernstein), and so is their mean.
    """
    around = [found.count * (found.variance + (found.mean - guess) ** 2) for guess in _GUESSES]
    paid = [(bet, _log_mean([(log1p(-bet) + bet) * spread for spread in around])) for bet in _BETS]

    def against(mean: float) -> float:
        more = found.count * (found.mean - mean)
        varied = _log_mean([bet * more + cost for bet, cost in paid])
        return _log_mean([varied, _at_most(found.count * found.mean, found.count, mean)])

    return against


def _log_mean(logs: list[float]) -> float:
    """Return the logarithm of the mean of what `logs` are the logarithms of."""
    most = max(logs)
    return most if most == inf else most + log(sum([exp(each - most) for each in logs]) / len(logs))


def _above(counts: Sequence[int], bins: int) -> list[int]:
    """Return how many lie in each bin or a later one; one more than there are bins, for none."""
    padded = [0, *[0] * (bins - len(counts)), *reversed(counts)]
    return list(accumulate(padded))[::-1]


def _against(hits: float, count: float, share: float) -> float:
    """Return the evidence that `hits` of `count` are not of `share`."""
    mixed = lgamma(hits + 0.5) + lgamma(count - hits + 0.5) - lgamma(count + 1) - 2 * lgamma(0.5)
    return mixed - _times_log(hits, share) - _times_log(count - hits, 1 - share)


def _at_most(hits: float, count: int, share: float) -> float:
    """Return the evidence that the true share is not `share` or less."""
    return _against(hits, count, min(share, hits / count))


def _at_least(hits: int, count: int, share: float) -> float:
    """Return the evidence that the true share is not `share` or more."""
    return _against(hits, count, max(share, hits / count))


def _times_log(count: float, share: float) -> float:
    if count <= 0:
        return 0.0
    return count * log(share) if share > 0 else -inf
