"""A features function -> whether a row's features depend on that row alone; if not, which expression is at fault.

The endpoint sees one row at a time. A mean, rank or shift over a column would be another number there than in training.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl

from mlops_assets.features.transform import Transform

ROWS = 1_000
ALONE = 32  # rows that are also computed one by one
AGAIN = 5  # times that the whole batch is computed: an order that is left to chance is right now and then
TOLERANCE = 1e-9  # relative: vectorised code may round otherwise than code for one number

_Make = Callable[[pl.LazyFrame], pl.LazyFrame]


class NotRowLocal(ValueError):
    """A features function looks at other rows than the one at hand."""


def check_row_local(transform: Transform, frame: pl.DataFrame, seed: int) -> None:
    """Check on up to 1,000 rows that single rows and shuffled halves have the features that they have in the batch.

    The batch has to have the same each time that it is computed.

    Raises:
        NotRowLocal: If not; it names the feature, the expression, and two values that differ.
    """
    if transform.columns:
        return  # a list of columns cannot look at other rows
    draw = np.random.default_rng(seed)
    rows = frame[np.sort(draw.permutation(frame.height)[:ROWS])]
    found = _difference(transform.apply, rows, draw)
    if found is None:
        return
    column, said = found
    name = transform.name or "features"
    if column is None:
        culprit = _culprit(transform, rows, draw)
        at = f" at {culprit}" if culprit else ""
        raise NotRowLocal(f"{name} is not row-local: {said}{at}; right is one row of features for each row")
    culprit = _culprit(transform, rows, draw) or _written(transform.apply(rows.lazy()), column)
    right = "right is an expression of the same row's columns"
    raise NotRowLocal(f"{name} is not row-local: feature {column!r}, {culprit}; {said}; {right}")


def _difference(make: _Make, rows: pl.DataFrame, draw: np.random.Generator) -> tuple[str | None, str] | None:
    """Return the first column (None: the number of rows) that differs between batch and parts, and how it differs."""
    batch = make(rows.lazy()).collect()
    if batch.height != rows.height:
        return None, f"{rows.height} rows became {batch.height}"
    for _ in range(AGAIN - 1):
        again = make(rows.lazy()).collect()
        for name in batch.columns if again.height == batch.height else ():
            if (at := _first_difference(batch[name], again[name])) is not None:
                return name, f"it is {batch[name][at]} among {rows.height} rows and {again[name][at]} the next time"
    order = draw.permutation(rows.height)
    parts = [*np.array_split(order, 2), *(np.array([row]) for row in order[:ALONE])]
    for part in parts:
        alone = make(rows[part].lazy()).collect()
        if alone.height != len(part):
            return None, f"{len(part)} rows became {alone.height}"
        for name in batch.columns:
            if (at := _first_difference(batch[name][part], alone[name])) is not None:
                where = "alone" if len(part) == 1 else f"among {len(part)} rows"
                return (
                    name,
                    f"it is {batch[name][int(part[at])]} among {rows.height} rows and {alone[name][at]} {where}",
                )
    return None


def _first_difference(batch: pl.Series, alone: pl.Series) -> int | None:
    if batch.dtype.is_float() and alone.dtype.is_float():
        same = ((batch - alone).abs() <= TOLERANCE * batch.abs()) | batch.eq_missing(alone)
    else:
        same = batch.eq_missing(alone)
    differing = (~same.fill_null(False)).arg_true()
    return int(differing[0]) if len(differing) else None


def _culprit(transform: Transform, rows: pl.DataFrame, draw: np.random.Generator) -> str | None:
    """Return the expression, as polars writes it, in the first step of the function whose result is not row-local."""
    steps = len(_steps(transform, rows.lazy()))
    for step in range(steps):
        found = _difference(lambda frame, step=step: _steps(transform, frame)[step], rows, draw)
        if found is not None:
            return _written(_steps(transform, rows.lazy())[step], found[0])
    return None


def _steps(transform: Transform, frame: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Return the frame after each step of the function, as far as they follow from each other."""
    steps: list[pl.LazyFrame] = []

    class Recording(pl.LazyFrame):
        @classmethod
        def _from_pyldf(cls, ldf: Any) -> pl.LazyFrame:  # noqa: ANN401 - polars makes every result of a method here
            steps.append(pl.LazyFrame._from_pyldf(ldf))
            return super()._from_pyldf(ldf)

    transform.apply(Recording(frame.collect()))
    return steps


def _written(step: pl.LazyFrame, column: str | None) -> str:
    """Return the expression that makes `column` in the last step of a plan, else that step."""
    node, *below = step.explain(optimized=False).strip().split("\n")
    if node.startswith("WITH_COLUMNS"):
        node += below[0].strip()
    if node.startswith(("SELECT", "WITH_COLUMNS")):
        for expression in _parts(node[node.find("[") + 1 : node.rfind("]")]):
            root, _, alias = expression.rpartition('.alias("')
            name = alias.removesuffix('")') if root else expression.partition('col("')[2].partition('"')[0]
            if name == column:
                return f"expression {expression}"
    return f"step {node.strip()}"


def _parts(listed: str) -> Iterable[str]:
    """Yield the parts of `a, f(b, c), d` between the commas that are in no bracket and no quotes."""
    depth, quoted, part = 0, False, ""
    for sign in listed:
        quoted ^= sign == '"'
        depth += 0 if quoted else (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0 and not quoted:
            yield part.strip()
            part = ""
        else:
            part += sign
    yield part.strip()
