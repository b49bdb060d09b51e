"""What is shown of a model: its run's report, its pictures, and a few of its inputs; of records that steps made."""

from dataclasses import replace

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.parts import Label
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import Gate, Search, Searched
from mlops_assets.settings import Settings
from mlops_assets.training.columns import ColumnStatistics, as_csv, column_statistics
from mlops_assets.training.model import decode_spec
from mlops_assets.training.report import report
from mlops_assets.training.shown import example_inputs, shown
from mlops_assets.training.tracking import Report
from mlops_assets_tests.houses import HOUSES, WEEKS, deployment, make, partitions, sales

NEWEST = f"bath|{WEEKS[1]}"


def per_room(houses: pl.LazyFrame) -> pl.LazyFrame:
    return houses.select("rooms", per_room=pl.col("price") / pl.col("rooms"))


def changed(**fields: object) -> ModelProduct:
    return HOUSES.model_copy(update=fields)


CASES = {
    "binary": (HOUSES, "auc"),
    "multiclass": (
        changed(label=Label(column="street", kind="multiclass"), features=("price", "sold"),
                gate=Gate(metric="accuracy", floor=0.1)), "accuracy",
    ),
    "regression": (
        changed(label=Label(column="rooms", kind="regression"), features=("price", "sold"),
                gate=Gate(metric="rmse", floor=9)), "rmse",
    ),
    "search": (
        changed(search=Search(trials=3, trainers=(Searched(kind="lightgbm", params={"num_leaves": (3, 5, 7)}),))), "auc"
    ),
    "function": (changed(features=f"{__name__}.per_room"), "auc"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Settings, Held]]:
    """A model of each case, each in a home of its own."""
    found: dict[str, tuple[Settings, Held]] = {}
    for name, (product, _) in CASES.items():
        settings = deployment(tmp_path_factory.mktemp(name), sales(2, rows=100))
        for partition in partitions():
            make(settings, product, partition)
        found[name] = (settings, make(settings, product, NEWEST, Stage.MODEL)[Stage.MODEL])
    return found


def told(made: dict[str, tuple[Settings, Held]], name: str) -> Report:
    settings, held = made[name]
    archive = Archive(settings.home)
    seen = shown(archive, held, CASES[name][1])
    return report(archive, held, seen, run_id="run 1", tags={"record": held.id, "dagster/run_id": "d1"})


def test_a_report_has_parameters_metrics_their_history_and_the_model(made: dict[str, tuple[Settings, Held]]):
    found = told(made, "binary")

    assert found.name == f"houses/model[{NEWEST}]"
    assert (found.params["trainer"], found.params["num_iterations"], found.params["rows"]) == ("lightgbm", 8, 200)
    assert 0.6 < found.metrics["auc low"] < found.metrics["auc"] < found.metrics["auc high"] <= 1
    assert found.history["validation_binary_logloss"]
    assert {"model/MLmodel", "model/model.txt", "model/spec.json", "model/code.zip"} <= set(found.artifacts)
    [logged] = msgspec.json.decode(found.tags["mlflow.log-model.history"])
    assert (logged["run_id"], logged["artifact_path"]) == ("run 1", "model")


def test_statistics_are_of_the_rows_that_the_model_learned_from(made: dict[str, tuple[Settings, Held]]):
    _, held = made["binary"]
    found = told(made, "binary")

    newest = sales(2, rows=100).filter(pl.col("town") == "bath")
    learned = newest.head(newest.height - int(str(held.record.facts["held_out_rows"])))
    assert found.metrics["training columns/price mean"] == pytest.approx(learned["price"].mean())
    assert found.metrics["training columns/price sd"] == pytest.approx(learned["price"].std())
    assert found.metrics["training columns/street nulls"] == 0
    lines = found.artifacts["columns.csv"].decode().splitlines()
    assert lines[0] == "column,rows,nulls,mean,sd,levels"
    assert lines[3] == f"street,{learned.height},0,,,3"


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("binary", {"roc", "calibration", "confusion", "importance"}),
        ("multiclass", {"calibration", "confusion", "importance"}),
        ("regression", {"residuals", "importance"}),
        ("search", {"roc", "calibration", "confusion", "importance"}),
        ("function", {"roc", "calibration", "confusion", "importance"}),
    ],
)
def test_each_task_has_its_pictures_and_they_are_small(
    made: dict[str, tuple[Settings, Held]], name: str, pictures: set[str]
):
    settings, held = made[name]

    seen = shown(Archive(settings.home), held, CASES[name][1])

    assert set(seen.pictures) == pictures
    assert sum(map(len, seen.pictures.values())) < 15_000
    assert seen.measured is not None
    assert seen.measured.value == pytest.approx(seen.numbers[CASES[name][1]], abs=1e-6)
    assert {f"plots/{each}.svg" for each in pictures} <= set(told(made, name).artifacts)


