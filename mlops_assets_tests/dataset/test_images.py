"""Photos that several judged become one labelled row each; what served them may be learned from too."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.dataset.quarantine import quarantine_table
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import digest
from mlops_assets.features.transform import Transform
from mlops_assets.intake.image_files import fingerprint_with_files, with_images
from mlops_assets.parts import Image, Source
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.ids import Ids, InferenceId, parse, text, to_ms
from mlops_assets.serving.log.outcomes import OutcomeLog, filed_outcomes
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import make
from mlops_assets_tests.photos import COUNT, PHOTOS, deployment, judgements, photo, write

PARTITION = "all|2026-01-05"
PIXELS = [f"pixel_{row}_{column}" for row in range(2) for column in range(3)]
NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Sixty photos of a week with three judgements each; nothing is made of them yet."""
    return deployment(tmp_path)


def table(settings: Settings, held: Held, name: str) -> pl.DataFrame:
    return Archive(settings.home).table(held, name)


def served(settings: Settings, files: list[bytes]) -> list[str]:
    """Log an answer to each of these photos, as the endpoint does, and return their ids."""
    columns = Columns([("file", "image")], [(name, "float") for name in PIXELS])
    encoded = msgspec.Raw(msgspec.msgpack.encode(columns))
    folder, ids, told = settings.serving("photos"), Ids(), list[str]()
    log = LogWriter(folder / "log", PHOTOS.grid, "w")
    for file in files:
        id_ = ids.new(to_ms(NOON))
        numbers = Transform(PHOTOS.features).apply(pl.LazyFrame({"file": [file]})).collect().row(0)
        log.append(id_, Body(9, "d", [Part("all", 1, encoded, [Row(None, None, 0.9, (file,), numbers)])]))
        told.append(text(id_))
    log.close()
    worker = Worker(writer="w", pid=1, url="http://127.0.0.1:9", clock="replay", started=NOON, since=NOON)
    Registration(folder, worker).beat(NOON + timedelta(days=2))
    return told


def test_an_item_has_one_row_with_its_image_and_the_label_that_its_annotators_agree_on(settings: Settings):
    made = make(settings, PHOTOS, PARTITION)

    rows = table(settings, made[Stage.DATASET], "dataset")
    labels = table(settings, made[Stage.ANNOTATIONS], "labels")

    assert rows["_key"].to_list() == [f"p{place:02}" for place in range(COUNT)]
    assert rows["file"].to_list() == [photo(place) for place in range(COUNT)]
    assert rows["_label"].to_list() == ["day", "night"] * (COUNT // 2)
    assert labels["annotators"].unique().to_list() == ["ada,ben,eve"]
    assert made[Stage.DATASET].record.failed == []


def test_features_are_the_pixels_and_a_request_is_the_image_alone(settings: Settings):
    made = make(settings, PHOTOS, PARTITION)

    features = table(settings, made[Stage.FEATURES], "features")

    assert features.columns == ["_key", "_time", "_label", *PIXELS]
    assert features.select(pl.mean_horizontal(PIXELS) > 127).to_series().to_list() == [True, False] * (COUNT // 2)
    assert made[Stage.FEATURES].record.facts["inputs"] == {"file": {"type": "image", "shape": [2, 3, 1]}}


@pytest.mark.parametrize(("lost", "passed"), [(12, True), (13, False)])
def test_lost_images_are_quarantined_and_the_check_counts_items_not_judgements(
    settings: Settings, lost: int, passed: bool
):
    write(settings.root, judgements(), {f"files/{place:02}.png": None for place in range(lost)})

    made = make(settings, PHOTOS, PARTITION, *DATA[:2])

    [check] = [check for check in made[Stage.DATASET].record.checks if check.name == "schema"]
    quarantine = table(settings, made[Stage.DATASET], "quarantine")
    assert (check.passed, check.facts["rows"], check.facts["failing_rows"]) == (passed, COUNT, lost)
    assert "file: no file 'files/00.png': nothing is at " in str(check.facts["sample"])
    assert quarantine.height == 3 * lost
    assert table(settings, made[Stage.DATASET], "dataset").height == COUNT - lost


@pytest.mark.parametrize("name", ["../secret.png", "/secret.png", "files/../../secret.png", "a\0b", "x" * 300, "files"])
def test_a_name_that_is_no_file_below_the_sources_folder_loses_its_row_alone(tmp_path: Path, name: str):
    (tmp_path / "source" / "files").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(photo(0))
    (tmp_path / "source" / "files" / "0.png").write_bytes(photo(0))
    name = str(tmp_path / "secret.png") if name == "/secret.png" else name
    rows = pl.DataFrame({"_row": [0, 1], "file": [name, "files/0.png"]})
    rows.write_parquet(tmp_path / "source" / "rows.parquet")
    image = Image(column="file", height=2, width=3)

    held, lost = with_images(rows, image, tmp_path / "source")
    seen = fingerprint_with_files(Source(path="source/rows.parquet", image=image), tmp_path, tmp_path, {})

    assert held["_row"].to_list() == [1]
    assert lost["_row"].to_list() == [0]
    assert "no file" in lost["_reason"][0]
    assert len(seen) == 64


def test_an_image_in_quarantine_is_told_by_its_hash():
    failed = pl.DataFrame({"file": [photo(1), None], "_reason": ["why", "why"]}, schema_overrides={"file": pl.Binary})

    assert quarantine_table(failed)["file"].to_list() == [f"sha256 {digest(photo(1))}", None]


def test_served_images_with_a_late_label_are_rows_to_learn_from(settings: Settings):
    make(settings, PHOTOS, PARTITION)
    bright, dark = served(settings, [photo(100), photo(101)])
    folder = settings.serving("photos")
    filed = filed_outcomes(folder, PHOTOS.grid, [(InferenceId(request=parse(bright).request), "day")])
    OutcomeLog(folder / "outcomes", "w").append(Ids().new(to_ms(NOON + timedelta(days=1))), filed)
    step = PredictionsStep(product=PHOTOS, archive=Archive(settings.home), settings=settings)

    sealed = step.make("all|2026-01-07")
    made = make(settings, PHOTOS, PARTITION)

    predictions = table(settings, sealed, "predictions")
    assert predictions["input.file"].to_list() == [photo(100), photo(101)]
    assert ("input.file", "bytes") in sealed.record.outputs[0].schema
    assert [check.passed for check in sealed.record.checks] == [True, True]
    rows = table(settings, made[Stage.DATASET], "dataset").filter(pl.col("_origin") == "served")
    assert rows.select("_key", "file", "_label").rows() == [(bright, photo(100), "day")]
    assert table(settings, made[Stage.FEATURES], "features").height == COUNT + 1
    assert dark not in rows["_key"].to_list()
