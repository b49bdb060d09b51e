"""The model that is judged, and its held-out rows in each form in which a criterion needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.records import Json
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.training.metrics import Floats
from mlops_assets.training.model import Matrix, ModelSpec, Predictor, to_matrix


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a criterion found: whether it is met, in words for a person and in facts for a picture."""

    passed: bool
    words: str
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A candidate and its held-out rows.

    `features` are what it sees of each row, `known` the dataset's columns of the same rows in the same order, from
    which requests are made. `scores` are its own and `champion` the champion's, of the same rows; `threshold` is from
    which probability on each of them acts.
    """

    spec: ModelSpec
    model: bytes
    predict: Predictor
    features: pl.DataFrame
    known: pl.DataFrame
    labels: Floats
    scores: Floats
    metric: str
    seed: int
    threshold: float = 0.5
    champion: Floats | None = None
    champion_threshold: float = 0.5

    @cached_property
    def matrix(self) -> Matrix:
        """The model's input, shape (rows, features)."""
        return to_matrix(self.features, self.spec)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """The class that is decided on for each row, by its place in `classes`."""
        if self.scores.ndim == 2:
            return self.scores.argmax(axis=1)
        return (self.scores >= self.threshold).astype(np.int64)

    def column(self, name: str) -> pl.Series:
        """Return a column of the held-out rows: the dataset's, else the feature of that name.

        Raises:
            LookupError: If there is neither; it lists those there are.
        """
        for frame in (self.known, self.features):
            if name in frame.columns:
                return frame[name]
        there = dict.fromkeys(each for each in (*self.known.columns, *self.features.columns) if each[0] != "_")
        raise LookupError(f"no column {name!r}{did_you_mean(name, list(there))}; known: {', '.join(there)}")
