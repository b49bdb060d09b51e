"""Cells as read -> typed columns: what a column holds, and which rows do not fit."""

import polars as pl

from mlops_assets.intake.cells import ColumnType, blank, label_text, read
from mlops_assets.intake.declared import check_declared
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.intake.sources import SourceError
from mlops_assets.parts import Column
from mlops_assets.product import ModelProduct

PLACED = ("_key", "_time", "_segment", "_row")
SHARE = 0.99  # a column is what at least this share of its cells can be read as
MOST_CLASSES = 100
_SAMPLE = 1_000


class SourceChanged(SourceError):
    """The source's header is not the one that was first seen."""


def columns_for(product: ModelProduct, frame: pl.DataFrame) -> dict[str, Column]:
    """Return what each column of `frame` holds: as declared, as its role says, or as its cells say.

    A label's classes are the declared or found ones; it may be missing, since it may not be known yet.

    Raises:
        SourceError: If the declaration names a column that is not there, or a label's values do not fit its kind.
    """
    check_declared(product, frame.columns)
    source, label = product.source, product.label
    texts = (source.key, source.segment, source.subject, label.annotator, source.image and source.image.sha256)
    roles = {name: Column(type="str", nullable=True) for name in texts if name}
    if source.time:
        roles[source.time] = Column(type="datetime", nullable=True)
    if source.image:
        roles[source.image.column] = Column(type="image")
    roles[label.column] = _label_column(product, frame[label.column])
    known = {**product.columns, **roles}
    return {name: known.get(name) or column for name, column in infer_columns(frame).items()}


def infer_columns(frame: pl.DataFrame) -> dict[str, Column]:
    """Return what each column holds: int, float, bool or datetime if 99% of its cells are, else str.

    Raises:
        SourceError: If a column holds lists, structs or bytes.
    """
    return {series.name: _column(series) for series in frame.iter_columns()}


def cast(frame: pl.DataFrame, columns: dict[str, Column], timezone: str = "UTC") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of `frame` typed as `columns` say, and those that do not fit, as read, with `_reason`.

    Of an image the cell is still the name of its file. A time without offset is read in `timezone`.

    Raises:
        SourceChanged: If a column is missing or unexpected.
    """
    check_header([name for name in frame.columns if name not in PLACED], list(columns))
    typed = {name: read(frame[name], column.type, timezone) for name, column in columns.items()}
    lost = {name: _lost(frame[name], cells, columns[name].type) for name, cells in typed.items()}
    wrong = pl.DataFrame(lost).select(pl.any_horizontal(pl.all())).to_series()
    reasons = [_reason(name, columns[name].type, cells.filter(wrong)) for name, cells in lost.items() if cells.any()]
    told = pl.concat_str(reasons, separator="; ", ignore_nulls=True) if reasons else pl.lit("")
    return frame.with_columns(**typed).filter(~wrong), frame.filter(wrong).with_columns(_reason=told)


def check_header(found: list[str], known: list[str]) -> None:
    """Check that a source has the columns that it had when it was first seen, in any order.

    Raises:
        SourceChanged: If it has not; it names what is missing and what is unexpected.
    """
    missing = [name for name in known if name not in found]
    unexpected = [name for name in found if name not in known]
    if missing or unexpected:
        said = [f"missing {name!r}{did_you_mean(name, unexpected)}" for name in missing]
        said += [f"unexpected {name!r}" for name in unexpected]
        raise SourceChanged(f"the header changed: {', '.join(said)}; columns so far: {', '.join(known)}")


def _label_column(product: ModelProduct, cells: pl.Series) -> Column:
    label = product.label
    declared = product.columns.get(label.column)
    if label.kind == "regression":
        return Column(type="float", nullable=True, min=declared and declared.min, max=declared and declared.max)
    found = label_text(cells).drop_nulls().unique().sort().to_list()
    classes = list(declared.isin) if declared and declared.isin else found
    most = 2 if label.kind == "binary" else MOST_CLASSES
    if len(classes) > most:
        right = "`kind: multiclass` or `kind: regression`" if label.kind == "binary" else "`kind: regression`"
        shown = ", ".join(classes[:5])
        raise SourceError(
            f"label.kind: {label.column!r} has {len(classes)} values ({shown}, …); right for these is {right}"
        )
    return Column(type="str", nullable=True, isin=tuple(classes))


def _lost(cells: pl.Series, typed: pl.Series, type_: ColumnType) -> pl.Series:
    """Return which cells held something that their type cannot hold."""
    nulls = typed.is_null()
    return nulls & ~blank(cells, type_) if nulls.any() else nulls


def _reason(name: str, type_: ColumnType, lost: pl.Series) -> pl.Expr:
    article = "an" if type_ == "int" else "a"
    said = pl.format(
        "{}: '{}' is not {} {}", pl.lit(name), pl.col(name).cast(pl.String), pl.lit(article), pl.lit(type_)
    )
    return pl.when(lost).then(said)


def _column(series: pl.Series) -> Column:
    type_ = _type_of(series)
    return Column(type=type_, nullable=bool(blank(series, type_).any()))


def _type_of(series: pl.Series) -> ColumnType:
    dtype = series.dtype
    if dtype in (pl.Categorical, pl.Enum, pl.Null):
        return "str"
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    if dtype.is_numeric():
        return "float"
    if dtype in (pl.Date, pl.Datetime):
        return "datetime"
    if dtype == pl.String:
        return _type_of_text(series)
    raise SourceError(f"column {series.name!r} holds {dtype}; right is int, float, str, bool or datetime")


def _type_of_text(series: pl.Series) -> ColumnType:
    sample = series.drop_nulls()
    sample = sample.gather_every(max(1, len(sample) // _SAMPLE))
    kinds: tuple[ColumnType, ...] = ("int", "float", "bool", "datetime")
    likely: list[ColumnType] = [kind for kind in kinds if _share(sample, kind) >= SHARE - 0.09]
    shares: dict[ColumnType, float] = {kind: _share(series, kind) for kind in likely}
    if shares.get("float", 0) >= SHARE and series.str.contains(r"^\s*[+-]?0\d").any():
        return "str"  # 007 is a code, not the number 7
    if shares.get("float", 0) >= SHARE:
        return "int" if shares.get("int") == shares["float"] else "float"
    right: list[ColumnType] = [kind for kind in likely if shares[kind] >= SHARE]
    return right[0] if right else "str"


def _share(cells: pl.Series, type_: ColumnType) -> float:
    """Return the share of the cells with a value that can be read as `type_`; 0 without such cells."""
    values = read(cells, type_)
    valued = values.count() + int(_lost(cells, values, type_).sum())
    return values.count() / valued if valued else 0.0
