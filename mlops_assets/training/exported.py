"""A model's folder in MLflow -> predictions: what `mlflow models serve` and `mlflow.pyfunc.load_model` load.

It answers as the endpoint does: a probability, a value, or the name of the likeliest class, from the same code.
"""
# pandas's types are partial.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from numpy.typing import NDArray

from mlops_assets.evidence.records import BrokenEvidence, digest
from mlops_assets.training.model import ColumnSpec, ColumnType, decode_spec
from mlops_assets.training.predictor import Predictor

KINDS: dict[ColumnType, Callable[..., object]] = {"int": int, "float": float, "bool": bool, "str": str, "image": bytes}

if TYPE_CHECKING:
    import pandas as pd


class ExportedModel:
    """Predicts rows of a pandas DataFrame, whose columns are the fields of a request to the endpoint."""

    def __init__(self, predictor: Predictor) -> None:
        """Use a loaded model."""
        self._predictor = predictor

    def predict(self, model_input: "pd.DataFrame") -> NDArray[np.float64] | NDArray[np.str_]:
        """Return a probability, a value, or a class for each row, shape (rows,).

        Raises:
            ValueError: If a value is missing or of another type than its field's; it names both.
        """
        spec = self._predictor.spec
        columns = [_values(name, column, model_input) for name, column in spec.inputs.items()]
        scores = self._predictor.many(list(zip(*columns, strict=True))) if len(model_input) else []
        if spec.task == "multiclass":
            return np.array([spec.classes[int(score.output)] for score in scores], dtype=np.str_)
        return np.array([score.output for score in scores], dtype=np.float64)


def load(folder: Path) -> ExportedModel:
    """Return the model in `folder`, its files compared with the hashes that its `MLmodel` names.

    Raises:
        BrokenEvidence: If a file is not the one that was exported.
    """
    named = yaml.safe_load((folder / "MLmodel").read_text())["metadata"]["sha256"]
    found = {name: (folder / name).read_bytes() for name in named}
    for name, data in found.items():
        if digest(data) != named[name]:
            raise BrokenEvidence(str(folder / name), "changed; its content does not hash to what MLmodel says")
    [model] = (data for name, data in found.items() if name.startswith("model."))
    return ExportedModel(Predictor(decode_spec(found["spec.json"]), model))


def _load_pyfunc(path: str) -> ExportedModel:  # pyright: ignore[reportUnusedFunction]
    """Return the model in the folder `path`; MLflow looks for this name, and puts the model's code before all other.

    Where this project is loaded already, that code is none of it: processes that are spawned later shall not find it.
    """
    model = load(Path(path))
    if not __file__.startswith(path):
        sys.path[:] = [each for each in sys.path if not each.startswith(path)]
    return model


def _values(name: str, column: ColumnSpec, rows: "pd.DataFrame") -> list[object]:
    found: list[object] = [None] * len(rows)
    if name in rows.columns:
        missing: list[bool] = rows[name].isna().tolist()
        values: list[object] = rows[name].tolist()
        found = [None if gone else value for gone, value in zip(missing, values, strict=True)]
    if not column.nullable and None in found:
        raise ValueError(f"{name} is missing in row {found.index(None)}; right is a value in every row")
    return [value if value is None else _value(name, column, value) for value in found]


def _value(name: str, column: ColumnSpec, value: object) -> object:
    """Return a value as the endpoint decodes it; pandas reads whole numbers and bools beside nulls as floats."""
    if column.type == "datetime":
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError(f"{name} is {value!r}; right is a time with its offset, such as '2026-01-31T12:00:00Z'")
        return at
    if isinstance(value, str) and column.type == "str":
        return str(value)  # numpy has a type of text of its own, in which MLflow hands over a list of rows
    if type(value) is KINDS[column.type]:
        return value
    if type(value) in (int, float) and column.type in ("int", "float", "bool"):
        number = KINDS[column.type](value)
        if number == value:
            return number
    raise ValueError(f"{name} is {value!r}; right is {column.type}")
