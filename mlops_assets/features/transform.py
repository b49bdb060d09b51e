"""Columns of a row -> the features that the model sees; the same expressions offline and in the endpoint."""

from collections.abc import Sequence

import polars as pl

from mlops_assets.intake.functions import did_you_mean, function_named

_TEXT = (pl.String, pl.Categorical, pl.Enum)


class Transform:
    """A product's `features`: a list of columns, or one function from LazyFrame to LazyFrame, row by row."""

    def __init__(self, features: Sequence[str] | str) -> None:
        """Take `product.features`.

        Raises:
            LookupError: If it names a function that does not exist.
        """
        self.name = features if isinstance(features, str) else None
        self.columns = () if isinstance(features, str) else tuple(features)
        self._function = function_named(features) if isinstance(features, str) else None

    def apply(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return the features of `frame`: numbers as float64 with NaN for null, text as it is.

        Raises:
            LookupError: If a listed column is not there.
            TypeError: If the function returns no LazyFrame, or a feature is neither number, bool nor text.
        """
        made = self.made(frame)
        return made.select(_feature(name, dtype) for name, dtype in made.collect_schema().items())

    def computed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the features of `rows`, each with the same bits however many rows come together.

        Polars divides a lone number otherwise than a column, so a row alone is computed twice; and the engine that it
        would choose cuts a few rows into pieces of one, as there are cores.

        Raises:
            LookupError: If a listed column is not there.
            TypeError: If the function returns no LazyFrame, or a feature is neither number, bool nor text.
        """
        alone = rows.height == 1  # joined with itself it would be one number that is said twice
        both = pl.DataFrame(rows.rows() * 2, schema=rows.schema, orient="row") if alone else rows.rechunk()
        made = self.apply(both.lazy()).collect(engine="in-memory")
        return made.head(1) if alone else made

    def made(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return the features of `frame` in whatever types they come.

        Raises:
            LookupError: If a listed column is not there.
            TypeError: If the function returns no LazyFrame.
        """
        if self._function is None:
            known = frame.collect_schema().names()
            for name in self.columns:
                if name not in known:
                    near = did_you_mean(name, known)
                    raise LookupError(f"features: no column {name!r}{near}; columns: {', '.join(known)}")
            return frame.select(self.columns)
        made = self._function(frame)
        if not isinstance(made, pl.LazyFrame):
            raise TypeError(f"{self.name} returned a {type(made).__name__}; right is the LazyFrame, without collect()")
        return made


def required_inputs(transform: Transform, frame: pl.DataFrame) -> list[str]:
    """Return the columns of `frame` without which the features cannot be made, or are others, in its order."""
    if transform.columns:
        return list(transform.columns)
    features = transform.computed(frame)
    return [name for name in frame.columns if not _same_without(name, transform, frame, features)]


def _same_without(name: str, transform: Transform, frame: pl.DataFrame, features: pl.DataFrame) -> bool:
    try:
        return transform.computed(frame.drop(name)).equals(features)
    except (pl.exceptions.PolarsError, LookupError):
        return False


def _feature(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype in _TEXT:
        return pl.col(name).cast(pl.String)
    if dtype.is_numeric() or dtype == pl.Boolean:
        return pl.col(name).cast(pl.Float64).fill_null(float("nan"))
    raise TypeError(f"feature {name!r} is {dtype}; right is a number, bool or text: leave it out, or turn it into one")
