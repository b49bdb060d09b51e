"""The declared groups -> whether selection and errors fall on them alike. What cannot be compared is not fair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import msgspec
import numpy as np

from mlops_assets.evidence.records import Json
from mlops_assets.registry.criteria.groups import Group, Names, Pair, compared
from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.registry.criteria.values import parts
from mlops_assets.rules import Fairness

SHOWN = 40  # groups that a record keeps
NAMED = 5
SAID = {"true_positive": "true positive rate", "false_positive": "false positive rate"}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The groups of one column, or of several together, for one class that is decided on.

    `problem` says why they cannot be told apart, or is empty.
    """

    columns: tuple[str, ...]
    selection: str
    groups: list[Group]
    ratios: list[Pair]
    apart: list[Pair]
    small: list[str]
    problem: str

    @property
    def named(self) -> str:
        """The columns, as a person reads them."""
        return " and ".join(self.columns)


def fairness(subject: Subject, rule: Fairness, groups: Sequence[str]) -> Finding:
    """Return whether the groups of each column fare alike, and of columns together where `intersections` asks for it.

    Two groups fare differently if the ratio of their selection rates is under `ratio` and chance alone does not explain
    it: the four-fifths rule, with its condition on small numbers (29 CFR 1607.4 D). Likewise for true and false
    positive rates that differ by over `equalized_odds` (Hardt, Price and Srebro, NeurIPS 2016). Of several classes each
    in turn is the one selected. Groups of less than `min_rows` are named and not compared; a column of which no two
    groups can be compared is not fair, as nobody can tell.

    Raises:
        LookupError: If there is no such column.
    """
    found = list(_all(subject, rule, groups))
    unfair = [told for each in found for told in _unfair(each, rule)]
    untold = [each for each in found if each.problem and len(each.columns) == 1]
    told = [*unfair, *(f"cannot tell for {each.named}: {each.problem}" for each in untold)]
    small = list(dict.fromkeys(name for each in found for name in each.small))
    words = "; ".join(told) or _fair(found, rule)
    left_out = f". Too small to compare: {_listed(small)}" if small else ""
    return Finding(passed=not told, words=words + left_out, facts=_facts(found, rule, unfair, small, subject))


def _all(subject: Subject, rule: Fairness, groups: Sequence[str]) -> Iterator[Compared]:
    named = {column: parts(subject.column(column)).to_numpy().astype(np.str_) for column in groups}
    sizes = range(1, len(groups) + 1 if rule.intersections else 2)
    for columns in (each for size in sizes for each in combinations(groups, size)):
        names = named[columns[0]]
        for column in columns[1:]:
            names = np.char.add(np.char.add(names, " and "), named[column])
        yield from _compared(subject, rule, columns, names)


def _compared(subject: Subject, rule: Fairness, columns: tuple[str, ...], names: Names) -> Iterator[Compared]:
    found, counts = np.unique(names, return_counts=True)
    few = [(name, count) for name, count in zip(found, counts, strict=True) if count < rule.min_rows]
    small = [f"{' and '.join(columns)} {name} ({count} rows)" for name, count in few]
    kept = np.isin(names, found[counts >= rule.min_rows])
    classes = range(len(subject.spec.classes)) if subject.spec.task == "multiclass" else (1,)
    for place in classes:
        selection = subject.spec.classes[place] if len(classes) > 1 else ""
        if (counts >= rule.min_rows).sum() < 2:
            problem = f"fewer than two groups have {rule.min_rows} rows"
            yield Compared(
                columns=columns, selection=selection, groups=[], ratios=[], apart=[], small=small, problem=problem
            )
            return
        positive, chosen = subject.labels[kept] == place, subject.chosen[kept] == place
        groups, ratios, apart = compared(positive, chosen, names[kept], seed=subject.seed)
        yield Compared(
            columns=columns,
            selection=selection,
            groups=groups,
            ratios=ratios,
            apart=apart,
            small=small,
            problem=_problem(ratios, apart) if len(classes) == 1 else "",
        )


def _problem(ratios: Sequence[Pair], apart: Sequence[Pair]) -> str:
    if not ratios:
        return "nobody is selected"
    rates = {pair.rate for pair in apart}
    missing = [
        said for rate, said in (("true_positive", "positive"), ("false_positive", "negative")) if rate not in rates
    ]
    return f"no two groups have a {missing[0]} row" if missing else ""


def _unfair(found: Compared, rule: Fairness) -> Iterator[str]:
    """Yield, for each rate, the two groups that are farthest apart of those that surely are, in words."""
    size = {group.name: group.rows for group in found.groups}
    of = f" for {found.selection!r}" if found.selection else ""
    for pair in found.ratios:
        if pair.value < rule.ratio and pair.upper < 1:
            yield (
                f"{found.named}: {pair.low!r} is selected{of} {pair.value:.2f} times as often as {pair.high!r} "
                f"({_interval(pair)}, {size[pair.low]:,} and {size[pair.high]:,} rows); "
                f"the least allowed is {rule.ratio:g}"
            )
            break
    told: set[str] = set()
    for pair in found.apart:
        if pair.value > rule.equalized_odds and pair.lower > 0 and pair.rate not in told:
            told.add(pair.rate)
            yield (
                f"{found.named}: the {SAID[pair.rate]}{of} of {pair.high!r} is above that of {pair.low!r} by "
                f"{pair.value:.2f} ({_interval(pair)}); the most allowed is {rule.equalized_odds:g}"
            )


def _fair(found: Sequence[Compared], rule: Fairness) -> str:
    ratios = [(each, pair) for each in found for pair in each.ratios[:1]]
    apart = [(each, pair) for each in found for pair in each.apart[:1]]
    (least, ratio), (most, odds) = (
        min(ratios, key=lambda each: each[1].value),
        max(apart, key=lambda each: each[1].value),
    )
    rows = sum(group.rows for group in least.groups)
    return (
        f"no two groups surely fare differently on {rows:,} rows. The least ratio of selection rates is "
        f"{ratio.value:.2f}, of {least.named} {ratio.low!r} to {ratio.high!r} ({_interval(ratio)}, {rule.ratio:g} "
        f"allowed); equalized odds differ most by {odds.value:.2f}, of {most.named} {odds.high!r} and {odds.low!r} "
        f"({_interval(odds)}, {rule.equalized_odds:g} allowed)"
    )


def _facts(
    found: Sequence[Compared], rule: Fairness, unfair: Sequence[str], small: Sequence[str], subject: Subject
) -> dict[str, Json]:
    shown: list[Json] = [
        {"columns": each.named, "selection": each.selection, "group": msgspec.to_builtins(group)}
        for each in found
        for group in each.groups
    ]
    ratios = [pair.value for each in found for pair in each.ratios[:1]]
    apart = [pair.value for each in found for pair in each.apart[:1]]
    return {
        "selection_rate_ratio": min(ratios) if ratios else None,
        "equalized_odds_difference": max(apart) if apart else None,
        "ratio": rule.ratio,
        "equalized_odds": rule.equalized_odds,
        "min_rows": rule.min_rows,
        "threshold": subject.threshold if subject.spec.task == "binary" else None,
        "groups": shown[:SHOWN],
        "unfair": list(unfair),
        "too_small": list(small)[:SHOWN],
    }


def _interval(pair: Pair) -> str:
    return f"interval [{pair.lower:.2f}, {pair.upper:.2f}]"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
