"""A stored model -> scores of decoded rows: one in microseconds, and never another answer than the offline model's."""

import logging
from collections.abc import Sequence
from math import nan

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.features.one_row import NotPlanned, OneRow
from mlops_assets.features.transform import Transform
from mlops_assets.intake.cells import DTYPES
from mlops_assets.training.fast import single_row
from mlops_assets.training.model import ModelSpec, to_matrix
from mlops_assets.training.reasons.explaining import explainer
from mlops_assets.training.reasons.reasons import Explain, Reasons
from mlops_assets.training.trainers import load_predictor

TOLERANCE = 1e-9
_log = logging.getLogger(__name__)
Values = tuple[object, ...]


class Score(msgspec.Struct, frozen=True, gc=False):
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
        self._places = [at if self._transform else places[name] for at, name in enumerate(spec.features)]
        self._codes = [_codes(spec, name) for name in spec.features]
        width = len(spec.features) if self._transform else len(places)
        self._plain = self._places == list(range(width)) and not spec.categories
        fast = single_row(model, len(spec.features)) if spec.kind == "lightgbm" else None
        self._one = fast or self._alone
        self._model = model
        self._explain: Explain | None = None
        self._features_of = self._planned() if self._transform else None

    def one(self, values: Values) -> Score:
        """Return the score of one row."""
        if self._transform is not None:
            if self._features_of is None:
                return self.many([values])[0]
            made = self._features_of(values)
            return self._score(self._one(made if self._plain else self._coded(made)), made)
        return self._score(self._one(values if self._plain else self._coded(values)), None)

    def many(self, rows: Sequence[Values]) -> list[Score]:
        """Return the scores of several rows."""
        if self._transform is None:
            scores = self._offline(np.array([self._coded(row) for row in rows], dtype=np.float64))
            return [self._score(_floats(score), None) for score in scores]
        frame = self._features(rows)
        scores = self._offline(to_matrix(frame, self.spec))
        return [self._score(_floats(score), row) for score, row in zip(scores, frame.iter_rows(), strict=True)]

    def explain(self, rows: Sequence[Values]) -> list[Reasons]:
        """Return what each feature adds to the score of each row; it takes about a millisecond for each.

        Raises:
            NoReasons: If nothing is known of such models.
        """
        if self._explain is None:
            self._explain = explainer(self.spec, self._model)
        return self._explain(to_matrix(self._features(rows), self.spec))

    def check(self, rows: Sequence[Values]) -> None:
        """Compare both ways of scoring with the offline path over polars.

        A fast path that differs is given up: from then on single rows go the offline model's way too.

        Raises:
            NotEqual: At the first row whose scores differ all the same, naming both.
        """
        try:
            self._compare(rows)
        except NotEqual as problem:
            if self._one == self._alone and self._features_of is None:
                raise
            _log.warning("single rows are scored the offline model's way, which is slower: %s", problem)
            self._one, self._features_of = self._alone, None
            self._compare(rows)

    def _compare(self, rows: Sequence[Values]) -> None:
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
            frame = self._transform.computed(frame)
        return frame.select(self.spec.features)

    def _planned(self) -> OneRow | None:
        """Return the features function of one row; None if it has to be asked anew for every row."""
        assert self._transform is not None
        try:
            return OneRow(self._transform, self._schema, self.spec.features)
        except NotPlanned:
            return None

    def _score(self, score: Sequence[float], features: Values | None) -> Score:
        if self.spec.task != "multiclass":
            return Score(score[0], None, features)
        top = max(range(len(score)), key=score.__getitem__)
        return Score(float(top), tuple(score), features)

    def _coded(self, values: Values) -> list[object]:
        """Return the features of a row as numbers; an unseen category is NaN, a number that is missing None."""
        return [
            values[place] if codes is None else codes.get(values[place], nan)
            for place, codes in zip(self._places, self._codes, strict=True)
        ]

    def _alone(self, features: Sequence[object]) -> Sequence[float]:
        return _floats(self._offline(np.array([features], dtype=np.float64))[0])


def _codes(spec: ModelSpec, name: str) -> dict[object, float] | None:
    levels = spec.categories.get(name)
    return None if levels is None else {level: float(code) for code, level in enumerate(levels)}


def _floats(score: NDArray[np.float64]) -> list[float]:
    return np.atleast_1d(score).tolist()
