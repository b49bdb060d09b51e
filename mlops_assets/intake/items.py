"""Typed rows, one per judgement -> one row per item, and the judgements of it; rows that contradict each other go."""

import polars as pl

from mlops_assets.parts import Label


def agreeing(rows: pl.DataFrame, label: Label) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows whose item is the same in all of them, and `_row` with `_reason` of the others.

    The rows of one item differ in annotator and label alone, and each names its annotator.
    """
    names = [name for name in rows.columns if name[0] != "_" and name not in (label.annotator, label.column)]
    differs = [pl.when(pl.col(name).n_unique().over("_key") > 1).then(pl.lit(f"'{name}'")) for name in names]
    nobody = pl.when(pl.col(label.annotator or "").is_null()).then(pl.lit(f"{label.annotator}: names nobody"))
    columns = pl.concat_str(differs, separator=", ", ignore_nulls=True)
    apart = pl.format("the judgements of item '{}' differ in {}; right is one item for all of them", "_key", columns)
    reason = pl.concat_str([nobody, pl.when(columns != "").then(apart)], separator="; ", ignore_nulls=True)
    told = rows.with_columns(_reason=reason)
    return told.filter(pl.col("_reason") == "").drop("_reason"), told.filter(pl.col("_reason") != "").select(
        "_row", "_reason"
    )


def items(rows: pl.DataFrame, label: Label) -> pl.DataFrame:
    """Return agreeing rows without label and annotator, one per item if several may have judged it."""
    if label.annotator is None:
        return rows.drop(label.column)
    return rows.drop(label.column, label.annotator).unique("_key", keep="first", maintain_order=True)
