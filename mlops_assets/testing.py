"""Checks for a user's own tests: `check_trainer(fit)`, `check_features(function, frame)`, `check_endpoint(url, ...)`.

They raise AssertionError with what was found and what would be right.
"""

import io
from collections.abc import Callable
from itertools import compress, count

import numpy as np
import polars as pl

from mlops_assets.features.row_local import NotRowLocal, check_row_local
from mlops_assets.features.transform import Transform
from mlops_assets.serving.contract.checks import check_endpoint
from mlops_assets.training.elsewhere import FailedElsewhere, elsewhere
from mlops_assets.training.fitting import Params, Trained
from mlops_assets.training.model import to_matrix
from mlops_assets.training.own import BrokenTrainer, OwnTrainer, own_trainer
from mlops_assets.training.predictor import TOLERANCE
from mlops_assets.training.training_set import TrainingSet

__all__ = ["check_endpoint", "check_features", "check_trainer", "example"]


def check_trainer(
    fit: Callable[[TrainingSet, Params, int], Trained],
    features: TrainingSet | None = None,
    params: Params | None = None,
    seed: int = 0,
) -> None:
    """Check that a trainer can be relied on; without `features`, on rows with missing values and categories.

    It has to keep the protocol, leave its input alone, make the same bytes of the same input again, here and in another
    process, load there to the same predictions, and score a row alone as among others.

    Raises:
        AssertionError: At the first of these that does not hold; the message says what differs.
    """
    data, given = features or example(), dict(params or {})
    before, asked = _copied(data), dict(given)
    own = _found(fit)
    try:
        first = own.fit(data, given, seed)
    except BrokenTrainer as problem:
        _check_left_alone(before, data, asked, given)  # what it changed is the likelier cause
        raise AssertionError(str(problem)) from problem
    _check_left_alone(before, data, asked, given)
    _check_same(first, own.fit(data, given, seed), "a second fit in the same process")
    _check_rows_alone(own, first, data, gaps=features is None)
    _check_elsewhere(own, first, data, given, seed)


def check_features(function: Callable[[pl.LazyFrame], pl.LazyFrame], frame: pl.DataFrame, seed: int = 0) -> None:
    """Check that the features of a row depend on that row alone.

    Raises:
        AssertionError: If not; it names the feature, the expression, and two values that differ.
    """
    try:
        check_row_local(Transform(_name_of(function)), frame, seed)
    except NotRowLocal as problem:
        raise AssertionError(str(problem)) from problem


