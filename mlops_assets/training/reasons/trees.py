"""Reasons of LightGBM's trees: `pred_contrib`, exact Shapley values of the trees' own expectations.

Lundberg et al., "Consistent individualized feature attribution for tree ensembles", arXiv:1802.03888 (2018).
"""
# LightGBM's types are partial.
# pyright: reportUnknownMemberType=false

import re

import numpy as np

from mlops_assets.training.model import Matrix, ModelSpec
from mlops_assets.training.reasons.reasons import Explain, NoReasons, Reasons

_TOLERANCE = 1e-6  # of the score; the sum over hundreds of trees is another order of additions
_UNITS = {
    "binary sigmoid:1": "log-odds",
    "cross_entropy": "log-odds",
    "multiclass": "log-odds before the softmax",
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), "label"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "logarithm of the label"),
}


def tree_reasons(spec: ModelSpec, model: bytes) -> Explain:
    """Return what explains rows of a model's text; of several classes, the one that it answers."""
    from lightgbm import Booster
    from lightgbm.basic import LightGBMError

    booster = Booster(model_str=model.decode())
    unit = _unit(model)

    def explain(matrix: Matrix) -> list[Reasons]:
        shape = (len(matrix), booster.num_model_per_iteration(), len(spec.features) + 1)
        try:
            parts = np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=1)).reshape(shape)
        except LightGBMError as problem:
            raise NoReasons(f"LightGBM: {str(problem).partition(' at /')[0]}") from problem
        raw = np.asarray(booster.predict(matrix, raw_score=True, num_threads=1)).reshape(shape[:2])
        scores = np.asarray(booster.predict(matrix, num_threads=1)).reshape(shape[:2])
        classes = scores.argmax(axis=1)
        return [
            _row(spec, unit, parts[at, chosen], float(raw[at, chosen]), int(chosen))
            for at, chosen in enumerate(classes)
        ]

    return explain


def _row(spec: ModelSpec, unit: str, parts: Matrix, score: float, chosen: int) -> Reasons:
    if abs(parts.sum() - score) > _TOLERANCE * max(1.0, abs(score)):
        raise NoReasons(f"LightGBM's contributions sum to {parts.sum()}, the score is {score}")
    *features, base = parts.tolist()
    of = spec.classes[chosen] if spec.task == "multiclass" else None
    return Reasons(unit, base, score, dict(zip(spec.features, features, strict=True)), of)


def _unit(model: bytes) -> str:
    """Return in words what the trees add up, by the objective that the model's text names."""
    found = re.search(rb"^objective=(.*)$", model, re.MULTILINE)
    objective = found[1].decode().strip() if found else ""
    return (
        _UNITS.get(objective) or _UNITS.get(objective.partition(" ")[0]) or f"raw score of {objective or 'the trees'}"
    )
