"""Rows -> what a model that never saw them says of each: the reference for predictions and for loss.

A model's scores of its own training rows are too sure of themselves, and the held-out rows alone are few; so each quarter
of the rows is scored by a model that was fitted on the other three.
"""

from dataclasses import replace

import numpy as np
import polars as pl

from mlops_assets.training.fitting import Params, TrainingSet
from mlops_assets.training.metrics import losses
from mlops_assets.training.model import label_codes, to_matrix
from mlops_assets.training.trainers import Fit, load_predictor

FOLDS = 4
ENOUGH = 100_000


def crossfit(fit: Fit, data: TrainingSet, rows: pl.DataFrame, params: Params, seed: int) -> pl.DataFrame:
    """Return `rows` (the newest of `data`) with `prediction` and `loss`, each from a model that was not fitted on that row.

    Of more than 100,000 rows only the newest 100,000 are scored: more would not make the reference any sharper.
    """
    rows = rows.tail(ENOUGH)
    fold = np.arange(rows.height) % FOLDS
    features = rows.select(data.features.columns)
    predictions, loss = np.zeros(rows.height), np.zeros(rows.height)
    for held in range(FOLDS):
        out = fold == held
        kept = replace(
            data, features=features.filter(~out), labels=rows["_label"].filter(~out), windows=(int((~out).sum()),), forget=False
        )
        trained = fit(kept, params, seed)
        scores = load_predictor(trained.spec, trained.model_bytes)(to_matrix(features.filter(out), trained.spec))
        predictions[out] = scores if scores.ndim == 1 else scores.argmax(axis=1)
        loss[out] = losses(data.task, label_codes(rows["_label"].filter(out), trained.spec), scores)
    return rows.with_columns(prediction=pl.Series(predictions), loss=pl.Series(loss))
