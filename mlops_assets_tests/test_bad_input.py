"""Bad input, through the graph: the check fails, rows are kept and counted, nothing downstream runs, the past stays."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from mlops_assets.dataset.follow import due
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import NotReady
from mlops_assets.graph import build_definitions
from mlops_assets.loop import Ran
from mlops_assets.parts import Column, Label
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.rules import Gate
from mlops_assets.settings import Settings, exports
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, deployment, looped, make, partitions, sales, write

BATH = partitions()[0]
HERE = __name__


def by_mean(houses: pl.LazyFrame) -> pl.LazyFrame:
    """Features of which one looks at all rows."""
    return houses.select("rooms", dear=pl.col("price") / pl.col("price").mean())


def of_street(houses: pl.LazyFrame) -> pl.LazyFrame:
    """Features of one row."""
    return houses.select("price", on_mill=pl.col("street") == "mill")


@dataclass(frozen=True)
class Done:
    """A run, the results of its checks as (passed, what they said), and the stages that it made."""

    ran: Ran
    checks: dict[str, tuple[bool, str]]
    made: list[str]
    ticks: list[str | None]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two weeks of houses, not made yet; this process uses them."""
    found = deployment(tmp_path)
    for name, value in exports(found).items():
        monkeypatch.setenv(name, value)
    return found


def run(settings: Settings, product: ModelProduct = HOUSES, partition: str = BATH, job: str = "data") -> Done:
    """Run a job of a partition, and let the data sensor look at what there is."""
    resources = {"platform": Platform(), "mlflow": mlflow_resource(settings)}
    shared = dg.Definitions(resources=resources, executor=dg.in_process_executor)
    defs = dg.Definitions.merge(build_definitions(product, settings), shared)
    with looped(settings, defs) as loop:
        ran = loop.run(f"houses_{job}", partition)
        events = loop.instance.all_logs(loop.instance.get_runs(limit=1)[0].run_id)
        found = [event.dagster_event for event in events if event.dagster_event]
        sensor = defs.resolve_sensor_def("houses_data")
        tick = sensor.evaluate_tick(dg.build_sensor_context(instance=loop.instance, definitions=defs))
    checks = [
        event.asset_check_evaluation_data for event in found if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert {check.partition for check in checks} <= {partition}
    return Done(
        ran,
        {
            check.check_name: (check.passed, " ".join(f"{name}: {fact.value}" for name, fact in check.metadata.items()))
            for check in checks
        },
        [event.asset_key.path[1] for event in found if event.is_step_materialization and event.asset_key],
        [tick.skip_message],
    )


def head(settings: Settings, stage: Stage, partition: str = BATH) -> Held | None:
    return Archive(settings.home).head(Place(product="houses", stage=stage, partition=partition))


def text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.all().cast(pl.String))


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (sales().rename({"rooms": "room"}), "the header changed: missing 'rooms'"),
        (sales().clear(), "has no rows"),
        (None, "no file 'houses.csv'"),
    ],
)
def test_a_source_that_is_not_as_before_fails_its_check_and_the_snapshots_stay(
    settings: Settings, frame: pl.DataFrame | None, problem: str
):
    before = make(settings, HOUSES, BATH)
    if frame is None:
        (settings.root / "houses.csv").unlink()
    else:
        write(settings, frame)

    done = run(settings)

    assert not done.ran.success
    assert done.made == []
    passed, said = done.checks["source_is_as_declared"]
    assert (passed, problem in said) == (False, True)
    assert problem in done.ran.problems[0]
    assert done.ticks[0] is not None
    assert problem in done.ticks[0]  # the sensor says so too, and does not fail
    archive = Archive(settings.home)
    for stage in DATA:
        now = head(settings, stage)
        assert now is not None
        assert now.id == before[stage].id
        assert archive.table(now, "labels" if stage == Stage.ANNOTATIONS else stage).height == 70


