"""A neural network for tables: numpy prepares and predicts, torch only trains, safetensors store it.

Numbers are standardised and stand beside a mark of what is missing; categories are embedded, place 0 for the unknown.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.descent import Batch, MissingExtra, Tensors, descend
from mlops_assets.training.fitting import Learned, Learner, Params, Rows, Trained, TrainingSet, train
from mlops_assets.training.machine import Machine
from mlops_assets.training.metrics import METRICS
from mlops_assets.training.model import Matrix, ModelSpec, Predictor

DEFAULTS: dict[str, int | float | str | bool] = {
    "epochs": 60,
    "patience": 8,
    "batch": 256,
    "learning_rate": 0.003,
    "weight_decay": 0.0001,
    "width": 64,
    "layers": 2,
    "num_threads": 1,
}
PARAMS = tuple(DEFAULTS)
_WEIGHED = 2000  # validation rows that importance is measured on


def fit(features: TrainingSet, params: Params, seed: int) -> Trained:
    """Return a multilayer perceptron trained on `features`: in bfloat16 on a GPU where there is one, else on CPU.

    Raises:
        MissingExtra: If torch is not installed.
    """
    return train(features, params, seed, TORCH)


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Predictor:
    """Return the function that predicts with stored tensors; it needs no torch.

    Raises:
        MissingExtra: If safetensors is not installed.
    """
    try:
        from safetensors.numpy import load
    except ModuleNotFoundError as error:
        raise MissingExtra("safetensors") from error
    return _predictor(spec, load(model_bytes))


def _predictor(spec: ModelSpec, tensors: Tensors) -> Predictor:
    def predict(matrix: Matrix) -> Matrix:
        return _outcome(spec, tensors, _forward(tensors, *_inputs(spec, tensors, matrix)))

    return predict


def _inputs(spec: ModelSpec, tensors: Tensors, matrix: Matrix) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return standardised numbers beside their missing marks, and category codes with 0 for the unknown."""
    textual = _textual(spec)
    numbers = (matrix[:, ~textual] - tensors["mean"]) * tensors["scale"]
    missing = np.isnan(numbers)
    dense = np.concatenate([np.where(missing, 0.0, numbers), missing], axis=1, dtype=np.float32)
    return dense, np.nan_to_num(matrix[:, textual] + 1, nan=0.0).astype(np.int64)


def _forward(tensors: Tensors, dense: NDArray[np.float32], codes: NDArray[np.int64]) -> NDArray[np.float32]:
    embedded = [tensors[f"embedding.{place}"][codes[:, place]] for place in range(codes.shape[1])]
    values = np.concatenate([dense, *embedded], axis=1)
    last = sum(name.startswith("weight.") for name in tensors) - 1
    for layer in range(last + 1):
        values = values @ tensors[f"weight.{layer}"].T + tensors[f"bias.{layer}"]
        values = np.maximum(values, 0) if layer < last else values
    return values


def _outcome(spec: ModelSpec, tensors: Tensors, values: NDArray[np.float32]) -> Matrix:
    raw = values.astype(np.float64)
    if spec.task == "regression":
        return raw[:, 0] * float(tensors["target"][1]) + float(tensors["target"][0])
    if spec.task == "binary":
        return 1 / (1 + np.exp(-np.clip(raw[:, 0], -700, 700)))
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _fit(spec: ModelSpec, rows: Rows, validation: Rows, params: Params, seed: int, machine: Machine) -> Learned:
    chosen = {**DEFAULTS, **params}
    random = np.random.default_rng(seed)
    standards = _standards(spec, rows)
    outputs = len(spec.classes) if spec.task == "multiclass" else 1
    shape = [int(chosen["width"])] * int(chosen["layers"]) + [outputs]
    descent = descend(
        _start(spec, shape, random),
        _batch(spec, standards, rows),
        _batch(spec, standards, validation),
        spec.task,
        chosen,
        random,
    )
    tensors = {**standards, **descent.tensors}
    return Learned(
        model_bytes=_stored(tensors),
        loss=min(descent.losses),
        history={"validation_loss": descent.losses},
        gains=_gains(spec, _predictor(spec, tensors), validation, random),
        params={**chosen, "best_epoch": descent.losses.index(min(descent.losses)) + 1, "device": descent.device},
        architecture={"family": "perceptron", "activation": "relu", "layers": shape},
    )


def _standards(spec: ModelSpec, rows: Rows) -> Tensors:
    """Return mean and 1/sd of the numbers, 0 where a column is constant or empty, and mean and sd of the target."""
    numbers = np.ma.masked_invalid(rows.matrix[:, ~_textual(spec)])
    mean, spread = (np.ma.filled(moment, 0.0) for moment in (numbers.mean(axis=0), numbers.std(axis=0)))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    target = [rows.labels.mean(), rows.labels.std() or 1.0]
    kept = {"mean": mean, "scale": scale, "target": np.array(target)}
    return {name: value.astype(np.float32) for name, value in kept.items()}


def _start(spec: ModelSpec, shape: list[int], random: np.random.Generator) -> Tensors:
    """Return the first weights: He et al., ICCV (2015), for rectified layers."""
    levels = [len(spec.categories[name]) + 1 for name in spec.features if name in spec.categories]
    sizes = [min(16, 1 + round(np.sqrt(count))) for count in levels]
    start = {
        f"embedding.{place}": random.normal(0, 0.1, (count, size))
        for place, (count, size) in enumerate(zip(levels, sizes, strict=True))
    }
    inputs = 2 * (len(spec.features) - len(levels)) + sum(sizes)
    for layer, (wide, narrow) in enumerate(pairwise([inputs, *shape])):
        start[f"weight.{layer}"] = random.normal(0, np.sqrt(2 / wide), (narrow, wide))
        start[f"bias.{layer}"] = np.zeros(narrow)
    return {name: value.astype(np.float32) for name, value in start.items()}


def _batch(spec: ModelSpec, standards: Tensors, rows: Rows) -> Batch:
    dense, codes = _inputs(spec, standards, rows.matrix)
    mean, spread = standards["target"] if spec.task == "regression" else (0.0, 1.0)
    return Batch(dense=dense, codes=codes, labels=((rows.labels - mean) / spread).astype(np.float32))


def _gains(spec: ModelSpec, predict: Predictor, rows: Rows, random: np.random.Generator) -> list[float]:
    """Return by how much the loss grows when a feature's values are permuted: Breiman, Machine Learning 45 (2001)."""
    metric = METRICS[spec.task]["rmse" if spec.task == "regression" else "log_loss"]
    newest = rows.part(slice(-_WEIGHED, None))
    whole = metric(newest.labels, predict(newest.matrix), None)
    gains: list[float] = []
    for column in range(len(spec.features)):
        mixed = newest.matrix.copy()
        mixed[:, column] = random.permutation(mixed[:, column])
        gains.append(float(metric(newest.labels, predict(mixed), None) - whole))
    return gains


def _textual(spec: ModelSpec) -> NDArray[np.bool_]:
    return np.array([name in spec.categories for name in spec.features], dtype=bool)


def _stored(tensors: Tensors) -> bytes:
    from safetensors.numpy import save

    return save(dict(sorted(tensors.items())))


TORCH = Learner(kind="torch", fit=_fit, load=load_predictor)
