"""A model as MLflow's: loaded by MLflow it answers as the endpoint's predictor does, for every kind of model."""

import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.training.export import Model, exported, requirements
from mlops_assets.training.exported import ExportedModel
from mlops_assets.training.fitting import Params, Trained
from mlops_assets.training.gbdt import fit as fit_gbdt
from mlops_assets.training.gbdt import load_predictor as load_gbdt
from mlops_assets.training.model import ColumnSpec, ModelSpec
from mlops_assets.training.model import Predictor as Offline
from mlops_assets.training.predictor import Predictor
from mlops_assets.training.trainers import trainer_named
from mlops_assets.training.training_set import TrainingSet

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.pyfunc import PyFuncModel

MADE = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
INPUTS = {
    "price": ColumnSpec(type="float", nullable=True),
    "rooms": ColumnSpec(type="int"),
    "garden": ColumnSpec(type="bool", nullable=True),
    "street": ColumnSpec(type="str", nullable=True),
}
MAY_MISS = ("price", "garden", "street", "garages")
SEEN = {**INPUTS, "at": ColumnSpec(type="datetime"), "garages": ColumnSpec(type="int", nullable=True)}


def by_hour(houses: pl.LazyFrame) -> pl.LazyFrame:
    """A features function: of a time, of an int that may be missing, and of what goes in as it is."""
    per_room = pl.col("price") / pl.col("rooms")
    return houses.select("rooms", "garages", "garden", "street", per_room=per_room, hour=pl.col("at").dt.hour())


def fit(features: TrainingSet, params: Params, seed: int) -> Trained:
    """A trainer of the user's own."""
    return fit_gbdt(features, params, seed)


def load_predictor(spec: ModelSpec, model_bytes: bytes) -> Offline:
    """What loads its models."""
    return load_gbdt(spec, model_bytes)


def houses(rows: int = 400) -> pl.DataFrame:
    """Inputs of requests, with what may be missing missing in places."""
    random = np.random.default_rng(4)
    frame = pl.DataFrame(
        {
            "price": random.uniform(0, 100, rows),
            "rooms": random.integers(1, 9, rows),
            "garden": random.random(rows) < 0.5,
            "street": random.choice(["high", "low", "mill"], rows),
            "at": pl.Series([MADE] * rows).dt.offset_by(pl.Series([f"{h}h" for h in random.integers(0, 24, rows)])),
            "garages": random.integers(0, 3, rows),
        }
    )
    kept = [pl.when(pl.Series(random.random(rows) > 0.1)).then(pl.col(name)).alias(name) for name in MAY_MISS]
    return frame.with_columns(kept)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A trained model in a folder as MLflow has it, and rows to ask it about."""

    model: Model
    folder: Path
    rows: pl.DataFrame

    def expected(self, rows: pl.DataFrame) -> list[float | str]:
        """What the endpoint's own predictor says of rows."""
        spec = self.model.spec
        scores = Predictor(spec, self.model.data).many(rows.rows())
        return [spec.classes[int(s.output)] if spec.task == "multiclass" else s.output for s in scores]

    def load(self) -> "PyFuncModel":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what mlflow says about itself when it is imported
            from mlflow import pyfunc

            return pyfunc.load_model(str(self.folder))


def case(folder: Path, kind: str, task: str, inputs: dict[str, ColumnSpec], transform: str | None = None) -> Case:
    rows = houses().select(list(inputs))
    features = by_hour(houses().lazy()).collect() if transform else rows
    worth = (houses()["price"].fill_null(50) / 20 + houses()["rooms"]).to_numpy()
    labels = {"binary": worth > 7, "multiclass": np.where(worth < 5, "low", np.where(worth < 9, "middle", "high"))}
    data = TrainingSet(
        features=features.with_columns(pl.col(pl.Boolean).cast(pl.Float64)),
        labels=pl.Series(labels.get(task, worth)),
        task=task,  # type: ignore[arg-type]
        inputs=inputs,
        transform=transform,
    )
    params = {"epochs": 3, "width": 8} if kind == "torch" else {"num_iterations": 20}
    trained = trainer_named(kind)(data, params, 0)
    model = Model(
        spec=trained.spec, data=trained.model_bytes, suffix="bin", record="ab" * 32, made=MADE, run_id="r1",
        example=rows.tail(5),
    )  # fmt: skip
    for name, content in exported(model).items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return Case(model=model, folder=folder, rows=rows.tail(60))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "lightgbm": case(folder / "1", "lightgbm", "binary", INPUTS),
        "lightgbm regression": case(folder / "2", "lightgbm", "regression", INPUTS),
        "torch multiclass": case(folder / "3", "torch", "multiclass", INPUTS),
        "torch": case(folder / "4", "torch", "binary", INPUTS),
        "features function": case(folder / "5", "lightgbm", "binary", SEEN, f"{__name__}.by_hour"),
        "own trainer": case(folder / "6", f"{__name__}.fit", "binary", INPUTS),
    }


CASES = pytest.mark.parametrize(
    "name",
    ["lightgbm", "lightgbm regression", "torch multiclass", "torch", "features function", "own trainer"],
)


def as_json(rows: pl.DataFrame) -> str:
    """A request to MLflow's server."""
    columns = {
        name: [str(each) if isinstance(each, datetime) else each for each in rows[name]] for name in rows.columns
    }
    return json.dumps({"dataframe_split": {"columns": rows.columns, "data": list(zip(*columns.values(), strict=True))}})


