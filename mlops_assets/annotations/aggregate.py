"""Several judgements of an item -> one label, its posterior, and whether it is a tie."""

import json
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]
ENOUGH_ANNOTATORS = 3  # two who differ say nothing about which of them is right
ENOUGH_JUDGEMENTS = 10  # by annotator, on average: fewer cannot tell a good annotator from a lucky one
TIED = 1e-6  # the posteriors of two labels that are this near are the same


def aggregate(judgements: pl.DataFrame) -> pl.DataFrame:
    """Return a row per item: `_key`, `label` (null if tied), `confidence`, `posterior` (JSON), `tie`; by key.

    `judgements` has one row per item (`_key`) and `annotator`, with its `label`. Dawid-Skene where the annotators can
    be told apart, else the majority.
    """
    items, item_codes = np.unique(judgements["_key"].to_numpy(), return_inverse=True)
    annotators, annotator_codes = np.unique(judgements["annotator"].to_numpy(), return_inverse=True)
    classes, label_codes = np.unique(judgements["label"].to_numpy(), return_inverse=True)
    votes = np.zeros((len(items), len(classes)))
    np.add.at(votes, (item_codes, label_codes), 1.0)
    posterior = votes / votes.sum(axis=1, keepdims=True)
    if len(annotators) >= ENOUGH_ANNOTATORS and judgements.height >= ENOUGH_JUDGEMENTS * len(annotators):
        posterior = dawid_skene(posterior, item_codes, annotator_codes, label_codes)
    names = [str(name) for name in classes]
    top = posterior.max(axis=1)
    tie = (posterior >= top[:, None] - TIED).sum(axis=1) > 1
    label = pl.Series([names[code] for code in posterior.argmax(axis=1)], dtype=pl.String)
    return pl.DataFrame(
        {
            "_key": pl.Series([str(item) for item in items], dtype=pl.String),
            "label": label.set(pl.Series(tie), None),
            "confidence": top,
            "posterior": pl.Series([_as_json(names, row) for row in posterior], dtype=pl.String),
            "tie": tie,
        }
    )


def dawid_skene(
    start: _Floats, items: _Codes, annotators: _Codes, labels: _Codes, *, rounds: int = 100, smoothing: float = 0.01
) -> _Floats:
    """Return the posterior of each item's label, shape (items, classes), by EM from `start` (the shares of votes).

    Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied Statistics
    28(1), 1979. `smoothing` is added to every cell of an annotator's confusion matrix.
    """
    posterior, before, classes = start, -np.inf, start.shape[1]
    for _ in range(rounds):
        prior = posterior.mean(axis=0)
        confusion = np.full((annotators.max() + 1, classes, classes), smoothing)  # annotator, said, true
        np.add.at(confusion, (annotators, labels), posterior[items])
        confusion /= confusion.sum(axis=1, keepdims=True)
        logs = np.tile(np.log(prior + 1e-12), (len(start), 1))
        np.add.at(logs, items, np.log(confusion[annotators, labels]))
        top = logs.max(axis=1, keepdims=True)
        posterior = np.exp(logs - top)
        total = posterior.sum(axis=1, keepdims=True)
        posterior /= total
        likelihood = float((top + np.log(total)).sum())
        if abs(likelihood - before) < 1e-6 * abs(likelihood):
            break
        before = likelihood
    return posterior


def _as_json(names: Sequence[str], row: _Floats) -> str:
    return json.dumps({name: round(float(share), 6) for name, share in zip(names, row, strict=True) if share >= TIED})
