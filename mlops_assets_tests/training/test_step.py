"""A model's record: which windows it is of, how it was held out, what it needs to be served, judged and shown."""

from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import NotReady
from mlops_assets.operations.flow import step
from mlops_assets.parts import Column, Label, Monitor
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.rules import Compute, Decide, Gate, Need, Slices, Trainer
from mlops_assets.settings import Settings
from mlops_assets.training.machine import Machine
from mlops_assets.training.model import decode_spec, to_matrix
from mlops_assets.training.reference import Reference
from mlops_assets.training.trainers import load_predictor
from mlops_assets_tests.houses import HOUSES, WEEKS, deployment, make, partitions, sales
from mlops_assets_tests.training import own_trainers

NEWEST = f"bath|{WEEKS[2]}"


def per_room(houses: pl.LazyFrame) -> pl.LazyFrame:
    return houses.select(per_room=pl.col("price") / pl.col("rooms"))


def per_room_again(houses: pl.LazyFrame) -> pl.LazyFrame:
    return per_room(houses)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses, their data made."""
    found = deployment(tmp_path, sales(3))
    for partition in partitions(3):
        make(found, HOUSES, partition)
    return found


def trained(settings: Settings, product: ModelProduct = HOUSES, partition: str = NEWEST) -> Held:
    return make(settings, product, partition, Stage.MODEL)[Stage.MODEL]


def changed(**fields: object) -> ModelProduct:
    return HOUSES.model_copy(update=fields)


def test_a_model_is_of_the_last_windows_of_its_segment(settings: Settings):
    held = trained(settings)

    assert [each.place.partition for each in held.record.inputs] == [f"bath|{week}" for week in WEEKS[1:]]
    assert held.record.facts["rows"] == 140
    assert {check.name: check.passed for check in held.record.checks} == {
        "reaches_floor": True,
        "trained_on_named_rows": True,
    }


def test_the_held_out_rows_are_the_newest_and_have_the_scores_that_the_stored_model_gives(settings: Settings):
    archive, held = Archive(settings.home), trained(settings)
    spec = decode_spec(archive.data(held, "spec"))

    holdout = archive.table(held, "holdout")

    features = archive.head(Place(product="houses", stage=Stage.FEATURES, partition=NEWEST))
    assert features is not None
    newest = archive.table(features, "features").tail(holdout.height)
    assert holdout.select("_key", "price").equals(newest.select("_key", "price"))
    again = load_predictor(spec, archive.data(held, "model"))(to_matrix(holdout, spec))
    assert holdout["_score"].to_list() == again.tolist()
    assert held.record.facts["held_out_rows"] == holdout.height > 10


def test_the_spec_says_what_a_request_holds_and_the_reference_what_training_saw(settings: Settings):
    archive, held = Archive(settings.home), trained(settings)

    spec = decode_spec(archive.data(held, "spec"))
    stored = msgspec.json.decode(archive.data(held, "reference"), type=Reference)

    assert list(spec.inputs) == spec.features == ["price", "rooms", "street"]
    assert (spec.inputs["rooms"].type, spec.classes, spec.transform) == ("int", ["0", "1"], None)
    assert set(stored.bins.columns) >= {"price", "rooms", "street"}


def test_a_weak_model_is_kept_and_told(settings: Settings):
    held = trained(settings, changed(gate=Gate(metric="auc", floor=0.999)))

    floor = next(check for check in held.record.checks if check.name == "reaches_floor")
    assert (floor.passed, floor.severity, held.record.failed) == (False, "warn", [])


@pytest.mark.parametrize(
    "product",
    [
        changed(seed=1),
        changed(trainer=HOUSES.trainer.model_copy(update={"forget": True})),
        changed(monitor=Monitor(every="week")),
    ],
)
def test_what_a_model_depends_on_is_in_its_recipe(settings: Settings, product: ModelProduct):
    trained(settings)

    for partition in partitions(3):
        make(settings, product, partition)

    assert not trained(settings, product).skipped


def test_a_limit_declared_later_is_a_limit_of_the_endpoint(settings: Settings):
    product = changed(columns={"rooms": Column(type="int", max=20)})
    trained(settings)

    for partition in partitions(3):
        make(settings, product, partition)
    held = trained(settings, product)

    assert decode_spec(Archive(settings.home).data(held, "spec")).inputs["rooms"].max == 20


def test_a_features_function_of_another_name_is_named_by_the_model(settings: Settings):
    for name in ("per_room", "per_room_again"):
        product = changed(features=f"{__name__}.{name}")
        for partition in partitions(3):
            make(settings, product, partition)
        spec = decode_spec(Archive(settings.home).data(trained(settings, product), "spec"))

        assert (spec.transform, sorted(spec.inputs)) == (f"{__name__}.{name}", ["price", "rooms"])


@pytest.mark.parametrize(
    ("label", "metric"),
    [(Label(column="street", kind="multiclass"), "accuracy"), (Label(column="rooms", kind="regression"), "rmse")],
)
def test_other_kinds_of_labels_are_learnt_too(tmp_path: Path, label: Label, metric: str):
    settings = deployment(tmp_path)
    product = changed(label=label, features=("price", "sold"), gate=Gate(metric=metric, floor=9))
    for partition in partitions():
        make(settings, product, partition)

    held = trained(settings, product, partitions()[2])

    assert held.record.failed == []
    assert metric in held.record.facts
    assert Archive(settings.home).table(held, "holdout")["_score"].null_count() == 0


def test_a_product_without_time_is_one_window(tmp_path: Path):
    settings = deployment(tmp_path)
    product = changed(windows=None, source=HOUSES.source.model_copy(update={"time": None}))

    held = make(settings, product, "york|all", *DATA, Stage.MODEL)[Stage.MODEL]

    assert held.record.facts["rows"] == 140
    assert held.record.failed == []


def test_a_model_of_a_window_whose_features_are_missing_or_failed_is_not_trained(settings: Settings):
    with pytest.raises(NotReady, match=r"houses/features\[bath\|2026-01-26\] is missing; make it first"):
        trained(settings, partition="bath|2026-01-26")

    infinite = changed(features=f"{__name__}.infinite")
    make(settings, infinite, NEWEST)

    with pytest.raises(NotReady, match=r"houses/features\[bath\|2026-01-19\] failed its check: features_are_usable"):
        trained(settings, infinite)
    assert step(Stage.MODEL, infinite, settings).status(NEWEST)[0] == "blocked"


def test_the_threshold_is_versioned_with_the_model(settings: Settings):
    archive = Archive(settings.home)
    without, low, high = (
        trained(settings, changed(decide=decide)) for decide in (None, Decide(threshold=0.3), Decide(threshold=0.7))
    )

    found = [decode_spec(archive.data(held, "spec")).threshold for held in (without, low, high)]

    assert found == [None, 0.3, 0.7]
    assert len({without.id, low.id, high.id}) == 3
    assert low.record.params["threshold"] == 0.3


def test_windows_that_are_added_and_rules_of_the_gate_ask_for_no_other_model(settings: Settings):
    trained(settings)
    longer = HOUSES.windows and HOUSES.windows.model_copy(update={"end": datetime(2026, 3, 2)})
    gate = Gate(metric="auc", floor=0.6, margin=0.01, slices=Slices(columns=("street",)))

    assert trained(settings, changed(windows=longer, gate=gate)).skipped


def test_a_training_is_told_what_it_may_use_and_what_it_left_is_deleted_once_its_record_is_made(settings: Settings):
    seen: list[Machine] = []
    kind = f"{own_trainers.__name__}.ridge"
    compute = Compute(gpu=2, cpu_if_no_gpu=True, segments={"bath": Need(gpu=1)})
    product = changed(trainer=Trainer(kind=kind, windows=2), compute=compute)

    def leaves_a_file(machine: Machine) -> None:
        seen.append(machine)
        assert machine.checkpoints is not None
        machine.checkpoints.mkdir(parents=True, exist_ok=True)
        (machine.checkpoints / f"attempt-{len(seen)}").touch()
        if len(seen) == 1:
            raise ValueError("killed")

    own_trainers.ON_LEARN = leaves_a_file
    with pytest.raises(NotReady, match="killed"):
        trained(settings, product)
    left = [path.name for path in (settings.home / "checkpoints").glob("*/*")]
    held = trained(settings, product)
    own_trainers.ON_LEARN = None

    assert left == ["attempt-1"]
    assert {(machine.gpus, machine.cpu_if_no_gpu) for machine in seen} == {(1, True)}
    assert seen[0].checkpoints == seen[1].checkpoints == settings.home / "checkpoints" / held.record.recipe
    assert list((settings.home / "checkpoints").iterdir()) == []


def infinite(houses: pl.LazyFrame) -> pl.LazyFrame:
    return houses.select(infinite=pl.col("price") / (pl.col("rooms") * 0))
