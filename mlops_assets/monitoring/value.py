"""The declared money per outcome -> what a window's predictions were worth."""

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.intervals import Measured, mean
from mlops_assets.parts import Value

Floats = NDArray[np.float64]


def worth(value: Value, labels: Floats, scores: Floats, *, rows: int) -> dict[str, Measured]:
    """Return the money of the labelled rows in all and per row, with Student's interval; nothing without a label.

    Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001. A row is acted on if its score is at `threshold` or
    above.
    """
    positive, acted = labels == 1, scores >= value.threshold
    amounts = np.where(
        positive,
        np.where(acted, value.true_positive, value.false_negative),
        np.where(acted, value.false_positive, value.true_negative),
    )
    each = mean(amounts, rows=rows)
    if each is None:
        return {}
    count = len(amounts)
    low, high = (None if end is None else end * count for end in (each.low, each.high))
    total = Measured(value=float(amounts.sum()), low=low, high=high, labels=count, rows=rows)
    return {"value_total": total, "value_per_row": each}
