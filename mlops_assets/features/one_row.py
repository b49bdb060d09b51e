"""A features function -> the features of one row in a tenth of the time: its plan is made once, then run on each row.

To ask the function anew for every row, and to have its answer optimised, takes longer than to compute it. The row is
computed twice, as two rows: Polars divides a lone number otherwise than a column (`x / 3`, and not `x * (1 / 3)`), so
its last bits would be others than those of the training rows.
"""

import math
from collections.abc import Iterator, Mapping
from threading import Lock

import polars as pl
from polars.io.plugins import register_io_source

from mlops_assets.features.transform import Transform

_AS_IT_IS = pl.QueryOptFlags.none()  # to optimise the plan of one row costs more than it saves
_TWICE = 2
Values = tuple[object, ...]


class NotPlanned(Exception):
    """A features function has no plan of its own: it looks at rows to make one, or makes another each time."""


class OneRow:
    """Computes the features of one row, the bits of `Transform.apply` on many. May be used from several threads.

    The function itself is called when this is made, and never again.
    """

    def __init__(self, transform: Transform, schema: Mapping[str, pl.DataType], names: list[str]) -> None:
        """Plan the features `names`, of rows of values in the order of `schema`.

        Raises:
            NotPlanned: If that cannot be done; `Transform.apply` says what is wrong, if anything is.
        """
        self._schema = dict(schema)
        self._row: pl.DataFrame | None = None
        self._alone = Lock()
        source = register_io_source(self._source, schema=self._schema)
        try:
            self._plan, again = (transform.made(source) for _ in range(2))
            made = self._plan.collect_schema()
            if self._plan.explain(optimized=False) != again.explain(optimized=False):
                raise NotPlanned("the function makes another plan each time")
        except (pl.exceptions.PolarsError, LookupError, TypeError) as error:
            raise NotPlanned(str(error)) from error
        if odd := [name for name in names if name not in made or not _is_simple(made[name])]:
            raise NotPlanned(f"feature {odd[0]!r} is {made.get(odd[0])}")
        self._places = [(made.names().index(name), made[name] in _TEXT) for name in names]

    def __call__(self, values: Values) -> Values:
        """Return the features of a row as of a column: numbers as floats with NaN for null, text as it is.

        Raises:
            pl.exceptions.PolarsError: If an expression cannot take the row.
            ValueError: If the function makes no or several rows of it.
        """
        row = pl.DataFrame([values] * _TWICE, schema=self._schema, orient="row")
        with self._alone:
            self._row = row
            found = self._plan.collect(engine="in-memory", optimizations=_AS_IT_IS)
        if found.height != _TWICE:
            raise ValueError(f"{_TWICE} rows became {found.height}; right is one row of features for each row")
        made = found.row(0)
        return tuple([made[place] if text else _float(made[place]) for place, text in self._places])

    def _source(
        self, columns: list[str] | None, predicate: pl.Expr | None, most: int | None, batch: int | None
    ) -> Iterator[pl.DataFrame]:
        if self._row is None:
            raise NotPlanned("the function looks at rows to make its plan")
        row = self._row if columns is None else self._row.select(columns)
        row = row if predicate is None else row.filter(predicate)
        yield row if most is None else row.head(most)


_TEXT = (pl.String, pl.Categorical, pl.Enum)


def _is_simple(dtype: pl.DataType) -> bool:
    """Return whether Python and Polars turn values of this type into the same float, or leave them as they are."""
    return dtype in _TEXT or dtype == pl.Boolean or dtype.is_integer() or dtype.is_float()


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)