@pytest.mark.parametrize("name", CASES)
def test_the_example_is_held_out_rows_as_a_request_has_them(made: dict[str, tuple[Settings, Held]], name: str):
    settings, held = made[name]
    archive = Archive(settings.home)
    spec = decode_spec(archive.data(held, "spec"))

    rows = example_inputs(archive, held, spec)

    newest = sales(2, rows=100).filter(pl.col("town") == "bath").tail(5)
    assert rows.height == 5
    assert rows.to_dicts() == newest.select(list(spec.inputs)).to_dicts()


def test_a_class_that_came_after_training_is_left_out(made: dict[str, tuple[Settings, Held]]):
    settings, held = made["multiclass"]
    archive = Archive(settings.home)
    spec = decode_spec(archive.data(held, "spec"))
    renamed = msgspec.json.encode(msgspec.structs.replace(spec, classes=["high", "low", "other"]))

    class Changed(Archive):
        def data(self, held: Held, name: str) -> bytes:
            return renamed if name == "spec" else super().data(held, name)

    seen = shown(Changed(settings.home), held, "accuracy")

    assert set(seen.pictures) == {"calibration", "confusion", "importance"}


def test_nan_counts_as_null_and_an_empty_column_has_no_mean():
    frame = pl.DataFrame(
        {"a": [1.0, float("nan"), 3.0, None], "b": pl.Series([None] * 4, dtype=pl.Float64), "c": ["x", None, "x", "y"]}
    )

    a, b, c = column_statistics(frame)

    assert (a.mean, a.sd, a.nulls) == (2.0, pytest.approx(np.sqrt(2)), 2)
    assert (b.mean, b.sd, b.nulls) == (None, None, 4)
    assert (c.mean, c.nulls, c.levels) == (None, 1, 2)
    assert as_csv([a, b, c]).decode().splitlines()[2] == "b,4,4,,,"
    assert column_statistics(pl.DataFrame()) == []


def test_of_many_columns_there_is_a_table_and_no_metrics(made: dict[str, tuple[Settings, Held]]):
    settings, held = made["binary"]
    many = [ColumnStatistics(column=f"c{place}", rows=1, nulls=0, mean=1.0, sd=0.0) for place in range(101)]

    class Wide(Archive):
        def data(self, held: Held, name: str) -> bytes:
            return msgspec.json.encode(many) if name == "columns" else super().data(held, name)

    archive = Wide(settings.home)
    found = report(archive, held, replace(shown(archive, held, "auc"), numbers={}), run_id="r", tags={})

    assert found.metrics == {}
    assert len(found.artifacts["columns.csv"].splitlines()) == 102


def test_the_trials_of_a_search_are_told_below_the_winner(made: dict[str, tuple[Settings, Held]]):
    trials = told(made, "search").nested

    assert [trial.tags["trial"] for trial in trials] == [str(number + 1) for number in range(len(trials))]
    assert len(trials) > 1
    assert [trial.tags["won"] for trial in trials].count("true") == 1
    for trial in trials:
        assert trial.params["trainer"] == "lightgbm"
        assert trial.params["num_leaves"] in (3, 5, 7)
        assert trial.metrics["validation loss"] > 0
        assert trial.tags["dagster/run_id"] == "d1"
    assert told(made, "binary").nested == []
