"""Rows as CSV and as pandas write them -> the values that JSON would hold, by what each column may hold.

Only what can be read in one way is: any other cell stays the text that it is, and is refused as such.
"""

from collections.abc import Mapping
from typing import Literal

import polars as pl

from mlops_assets.intake.cells import blank, read
from mlops_assets.serving.requests.inputs import is_object
from mlops_assets.training.model import ColumnSpec

Written = Literal["json", "pandas", "csv"]


def as_json(rows: list[object], written: Written, inputs: Mapping[str, ColumnSpec]) -> list[object]:
    """Return `rows` as they would be in JSON: whole floats of pandas as ints, cells of CSV as values."""
    if written == "json":
        return rows
    return _cells(rows, inputs) if written == "csv" else _whole(rows, inputs)


def _whole(rows: list[object], inputs: Mapping[str, ColumnSpec]) -> list[object]:
    """Return ints where pandas wrote 40.0, as it does beside nulls; MLflow's signature of such a column says double."""
    ints = [name for name, spec in inputs.items() if spec.type == "int"]
    return [_ints(row, ints) if is_object(row) else row for row in rows]


def _ints(row: dict[str, object], names: list[str]) -> dict[str, object]:
    found = {name: int(value) for name in names if isinstance(value := row.get(name), float) and value.is_integer()}
    return row | found if found else row


def _cells(rows: list[object], inputs: Mapping[str, ColumnSpec]) -> list[object]:
    """Return the rows with numbers and bools read as those of the product's source are; times name their offset."""
    columns = {
        name: _values([row.get(name) if is_object(row) else None for row in rows], spec)
        for name, spec in inputs.items()
        if spec.type in ("int", "float", "bool")
    }
    return [
        row | {name: column[at] for name, column in columns.items() if name in row} if is_object(row) else row
        for at, row in enumerate(rows)
    ]


def _values(cells: list[object], spec: ColumnSpec) -> list[object]:
    text = pl.Series(cells, dtype=pl.String)
    values, empty = read(text, spec.type).to_list(), blank(text, spec.type).to_list()
    if spec.type == "int":  # pandas writes 40.0 beside nulls
        numbers = read(text, "float").to_list()
        values = [
            int(number) if value is None and number is not None and number.is_integer() else value
            for value, number in zip(values, numbers, strict=True)
        ]
    return [
        cell if value is None and not nothing else value
        for cell, value, nothing in zip(cells, values, empty, strict=True)
    ]
