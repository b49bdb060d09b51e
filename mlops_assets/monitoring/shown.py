"""Quality, estimates and groups -> the tables that an operator reads beside a window's verdict, in Markdown."""

from collections.abc import Iterable, Sequence

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.monitoring.estimates import Estimates
from mlops_assets.monitoring.groups import FEWEST, Compared, Group
from mlops_assets.monitoring.performance import MATURE_FROM, Quality
from mlops_assets.training.intervals import Measured

TOO_FEW = "too few"


def tables(archive: Archive, performance: Held) -> dict[str, str]:
    """Return the tables of a performance record by title."""
    quality = msgspec.json.decode(archive.data(performance, "quality"), type=Quality)
    expected = msgspec.json.decode(archive.data(performance, "estimates"), type=Estimates)
    named = [output.name for output in performance.record.outputs]
    groups = msgspec.json.decode(archive.data(performance, "groups"), type=list[Compared]) if "groups" in named else []
    return {
        "quality": quality_table(quality),
        "estimated quality": estimates_table(expected),
        **{f"groups of {each.column}": groups_table(each) for each in groups},
    }


def quality_table(quality: Quality) -> str:
    """Return each metric with its 95% interval, and the labels that it rests on; and whether they suffice."""
    state = quality.immature or f"{quality.matured:,} of {quality.rows:,} rows have a label"
    judged = f"Not judged yet: {state}." if quality.immature else f"Judged: {state}."
    rows = [
        (name, _number(each.value), _interval(each.low, each.high), _maturity(each))
        for name, each in quality.metrics.items()
    ]
    table = _table(("metric", "value", "95% interval", "labels"), rows) if rows else "No label has come in."
    return f"{judged} Alarms need {MATURE_FROM}.\n\n{table}"


def estimates_table(found: Estimates) -> str:
    """Return the estimates and what they are, or why there are none."""
    if not found.metrics:
        return found.words
    rows = [(name, _number(each.value), _interval(each.low, each.high)) for name, each in found.metrics.items()]
    said = f"Estimates {found.words}. Calibrated on {found.held_out:,} held-out rows."
    return f"{said}\n\n{_table(('estimate', 'value', '95% interval'), rows)}"


def groups_table(found: Compared) -> str:
    """Return the rates of a column's groups; one that rests on too few rows says so."""
    if found.problem:
        return found.problem
    heads = ("group", "rows", "labels", "selected", "true positive rate", "false positive rate", "accuracy")
    said = f"Too few means less than {FEWEST} rows."
    if found.ratio is not None:
        ends = f"{found.lowest} over {found.highest}"
        said = f"Lowest over highest selection rate: {found.ratio:.2f} ({ends}). {said}"
    return f"{said}\n\n{_table(heads, [_group(group) for group in found.groups])}"


def _group(group: Group) -> Sequence[str]:
    rates = (group.selected, group.true_positive, group.false_positive, group.accuracy)
    shown = [f"{_number(each.value)} {_interval(each.low, each.high)}" if each else TOO_FEW for each in rates]
    return (group.name.replace("|", "\\|"), f"{group.rows:,}", f"{group.matured:,}", *shown)


def _maturity(each: Measured) -> str:
    return f"{each.labels:,} of {each.rows:,} ({each.maturity:.0%})"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{_number(low)}, {_number(high)}]"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
