"""Decisions and the groups of people that they fall on -> rates by group, and every two groups beside each other."""
# fairlearn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from collections.abc import Sequence
from itertools import combinations, permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct
from mlops_assets.training.metrics import Floats

Rate = Literal["selected", "true_positive", "false_positive"]
RATES: tuple[Rate, ...] = ("selected", "true_positive", "false_positive")
SURE = 0.05
DRAWS = 4000

Bools = NDArray[np.bool_]
Names = NDArray[np.str_]


class Share(Struct, frozen=True, kw_only=True):
    """A rate of a group: `hits` of `rows`, and its 95% interval."""

    value: float
    hits: int
    rows: int
    low: float
    high: float


class Group(Struct, frozen=True, kw_only=True):
    """A group's rates; one that no row of it can show is None: there is no true positive without a positive."""

    name: str
    rows: int
    selected: Share
    true_positive: Share | None
    false_positive: Share | None


class Pair(Struct, frozen=True, kw_only=True):
    """Two groups' rates beside each other: `low` over `high` as a ratio, `high` less `low` as a difference.

    The interval is 95% for all pairs of groups together.
    """

    rate: Rate
    low: str
    high: str
    value: float
    lower: float
    upper: float


def compared(positive: Bools, chosen: Bools, names: Names, *, seed: int) -> tuple[list[Group], list[Pair], list[Pair]]:
    """Return the groups, their ratios of selection rates and their differences of true and false positive rates.

    `positive` is what the rows are, `chosen` what is decided on them, `names` their groups, all of shape (rows,). Rates
    are fairlearn's. Both lists of pairs begin with the farthest apart. Intervals are the bootstrap's within each group
    (Efron and Tibshirani, 1993, chapter 8), where hits are binomial; their share is taken as (hits + 1/2) / (rows + 1),
    as otherwise a group of three rows that were all hit would be thought to have no error.
    """
    found = _groups(positive, chosen, names, seed)
    draw = np.random.default_rng(seed)
    drawn = {rate: _drawn(found, rate, draw) for rate in RATES}
    ratios = _pairs(found, drawn["selected"], "selected", ratio=True)
    apart = [pair for rate in RATES[1:] for pair in _pairs(found, drawn[rate], rate, ratio=False)]
    return found, sorted(ratios, key=lambda pair: pair.value), sorted(apart, key=lambda pair: -pair.value)


def _groups(positive: Bools, chosen: Bools, names: Names, seed: int) -> list[Group]:
    rates = _rates(positive, chosen, names)
    draw = np.random.default_rng(seed)
    groups: list[Group] = []
    for name in np.unique(names).tolist():
        rows = names == name
        count, positives = int(rows.sum()), int(positive[rows].sum())
        sizes = dict(zip(RATES, (count, positives, count - positives), strict=True))
        shares = {rate: _share(rates[rate][name], sizes[rate], draw) for rate in RATES}
        selected = shares["selected"]
        if selected is not None:
            groups.append(
                Group(
                    name=name,
                    rows=count,
                    selected=selected,
                    true_positive=shares["true_positive"],
                    false_positive=shares["false_positive"],
                )
            )
    return sorted(groups, key=lambda group: -group.rows)


def _rates(positive: Bools, chosen: Bools, names: Names) -> dict[Rate, dict[str, float]]:
    """Return each rate by group, as fairlearn has it of every kind of row, weighed by how many there are.

    On the rows themselves it takes some 10 s for 100,000.
    """
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    groups, place = np.unique(names, return_inverse=True)
    kinds, counts = np.unique(4 * place + 2 * positive + chosen, return_counts=True)
    measures = {"selected": selection_rate, "true_positive": true_positive_rate, "false_positive": false_positive_rate}
    frame = MetricFrame(
        metrics=measures,
        y_true=kinds // 2 % 2,
        y_pred=kinds % 2,
        sensitive_features=groups[kinds // 4],
        sample_params={rate: {"sample_weight": counts} for rate in RATES},
    )
    found: Any = frame.by_group
    return {rate: {str(name): float(value) for name, value in found[rate].items()} for rate in RATES}


def _share(value: float, rows: int, draw: np.random.Generator) -> Share | None:
    """Return a rate with its interval; of no rows there is none, whatever fairlearn says of it (it says 0)."""
    if not rows:
        return None
    hits = round(value * rows)
    low, high = np.quantile(_resampled(hits, rows, draw), (SURE / 2, 1 - SURE / 2)).tolist()
    return Share(value=value, hits=hits, rows=rows, low=min(low, value), high=max(high, value))


def _resampled(hits: int, rows: int, draw: np.random.Generator) -> Floats:
    return draw.binomial(rows, (hits + 0.5) / (rows + 1), DRAWS) / rows


def _drawn(groups: Sequence[Group], rate: Rate, draw: np.random.Generator) -> dict[str, Floats]:
    shares = {group.name: getattr(group, rate) for group in groups}
    return {name: _resampled(each.hits, each.rows, draw) for name, each in shares.items() if each is not None}


def _pairs(groups: Sequence[Group], drawn: dict[str, Floats], rate: Rate, *, ratio: bool) -> list[Pair]:
    values = {group.name: share.value for group in groups if (share := getattr(group, rate)) is not None}
    tail = SURE / 2 / max(len(list(combinations(values, 2))), 1)
    pairs: list[Pair] = []
    for low, high in permutations(values, 2):
        ascends = (values[low], low) < (values[high], high)
        if not ascends or (ratio and not values[high]):
            continue
        value = values[low] / values[high] if ratio else values[high] - values[low]
        both = _over(drawn[low], drawn[high]) if ratio else drawn[high] - drawn[low]
        lower, upper = np.quantile(both, (tail, 1 - tail)).tolist()
        pairs.append(Pair(rate=rate, low=low, high=high, value=value, lower=min(lower, value), upper=max(upper, value)))
    return pairs


def _over(low: Floats, high: Floats) -> Floats:
    return np.divide(low, high, out=np.full(len(low), np.inf), where=high > 0)
