"""The trainers by name. One is a function `(TrainingSet, params, seed) -> Trained`."""

from typing import Protocol

from mlops_assets.training import gbdt, network
from mlops_assets.training.fitting import Params, Trained, TrainingSet
from mlops_assets.training.model import ModelSpec, Predictor


class Fit(Protocol):
    """Learns from a training set; the same input gives the same model bytes on CPU."""

    def __call__(self, features: TrainingSet, params: Params, seed: int) -> Trained:
        """Return the trained model."""
        ...


_FITS: dict[str, Fit] = {"lightgbm": gbdt.fit, "torch": network.fit}
_LOADERS = {"lightgbm": gbdt.load_predictor, "torch": network.load_predictor}
_PARAMS = {"lightgbm": gbdt.PARAMS, "torch": network.PARAMS}


def trainer_named(kind: str, params: Params | None = None) -> Fit:
    """Return the trainer `kind`, having looked for misspelt `params`.

    Raises:
        LookupError: If there is no such trainer, or it has no such parameter; the message lists those known.
    """
    _check(kind)
    for name in params or {}:
        if name not in _PARAMS[kind]:
            raise LookupError(f"no parameter {name!r} of trainer {kind}; known: {', '.join(sorted(_PARAMS[kind]))}")
    return _FITS[kind]


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Predictor:
    """Return the function that predicts with a stored model: matrix of shape (rows, features) -> scores.

    Scores are the probability of the positive class or the value, shape (rows,), or shape (rows, classes).

    Raises:
        LookupError: If the model is of a kind that no trainer here makes.
    """
    _check(spec.kind)
    return _LOADERS[spec.kind](spec, model_bytes)


def _check(kind: str) -> None:
    if kind not in _FITS:
        raise LookupError(f"no trainer {kind!r}; known trainers: {', '.join(_FITS)}")