def test_text_in_a_number_column_is_quarantined_and_nothing_follows(settings: Settings):
    before = make(settings, HOUSES, BATH)
    many = pl.when(pl.col("id") == "bath-01050000").then(pl.lit("many")).otherwise("rooms").alias("rooms")
    write(settings, text(sales()).with_columns(many))

    done = run(settings)

    assert done.made == ["annotations", "dataset"]
    passed, said = done.checks["schema"]
    assert (passed, "failing_rows: 1" in said, "rooms: 'many' is not an int" in said) == (False, True, True)
    assert not done.ran.success
    dataset, features = head(settings, Stage.DATASET), head(settings, Stage.FEATURES)
    assert dataset is not None
    assert features is not None
    kept = Archive(settings.home).table(dataset, "quarantine")
    assert kept.select("id", "rooms", "_reason").rows() == [("bath-01050000", "many", "rooms: 'many' is not an int")]
    assert (dataset.record.facts["quarantined"], dataset.record.outputs[0].rows) == (1, 69)
    assert features.id == before[Stage.FEATURES].id
    assert Archive(settings.home).table(before[Stage.DATASET], "dataset").height == 70


def test_a_share_of_failing_rows_that_is_allowed_is_left_out_and_the_rest_goes_on(settings: Settings):
    make(settings, HOUSES, BATH)
    many = pl.when(pl.col("id") == "bath-01050000").then(pl.lit("many")).otherwise("rooms").alias("rooms")
    write(settings, text(sales()).with_columns(many))

    done = run(settings, HOUSES.model_copy(update={"quarantine": 0.02}))

    assert done.ran.success
    assert "failing_rows: 1" in done.checks["schema"][1]
    features = head(settings, Stage.FEATURES)
    assert features is not None
    assert features.record.outputs[0].rows == 69


def test_rows_of_one_key_are_all_quarantined(settings: Settings):
    twice = sales().filter(pl.col("id") == "bath-01050000").with_columns(price=1.0)
    write(settings, pl.concat([sales(), twice]))

    done = run(settings)

    assert done.made == ["annotations", "dataset"]
    passed, said = done.checks["keys_are_unique"]
    assert (passed, "failing_rows: 2" in said, "bath-01050000" in said) == (False, True, True)
    dataset = head(settings, Stage.DATASET)
    assert dataset is not None
    assert Archive(settings.home).table(dataset, "quarantine")["_reason"].unique().to_list() == [
        "_key: 'bath-01050000' occurs more than once"
    ]


def test_a_failed_window_is_asked_for_again_once_its_source_is_mended(settings: Settings):
    product = HOUSES.model_copy(update={"columns": {"rooms": Column(type="int", max=9)}})
    for partition in partitions():
        make(settings, product, partition)
    huge = pl.when(pl.col("id") == "bath-01050000").then(99).otherwise("rooms").alias("rooms")
    write(settings, sales().with_columns(huge))
    failed = run(settings, product)
    waiting = list(due(product, settings, datetime.now(UTC)))
    write(settings, sales().with_columns(rooms=pl.min_horizontal("rooms", 8)))

    mended = list(due(product, settings, datetime.now(UTC)))

    assert "rooms: '99' is not at most 9" in failed.checks["schema"][1]
    assert waiting == []
    assert BATH in [each.partition for each in mended]


def test_a_label_that_was_never_seen_stops_at_the_annotations(settings: Settings):
    make(settings, HOUSES, BATH)
    perhaps = pl.when(pl.col("id") == "bath-01050000").then(pl.lit("perhaps")).otherwise("sold").alias("sold")
    write(settings, text(sales()).with_columns(perhaps))

    done = run(settings)

    assert done.made == ["annotations"]
    passed, said = done.checks["labels_are_known"]
    assert (passed, "perhaps" in said) == (False, True)


def test_a_features_function_that_looks_at_other_rows_is_refused_by_name(settings: Settings):
    done = run(settings, HOUSES.model_copy(update={"features": f"{HERE}.by_mean"}))

    passed, said = done.checks["features_are_row_local"]
    assert not passed
    assert "feature 'dear', expression" in said
    assert 'col("price").mean()' in said
    assert done.made == ["annotations", "dataset"]
    assert head(settings, Stage.FEATURES) is None


