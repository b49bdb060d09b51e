"""Why a model scored a row as it did: what each feature adds to a base score."""

from collections.abc import Callable

import msgspec

from mlops_assets.training.model import Matrix


class Reasons(msgspec.Struct, frozen=True, omit_defaults=True):
    """What adds up to a row's score: `base` and the contribution of each feature sum to `score`, all in `unit`.

    `unit` is "log-odds", "label" and the like; `of` is the class that is explained, if there are several.
    """

    unit: str
    base: float
    score: float
    features: dict[str, float]
    of: str | None = None


class NoReasons(Exception):
    """This model's answers cannot be explained."""


Explain = Callable[[Matrix], list[Reasons]]
