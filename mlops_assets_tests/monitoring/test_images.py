"""Images that change are drift of their pixels; they themselves are not counted, but compared row by row."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.features.transform import Transform
from mlops_assets.intake.images import pixels, png
from mlops_assets.monitoring.origin import origin_now
from mlops_assets.monitoring.row_by_row import compared
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.ids import Ids, to_ms
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec, to_matrix
from mlops_assets.training.trainers import load_predictor
from mlops_assets_tests.photos import COUNT, PHOTOS, deployment, photo

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
PARTITION = "all|2026-01-13"


def champion(settings: Settings) -> None:
    """Train on the photos of the first week, and promote."""
    made = {stage: step(stage, PHOTOS, settings).make("all|2026-01-05") for stage in (*DATA, Stage.MODEL)}
    act = Act(
        kind="register",
        product="photos",
        segment="all",
        version=1,
        record=made[Stage.MODEL].id,
        by="training",
        reason="test",
        at="2026-01-12T00:00:00.000+00:00",
    )
    ledger = Archive(settings.home).ledger
    ledger.move_champion(msgspec.structs.replace(ledger.register(act), kind="promote", by="gate"), expected=None)


def served(settings: Settings, files: list[bytes]) -> None:
    """Log what the champion answers to each of these, as the endpoint does."""
    archive = Archive(settings.home)
    held = archive.held(archive.ledger.champion("photos", "all").record)
    spec = decode_spec(archive.data(held, "spec"))
    rows = Transform(PHOTOS.features).apply(pl.LazyFrame({"file": files})).collect()
    scores = load_predictor(spec, archive.data(held, "model"))(to_matrix(rows, spec))
    columns = Columns([("file", "image")], [(name, "float") for name in rows.columns])
    encoded = msgspec.Raw(msgspec.msgpack.encode(columns))
    folder, ids = settings.serving("photos"), Ids()
    log = LogWriter(folder / "log", PHOTOS.grid, "w")
    for place, (file, score, numbers) in enumerate(zip(files, scores.tolist(), rows.iter_rows(), strict=True)):
        row = Row(None, None, score, (file,), numbers)
        log.append(ids.new(to_ms(NOON) + place), Body(9, "d", [Part("all", 1, encoded, [row])]))
    log.close()
    worker = Worker(writer="w", pid=1, url="http://127.0.0.1:9", clock="replay", started=NOON, since=NOON)
    Registration(folder, worker).beat(NOON + timedelta(days=2))


def test_dimmed_images_are_drift_of_their_pixels_and_the_code_that_made_these_is_cleared(tmp_path: Path):
    settings = deployment(tmp_path)
    champion(settings)
    served(settings, [png(pixels(photo(place), (2, 3, 1)) // 4) for place in range(100, 100 + 2 * COUNT)])

    for kind in (PredictionsStep, ProfileStep, DriftStep):
        held = kind(product=PHOTOS, archive=Archive(settings.home), settings=settings).make(PARTITION)
    origin = origin_now(PHOTOS, Archive(settings.home), PARTITION)

    assert held.record.facts["state"] == "drift"
    assert origin is not None
    assert "pixel_1_1 is 1.4" in str(held.record.facts["words"])
    assert origin.words == "cannot tell: times and images are not counted, so they are not tested"
    assert [each.state for each in origin.tested if each.how == "row by row"] == ["ok", "ok"]


def test_images_of_the_same_rows_are_compared_by_their_bytes():
    ours = pl.DataFrame({"file": [photo(0), photo(1), None]})
    theirs = pl.DataFrame({"file": [photo(0), photo(2), None]})

    found = compared("requests", ours, theirs, from_what="the source's")

    assert found.words == "file differs from the source's in 1 of 3 rows"
