"""What outcomes are worth -> what the decisions of a model are worth, in the declared money."""

import numpy as np

from mlops_assets.evidence.records import Json
from mlops_assets.parts import Value
from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.training.intervals import Measured, mean
from mlops_assets.training.metrics import Floats

ACTS_FROM = 0.5  # where nothing is declared


def acts_from(own: float | None, value: Value | None) -> float:
    """Return from which probability on a row is acted on: a model's `own` threshold, else what `value` says."""
    return own or (value.threshold if value else ACTS_FROM)


def amounts(value: Value, labels: Floats, scores: Floats, threshold: float) -> Floats:
    """Return what the decision on each row was worth, shape (rows,); acted on is a score of `threshold` or above.

    Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.
    """
    positive, acted = labels == 1, scores >= threshold
    return np.where(
        positive,
        np.where(acted, value.true_positive, value.false_negative),
        np.where(acted, value.false_positive, value.true_negative),
    )


def worth(subject: Subject, value: Value, least: float | None) -> Finding:
    """Return whether a row is worth `least` in the mean, and surely not less than with the champion.

    Each model acts from its own threshold on.

    Raises:
        ValueError: If there is no row.
    """
    mine = amounts(value, subject.labels, subject.scores, subject.threshold)
    each = _mean(mine)
    facts: dict[str, Json] = {"rows": len(mine), "threshold": subject.threshold, "per_row": each.value, "least": least}
    facts |= {"lower": each.low, "upper": each.high, "total": float(mine.sum())}
    told = f"a row is worth {_money(each)}, acting from {subject.threshold:g} on, on {len(mine):,} rows"
    short = least is not None and not each.value >= least
    told += "" if least is None else f"; at least {least:g} is asked for"
    if subject.champion is None:
        return Finding(passed=not short, words=told, facts=facts)
    theirs = amounts(value, subject.labels, subject.champion, subject.champion_threshold)
    apart = _mean(mine - theirs)
    worse = apart.high is not None and apart.high < 0
    facts |= {"champion_per_row": float(theirs.mean()), "more": apart.value}
    facts |= {"more_lower": apart.low, "more_upper": apart.high}
    told += f"; the champion's are worth {theirs.mean():.4g}, a difference of {_money(apart)}"
    told += ", surely less" if worse else ""
    return Finding(passed=not short and not worse, words=told, facts=facts)


def _mean(values: Floats) -> Measured:
    found = mean(values, rows=len(values))
    if found is None:
        raise ValueError("there is no held-out row")
    return found


def _money(found: Measured) -> str:
    interval = "" if found.low is None or found.high is None else f" (95% interval [{found.low:.4g}, {found.high:.4g}])"
    return f"{found.value:.4g}{interval}"
