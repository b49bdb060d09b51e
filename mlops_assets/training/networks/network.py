"""The trainer `torch`: a perceptron for tables, a convolution for images.

numpy prepares and predicts, torch only trains, safetensors store the weights; the shape is in `spec.architecture`.
"""

import time
from importlib import import_module
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.fitting import Learned, Learner, Params, Rows, Trained, TrainingSet, train
from mlops_assets.training.machine import Machine, in_words, placed
from mlops_assets.training.metrics import METRICS
from mlops_assets.training.model import Matrix, ModelSpec, Predictor
from mlops_assets.training.networks import kinds
from mlops_assets.training.networks.attempts import descended
from mlops_assets.training.networks.descent import Course, threads
from mlops_assets.training.networks.forms import Examples, MissingExtra, Tensors, packed, unpacked
from mlops_assets.training.networks.kinds import chosen, form_of

PARAMS = kinds.PARAMS
_WEIGHED = 2000  # validation rows that importance is measured on


def fit(features: TrainingSet, params: Params, seed: int) -> Trained:
    """Return a network trained on `features`: in bfloat16 on the GPUs that its machine gives it, else on the CPU.

    Raises:
        MissingExtra: If torch or safetensors is not installed.
        ValueError: If it asks for a GPU where there is none, the parameters do not fit, or the memory does not suffice.
    """
    return train(features, params, seed, TORCH)


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Predictor:
    """Return the function that predicts with stored tensors; it needs no torch.

    Raises:
        MissingExtra: If safetensors is not installed.
    """
    return _predictor(spec, unpacked(model_bytes))


def _predictor(spec: ModelSpec, tensors: Tensors) -> Predictor:
    form = form_of(spec.architecture)
    wide = {name: value.astype(np.float64) for name, value in tensors.items()}
    exact = cast("Tensors", wide)  # in float32 a row alone would not score as it does in a batch

    def predict(matrix: Matrix) -> Matrix:
        raw = form.forward(spec.architecture, exact, *form.prepared(spec, tensors, matrix))
        return _outcome(spec, tensors, raw.astype(np.float64))

    return predict


def _outcome(spec: ModelSpec, tensors: Tensors, raw: Matrix) -> Matrix:
    if spec.task == "regression":
        return raw[:, 0] * float(tensors["target"][1]) + float(tensors["target"][0])
    if spec.task == "binary":
        return 1 / (1 + np.exp(-np.clip(raw[:, 0], -700, 700)))
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _fit(spec: ModelSpec, rows: Rows, validation: Rows, params: Params, seed: int, machine: Machine) -> Learned:
    _require("torch", "safetensors")
    form, params = chosen(params)
    place = placed(machine, _gpus(machine))
    architecture = form.architecture(spec, params)
    spec = msgspec.structs.replace(spec, architecture=architecture)
    standards = {**form.standards(spec, architecture, rows), "target": _target(rows)}
    start = form.start(spec, architecture, np.random.default_rng(seed))
    course = Course(task=spec.task, architecture=architecture, params=params, seed=seed)
    learned, judged = (_examples(spec, standards, part) for part in (rows, validation))
    began = time.perf_counter()
    course, descent = descended(course, start, learned, judged, place, machine.checkpoints)
    took = time.perf_counter() - began
    tensors = {**standards, **descent.tensors}
    return Learned(
        model_bytes=packed(tensors),
        loss=min(descent.history["validation_loss"]),
        history=descent.history,
        gains=_gains(spec, tensors, validation, judged, course),
        params={**course.params, "best_epoch": descent.best_epoch, "device": in_words(place, machine)},
        architecture=architecture,
        gpu_s=took * place.processes if place.device == "cuda" else 0.0,
    )


def _require(*libraries: str) -> None:
    """Raise the error that names the extra, before anything is trained."""
    for library in libraries:
        try:
            import_module(library)
        except ModuleNotFoundError as error:
            raise MissingExtra(library) from error


def _gpus(machine: Machine) -> int:
    import torch

    return torch.cuda.device_count() if machine.gpus else 0


def _target(rows: Rows) -> NDArray[np.float32]:
    """Return mean and sd of the labels."""
    return np.array([rows.labels.mean(), rows.labels.std() or 1.0], dtype=np.float32)


def _examples(spec: ModelSpec, standards: Tensors, rows: Rows) -> Examples:
    dense, codes = form_of(spec.architecture).prepared(spec, standards, rows.matrix)
    mean, spread = standards["target"] if spec.task == "regression" else (0.0, 1.0)
    return Examples(dense=dense, codes=codes, labels=((rows.labels - mean) / spread).astype(np.float32))


def _gains(spec: ModelSpec, tensors: Tensors, rows: Rows, examples: Examples, course: Course) -> list[float]:
    form = form_of(spec.architecture)
    if form.gains is None:
        return _permuted(spec, _predictor(spec, tensors), rows, np.random.default_rng([course.seed, 0]))
    with threads(int(course.params["num_threads"])):
        return form.gains(spec.architecture, tensors, examples.dense[-_WEIGHED:])


def _permuted(spec: ModelSpec, predict: Predictor, rows: Rows, random: np.random.Generator) -> list[float]:
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


TORCH = Learner(kind="torch", fit=_fit, load=load_predictor)
