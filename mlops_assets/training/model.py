"""What a trained model is, without the library that trained it: its spec, and rows -> matrix."""

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

Task = Literal["binary", "multiclass", "regression"]
ColumnType = Literal["int", "float", "str", "bool", "datetime", "image"]
Matrix = NDArray[np.float64]
Predictor = Callable[[Matrix], Matrix]


class ColumnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request field may hold. `shape` is an image's height, width and channels."""

    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    isin: list[str] | None = None
    shape: list[int] | None = None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is stored as JSON beside a model's bytes.

    `inputs` are the request fields in order, which the features function reads; `features` its outputs in the model's
    order. A text feature is coded by its place in `categories`. Without `transform` the features are the inputs of the
    same name. `importance` is each feature's share, in [0, 1], of what the model gains; the shares sum to 1.
    `architecture` names a network's shape, `threshold` the probability from which a row is acted on. In a binary task
    the last of the two `classes` is the positive one.
    """

    kind: str
    task: Task
    classes: list[str] = []
    inputs: dict[str, ColumnSpec] = {}
    features: list[str]
    categories: dict[str, list[str]] = {}
    transform: str | None = None
    importance: dict[str, float] = {}
    architecture: dict[str, str | list[int]] = {}
    threshold: float | None = None


def encode_spec(spec: ModelSpec) -> bytes:
    """Return `spec` as JSON; the order of fields and features is kept."""
    return msgspec.json.encode(spec)


def decode_spec(data: bytes) -> ModelSpec:
    """Return the spec in `data`.

    Raises:
        msgspec.DecodeError: If it is no spec; the message names the field.
    """
    return msgspec.json.decode(data, type=ModelSpec)


def to_matrix(frame: pl.DataFrame, spec: ModelSpec) -> Matrix:
    """Return the model's input, shape (rows, features), C-contiguous; a null or an unseen category is NaN.

    Raises:
        ValueError: If a feature is missing, or is text where the model learned from numbers.
    """
    if missing := [name for name in spec.features if name not in frame.columns]:
        raise ValueError(f"no feature {missing[0]!r}; found: {', '.join(frame.columns)}")
    columns = frame.select(_number(frame.schema[name], name, spec.categories.get(name)) for name in spec.features)
    return np.ascontiguousarray(columns.to_numpy(order="c"), dtype=np.float64)


def label_names(labels: pl.Series) -> pl.Series:
    """Return labels as the text that `classes` holds: 1, 1.0 and "1" are "1", True is "true"."""
    if labels.dtype.is_float() and labels.drop_nulls().floor().equals(labels.drop_nulls()):
        labels = labels.cast(pl.Int64)
    return labels.cast(pl.String)


def label_codes(labels: pl.Series, spec: ModelSpec) -> Matrix:
    """Return labels as the model counts them, shape (rows,): place in `classes`, or the value itself in a regression.

    A null or a class that the model never saw is NaN.
    """
    if spec.task == "regression":
        return labels.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    names = label_names(labels).to_frame("label")
    return names.select(_number(pl.String(), "label", spec.classes)).to_series().to_numpy()


def is_text(dtype: pl.DataType) -> bool:
    """Return whether a column of this type is categorical to a model."""
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _number(dtype: pl.DataType, name: str, levels: list[str] | None) -> pl.Expr:
    if levels is not None:
        codes = pl.col(name).cast(pl.String).replace_strict(levels, range(len(levels)), default=None)
        return codes.cast(pl.Float64).fill_null(float("nan"))
    if is_text(dtype):
        raise ValueError(f"feature {name!r} is text, but the model knows no levels of it; right is a number")
    return pl.col(name).cast(pl.Float64).fill_null(float("nan"))
