"""Bodies of `/invocations` -> rows, in every form that MLflow's scoring server takes: four of JSON, and CSV.

What it would drop in silence (unknown fields, `params`) or fill in (a column left out, text for a number) is refused.
"""

import io
from typing import cast

import msgspec
import polars as pl
from msgspec import UNSET, UnsetType

from mlops_assets.serving.requests.refusal import Refused, counted, told

MOST_COLUMNS = 10_000
_FORMATS = "one of dataframe_split, dataframe_records, instances, inputs"


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """What pandas writes with `orient="split"`."""

    columns: list[str]
    data: list[list[object]]
    index: object = None


class Invocation(msgspec.Struct, forbid_unknown_fields=True):
    """A body in JSON, in one of its formats; one row may stand there without its list."""

    dataframe_split: Split | UnsetType = UNSET
    dataframe_records: list[object] | UnsetType = UNSET
    instances: list[object] | dict[str, object] | UnsetType = UNSET
    inputs: list[object] | dict[str, object] | UnsetType = UNSET
    params: dict[str, object] | None = None


def invocation_rows(request: Invocation, most: int) -> list[object]:
    """Return the rows of a body in JSON.

    Raises:
        Refused: If it has none of the formats or several, too many rows, or columns that do not fit them.
    """
    if request.params:
        raise Refused(422, f"found params {', '.join(request.params)}; this model takes none")
    given = [
        _split(request.dataframe_split, most) if not isinstance(request.dataframe_split, UnsetType) else None,
        request.dataframe_records if not isinstance(request.dataframe_records, UnsetType) else None,
        _records(request.instances, most) if not isinstance(request.instances, UnsetType) else None,
        _records(request.inputs, most) if not isinstance(request.inputs, UnsetType) else None,
    ]
    found = [rows for rows in given if rows is not None]
    if len(found) != 1:
        raise Refused(422, f"found {len(found)} of MLflow's formats; right is {_FORMATS}")
    return found[0]


def csv_rows(body: bytes, most: int) -> list[object]:
    """Return the rows of a CSV with a header, each cell as text, None where it is empty.

    It is read as a product's source is. The index that pandas writes before the columns, without a name, is left out.

    Raises:
        Refused: 400 if it is no CSV in UTF-8, 413 if it has too many columns or rows.
    """
    columns = body.count(b",", 0, (body.find(b"\n") + 1) or len(body)) + 1
    if columns > MOST_COLUMNS:
        raise Refused(413, f"the header names {columns} columns; right is {MOST_COLUMNS} or fewer")
    try:
        body.decode()
        frame = pl.read_csv(io.BytesIO(body), infer_schema=False, n_rows=most + 1)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise Refused(400, f"the body is no CSV: {str(error).splitlines()[0]}; right is a header, then rows") from error
    counted(frame.height, most)
    if frame.columns and not frame.columns[0]:
        frame = frame.drop(frame.columns[0])
    return cast("list[object]", frame.rows(named=True))


def _split(frame: Split, most: int) -> list[object]:
    counted(len(frame.data), most)
    names = frame.columns
    if len(set(names)) != len(names):
        raise Refused(422, f"dataframe_split names a column twice: {', '.join(names)}")
    for at, row in enumerate(frame.data):
        if len(row) != len(names):
            raise Refused(422, f"row {at} has {len(row)} values for {len(names)} columns: {told(row)}")
    return [dict(zip(names, row, strict=True)) for row in frame.data]


def _records(given: list[object] | dict[str, object], most: int) -> list[object]:
    """Return rows from a list of them, from one row, or from the lists of their columns."""
    if isinstance(given, list):
        return given
    if len(given) > MOST_COLUMNS:
        raise Refused(413, f"the body names {len(given)} columns; right is {MOST_COLUMNS} or fewer")
    if not any(isinstance(value, list) for value in given.values()):
        return [given]
    columns = {name: cast("list[object]", v) if isinstance(v, list) else [v] for name, v in given.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    counted(max(lengths.values()), most)
    if len(set(lengths.values())) > 1:
        raise Refused(422, f"the columns differ in length: {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
