"""The rows that a model learned from -> what each column holds: mean, sd, missing values."""

import polars as pl

from mlops_assets.evidence.records import Struct


class ColumnStatistics(Struct, frozen=True, kw_only=True):
    """One column. `mean` and `sd` (n - 1) are of its finite numbers, `levels` how many texts it has; else None."""

    column: str
    rows: int
    nulls: int
    mean: float | None = None
    sd: float | None = None
    levels: int | None = None


def column_statistics(rows: pl.DataFrame) -> list[ColumnStatistics]:
    """Return the statistics of each column, in order; NaN counts as null."""
    if not rows.width:
        return []
    numeric = [name for name, dtype in rows.schema.items() if dtype.is_numeric() or dtype == pl.Boolean]
    floats = {name: pl.col(name).cast(pl.Float64).fill_nan(None) for name in numeric}
    finite = {name: pl.when(each.is_finite()).then(each) for name, each in floats.items()}
    nulls = rows.select(
        floats[name].null_count() if name in floats else pl.col(name).null_count() for name in rows.columns
    )
    mean = rows.select(each.mean().alias(name) for name, each in finite.items())
    sd = rows.select(each.std().alias(name) for name, each in finite.items())
    texts = [name for name in rows.columns if name not in floats]
    levels = rows.select(pl.col(name).drop_nulls().n_unique() for name in texts)
    return [
        ColumnStatistics(
            column=name,
            rows=rows.height,
            nulls=int(nulls[name].item()),
            mean=mean[name].item() if name in floats else None,
            sd=sd[name].item() if name in floats else None,
            levels=None if name in floats else int(levels[name].item()),
        )
        for name in rows.columns
    ]


def as_csv(statistics: list[ColumnStatistics]) -> bytes:
    """Return a table with a line per column; MLflow's UI shows it as one."""
    fields = ("column", "rows", "nulls", "mean", "sd", "levels")
    lines = {field: [getattr(each, field) for each in statistics] for field in fields}
    return pl.DataFrame(lines, strict=False).write_csv().encode()
