"""Rows of a table -> what a model says of them, in the form of sealed predictions; the others, with the reason.

The same inputs, features and model as those of a request, so that an answer can be computed again from its row alone.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import NamedTuple

import numpy as np
import polars as pl

from mlops_assets.features.transform import Transform
from mlops_assets.serving.log.sealed import ANSWERED, BASE, CHAMPION, FEATURE, INPUT, PROBABILITY
from mlops_assets.serving.scoring.fitting import Files, check_inputs, fitted
from mlops_assets.serving.scoring.ids import row_ids
from mlops_assets.serving.scoring.keeping import Keeping
from mlops_assets.training.model import Matrix, ModelSpec, to_matrix
from mlops_assets.training.trainers import load_predictor

WRITER = "scores"
NOT_LOGGED = ["decision", "class"]  # what a table of answers has beside sealed predictions
BLOCK = 256  # rows that are scored together, never more or fewer: a matrix product of another shape may round otherwise
_AT_ONCE = 16_384  # rows that a core scores at a time
_THREADS = 4


class Answerer(NamedTuple):
    """The model that answers for a segment, the deployment that says so, and what is kept of the rows."""

    product: str
    segment: str
    version: int
    record: str
    deployment: str
    spec: ModelSpec
    model: bytes
    keeping: Keeping
    zone: str = "UTC"
    files: Files | None = None


class Answers(NamedTuple):
    """The rows that were answered, in the form of sealed predictions with `decision`, and why the others were not.

    `places` are the answered rows' among those given; `refused` has a reason for each given row, null if it fits.
    """

    rows: pl.DataFrame
    places: pl.Series
    refused: pl.Series


class Scorer:
    """Answers many rows at once."""

    def __init__(self, by: Answerer) -> None:
        """Load the model.

        Raises:
            LookupError: If it is of an unknown kind, or its features function is gone.
        """
        self.by = by
        self._predict = load_predictor(by.spec, by.model)
        self._transform = Transform(by.spec.transform) if by.spec.transform else None

    def check(self, columns: Sequence[str], table: str) -> None:
        """Check that a table has what the model reads.

        Raises:
            SourceError: If a column is missing.
        """
        check_inputs(self.by.spec.inputs, list(columns), table)

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return time and key of placed `rows`, as they are kept."""
        return self.by.keeping.kept(rows.select(at="_time", key="_key"))

    def ids(self, rows: pl.DataFrame, numbers: pl.Series | None = None) -> tuple[pl.DataFrame, pl.Series, pl.Series]:
        """Return the typed inputs of placed `rows`, why each does not fit (null if it does), and their inference ids.

        An id is of what is kept of a row. Where a row has no key, its number in its file, if given, stands for it.
        """
        typed, refused = fitted(rows, self.by.spec.inputs, self.by.zone, self.by.files, self.by.keeping.personal)
        given = typed.select(pl.all().name.prefix(INPUT)).with_columns(rows["_key"].alias("key"))
        kept = self.by.keeping.kept(given)
        kept = kept if numbers is None else kept.with_columns(numbers.alias("number"))
        return typed, refused, row_ids(kept, rows["_time"], self.by.product, self.by.segment, self.by.record)

    def answers(self, rows: pl.DataFrame, numbers: pl.Series | None = None) -> Answers:
        """Return the answers to placed `rows`; a row that cannot be answered is told apart."""
        typed, refused, ids = self.ids(rows, numbers)
        fits = refused.is_null().arg_true()
        features, failed = self._features(typed.gather(fits))
        if failed:
            refused = refused.scatter(fits.gather(list(failed)), list(failed.values()))
            fits = refused.is_null().arg_true()
        named = rows.select(at="_time", key="_key").with_columns(ids).gather(fits)
        return Answers(self._sealed(named, typed.gather(fits), features), fits, refused)

    def _features(self, inputs: pl.DataFrame) -> tuple[pl.DataFrame, dict[int, str]]:
        """Return the features of `inputs`, without those rows that the features function cannot take, and why."""
        if self._transform is None:
            return inputs.select(self.by.spec.features), {}
        failed: dict[int, str] = {}
        made = self._made(self._transform, inputs, 0, failed)
        return pl.concat(made) if made else self._made(self._transform, inputs.clear(), 0, {})[0], failed

    def _made(self, made_by: Transform, inputs: pl.DataFrame, first: int, failed: dict[int, str]) -> list[pl.DataFrame]:
        """Return the features of the rows that have some: what fails is halved until it is one row."""
        try:
            return [made_by.computed(inputs).select(self.by.spec.features)]
        except pl.exceptions.PolarsError as error:
            if inputs.height < 2:
                quoted = not set(self.by.keeping.personal) & set(self.by.spec.inputs)  # the message may quote a cell
                told = str(error).strip().partition("\n")[0] if quoted else type(error).__name__
                failed[first] = f"the features function {self.by.spec.transform} cannot take this: {told}"
                return []
        half = inputs.height // 2
        left = self._made(made_by, inputs[:half], first, failed)
        return [*left, *self._made(made_by, inputs[half:], first + half, failed)]

    def _sealed(self, named: pl.DataFrame, inputs: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
        """Return answers as they are sealed: who said what of whom, the inputs and the features."""
        by, spec = self.by, self.by.spec
        scores = self._scores(to_matrix(features, spec))
        output = scores.argmax(axis=1).astype(np.float64) if spec.task == "multiclass" else scores
        own = {"segment": by.segment, "version": by.version, "deployment": by.deployment, "writer": WRITER}
        own |= {"variant": CHAMPION, "status": ANSWERED}
        said = named.with_columns(pl.Series("output", output, pl.Float64))
        base = (pl.col(name) if name in said.columns else pl.lit(own.get(name)).alias(name) for name in BASE)
        decision = pl.lit(None, pl.Boolean) if spec.threshold is None else pl.col("output") >= spec.threshold
        table = said.select(base).cast(BASE).with_columns(decision=decision, **_classes(spec, scores))  # pyright: ignore
        given = inputs.select(pl.all().name.prefix(INPUT))
        return by.keeping.kept(pl.concat([table, given, self._shown(features)], how="horizontal"))

    def _shown(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return features as they are sealed: text, or float64 with NaN for null."""
        if self._transform is not None:
            return self.by.keeping.features(features).rename({name: FEATURE + name for name in features.columns})
        texts = self.by.spec.categories
        numbers = [
            pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in features.columns if name not in texts
        ]
        return features.with_columns(numbers).select(pl.all().name.prefix(FEATURE))

    def _scores(self, matrix: Matrix) -> Matrix:
        """Return the scores, computed on several cores at once: a row's score does not depend on the other rows."""
        if not len(matrix):
            return np.zeros((0, max(1, len(self.by.spec.classes))) if self.by.spec.task == "multiclass" else 0)
        pieces = [matrix[at : at + _AT_ONCE] for at in range(0, len(matrix), _AT_ONCE)]
        if missing := -len(matrix) % BLOCK:
            pieces[-1] = np.concatenate([pieces[-1], np.repeat(pieces[-1][-1:], missing, axis=0)])
        with ThreadPoolExecutor(min(_THREADS, cpu_count() or 1)) as threads:
            return np.concatenate(list(threads.map(self._piece, pieces)))[: len(matrix)]

    def _piece(self, rows: Matrix) -> Matrix:
        """Return the scores of whole blocks of rows, each laid out as the endpoint lays out a batch."""
        blocks = (np.ascontiguousarray(rows[at : at + BLOCK]) for at in range(0, len(rows), BLOCK))
        return np.concatenate([self._predict(block) for block in blocks])


def _classes(spec: ModelSpec, scores: Matrix) -> dict[str, pl.Series]:
    """Return the column that names the likeliest class, and the probability of each, where there are several."""
    if spec.task != "multiclass":
        return {}
    likeliest = pl.Series(spec.classes, dtype=pl.String).gather(scores.argmax(axis=1))
    each = {PROBABILITY + name: pl.Series(scores[:, at], dtype=pl.Float64) for at, name in enumerate(spec.classes)}
    return {"class": likeliest, **each}
