"""Trainers of a user's own: two that are right, and one for each thing that may be wrong with them."""

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from mlops_assets.training.fitting import Learned, Learner, Params, Rows, Trained, train
from mlops_assets.training.machine import Machine
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, to_matrix
from mlops_assets.training.training_set import TrainingSet, parts, spec_of

PARAMS = ("ridge",)
ON_LEARN: Callable[[Machine], None] | None = None  # what a test wants to see of each fit


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Predictor:
    """Return the sigmoid of a weighted sum; what is missing counts as nothing."""
    weights = np.array(json.loads(model_bytes)["weights"])

    def predict(matrix: Matrix) -> Matrix:
        return 1 / (1 + np.exp(-(np.nan_to_num(matrix) * weights[1:]).sum(axis=1) - weights[0]))

    return predict


def ridge(features: TrainingSet, params: Params, seed: int) -> Trained:
    """A linear model, on `train`, which splits, scores and measures."""
    return train(features, params, seed, Learner(kind="ridge", fit=_learn, load=load_predictor))


def _learn(spec: ModelSpec, rows: Rows, validation: Rows, params: Params, seed: int, machine: Machine) -> Learned:
    if ON_LEARN is not None:
        ON_LEARN(machine)
    weights = _weights(rows.matrix, rows.labels, float(params.get("ridge", 1.0)))
    return Learned(
        model_bytes=json.dumps({"weights": weights.tolist()}).encode(),
        loss=0.0,
        history={"loss": [1.0, 0.5]},
        gains=np.abs(weights[1:]).tolist(),
        params={"ridge": float(params.get("ridge", 1.0))},
    )


def _weights(matrix: Matrix, labels: Matrix, strength: float) -> Matrix:
    inputs = np.column_stack([np.ones(len(matrix)), np.nan_to_num(matrix)])
    gram = inputs.T @ inputs + strength * np.eye(inputs.shape[1])
    return np.linalg.solve(gram, inputs.T @ (4 * labels - 2))


def whole(features: TrainingSet, params: Params, seed: int) -> Trained:
    """The same model without `train`: everything is done here."""
    spec, rows = spec_of(features, seed, "whole"), parts(features, seed)
    matrix = to_matrix(features.features, spec)
    labels = features.labels.cast(float).to_numpy()
    weights = _weights(matrix[rows.fit], labels[rows.fit], float(params.get("ridge", 1.0)))
    model = json.dumps({"weights": weights.tolist()}).encode()
    return Trained(
        model_bytes=model,
        spec=spec,
        metrics={},
        history={},
        holdout=rows.holdout,
        validation=rows.validation,
        scores=load_predictor(spec, model)(matrix[rows.holdout]),
        rows_used=len(rows.fit) + len(rows.validation),
        windows_used=len(features.filled),
        params=dict(params),
    )


def noted(trained: Trained, note: object) -> Trained:
    """The model with something more in its bytes."""
    return replace(trained, model_bytes=json.dumps({**json.loads(trained.model_bytes), "note": note}).encode())


def clock(features: TrainingSet, params: Params, seed: int) -> Trained:
    return noted(whole(features, params, seed), time.time_ns())


def unseeded(features: TrainingSet, params: Params, seed: int) -> Trained:
    return noted(whole(features, params, seed), np.random.default_rng().random())


def hashed(features: TrainingSet, params: Params, seed: int) -> Trained:
    """The same within a process: the hash of a text is another one in the next."""
    return noted(whole(features, params, seed), hash("a text"))


def relabels(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    features.labels[0] = 1 - features.labels[0]
    return made


def adds_a_column(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    features.features.insert_column(0, features.labels.alias("label"))
    return made


def fills_a_column(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    features.features.replace_column(0, features.features.to_series(0).fill_null(0))
    return made


def sets_a_parameter(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    params["ridge"] = 3  # type: ignore[index]
    return made


def pickled(features: TrainingSet, params: Params, seed: int) -> Trained:
    return replace(whole(features, params, seed), model_bytes=pickle.dumps([1, 2]))


def no_bytes(features: TrainingSet, params: Params, seed: int) -> Trained:
    return replace(whole(features, params, seed), model_bytes="text")  # type: ignore[arg-type]


def not_finite(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    return replace(made, scores=np.where(np.arange(len(made.scores)) < 3, np.nan, made.scores))


def too_few_scores(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    return replace(made, scores=made.scores[1:])


def other_scores(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    return replace(made, scores=made.scores / 2)


def amounts(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    return replace(made, scores=made.scores + 7)


def other_features(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    return replace(made, spec=msgspec.structs.replace(made.spec, features=made.spec.features[::-1]))


def other_rows(features: TrainingSet, params: Params, seed: int) -> Trained:
    made = whole(features, params, seed)
    return replace(made, holdout=made.holdout - 1)


def nothing(features: TrainingSet, params: Params, seed: int) -> None:
    return None


def fails(features: TrainingSet, params: Params, seed: int) -> Trained:
    raise KeyError("street")


def undeclared(features: TrainingSet, params: Params, seed: int) -> Trained:
    """It does not say by which rows it chose, so a search cannot compare it."""
    return replace(whole(features, params, seed), validation=np.empty(0, dtype=np.int64))


def two_arguments(features: TrainingSet, params: Params) -> Trained:
    return whole(features, params, 0)
