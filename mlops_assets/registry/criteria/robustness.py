"""Damaged inputs -> how much of its metric the model loses with each damage."""

from collections.abc import Iterator

import msgspec
import numpy as np

from mlops_assets.evidence.records import Struct
from mlops_assets.registry.criteria.influence import Influence, error, influence, sure
from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.rules import Robustness
from mlops_assets.training.metrics import HIGHER_IS_BETTER
from mlops_assets.training.model import Matrix

MOST = 5_000  # rows that are damaged: with more an interval is hardly narrower
FEWEST = 1_000
CELLS = 500_000  # rows times features up to which lost columns are tried on as many rows
SHOWN = 30


class Damage(Struct, frozen=True, kw_only=True):
    """What one damage does: the metric with it, the `loss` of metric and the interval of that."""

    name: str
    value: float
    loss: float
    lower: float
    upper: float


def robustness(subject: Subject, rule: Robustness) -> Finding:
    """Return whether no damage surely costs more than `drop` of the metric.

    Damaged are the features, on at most 5,000 held-out rows drawn by the seed: normal noise on every number, values
    that go missing anywhere, and each feature emptied in turn. Loss is measured on the same rows undamaged, with an
    interval that is 95% for all damages together.
    """
    draw = np.random.default_rng(subject.seed)
    width = max(len(subject.spec.features), 1)
    most = min(MOST, max(FEWEST, CELLS // width))
    rows = np.sort(draw.permutation(len(subject.labels))[:most])
    labels, matrix = subject.labels[rows], subject.matrix[rows]
    whole = influence(subject.spec.task, subject.metric, labels, subject.scores[rows])
    if whole is None:
        return Finding(passed=False, words=f"cannot tell: {subject.metric} is not defined on the held-out rows")
    damaged = {
        name: influence(subject.spec.task, subject.metric, labels, subject.predict(each))
        for name, each in _damaged(subject, rule, matrix, draw)
    }
    if not damaged:
        return Finding(passed=True, words="no damage is declared")
    sign = 1 if subject.metric in HIGHER_IS_BETTER else -1
    reach = sure(len(damaged))
    found = [_damage(name, whole, each, sign * 1.0, reach) for name, each in damaged.items() if each is not None]
    return _found(subject.metric, whole.value, sorted(found, key=lambda each: -each.loss), len(rows), rule)


def _damaged(
    subject: Subject, rule: Robustness, matrix: Matrix, draw: np.random.Generator
) -> Iterator[tuple[str, Matrix]]:
    """Yield each damage by name, and the model's input with it."""
    if rule.noise:
        numbers = np.array([name not in subject.spec.categories for name in subject.spec.features])
        spread = np.where(numbers, np.nan_to_num(_spread(matrix)), 0.0)
        yield f"noise of {rule.noise:g} sd", matrix + rule.noise * spread * draw.normal(size=matrix.shape)
    if rule.nulls:
        yield (
            f"{rule.nulls:.0%} of the values missing",
            np.where(draw.random(matrix.shape) < rule.nulls, np.nan, matrix),
        )
    if rule.lost_column:
        for place, name in enumerate(subject.spec.features):
            emptied = matrix.copy()
            emptied[:, place] = np.nan
            yield f"{name!r} lost", emptied


def _spread(matrix: Matrix) -> Matrix:
    """Return the sd of each feature over the rows in which it is known."""
    known = np.isfinite(matrix)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, matrix, 0).sum(axis=0) / count
    return np.sqrt((np.where(known, matrix - mean, 0) ** 2).sum(axis=0) / count)


def _damage(name: str, whole: Influence, damaged: Influence, sign: float, reach: float) -> Damage:
    loss, half = sign * (whole.value - damaged.value), reach * error(whole.rows - damaged.rows)
    return Damage(name=name, value=damaged.value, loss=loss, lower=loss - half, upper=loss + half)


def _found(metric: str, whole: float, found: list[Damage], rows: int, rule: Robustness) -> Finding:
    failed = [each for each in found if each.lower > rule.drop]
    told = "; ".join(
        f"with {each.name} {metric} is {each.value:.4g} instead of {whole:.4g}, a loss of {each.loss:.4g} "
        f"(interval [{each.lower:.4g}, {each.upper:.4g}])"
        for each in (failed or found[:1])[:5]
    )
    limit = f"on {rows:,} rows; at most {rule.drop:g} may be lost"
    return Finding(
        passed=not failed,
        words=f"{told}, {limit}" if failed else f"no damage surely costs too much. Worst: {told}, {limit}",
        facts={
            "metric": metric,
            "undamaged": whole,
            "drop": rule.drop,
            "rows": rows,
            "damages": msgspec.to_builtins(found[:SHOWN]),
            "failed": [each.name for each in failed],
        },
    )
