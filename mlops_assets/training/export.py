"""A trained model -> the files of an MLflow model, which MLflow serves without this project.

MLflow's own `log_model` takes seconds, most of it to load the model once more and to guess what is known here.
Format: https://mlflow.org/docs/latest/ml/model/#storage-format
"""

import io
import json
import platform
import zipfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version

import polars as pl
import yaml

from mlops_assets.evidence.code import LIBRARIES, distribution, libraries, sources
from mlops_assets.evidence.records import Json, digest
from mlops_assets.training.model import ColumnSpec, ModelSpec, encode_spec

FOLDER = "model"
LOADER = "mlops_assets.training.exported"
BASE = ("mlflow", "msgspec", "numpy", "pandas", "polars", "pyyaml", "rfc8785")
KINDS = {"lightgbm": ("lightgbm",), "torch": ("safetensors",)}
TYPES = {"int": "long", "float": "double", "str": "string", "bool": "boolean", "datetime": "string", "image": "binary"}
NULLABLE = {"int": "double", "bool": "any"}  # pandas has no missing int or bool, and MLflow would read one as false
EXAMPLE, SERVED = "input_example.json", "serving_input_example.json"
SOURCE = "code.zip"


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What is exported: the stored model and where it came from; `example` are a few rows of its inputs."""

    spec: ModelSpec
    data: bytes
    suffix: str
    record: str
    made: datetime
    run_id: str
    example: pl.DataFrame


def exported(model: Model) -> dict[str, bytes]:
    """Return the files of the folder `model`, by name; `MLmodel` names the hashes of the model's own."""
    own = {f"model.{model.suffix}": model.data, "spec.json": encode_spec(model.spec)}
    example = {"columns": model.example.columns, "data": _cells(model.example)}
    files = {
        **own,
        SOURCE: _zipped(*_users_modules(model.spec)),
        "requirements.txt": "".join(f"{line}\n" for line in requirements(model.spec)).encode(),
        "python_env.yaml": _yaml({"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}),
        EXAMPLE: json.dumps(example).encode(),
        SERVED: json.dumps({"dataframe_split": example}).encode(),
    }
    return {**files, "MLmodel": _yaml(_described(model, own))}


def requirements(spec: ModelSpec) -> list[str]:
    """Return what a model needs to be installed, each at the version here."""
    imported = [name for name in libraries(*_users_modules(spec)) if name not in LIBRARIES]
    users = {named for name in imported if (named := distribution(name)) is not None}
    return [f"{name}=={version(name)}" for name in sorted({*BASE, *KINDS.get(spec.kind, ()), *users})]


def logged(model: Model) -> Json:
    """Return how MLflow's run page names the model, for the tag `mlflow.log-model.history`."""
    described = _described(model, {})
    return {name: described[name] for name in ("run_id", "artifact_path", "utc_time_created", "model_uuid", "flavors")}


def _described(model: Model, own: Mapping[str, bytes]) -> dict[str, Json]:
    flavor: dict[str, Json] = {
        "loader_module": LOADER,
        "code": SOURCE,
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": platform.python_version(),
    }
    return {
        "artifact_path": FOLDER,
        "flavors": {"python_function": flavor},
        "metadata": {"record": model.record, "sha256": {name: digest(data) for name, data in own.items()}},
        "mlflow_version": version("mlflow"),
        "model_size_bytes": sum(map(len, own.values())),
        "model_uuid": model.record[:32],
        "run_id": model.run_id,
        "saved_input_example_info": {
            "artifact_path": EXAMPLE,
            "pandas_orient": "split",
            "serving_input_path": SERVED,
            "type": "dataframe",
        },
        "signature": _signature(model.spec),
        "utc_time_created": model.made.strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _signature(spec: ModelSpec) -> Json:
    """Return names and types of the request's fields, nullable ones optional, and of what is answered."""
    inputs = [
        {"type": _type(column), "name": name, "required": not column.nullable} for name, column in spec.inputs.items()
    ]
    output = {"type": "string" if spec.task == "multiclass" else "double", "required": True}
    return {"inputs": json.dumps(inputs), "outputs": json.dumps([output]), "params": None}


def _type(column: ColumnSpec) -> str:
    return NULLABLE.get(column.type, TYPES[column.type]) if column.nullable else TYPES[column.type]


def _cells(rows: pl.DataFrame) -> list[list[Json]]:
    return [[_cell(value) for value in row] for row in rows.iter_rows()]


def _cell(value: object) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    assert value is None or isinstance(value, bool | int | float | str)
    return value


def _users_modules(spec: ModelSpec) -> tuple[str, ...]:
    functions = [spec.transform or "", spec.kind if spec.kind not in KINDS else ""]
    return tuple(name.rpartition(".")[0] for name in functions if name)


@cache
def _zipped(*modules: str) -> bytes:
    """Return the source of the loader and of the user's `modules`; the same source gives the same bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, source in sources(LOADER, *modules).items():
            archive.writestr(zipfile.ZipInfo(path), source, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _yaml(value: dict[str, Json]) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()
