"""Labels and probabilities -> how far what is said is from what happens, and whether that is surely too far."""

from dataclasses import dataclass

import numpy as np

from mlops_assets.evidence.records import Json
from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.training.metrics import Floats

BINS = 10
ONE_SIDED = 1.645  # the normal quantile of 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """The rows in bins of equally many, by probability; all of shape (bins,).

    `said` is the mean probability, `happened` the share of rows in which it came true, `spread` the standard error of
    their difference.
    """

    rows: Floats
    said: Floats
    happened: Floats
    spread: Floats

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]: the mean over rows of |happened - said| of the row's bin."""
        return float(np.average(np.abs(self.happened - self.said), weights=self.rows))

    @property
    def by_chance(self) -> float:
        """What probabilities that are exactly right would have on average; the error is greater by at most so much."""
        return float(np.average(self.spread, weights=self.rows) * np.sqrt(2 / np.pi))

    @property
    def lower(self) -> float:
        """The lower end of the error's one-sided 95% interval."""
        weights = self.rows / self.rows.sum()
        return max(self.error - self.by_chance - ONE_SIDED * float(np.sqrt(((weights * self.spread) ** 2).sum())), 0.0)


def curve(came_true: Floats, said: Floats) -> Curve:
    """Return the calibration curve of probabilities and of what came true, 1 or 0; shapes (rows,).

    The error over ten bins of equally many rows: Naeini, Cooper and Hauskrecht, AAAI 2015; Nguyen and O'Connor, EMNLP
    2015. It is above 0 by chance alone (Bröcker, Climate Dynamics 39, 2012): a bin's difference is about normal, its
    size exceeds the true one by at most sqrt(2 / pi) standard errors in the mean, and varies no more than it.
    """
    edges = np.unique(np.quantile(said, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, said, "right")
    rows = np.bincount(place)
    kept = rows > 0
    count = rows[kept].astype(np.float64)
    apart = np.bincount(place, came_true - said)[kept] / count
    chance = np.bincount(place, said * (1 - said))[kept] / count
    seen = np.bincount(place, (came_true - said) ** 2)[kept] / count - apart**2
    return Curve(
        rows=count,
        said=np.bincount(place, said)[kept] / count,
        happened=np.bincount(place, came_true)[kept] / count,
        spread=np.sqrt(np.maximum(chance, seen) / count),
    )


def likeliest(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return what came true and the probability given to it: the positive class, or of several the likeliest."""
    if scores.ndim == 1:
        return labels, scores
    return (scores.argmax(axis=1) == labels).astype(np.float64), scores.max(axis=1)


def calibration(subject: Subject, limit: float) -> Finding:
    """Return whether the expected calibration error is not surely over `limit`.

    Raises:
        ValueError: If the model predicts no probability.
    """
    if subject.spec.task == "regression":
        raise ValueError("a regression gives no probability; right is a gate without `calibration`")
    found = curve(*likeliest(subject.labels, subject.scores))
    rows = len(subject.labels)
    passed = bool(found.lower <= limit)
    surely = f"surely it is at least {found.lower:.4f}" if found.lower else "it may be 0"
    words = (
        f"the expected calibration error is {found.error:.4f} on {rows:,} rows, of which chance alone explains "
        f"{min(found.by_chance, found.error):.4f}; {surely}; at most {limit:g} is allowed"
    )
    facts: dict[str, Json] = {
        "error": found.error,
        "by_chance": found.by_chance,
        "lower": found.lower,
        "limit": limit,
        "rows": rows,
    }
    return Finding(passed=passed, words=words, facts=facts)
