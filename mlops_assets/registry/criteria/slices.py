"""The held-out rows in parts -> whether the model is as good in each as it is on all of them."""

from collections.abc import Iterable

import msgspec
import numpy as np

from mlops_assets.evidence.records import Struct
from mlops_assets.registry.criteria.influence import Influence, error, influence, sure
from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.registry.criteria.values import parts
from mlops_assets.rules import Slices
from mlops_assets.training.metrics import HIGHER_IS_BETTER

SHOWN = 30  # slices that a record keeps, the worst first
NAMED = 5


class Slice(Struct, frozen=True, kw_only=True):
    """A part of the rows. `worse` is by how much its metric is worse than that of all, the rest its interval."""

    column: str
    name: str
    rows: int
    value: float
    worse: float
    lower: float
    upper: float

    def __str__(self) -> str:
        """Return how a person reads it."""
        return f"{self.column} {self.name!r}"


def slices(subject: Subject, rule: Slices) -> Finding:
    """Return whether no slice is surely worse than all rows by more than `drop`.

    A slice is a value of a column, or a quarter of the rows by a column of numbers. The interval is 95% for all slices
    together; one whose difference chance alone may explain is not held against the model. Slices of less than
    `min_rows` are named and not judged; where none can be judged the criterion is not met.

    Raises:
        LookupError: If there is no such column.
    """
    whole = influence(subject.spec.task, subject.metric, subject.labels, subject.scores)
    if whole is None:
        return Finding(passed=False, words=f"cannot tell: {subject.metric} is not defined on the held-out rows")
    small: list[str] = []
    found: list[tuple[str, str, np.ndarray[tuple[int], np.dtype[np.bool_]], Influence]] = []
    for column in rule.columns:
        named = parts(subject.column(column)).to_numpy()
        for name in sorted(set(named.tolist())):
            rows = named == name
            part = influence(subject.spec.task, subject.metric, subject.labels[rows], subject.scores[rows])
            if rows.sum() < rule.min_rows or part is None:
                small.append(f"{column} {name!r} ({int(rows.sum())} rows)")
            else:
                found.append((column, name, rows, part))
    if not found:
        return Finding(passed=False, words=f"cannot tell: no slice has {rule.min_rows} rows; {_listed(small)}")
    sign = 1 if subject.metric in HIGHER_IS_BETTER else -1
    judged = [_slice(whole, *each, sign=sign, reach=sure(len(found))) for each in found]
    return _found(subject.metric, whole.value, sorted(judged, key=lambda each: -each.worse), small, rule)


def _slice(
    whole: Influence,
    column: str,
    name: str,
    rows: np.ndarray[tuple[int], np.dtype[np.bool_]],
    part: Influence,
    *,
    sign: int,
    reach: float,
) -> Slice:
    mine = np.zeros(len(rows))
    mine[rows] = part.rows / rows.mean()
    worse, half = sign * (whole.value - part.value), reach * error(whole.rows - mine)
    count = int(rows.sum())
    return Slice(
        column=column, name=name, rows=count, value=part.value, worse=worse, lower=worse - half, upper=worse + half
    )


def _found(metric: str, whole: float, judged: list[Slice], small: list[str], rule: Slices) -> Finding:
    failed = [each for each in judged if each.lower > rule.drop]
    worst = failed or judged[:1]
    told = "; ".join(
        f"{each}: {metric} {each.value:.4g} on {each.rows:,} rows, worse than {whole:.4g} on all by {each.worse:.4g} "
        f"(interval [{each.lower:.4g}, {each.upper:.4g}])"
        for each in worst[:NAMED]
    )
    limit = f"at most {rule.drop:g} is allowed"
    words = f"{told}; {limit}" if failed else f"none of {len(judged)} slices is surely worse; {limit}. Worst is {told}"
    return Finding(
        passed=not failed,
        words=words + (f". Too small to judge: {_listed(small)}" if small else ""),
        facts={
            "metric": metric,
            "all_rows": whole,
            "drop": rule.drop,
            "slices": msgspec.to_builtins(judged[:SHOWN]),
            "judged": len(judged),
            "failed": [str(each) for each in failed],
            "too_small": small[:SHOWN],
        },
    )


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + more
