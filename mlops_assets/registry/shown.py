"""A decision's record -> its pictures: candidate against champion, slices, and the rates of each group."""

from collections.abc import Sequence
from itertools import groupby

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Check
from mlops_assets.registry.criteria.groups import RATES, Group, Rate, Share
from mlops_assets.registry.criteria.slices import Slice
from mlops_assets.registry.pictured import PICTURED, Pictured
from mlops_assets.registry.plots import Intervals, Whisker, comparison_plot, intervals_plot

MOST = 12  # slices, or groups of one column, in a picture
COLUMNS = 2  # pictures of groups, of unfair ones first
TITLES: dict[Rate, str] = {
    "selected": "selection rate",
    "true_positive": "true positive rate",
    "false_positive": "false positive rate",
}


class _Slices(msgspec.Struct):
    metric: str
    all_rows: float
    drop: float
    slices: list[Slice]
    failed: list[str]


class _Grouped(msgspec.Struct):
    columns: str
    selection: str
    group: Group


class _Fairness(msgspec.Struct):
    ratio: float
    equalized_odds: float
    groups: list[_Grouped]
    unfair: list[str]


def pictures(archive: Archive, held: Held) -> dict[str, str]:
    """Return the SVGs of a decision by title; a criterion that measured nothing has none."""
    drawn: dict[str, str] = {}
    if any(output.name == PICTURED for output in held.record.outputs):
        found = msgspec.json.decode(archive.data(held, PICTURED), type=Pictured)
        drawn["candidate against champion"] = comparison_plot(found)
    for check in held.record.checks:
        if check.name == "slices" and "slices" in check.facts:
            drawn["slices"] = _slices(check)
        if check.name == "fairness" and check.facts.get("groups"):
            drawn |= _groups(check)
    return drawn


def _slices(check: Check) -> str:
    found = msgspec.convert(check.facts, _Slices)
    worst = found.slices[:MOST]
    rows = [
        Whisker(name=f"{each} ({each.rows:,})", value=each.worse, low=each.lower, high=each.upper, broken=failed)
        for each, failed in ((each, str(each) in found.failed) for each in worst)
    ]
    said = f"by how much {found.metric} is worse than on all rows, {found.all_rows:.4g}; dashed: at most allowed"
    title = "Slices" if len(worst) == len(found.slices) else f"Slices: the {len(worst)} worst"
    return intervals_plot(title, said, [Intervals(title="worse by", rows=rows, limit=found.drop)])


def _groups(check: Check) -> dict[str, str]:
    found = msgspec.convert(check.facts, _Fairness)
    by_columns = groupby(found.groups, key=lambda each: (each.columns, each.selection))
    every = [(key, list(each)) for key, each in by_columns]
    every.sort(key=lambda each: not any(told.startswith(f"{each[0][0]}: ") for told in found.unfair))
    drawn: dict[str, str] = {}
    for (columns, selection), grouped in every[:COLUMNS]:
        name = f"groups of {columns}" + (f", for {selection}" if selection else "")
        drawn[name] = _rates(name, [each.group for each in grouped][:MOST], found)
    return drawn


def _rates(name: str, groups: Sequence[Group], rule: _Fairness) -> str:
    columns = [_column(rate, [(group, _share(group, rate)) for group in groups], rule) for rate in RATES]
    said = "dot: rate and 95% interval of each group (rows); dashed: what is allowed beside the best-treated group"
    return intervals_plot(f"Fairness: {name}", said, columns)


def _column(rate: Rate, shares: Sequence[tuple[Group, Share | None]], rule: _Fairness) -> Intervals:
    limit = _limit(rate, [share.value for _, share in shares if share], rule)
    rows = [
        None
        if share is None or limit is None
        else Whisker(
            name=f"{group.name} ({group.rows:,})",
            value=share.value,
            low=share.low,
            high=share.high,
            broken=share.value > limit if rate == "false_positive" else share.value < limit,
        )
        for group, share in shares
    ]
    return Intervals(title=TITLES[rate], rows=rows, limit=limit, percent=True)


def _share(group: Group, rate: Rate) -> Share | None:
    return {
        "selected": group.selected,
        "true_positive": group.true_positive,
        "false_positive": group.false_positive,
    }[rate]


def _limit(rate: Rate, values: Sequence[float], rule: _Fairness) -> float | None:
    """Return the lowest rate allowed beside the highest, and of false positives the highest beside the lowest."""
    if not values:
        return None
    if rate == "selected":
        return rule.ratio * max(values)
    return max(values) - rule.equalized_odds if rate == "true_positive" else min(values) + rule.equalized_odds