def example(rows: int = 400, seed: int = 0) -> TrainingSet:
    """Return rows to try a trainer on: numbers and categories, a tenth of each missing, a column of nulls, two windows.

    `good` is likelier the larger `size` is, and where `street` is "mill". The newest rows have a street never seen.
    """
    random = np.random.default_rng(seed)
    size, street = random.normal(size=rows), random.choice(["high", "low", "mill"], rows)
    good = size + (street == "mill") + random.normal(0, 0.5, rows) > 0.3
    street[-rows // 20 :] = "new"
    gaps = random.random((2, rows)) < 0.1
    columns = {
        "size": pl.Series(np.where(gaps[0], np.nan, size), nan_to_null=True),
        "street": pl.Series(street.tolist()).set(pl.Series(gaps[1]), None),
        "empty": pl.Series([None] * rows, dtype=pl.Float64),
        "rooms": pl.Series(random.integers(1, 9, rows)),
    }
    return TrainingSet(
        features=pl.DataFrame(columns),
        labels=pl.Series(good.astype(int)),
        task="binary",
        windows=(rows // 2, rows - rows // 2),
    )


def _found(fit: Callable[[TrainingSet, Params, int], Trained]) -> OwnTrainer:
    try:
        return own_trainer(_name_of(fit))
    except LookupError as problem:
        raise AssertionError(str(problem.args[0])) from problem


def _name_of(function: Callable[..., object]) -> str:
    """Return 'package.module.function'."""
    module, name = str(getattr(function, "__module__", "")), str(getattr(function, "__qualname__", ""))
    if not name.isidentifier() or module in ("", "__main__"):
        found = f"{module}.{name}" if name else repr(function)
        raise AssertionError(f"{found} cannot be found by its name; right is a function at the top of a module")
    return f"{module}.{name}"


def _copied(data: TrainingSet) -> tuple[bytes, bytes]:
    """Return features and labels by content: polars shares memory between frames."""
    return _arrow(data.features), _arrow(data.labels.to_frame("label"))


def _arrow(frame: pl.DataFrame) -> bytes:
    held = io.BytesIO()
    frame.write_ipc(held)
    return held.getvalue()


def _check_left_alone(before: tuple[bytes, bytes], data: TrainingSet, asked: Params, params: Params) -> None:
    features, labels = (pl.read_ipc(io.BytesIO(held)) for held in before)
    right = "right is to work on a copy"
    if (was := list(features.schema.items())) != (now := list(data.features.schema.items())):
        raise AssertionError(f"the trainer changed the columns that it was given: {was} became {now}; {right}")
    for name in features.columns:
        if not features[name].equals(data.features[name], null_equal=True):
            raise AssertionError(f"the trainer changed the column {name!r} that it was given; {right}")
    if not labels.to_series().equals(data.labels, null_equal=True):
        raise AssertionError(f"the trainer changed the labels that it was given; {right}")
    if params != asked:
        raise AssertionError(f"the trainer changed its parameters: {asked} became {params}; {right}")


def _check_same(first: Trained, second: Trained, what: str) -> None:
    _check_bytes(first.model_bytes, second.model_bytes, what)
    if first.spec != second.spec:
        raise AssertionError(f"{what} made another spec: {first.spec} became {second.spec}")


def _check_bytes(first: bytes, second: bytes, what: str) -> None:
    if first == second:
        return
    differs = (a != b for a, b in zip(first, second, strict=False))
    place = next(compress(count(), differs), min(len(first), len(second)))
    near = slice(max(place - 20, 0), place + 20)
    found = f"from byte {place} on {first[near]!r} became {second[near]!r}"
    right = "no clock, no random numbers but the seed's, no order of a set, a fixed number of threads"
    raise AssertionError(f"{what} made other bytes of the same rows, parameters and seed: {found}; right is {right}")


def _check_rows_alone(own: OwnTrainer, trained: Trained, data: TrainingSet, *, gaps: bool) -> None:
    predict = own.load_predictor(trained.spec, trained.model_bytes)
    matrix = to_matrix(data.features.tail(32), trained.spec)
    together = predict(matrix)
    for place, row in enumerate(matrix):
        alone = predict(row[None, :])[0]
        if not np.allclose(alone, together[place], rtol=0, atol=TOLERANCE):
            raise AssertionError(f"a row is scored {alone} alone, {together[place]} among others; right is one score")
    nothing = np.full((1, matrix.shape[1]), np.nan)
    if gaps and not np.isfinite(found := predict(nothing)).all():
        raise AssertionError(f"a row of which everything is missing is scored {found[0]}; right is a finite number")


def _check_elsewhere(own: OwnTrainer, trained: Trained, data: TrainingSet, params: Params, seed: int) -> None:
    try:
        there = elsewhere(own.kind, trained, data, params, seed)
    except FailedElsewhere as problem:
        raise AssertionError(f"in another process the model cannot be loaded, or trained again: {problem}") from problem
    here = own.load_predictor(trained.spec, trained.model_bytes)(to_matrix(data.features, trained.spec))
    if not np.array_equal(there.scores, here, equal_nan=True):
        place = int(np.argmax((there.scores != here).reshape(len(here), -1).any(axis=1)))
        found = f"row {place} is scored {here[place]} here and {there.scores[place]} there"
        raise AssertionError(f"loaded in another process the model predicts otherwise: {found}")
    _check_bytes(trained.model_bytes, there.model_bytes, "a fit in another process")
