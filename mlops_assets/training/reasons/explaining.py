"""A stored model -> what explains its answers, by the trainer that made it."""

from mlops_assets.training.model import ModelSpec
from mlops_assets.training.reasons.networks import network_reasons
from mlops_assets.training.reasons.reasons import Explain, NoReasons
from mlops_assets.training.reasons.trees import tree_reasons

_KINDS = {"lightgbm": tree_reasons, "torch": network_reasons}


def explainer(spec: ModelSpec, model: bytes) -> Explain:
    """Return the function that gives the reasons of rows, a matrix of shape (rows, features).

    Raises:
        NoReasons: If the model is of a trainer of the user's own.
    """
    if spec.kind not in _KINDS:
        known = " and ".join(_KINDS)
        raise NoReasons(f"this model is of the trainer {spec.kind}; reasons are known of {known}")
    return _KINDS[spec.kind](spec, model)
