"""Rows -> exact integer counts over bins that were frozen at training. Counts merge exactly, in any order."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.records import Struct, digest
from mlops_assets.training.seen import Levels, Numbers, levels_in, numbers_in

SCALE = 1_024  # fixed point of the Gram matrix: integers add up exactly where floats do not
REACH = 64.0  # sd at which a value is clipped: (64 · 1024)² · 65,536 rows stay below 2^53, exact in a float64 product
CHUNK = 65_536
TEXT = (pl.String, pl.Categorical, pl.Enum)

Floats = NDArray[np.float64]


class NumericBins(Struct, frozen=True, kw_only=True):
    """Bins of a numeric column: below `edges[0]`, [edge, next edge) each, and from the last edge on.

    The first edge is training's third smallest value, the last one just over its third largest. `mean` and `sd` are of
    training's values clipped to [`low`, `high`], so that one value of 1e6 does not make every later shift look small.
    """

    column: str
    edges: list[float]
    low: float
    high: float
    mean: float
    sd: float


class TextBins(Struct, frozen=True, kw_only=True):
    """Bins of a text column: one per level, then other (known, but rare), then unseen (never met in training).

    `rare` is None where there are too many levels to list; then all that is no level counts as other.
    """

    column: str
    levels: list[str]
    rare: list[str] | None


class Bins(Struct, frozen=True, kw_only=True):
    """What live rows are counted over, frozen with the model."""

    numeric: list[NumericBins]
    text: list[TextBins]

    @property
    def id(self) -> str:
        """The sha256 that counts carry, so that counts over other bins are never mixed in."""
        return digest(msgspec.json.encode(self))

    @property
    def columns(self) -> list[str]:
        """All columns, numeric ones first."""
        return [part.column for part in (*self.numeric, *self.text)]


class ColumnCounts(Struct, frozen=True, kw_only=True):
    """One column: rows per bin, missing values (null and NaN), infinite ones."""

    bins: list[int]
    null: int
    inf: int = 0

    @property
    def valid(self) -> int:
        """Rows with a usable value."""
        return sum(self.bins)


class Counts(Struct, frozen=True, kw_only=True):
    """Exact counts of some rows. `gram` is the lower triangle of ZᵀZ, Z = (1, numeric columns in sd · 1024).

    A missing value enters Z as 0, the column's mean. `changes` says where the rows' schema is not training's.
    """

    bins: str
    rows: int
    columns: dict[str, ColumnCounts]
    gram: list[int]
    changes: list[str] = msgspec.field(default_factory=list[str])

    def matrix(self) -> Floats:
        """Return ZᵀZ in sd units, shape (1 + numeric columns, 1 + numeric columns)."""
        size = int((np.sqrt(8 * len(self.gram) + 1) - 1) / 2)
        full = np.zeros((size, size))
        full[np.tril_indices(size)] = self.gram
        scale = np.full(size, float(SCALE))
        scale[0] = 1.0
        return (full + np.tril(full, -1).T) / np.outer(scale, scale)


def count(frame: pl.DataFrame, bins: Bins, also: Callable[[Numbers | Levels], None] | None = None) -> Counts:
    """Return the exact counts of `frame` over `bins`; a missing or mistyped column is a change, not an error.

    `also` is shown each counted column as it was read, for what else needs it sorted or counted.
    """
    columns: dict[str, ColumnCounts] = {}
    changes: list[str] = []
    numbers: list[Floats | None] = []
    for part in (*bins.numeric, *bins.text):
        numeric = isinstance(part, NumericBins)
        problem = _problem(frame, part.column, "number" if numeric else "text")
        if problem:
            changes.append(problem)
            numbers += [None] if numeric else []
            continue
        if numeric:
            seen = numbers_in(frame[part.column])
            numbers.append(seen.values)
            columns[part.column] = _count_numbers(seen, part)
        else:
            seen = levels_in(frame[part.column])
            columns[part.column] = _count_text(seen, part)
        if also:
            also(seen)
    gram = _gram(numbers, bins.numeric, frame.height)
    return Counts(bins=bins.id, rows=frame.height, columns=columns, gram=gram, changes=changes)


def merge(parts: Sequence[Counts]) -> Counts:
    """Return the counts of all rows of `parts`: the same, to the last digit, in any order and grouping.

    Raises:
        ValueError: If there is no part, or two were counted over different bins.
    """
    if len({part.bins for part in parts}) != 1:
        raise ValueError(f"counts merge over one set of bins, found {len({part.bins for part in parts})}")
    columns: dict[str, ColumnCounts] = {}
    for part in parts:
        for name, found in part.columns.items():
            columns[name] = _add(columns[name], found) if name in columns else found
    return Counts(
        bins=parts[0].bins,
        rows=sum(part.rows for part in parts),
        columns=dict(sorted(columns.items())),
        gram=[sum(values) for values in zip(*(part.gram for part in parts), strict=True)],
        changes=sorted({change for part in parts for change in part.changes}),
    )


def _add(a: ColumnCounts, b: ColumnCounts) -> ColumnCounts:
    return ColumnCounts(
        bins=[x + y for x, y in zip(a.bins, b.bins, strict=True)], null=a.null + b.null, inf=a.inf + b.inf
    )


def kind_of(dtype: pl.DataType) -> str:
    """Return `text`, `number` (bools too), `nothing` (all null) or the type's own name."""
    if dtype in TEXT:
        return "text"
    if dtype.is_numeric() or dtype == pl.Boolean:
        return "number"
    return "nothing" if dtype == pl.Null else str(dtype)


