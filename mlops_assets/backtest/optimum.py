"""The quality of every model in every period -> the best that a number of retrains could have reached, in hindsight.

No policy can do better that serves one model at a time, each until the next one is trained. Dynamic programming over
periods, the model that serves, and the retrains that are left.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def optimum(quality: Floats, weights: Floats, newest: Sequence[int], first: int = 0) -> list[float]:
    """Return the best weighted mean quality with at most 0, 1, 2 ... retrains, as many as there is occasion for.

    `quality` has shape (models, periods) and is higher for better, NaN where a model is not ready; `weights` are the
    rows of each period, and `newest` the newest model that could be trained when it starts. The model `first` serves
    first. A retrain is possible where `newest` rises.
    """
    models, periods = quality.shape
    moments = [p for p in range(periods) if newest[p] > (newest[p - 1] if p else first)]
    gained = np.where(np.isfinite(quality) & (weights > 0), quality * weights, 0.0)
    ready = np.isfinite(quality) | (weights <= 0)
    best = np.zeros((models, len(moments) + 1))  # from here on, by who serves and by retrains that are left
    for period in reversed(range(periods)):
        stay = np.where(ready[:, period, None], gained[:, period, None] + best, -np.inf)
        best = stay.copy()
        if period in moments:
            best[:, 1:] = np.maximum(stay[:, 1:], stay[newest[period], :-1])
    return (best[first] / weights.sum()).tolist()
