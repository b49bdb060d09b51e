"""Models whose truth is known, and their held-out rows."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.registry.criteria.subject import Subject
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, Task

Floats = NDArray[np.float64]


def subject(
    labels: Floats,
    scores: Floats,
    columns: Mapping[str, object] | None = None,
    *,
    task: Task = "binary",
    metric: str = "auc",
    threshold: float = 0.5,
    champion: Floats | None = None,
    predict: Predictor | None = None,
    categories: Mapping[str, list[str]] | None = None,
) -> Subject:
    """A model that says `scores` of rows with `columns`, all of which are its features."""
    frame = pl.DataFrame(columns or {"row": np.arange(len(labels), dtype=float)})
    classes = [] if task == "regression" else [str(place) for place in range(max(2, int(labels.max()) + 1))]
    return Subject(
        spec=ModelSpec(
            kind="lightgbm", task=task, classes=classes, features=frame.columns, categories=dict(categories or {})
        ),
        model=b"",
        predict=predict or (lambda matrix: scores[: len(matrix)]),
        features=frame,
        known=frame,
        labels=labels,
        scores=scores,
        metric=metric,
        seed=0,
        threshold=threshold,
        champion=champion,
    )


def noisy(rows: int, *, skill: float = 1.0, seed: int = 0) -> tuple[Floats, Floats]:
    """Labels, half of them positive, and probabilities whose AUC grows with `skill` from 0.5; rightly calibrated."""
    draw = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-skill * 1.7 * draw.normal(size=rows)))
    return (draw.random(rows) < scores).astype(float), scores


def first_column(matrix: Matrix) -> Matrix:
    """A model that says what its first feature is, and 0.5 where that is missing."""
    return np.nan_to_num(np.clip(matrix[:, 0], 0, 1), nan=0.5)