def parsed(model: "PyFuncModel", body: str) -> "pd.DataFrame":
    """A request's rows as MLflow's server hands them on."""
    from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

    found = json.loads(body)["dataframe_split"]
    return dataframe_from_parsed_json(found, pandas_orient="split", schema=model.metadata.get_input_schema())


@CASES
def test_mlflow_answers_a_request_as_the_endpoint_does(cases: dict[str, Case], name: str):
    path, chosen = list(sys.path), cases[name]

    model = chosen.load()
    answers: Sequence[float | str] = model.predict(parsed(model, as_json(chosen.rows))).tolist()

    assert answers == chosen.expected(chosen.rows)
    assert len(set(answers)) > 2 or chosen.model.spec.task != "regression"
    assert sys.path == path  # a process that is spawned later finds this project, not the model's copy


@CASES
def test_the_input_example_is_a_request_that_is_answered(cases: dict[str, Case], name: str):
    chosen = cases[name]

    model = chosen.load()

    served = json.loads((chosen.folder / "serving_input_example.json").read_text())
    assert model.predict(model.input_example).tolist() == chosen.expected(chosen.model.example)
    assert served["dataframe_split"]["columns"] == list(chosen.model.spec.inputs)


def test_the_signature_has_the_types_of_the_request_and_what_may_be_left_out(cases: dict[str, Case]):
    signature = cases["features function"].load().metadata.signature

    inputs = {each["name"]: (each["type"], each["required"]) for each in signature.inputs.to_dict()}
    assert inputs == {
        "price": ("double", False),
        "rooms": ("long", True),
        "garden": ("any", False),
        "street": ("string", False),
        "at": ("string", True),
        "garages": ("double", False),
    }
    assert [each["type"] for each in signature.outputs.to_dict()] == ["double"]
    assert [e["type"] for e in cases["torch multiclass"].load().metadata.signature.outputs.to_dict()] == ["string"]


def test_a_row_without_an_optional_field_is_one_where_it_is_null(cases: dict[str, Case]):
    chosen = cases["lightgbm"]
    model = chosen.load()
    without = chosen.rows.with_columns(street=pl.lit(None, pl.String))

    answers = model.predict(parsed(model, as_json(chosen.rows.drop("street"))))

    assert answers.tolist() == chosen.expected(without)


def rows_of(**values: object) -> "pd.DataFrame":
    import pandas as pd

    whole = {"price": 1.0, "rooms": 2, "garden": True, "street": "low", "at": "2026-01-05T12:00:00Z", "garages": None}
    return pd.DataFrame([{**whole, **values}])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rooms": None}, "rooms is missing in row 0"),
        ({"rooms": 2.5}, "rooms is 2.5; right is int"),
        ({"street": 3}, "street is 3; right is str"),
        ({"garden": 2}, "garden is 2; right is bool"),
        ({"at": "2026-01-05T12:00:00"}, r"at is '2026-01-05T12:00:00'; right is a time with its offset"),
    ],
)
def test_what_is_no_value_of_its_field_is_named(cases: dict[str, Case], wrong: dict[str, object], said: str):
    chosen = cases["features function"]
    model = ExportedModel(Predictor(chosen.model.spec, chosen.model.data))

    with pytest.raises(ValueError, match=said):
        model.predict(rows_of(**wrong))


@pytest.mark.parametrize("name", ["model.bin", "spec.json"])
def test_a_model_that_is_not_the_one_exported_is_not_loaded(tmp_path: Path, cases: dict[str, Case], name: str):
    chosen = cases["lightgbm"]
    for path in chosen.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() + (b" " if path.name == name else b""))

    with pytest.raises(BrokenEvidence, match=f"{name}: changed; its content does not hash to what MLmodel says"):
        Case(model=chosen.model, folder=tmp_path, rows=chosen.rows).load()


def test_the_same_model_is_exported_to_the_same_bytes_without_pickle(cases: dict[str, Case]):
    for chosen in cases.values():
        again = exported(chosen.model)

        assert again == {path.name: path.read_bytes() for path in chosen.folder.iterdir()}
        assert not any(b"pickle" in again[name] for name in again if name != "code.zip")


def test_what_has_to_be_installed_is_what_the_model_needs(cases: dict[str, Case]):
    named = {name: {line.partition("==")[0] for line in requirements(each.model.spec)} for name, each in cases.items()}

    assert {"lightgbm", "numpy", "mlflow"} <= named["lightgbm"]
    assert not {"torch", "safetensors", "dagster"} & named["lightgbm"]
    assert "safetensors" in named["torch"]
    assert not {"torch", "lightgbm"} & named["torch"]
    assert "pytest" in named["own trainer"]  # which its module, this one, imports


SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from mlflow import pyfunc
model = pyfunc.load_model(sys.argv[1])
answers = model.predict(model.input_example).tolist()
import mlops_assets
own = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answers": answers, "from": mlops_assets.__file__, "modules": own}))
"""


def test_elsewhere_the_model_brings_its_own_code_and_needs_no_more_than_it_says(cases: dict[str, Case], tmp_path: Path):
    chosen = cases["torch"]

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(chosen.folder)], cwd=tmp_path, capture_output=True, check=True, text=True
    )

    told = json.loads(done.stdout.splitlines()[-1])
    assert told["answers"] == chosen.expected(chosen.model.example)
    assert told["from"].startswith(str(chosen.folder / "code.zip"))
    assert not {"torch", "lightgbm", "dagster", "optuna", "fairlearn"} & set(told["modules"])