def test_a_window_without_rows_is_recorded_and_a_model_on_nothing_says_so(settings: Settings):
    product = HOUSES.model_copy(update={"features": f"{HERE}.of_street"})
    partition = "bath|2026-02-02"

    data = run(settings, product, partition)
    model = run(settings, product, partition, "retrain")

    assert data.ran.success
    assert data.made == [*DATA]
    features = head(settings, Stage.FEATURES, partition)
    assert features is not None
    assert features.record.outputs[0].rows == 0
    assert model.ran.problems == ("model: houses/model[bath|2026-02-02]: no labelled row in 2026-01-26 to 2026-02-02",)
    assert not (settings.root / "mlflow.db").exists()  # no MLflow run was opened for nothing


def test_a_model_leaves_out_the_windows_that_are_empty(settings: Settings):
    for partition in ("bath|2026-01-12", "bath|2026-01-19"):
        make(settings, HOUSES, partition)

    model = make(settings, HOUSES, "bath|2026-01-19", Stage.MODEL)[Stage.MODEL]

    assert [each.place.partition for each in model.record.inputs] == ["bath|2026-01-12"]


RMSE = Gate(metric="rmse", floor=9)
LATER = pl.col("seen") > pl.lit("2026-01-08").str.to_datetime()
UNLEARNABLE: dict[str, tuple[pl.DataFrame, dict[str, object], str]] = {
    "too few rows": (
        sales(rows=5),
        {},
        "found 5 rows, 5 labels, 5 rows in windows; right is one number, 10 or more",
    ),
    "one class": (
        sales().with_columns(sold=pl.lit(1)),
        {},
        "a binary label has 1 classes (1); right is two, or `kind: multiclass`",
    ),
    "one class in the rows to learn from": (
        sales().with_columns(sold=LATER.cast(int)),
        {},
        "all 32 rows to learn from are labelled '0'; right is two classes",
    ),
    "one class in the held-out rows": (
        sales().with_columns(sold=pl.when(LATER).then(0).otherwise("sold")),
        {},
        "auc is not defined on the 23 held-out rows, the newest: all are labelled '0'; right are rows of both classes, "
        "as longer windows have, or another metric",
    ),
}


@pytest.mark.parametrize("case", UNLEARNABLE)
def test_rows_of_which_nothing_can_be_learnt_are_named_and_no_model_is_kept(settings: Settings, case: str):
    frame, changes, problem = UNLEARNABLE[case]
    write(settings, frame)
    product = HOUSES.model_copy(
        update={"trainer": HOUSES.trainer.model_copy(update={"windows": 1}), "features": ("price", "rooms"), **changes}
    )
    for partition in partitions():
        make(settings, product, partition)

    with pytest.raises(NotReady, match=re.escape(f"houses/model[{BATH}]: {problem}")):
        make(settings, product, BATH, Stage.MODEL)
    assert head(settings, Stage.MODEL) is None


def test_a_training_that_cannot_be_fails_its_step_in_words(settings: Settings):
    write(settings, sales().with_columns(sold=pl.lit(1)))
    make(settings, HOUSES, BATH)
    product = HOUSES.model_copy(update={"trainer": HOUSES.trainer.model_copy(update={"windows": 1})})

    done = run(settings, product, BATH, "retrain")

    said = "a binary label has 1 classes (1); right is two, or `kind: multiclass`"
    assert done.ran.problems == (f"model: houses/model[{BATH}]: {said}",)
    assert done.made == []


def test_a_column_that_is_always_missing_fails_its_check(settings: Settings):
    write(settings, sales().with_columns(price=pl.lit(None, pl.Float64)))
    product = HOUSES.model_copy(update={"columns": {"price": Column(type="float", nullable=True)}})

    done = run(settings, product)

    passed, said = done.checks["features_are_usable"]
    assert (passed, "price" in said, "missing" in said) == (False, True, True)


def test_a_label_of_another_kind_is_refused_where_it_is_first_met(settings: Settings):
    several = HOUSES.model_copy(update={"label": Label(column="rooms"), "features": ("price",)})
    text = several.model_copy(update={"label": Label(column="street", kind="regression"), "gate": RMSE})

    with pytest.raises(NotReady, match=r"label.kind: 'rooms' has 8 values .*; right for these is `kind: multi"):
        make(settings, several, BATH)
    failed = make(settings, text, BATH, Stage.ANNOTATIONS, Stage.DATASET)[Stage.DATASET].record

    [said] = [check.facts for check in failed.checks if not check.passed]
    assert "street: 'mill' is not a float" in said["sample"]
