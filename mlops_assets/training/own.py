"""A trainer of the user's own, 'package.module.function': found, called, and what it returns looked through.

Its module also has `load_predictor(spec, model_bytes)`, which is all that serving needs of it. With `PARAMS`, the names
of its parameters, a misspelt one is refused when the declaration loads.
"""

import inspect
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import numpy as np
import polars as pl

from mlops_assets.intake.functions import BROKEN_CODE, function_named
from mlops_assets.training.fitting import Params, Trained
from mlops_assets.training.looked_through import problem_of
from mlops_assets.training.metrics import measure
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, label_codes, to_matrix
from mlops_assets.training.training_set import TrainingSet

FIT, LOAD = ("features", "params", "seed"), ("spec", "model_bytes")
BROKEN = (*BROKEN_CODE, AssertionError, pl.exceptions.PolarsError)


class BrokenTrainer(ValueError):
    """A trainer of the user's own failed, or returned what cannot be used."""


@dataclass(frozen=True, kw_only=True)
class OwnTrainer:
    """The two functions of a user's trainer, and the names of its parameters if it says them."""

    kind: str
    function: Callable[..., object]
    loader: Callable[..., object]
    params: tuple[str, ...] | None

    def fit(self, features: TrainingSet, params: Params, seed: int) -> Trained:
        """Return what the function made of `features`, looked through and measured.

        Raises:
            BrokenTrainer: If it failed, or what it returned is not right; the message says what was found.
        """
        try:
            made = self.function(features, params, seed)
        except BROKEN as error:
            raise BrokenTrainer(f"{self.kind} failed{_where(self.function, error)}") from error
        if problem := problem_of(made, features, seed):
            raise BrokenTrainer(f"{self.kind}: {problem}")
        trained = cast("Trained", made)
        trained = replace(trained, spec=_handed_on(self.kind, trained.spec, features))
        again = self._again(trained, features)
        if not np.array_equal(again, trained.scores):
            raise BrokenTrainer(f"{self.kind}: load_predictor scores the held-out rows otherwise than `scores` says")
        labels = label_codes(features.labels[trained.holdout.tolist()], trained.spec)
        return replace(trained, metrics={**trained.metrics, **measure(features.task, labels, trained.scores)})

    def load_predictor(self, spec: ModelSpec, model_bytes: bytes) -> Predictor:
        """Return the function that predicts with a model of this trainer."""
        return cast("Predictor", self.loader(spec, model_bytes))

    def _again(self, trained: Trained, data: TrainingSet) -> Matrix:
        """Return the scores of the held-out rows by the stored model."""
        matrix = to_matrix(data.features[trained.holdout.tolist()], trained.spec)
        try:
            return np.asarray(self.load_predictor(trained.spec, trained.model_bytes)(matrix))
        except BROKEN as error:
            raise BrokenTrainer(f"{self.kind}: load_predictor failed{_where(self.loader, error)}") from error


def own_trainer(kind: str) -> OwnTrainer:
    """Return the trainer 'package.module.function'.

    Raises:
        LookupError: If there is no such function, no `load_predictor` beside it, or one takes other arguments.
    """
    module = kind.rpartition(".")[0]
    function, loader = function_named(kind), function_named(f"{module}.load_predictor")
    _check_signature(kind, function, FIT)
    _check_signature(f"{module}.load_predictor", loader, LOAD)
    declared = cast("Iterable[object] | None", getattr(inspect.getmodule(function), "PARAMS", None))
    params = None if declared is None else tuple(map(str, declared))
    return OwnTrainer(kind=kind, function=function, loader=loader, params=params)


def _check_signature(name: str, function: Callable[..., object], right: tuple[str, ...]) -> None:
    signature = inspect.signature(function)
    try:
        signature.bind(*right)
    except TypeError as error:
        found, wanted = ", ".join(signature.parameters), ", ".join(right)
        raise LookupError(f"{name}({found}) does not fit; right is ({wanted})") from error


def _handed_on(kind: str, spec: ModelSpec, data: TrainingSet) -> ModelSpec:
    """Return the spec with what no trainer has a say in: its name, the request's fields and the features function.

    Where it says nothing of importance, each feature has the same share.
    """
    shares = spec.importance or dict.fromkeys(spec.features, 1 / len(spec.features))
    return msgspec.structs.replace(
        spec, kind=kind, inputs=dict(data.inputs), transform=data.transform, importance=shares
    )


def _where(function: Callable[..., object], error: Exception) -> str:
    """Return ' at line 7: KeyError: ...' with the last line of the function's own file that the error went through."""
    file = inspect.getsourcefile(function)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{f' at line {lines[-1]}' if lines else ''}: {type(error).__name__}: {error}"
