"""Recipes: the same one is not made again, and a change makes anew what follows from it and nothing else."""

import importlib
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evidence import code
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.records import Place, Recipe
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.rules import Trainer
from mlops_assets.serving.log.outcomes import SCHEMA
from mlops_assets.serving.log.sealed import BASE
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, deployment, make, partitions, sales, write

BATH, YORK, BATH_2, YORK_2 = partitions()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weeks of houses, their data made."""
    (tmp_path / "here").mkdir()
    found = deployment(tmp_path / "here")
    for partition in partitions():
        make(found, HOUSES, partition)
    return found


def statuses(settings: Settings, product: ModelProduct = HOUSES) -> dict[str, list[str]]:
    """The stages of data that are not up to date, by partition; where all are, there is none."""
    found = {p: [s for s in DATA if step(s, product, settings).status(p)[0] != "done"] for p in partitions()}
    return {partition: stages for partition, stages in found.items() if stages}


def test_the_same_recipe_is_skipped_and_has_the_same_record(settings: Settings):
    first = make(settings, HOUSES, BATH_2, *DATA, Stage.MODEL)
    second = make(settings, HOUSES, BATH_2, *DATA, Stage.MODEL)

    assert not first[Stage.MODEL].skipped
    assert all(held.skipped for held in second.values())
    assert {stage: held.id for stage, held in first.items()} == {stage: held.id for stage, held in second.items()}
    assert statuses(settings) == {}


def test_the_same_recipe_trains_to_the_same_bytes_on_another_machine(settings: Settings, tmp_path: Path):
    (tmp_path / "there").mkdir()
    other = deployment(tmp_path / "there")
    for partition in (BATH, BATH_2):
        make(other, HOUSES, partition)

    here, there = (make(place, HOUSES, BATH_2, Stage.MODEL)[Stage.MODEL] for place in (settings, other))

    assert here.record == there.record
    assert here.file("model").sha256 == there.file("model").sha256


def test_another_seed_or_parameter_trains_anew_and_leaves_the_data_alone(settings: Settings):
    first = make(settings, HOUSES, BATH_2, Stage.MODEL)[Stage.MODEL]
    changed = HOUSES.model_copy(update={"trainer": Trainer(windows=1, params=dict(HOUSES.trainer.params))})

    second = make(settings, changed, BATH_2, Stage.MODEL)[Stage.MODEL]

    assert statuses(settings, changed) == {}
    assert (second.skipped, second.id == first.id) == (False, False)
    assert make(settings, HOUSES, BATH_2, Stage.MODEL)[Stage.MODEL].id == first.id


def test_a_moved_store_and_source_change_no_recipe(settings: Settings, tmp_path: Path):
    settings.root.rename(tmp_path / "moved")
    moved = Settings(
        home=tmp_path / "moved" / "home",
        root=tmp_path / "moved",
        defs=settings.defs,
        dagster_home=settings.dagster_home,
        mlflow_uri=settings.mlflow_uri,
        ui_url=settings.ui_url,
    )

    assert statuses(moved) == {}
    assert all(held.skipped for held in make(moved, HOUSES, BATH).values())


def test_other_features_make_anew_the_features_alone(settings: Settings):
    changed = HOUSES.model_copy(update={"features": ("price", "rooms")})

    assert statuses(settings, changed) == {partition: [Stage.FEATURES] for partition in partitions()}


def append(settings: Settings, day: str) -> None:
    """Write the file again with one more house of Bath on `day`."""
    late = sales().filter(pl.col("id").str.starts_with(f"bath-{day}")).head(1).with_columns(id=pl.lit("bath-late"))
    write(settings, pl.concat([sales(), late]))


def test_rows_that_are_appended_make_anew_their_window_alone(settings: Settings):
    append(settings, "0112")

    made = {partition: make(settings, HOUSES, partition) for partition in partitions()}

    assert {p: [s for s, held in stages.items() if not held.skipped] for p, stages in made.items()} == {
        BATH: [],
        YORK: [],
        BATH_2: [*DATA],
        YORK_2: [],
    }
    assert made[BATH_2][Stage.DATASET].record.outputs[0].rows == 71


def test_the_window_after_compares_its_labels_anew_and_keeps_its_rows(settings: Settings):
    append(settings, "0105")

    make(settings, HOUSES, BATH)

    assert statuses(settings) == {BATH_2: [Stage.ANNOTATIONS]}
    assert make(settings, HOUSES, BATH_2)[Stage.DATASET].skipped


def test_rows_in_another_order_change_nothing(settings: Settings):
    write(settings, sales().reverse())

    assert all(held.skipped for partition in partitions() for held in make(settings, HOUSES, partition).values())


def sealed(settings: Settings, partition: str, outcomes: dict[str, str]) -> Held:
    """A sealed day of traffic with two answers, and the outcomes that have come for them."""
    at = datetime(2026, 1, 6, 12, tzinfo=UTC)
    fields = {"price": [20.0, 80.0], "rooms": [3, 4], "street": ["high", "mill"]}
    rows = pl.DataFrame(
        {
            "inference_id": ["a", "b"],
            "at": [at, at],
            "segment": ["bath", "bath"],
            "version": [1, 1],
            "deployment": ["d", "d"],
            "key": ["live-1", "live-2"],
            "writer": ["w", "w"],
            "seq": [0, 1],
            "latency_us": [9, 9],
            "output": [0.9, 0.1],
            **{f"input.{name}": cells for name, cells in fields.items()},
        },
        schema_overrides=BASE,
    )
    told = [(key, label, at, "api") for key, label in outcomes.items()]
    labels = pl.DataFrame(told, schema=SCHEMA, orient="row")
    place = Place(product="houses", stage=Stage.PREDICTIONS, partition=partition)
    recipe = Recipe(place=place, state={"outcomes": str(outcomes)}, code="test")
    return Archive(settings.home).make(
        recipe, [], lambda: Built(outputs={"predictions": rows, "outcomes": labels}, facts={"rows": 2})
    )


def test_a_late_outcome_makes_anew_the_data_of_its_window(settings: Settings):
    sealed(settings, "bath|2026-01-06", {})
    first = make(settings, HOUSES, BATH)
    sealed(settings, "bath|2026-01-06", {"b": "0"})

    second = make(settings, HOUSES, BATH)

    counts = [held.record.facts["labelled"] for held in (first[Stage.DATASET], second[Stage.DATASET])]
    assert counts == [70, 71]
    assert not any(held.skipped for held in second.values())
    assert all(held.skipped for partition in (YORK, YORK_2) for held in make(settings, HOUSES, partition).values())
    earlier = Archive(settings.home).held(first[Stage.FEATURES].id)
    assert Archive(settings.home).table(earlier, "features").height == 70


def test_a_newer_label_of_a_served_row_is_learnt_from_with_the_values_that_were_served(settings: Settings):
    sealed(settings, "bath|2026-01-06", {"a": "1", "b": "0"})

    dataset = make(settings, HOUSES, BATH)[Stage.DATASET]

    rows = Archive(settings.home).table(dataset, "dataset").filter(pl.col("_origin") == "served")
    assert rows.select("_key", "price", "_label").rows() == [("live-1", 20.0, "1"), ("live-2", 80.0, "0")]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Write files of a user's package; what was imported and read of it before is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(**files: str) -> None:
        folder = tmp_path / "own_code"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        forget()

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "own_code"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        code.code_id.cache_clear()
        code._read.cache_clear()

    yield written
    forget()


FUNCTION = '''"""Features of a house."""

import polars as pl
{imported}

def made(houses: pl.LazyFrame) -> pl.LazyFrame:
    """Price by room."""
    return houses.select(by_room={by_room})
'''


def test_a_new_expression_makes_anew_the_features_alone_and_a_comment_nothing(
    settings: Settings, package: Callable[..., None]
):
    product = HOUSES.model_copy(update={"features": "own_code.features.made"})
    text = FUNCTION.format(imported="", by_room='pl.col("price") / pl.col("rooms")')
    package(features=text)
    for partition in partitions():
        make(settings, product, partition)

    package(
        features=text.replace("Price by room.", "What a room costs.").replace("    return", "    # ours\n    return")
    )
    after_comment = statuses(settings, product)
    package(features=text.replace('pl.col("rooms")', '(1 + pl.col("rooms"))'))

    assert after_comment == {}
    assert statuses(settings, product) == {partition: [Stage.FEATURES] for partition in partitions()}


@pytest.mark.parametrize(
    "imported", ["from own_code.rooms import each", "from .rooms import each", "from own_code import rooms"]
)
def test_code_that_is_imported_from_the_own_package_counts_and_a_readme_does_not(
    package: Callable[..., None], tmp_path: Path, imported: str
):
    text = FUNCTION.format(imported=imported, by_room="each()" if "each" in imported else "rooms.each()")
    package(features=text, rooms="def each():\n    return 1\n", unrelated="x = 1\n")
    before = code.code_id("own_code.features")

    package(unrelated="x = 2\n")
    (tmp_path / "own_code" / "README.md").write_text("read me")
    beside = code.code_id("own_code.features")
    package(rooms="def each():\n    return 2\n")

    assert before == beside
    assert code.code_id("own_code.features") != before


def test_the_code_of_a_training_is_that_of_every_trainer_it_may_call():
    _, imported = code._read("mlops_assets.training.trainers")

    assert {"mlops_assets.training.gbdt", "mlops_assets.training.networks.network"} <= set(imported)
