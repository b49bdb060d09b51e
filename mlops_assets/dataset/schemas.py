"""Declared columns -> a pandera schema; typed rows -> those that satisfy it, and the others with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from mlops_assets.intake.cells import DTYPES
from mlops_assets.parts import Column

if TYPE_CHECKING:
    from pandera.api.polars.types import PolarsData
    from pandera.polars import Check, DataFrameSchema

UNIQUE = "keys_are_unique"
NO_LEAK = "no_time_leak"
SCHEMA = "schema"
SAMPLE = 5


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What one check of one column found: how many rows fail it, and some of their cells."""

    check: str
    column: str
    rule: str
    rows: int
    sample: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Validated:
    """Rows that satisfy the schema, the others with `_reason`, how many fail each check, and why."""

    good: pl.DataFrame
    quarantined: pl.DataFrame
    failing: Mapping[str, int] = field(default_factory=dict[str, int])
    failures: tuple[Failure, ...] = ()


def dataset_schema(columns: Mapping[str, Column]) -> "DataFrameSchema":
    """Return the schema of rows with `_key` and these columns; `_known_since`, where there, is not before `_time`."""
    import pandera.polars as pa

    own = {"_key": pa.Column(pl.String, unique=True, nullable=False, report_duplicates="all")}
    declared = {
        name: pa.Column(DTYPES[column.type], nullable=column.nullable, checks=_rules(column), required=False)
        for name, column in columns.items()
    }
    return pa.DataFrameSchema({**declared, **own}, checks=pa.Check(_known_in_time, name=NO_LEAK), strict=False)


def validate(frame: pl.DataFrame, schema: "DataFrameSchema") -> Validated:
    """Return `frame` divided by `schema`; all copies of a repeated key are quarantined."""
    from pandera.errors import SchemaErrors

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = _of_source(frame, pl.DataFrame(errors.failure_cases))  # pyright: ignore[reportUnknownArgumentType]
        if cases.height:
            return _divided(frame, cases)
    return Validated(good=frame, quarantined=frame.clear().with_columns(_reason=pl.lit("")))


def _rules(column: Column) -> "list[Check]":
    import pandera.polars as pa

    rules: list[Check] = []
    if column.min is not None:
        rules.append(pa.Check.ge(column.min, error=f"is not at least {column.min:g}"))
    if column.max is not None:
        rules.append(pa.Check.le(column.max, error=f"is not at most {column.max:g}"))
    if column.isin is not None:
        rules.append(pa.Check.isin(column.isin, error=f"is not one of {', '.join(column.isin)}"))
    return rules


def _known_in_time(data: "PolarsData") -> pl.LazyFrame:
    names = data.lazyframe.collect_schema().names()
    in_time = pl.col("_known_since") >= pl.col("_time") if "_known_since" in names else pl.lit(True)
    return data.lazyframe.select(in_time.fill_null(True))


def _of_source(frame: pl.DataFrame, cases: pl.DataFrame) -> pl.DataFrame:
    """Return failure cases without the empty cells of served rows: a request holds only what the model reads."""
    if "_origin" not in frame.columns:
        return cases
    served = (frame["_origin"] == "served").arg_true().implode()
    left_out = (pl.col("check") == "not_nullable") & (pl.col("column") != "_key") & pl.col("index").is_in(served)
    return cases.filter(~left_out.fill_null(False))


def _divided(frame: pl.DataFrame, cases: pl.DataFrame) -> Validated:
    """Return `frame` divided by pandera's failure cases.

    Raises:
        TypeError: If a column is missing or of another type, which `cast` would have refused.
    """
    if (whole := cases.filter(pl.col("index").is_null())).height:
        column, check, case = whole.select("column", "check", "failure_case").row(0)
        raise TypeError(f"column {column!r} is not typed as declared: {check}, found {case}")
    rules = {
        "not_nullable": "is missing",
        "field_uniqueness": "occurs more than once",
        NO_LEAK: "is before the row's time",
    }
    told = cases.select(
        pl.col("index").cast(pl.UInt32),
        pl.col("column").fill_null("_known_since"),
        rule=pl.col("check").replace(rules),
        cell=pl.when(pl.col("check") != NO_LEAK).then(pl.format("'{}'", "failure_case")).fill_null("the cell"),
        check=pl.col("check").replace_strict({"field_uniqueness": UNIQUE, NO_LEAK: NO_LEAK}, default=SCHEMA),
    )
    reason = pl.format("{}: {} {}", "column", pl.col("cell"), "rule")
    by_row = told.with_columns(_reason=reason).group_by("index").agg(pl.col("_reason").sort().str.join("; "))
    marked = frame.with_row_index("index").join(by_row, on="index", how="left", maintain_order="left").drop("index")
    groups = told.group_by("check", "column", "rule").agg(pl.len(), pl.col("cell").unique().sort().head(SAMPLE))
    failures = [
        Failure(check=check, column=column, rule=rule, rows=rows, sample=tuple(sample))
        for check, column, rule, rows, sample in groups.sort(
            "len", "column", "rule", descending=[True, False, False]
        ).iter_rows()
    ]
    return Validated(
        good=marked.filter(pl.col("_reason").is_null()).drop("_reason"),
        quarantined=marked.filter(pl.col("_reason").is_not_null()),
        failing=dict(told.group_by("check").agg(pl.col("index").n_unique()).iter_rows()),
        failures=tuple(failures),
    )