def _problem(frame: pl.DataFrame, name: str, expected: str) -> str | None:
    if name not in frame.columns:
        return f"{name} is missing"
    found = kind_of(frame.schema[name])
    return None if found in (expected, "nothing") else f"{name} is {found}, was {expected}"


def numbers_of(series: pl.Series) -> Floats:
    """Return numbers or bools as floats, missing values as NaN."""
    return series.cast(pl.Float64).to_numpy()


def _count_numbers(seen: Numbers, part: NumericBins) -> ColumnCounts:
    below = np.searchsorted(seen.finite, np.asarray(part.edges))
    bins = np.diff(below, prepend=0, append=len(seen.finite))
    return ColumnCounts(bins=bins.tolist(), null=seen.null + seen.nan, inf=seen.inf)


def _count_text(seen: Levels, part: TextBins) -> ColumnCounts:
    levels = [seen.counted.get(level, 0) for level in part.levels]
    outside = seen.rows - seen.null - sum(levels)
    other = outside if part.rare is None else sum(seen.counted.get(level, 0) for level in part.rare)
    return ColumnCounts(bins=[*levels, other, outside - other], null=seen.null)


def _gram(numbers: Sequence[Floats | None], parts: Sequence[NumericBins], rows: int) -> list[int]:
    total = np.zeros((len(parts) + 1, len(parts) + 1), dtype=np.int64)
    block = np.zeros((len(parts) + 1, min(CHUNK, rows)))
    block[0] = 1.0
    for start in range(0, rows, CHUNK):
        held = block[:, : min(CHUNK, rows - start)]
        for row, values, part in zip(held[1:], numbers, parts, strict=True):
            if values is not None and part.sd > 0:
                _fixed_point(values[start : start + CHUNK], part, into=row)
        total += (held @ held.T).astype(np.int64)
    return total[np.tril_indices(len(parts) + 1)].tolist()


def _fixed_point(values: Floats, part: NumericBins, *, into: Floats) -> None:
    """Write values in sd from training's mean, times 1024, whole; missing and infinite ones are 0."""
    width = REACH * part.sd
    reach_low, reach_high = part.low - (part.high - part.low), part.high + (part.high - part.low)
    np.clip(values, max(reach_low, part.mean - width), min(reach_high, part.mean + width), out=into)
    into -= part.mean
    into *= SCALE / part.sd
    np.rint(into, out=into)
    if not (finite := np.isfinite(values)).all():
        into[~finite] = 0.0
