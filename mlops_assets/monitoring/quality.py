"""Labels and the outputs that were logged -> every metric of a window, with its interval and its maturity.

Of several classes there is log loss where the log holds all of their probabilities, and no AUC and no calibration.
"""

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.intervals import Measured, f1, mean, ranking, root_mean, share
from mlops_assets.training.metrics import losses
from mlops_assets.training.model import Task

CALLED = 0.5  # as in training.metrics, so that live and held-out figures compare
BINS = 10
RESAMPLES = 200

Floats = NDArray[np.float64]
Metrics = dict[str, Measured]


def measured(
    task: Task, codes: Floats, outputs: Floats, *, probabilities: Floats | None = None, seed: int = 0
) -> Metrics:
    """Return the metrics of a window's predictions; `codes` are labels as the model counts them, NaN where unknown.

    `probabilities` are those of several classes, shape (rows, classes), NaN where the log does not hold them.

    What is not defined (no label yet, AUC of a single class) is left out. A metric is about all rows of the window, but
    precision about those that were called positive.
    """
    known = np.isfinite(codes)
    labels, given, rows = codes[known], outputs[known], len(codes)
    if task == "regression":
        found = _errors(labels, given, rows)
    elif task == "multiclass":
        found = _classes(labels, given, rows, seed)
        if probabilities is not None:
            told = known & np.isfinite(probabilities).all(axis=1)
            found["log_loss"] = mean(losses("multiclass", codes[told], probabilities[told]), rows=rows)
    else:
        found = _binary(labels, given, rows, called=int((outputs >= CALLED).sum()))
    return {name: each for name, each in found.items() if each is not None}


def _binary(labels: Floats, scores: Floats, rows: int, *, called: int) -> dict[str, Measured | None]:
    positive, chosen, count = labels == 1, scores >= CALLED, len(labels)
    hits = int((positive & chosen).sum())
    errors = int((positive != chosen).sum())
    return {
        "auc": ranking(positive, scores, rows=rows),
        "accuracy": share(count - errors, count, rows=rows),
        "precision": share(hits, int(chosen.sum()), rows=called),
        "recall": share(hits, int(positive.sum()), labels=count, rows=rows),
        "f1": f1(hits, errors, labels=count, rows=rows),
        "log_loss": mean(losses("binary", labels, scores), rows=rows),
        "brier": mean((scores - labels) ** 2, rows=rows),
        **_calibration(labels, scores, rows),
    }


def _calibration(labels: Floats, scores: Floats, rows: int) -> dict[str, Measured | None]:
    """Return the calibration error, what of it is chance, and calibration in the large.

    The expected calibration error is the mean over rows of |share of positives - mean score| of the row's bin (Naeini,
    Cooper and Hauskrecht, AAAI 2015), here of ten bins of equally many rows (Nguyen and O'Connor, EMNLP 2015). It is
    never 0 by chance alone, so beside it stands what scores that are exactly right stay under in 95 of 100 windows: a
    bin's difference is then normal with variance sum(p(1 - p)) / n² and its size half-normal. In the large is the share
    of positives less the mean score (Cox, Biometrika 45, 1958): above 0, the scores are too low.
    """
    count = len(labels)
    if not count:
        return {}
    edges = np.unique(np.quantile(scores, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, scores, "right")
    apart = np.abs(np.bincount(place, labels - scores)) / count
    sizes = np.sqrt(np.bincount(place, scores * (1 - scores))) / count
    by_chance = sizes.sum() * np.sqrt(2 / np.pi) + 1.645 * np.sqrt((sizes**2).sum() * (1 - 2 / np.pi))
    return {
        "calibration_error": Measured(value=float(apart.sum()), labels=count, rows=rows),
        "calibration_error_by_chance": Measured(value=float(by_chance), labels=count, rows=rows),
        "calibration_in_the_large": mean(labels - scores, rows=rows),
    }


def _errors(labels: Floats, values: Floats, rows: int) -> dict[str, Measured | None]:
    """Return root mean squared and mean absolute error, and bias: above 0, the values are too high."""
    errors = values - labels
    return {
        "rmse": root_mean(errors**2, rows=rows),
        "mae": mean(np.abs(errors), rows=rows),
        "bias": mean(errors, rows=rows),
    }


def _classes(labels: Floats, chosen: Floats, rows: int, seed: int) -> dict[str, Measured | None]:
    """Return accuracy, and macro precision, recall and F1: each class counts alike.

    Their intervals are the bootstrap's percentiles (Efron and Tibshirani, chapter 13, 1993) over the confusion matrix,
    which is all that these three depend on.
    """
    count = len(labels)
    if not count:
        return {}
    cells, times = np.unique(np.column_stack([labels, chosen]).astype(np.int64), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(count, times / count, size=RESAMPLES)
    low, high = np.quantile([_macro(cells, each) for each in drawn], (0.025, 0.975), axis=0)
    macro = {
        name: Measured(value=value, low=min(value, under), high=max(value, over), labels=count, rows=rows)
        for name, value, under, over in zip(
            ("precision", "recall", "f1"), _macro(cells, times).tolist(), low.tolist(), high.tolist(), strict=True
        )
    }
    return {"accuracy": share(int((labels == chosen).sum()), count, rows=rows), **macro}


def _macro(cells: NDArray[np.int64], times: NDArray[np.int64]) -> Floats:
    """Return precision as the mean over the classes called, recall over those that occur, F1 over both."""
    classes = int(cells.max()) + 1
    of, called = (np.bincount(cells[:, side], times, classes) for side in (0, 1))
    hits = np.bincount(cells[:, 0], times * (cells[:, 0] == cells[:, 1]), classes)
    parts = ((hits, called), (hits, of), (2 * hits, of + called))
    return np.array([(part[whole > 0] / whole[whole > 0]).mean() for part, whole in parts])
