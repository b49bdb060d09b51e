"""A stored model -> scores of decoded rows: one in microseconds, and never another answer than the offline model's."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.features.transform import Transform
from mlops_assets.intake.cells import DTYPES
from mlops_assets.training.fast import SingleRow
from mlops_assets.training.model import ModelSpec, to_matrix
from mlops_assets.training.trainers import load_predictor

TOLERANCE = 1e-9
Values = tuple[object, ...]


class Score(NamedTuple):
    """What a model said of a row. `output` is the probability of the positive class, the value, or the top class.

    `probabilities` are those of all classes of a multiclass model. `features` are None where they are the inputs.
    """

    output: float
    probabilities: tuple[float, ...] | None
    features: Values | None


class NotEqual(Exception):
    """The endpoint would answer otherwise than the model that was evaluated."""


class Predictor:
    """Scores rows of values in the order of `spec.inputs`. May be used from several threads."""

    def __init__(self, spec: ModelSpec, model: bytes) -> None:
        """Load the model.

        Raises:
            LookupError: If the model is of an unknown kind, or a feature is none of the inputs.
        """
        self.spec = spec
        self._offline = load_predictor(spec, model)
        self._schema = {name: DTYPES[column.type] for name, column in spec.inputs.items()}
        self._transform = Transform(spec.transform) if spec.transform else None
        places = {name: place for place, name in enumerate(spec.inputs)}
        if self._transform is None and (unknown := [name for name in spec.features if name not in places]):
            raise LookupError(f"feature {unknown[0]!r} is no input; known: {', '.join(places)}")
        self._places = [] if self._transform else [places[name] for name in spec.features]
        self._codes = [_codes(spec, name) for name in spec.features]
        self._plain = self._places == list(range(len(places))) and not spec.categories
        self._one = SingleRow(model, len(spec.features)) if spec.kind == "lightgbm" else self._alone

    def one(self, values: Values) -> Score:
        """Return the score of one row."""
        if self._transform is not None:
            return self.many([values])[0]
        return self._score(self._one(values if self._plain else self._coded(values)), None)

    def many(self, rows: Sequence[Values]) -> list[Score]:
        """Return the scores of several rows."""
        if self._transform is None:
            scores = self._offline(np.array([self._coded(row) for row in rows], dtype=np.float64))
            return [self._score(_floats(score), None) for score in scores]
        frame = self._features(rows)
        scores = self._offline(to_matrix(frame, self.spec))
        return [self._score(_floats(score), row) for score, row in zip(scores, frame.iter_rows(), strict=True)]

    def check(self, rows: Sequence[Values]) -> None:
        """Compare both ways of scoring with the offline path over polars.

        Raises:
            NotEqual: At the first row whose scores differ, naming both.
        """
        offline = self._offline(to_matrix(self._features(rows), self.spec))
        for row, right, *found in zip(rows, offline, map(self.one, rows), self.many(rows), strict=True):
            for score in found:
                answer = (score.output,) if score.probabilities is None else score.probabilities
                if not all(abs(a - b) <= TOLERANCE for a, b in zip(answer, _floats(right), strict=True)):
                    fields = dict(zip(self.spec.inputs, row, strict=True))
                    raise NotEqual(f"the endpoint answers {answer} where the offline model says {right} for {fields}")

    def _features(self, rows: Sequence[Values]) -> pl.DataFrame:
        frame = pl.DataFrame(rows, schema=self._schema, orient="row")
        if self._transform is not None:
            frame = self._transform.apply(frame.lazy()).collect()
        return frame.select(self.spec.features)

    def _score(self, score: Sequence[float], features: Values | None) -> Score:
        if self.spec.task != "multiclass":
            return Score(score[0], None, features)
        top = max(range(len(score)), key=score.__getitem__)
        return Score(float(top), tuple(score), features)

    def _coded(self, values: Values) -> list[object]:
        """Return the features of a row as numbers; a null or an unseen category is None."""
        return [
            values[place] if codes is None else codes.get(values[place])
            for place, codes in zip(self._places, self._codes, strict=True)
        ]

    def _alone(self, features: Sequence[object]) -> Sequence[float]:
        return _floats(self._offline(np.array([features], dtype=np.float64))[0])


def _codes(spec: ModelSpec, name: str) -> dict[object, float] | None:
    levels = spec.categories.get(name)
    return None if levels is None else {level: float(code) for code, level in enumerate(levels)}


def _floats(score: NDArray[np.float64]) -> list[float]:
    return np.atleast_1d(score).tolist()
