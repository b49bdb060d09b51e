"""The trainers by name. One is a function `(TrainingSet, params, seed) -> Trained`."""

from collections.abc import Iterable
from typing import Protocol

from mlops_assets.intake.functions import did_you_mean
from mlops_assets.training import gbdt
from mlops_assets.training.fitting import Params, Trained
from mlops_assets.training.model import ModelSpec, Predictor
from mlops_assets.training.networks import network
from mlops_assets.training.own import OwnTrainer, own_trainer
from mlops_assets.training.training_set import TrainingSet


class Fit(Protocol):
    """Learns from a training set; the same input gives the same model bytes on CPU."""

    def __call__(self, features: TrainingSet, params: Params, seed: int) -> Trained:
        """Return the trained model."""
        ...


_FITS: dict[str, Fit] = {"lightgbm": gbdt.fit, "torch": network.fit}
_LOADERS = {"lightgbm": gbdt.load_predictor, "torch": network.load_predictor}
_PARAMS: dict[str, tuple[str, ...]] = {"lightgbm": gbdt.PARAMS, "torch": network.PARAMS}


def trainer_named(kind: str, params: Iterable[str] = ()) -> Fit:
    """Return the trainer `kind`, or the user's function of that name, having looked for misspelt `params`.

    Raises:
        LookupError: If there is no such trainer, or it has no such parameter; the message lists those known.
    """
    own = _own(kind)
    known = own.params if own else _PARAMS[kind]
    for name in params:
        if known is not None and name not in known:
            near = did_you_mean(name, list(known))
            raise LookupError(f"no parameter {name!r} of trainer {kind}{near}; known: {', '.join(sorted(known))}")
    return own.fit if own else _FITS[kind]


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Predictor:
    """Return the function that predicts with a stored model: matrix of shape (rows, features) -> scores.

    Scores are the probability of the positive class or the value, shape (rows,), or shape (rows, classes).

    Raises:
        LookupError: If the model is of a kind that no trainer here makes.
    """
    own = _own(spec.kind)
    return own.load_predictor(spec, model_bytes) if own else _LOADERS[spec.kind](spec, model_bytes)


def _own(kind: str) -> OwnTrainer | None:
    """Return a user's trainer, None for one of ours."""
    if kind not in _FITS and "." not in kind:
        raise LookupError(f"no trainer {kind!r}{did_you_mean(kind, list(_FITS))}; known trainers: {', '.join(_FITS)}")
    return None if kind in _FITS else own_trainer(kind)
