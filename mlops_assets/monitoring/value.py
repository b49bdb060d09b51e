"""The declared money per outcome -> what a window's predictions were worth."""

import numpy as np
from numpy.typing import NDArray

from mlops_assets.parts import Value
from mlops_assets.registry.criteria.worth import amounts
from mlops_assets.training.intervals import Measured, mean

Floats = NDArray[np.float64]


def worth(value: Value, labels: Floats, scores: Floats, *, rows: int, threshold: float) -> dict[str, Measured]:
    """Return the money of the labelled rows in all and per row, with Student's interval; nothing without a label."""
    made = amounts(value, labels, scores, threshold)
    each = mean(made, rows=rows)
    if each is None:
        return {}
    count = len(made)
    low, high = (None if end is None else end * count for end in (each.low, each.high))
    total = Measured(value=float(made.sum()), low=low, high=high, labels=count, rows=rows)
    return {"value_total": total, "value_per_row": each}
