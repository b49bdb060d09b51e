"""A request's image is base64 of a file: answered in every form, or refused with what was found and what is right."""

import asyncio
import json
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from mlops_assets.evidence.store import Store
from mlops_assets.features.transform import Transform
from mlops_assets.intake.images import png
from mlops_assets.serving.answering.app import App
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.answering.predicting import Predicting
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.outcomes import OutcomeLog
from mlops_assets.serving.log.parity import parity
from mlops_assets.serving.log.sealed import table
from mlops_assets.serving.log.writer import LogWriter
from mlops_assets.serving.metrics.metrics import Metrics
from mlops_assets.serving.requests.clock import ReplayClock
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.deploy import Deployment, Route
from mlops_assets.serving.routing.probes import probes
from mlops_assets.serving.routing.router import Loader, Table
from mlops_assets.serving.worker.events import Events
from mlops_assets.training import gbdt
from mlops_assets.training.fitting import Trained
from mlops_assets.training.model import ColumnSpec, encode_spec
from mlops_assets.training.training_set import TrainingSet
from mlops_assets_tests.photos import PHOTOS, photo

SPEC = ColumnSpec(type="image", shape=[2, 3, 1])
RIGHT = "right is base64 of an image file: PNG, JPEG, BMP or WebP, 2 high and 3 wide, grey, 8 bits a channel"
INFER, MLFLOW = "/v2/models/photos/infer", "/invocations"


def coded(data: bytes) -> str:
    return b64encode(data).decode()


TWO = [coded(photo(0)), coded(photo(1))]
TENSOR = {"name": "file", "shape": [2], "datatype": "BYTES", "data": TWO}


@pytest.fixture(scope="module")
def model() -> Trained:
    """It tells bright photos from dark ones."""
    rows = pl.DataFrame({"file": [photo(place) for place in range(120)]})
    features = Transform(PHOTOS.features).apply(rows.lazy()).collect()
    labels = pl.Series(["day", "night"] * 60)
    data = TrainingSet(
        features=features, labels=labels, task="binary", inputs={"file": SPEC}, transform=PHOTOS.features
    )
    return gbdt.fit(data, {"num_iterations": 8, "min_data_in_leaf": 5}, 1)


def loaded(folder: Path, model: Trained) -> Table:
    """What serves the model as version 1."""
    store = Store(folder)
    _, data = store.put_bytes("model", model.model_bytes, "txt")
    _, spec = store.put_bytes("spec", encode_spec(model.spec), "json")
    routes = {"all": Route(version=1, record="r", model=data, spec=spec)}
    return Loader(PHOTOS, store).table(Deployment(id="d", product="photos", at="", routes=routes, fallback=None))


@pytest.fixture
def app(tmp_path: Path, model: Trained) -> App:
    """The endpoint of photos, in this process."""
    folder = tmp_path / "serving"
    log = DurableLog(LogWriter(folder / "log", PHOTOS.grid, "w"), sync=False, patience_s=30)
    inference = Inference(PHOTOS, log, LogWriter(folder / "shadow", PHOTOS.grid, "w"))
    inference.table = loaded(tmp_path, model)
    outcomes = OutcomeLog(folder / "outcomes", "w")
    clock = ReplayClock(PHOTOS.grid)

    async def close() -> None:
        pass

    predicting = Predicting(PHOTOS, folder, clock=clock, inference=inference, outcome_log=outcomes, close=close)
    return App(PHOTOS, inference, predicting.ways(), events=Events("photos", "w", write=print), metrics=Metrics())


def posted(app: App, path: str, body: object) -> tuple[int, dict[str, object]]:
    """Status and body of the answer."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    headers = [(b"mlops-clock", b"2026-01-07T12:00:00Z")]
    scope = {"type": "http", "path": path, "method": "POST", "headers": headers, "query_string": b""}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def logged(folder: Path) -> pl.DataFrame:
    """What the endpoint's log holds, as it will be sealed."""
    files = sorted((folder / "log").glob("*/*.log"))
    return table((path.stem, frame) for path in files for frame in read_frames(mapped(path)).frames)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INFER, {"rows": [{"file": each} for each in TWO]}),
        (INFER, {"inputs": [TENSOR]}),
        (MLFLOW, {"dataframe_records": [{"file": each} for each in TWO]}),
        (MLFLOW, {"dataframe_split": {"columns": ["file"], "data": [[each] for each in TWO]}}),
        (MLFLOW, {"inputs": {"file": TWO}}),
    ],
)
def test_an_image_is_answered_in_every_form_and_logged_as_its_very_bytes(
    app: App, tmp_path: Path, path: str, body: object
):
    status, _ = posted(app, path, body)

    found = logged(tmp_path / "serving")
    assert status == 200
    assert found["input.file"].to_list() == [photo(0), photo(1)]
    assert found["output"].to_list() == [pytest.approx(0, abs=0.4), pytest.approx(1, abs=0.4)]
    assert parity(found, PHOTOS.features).passed


def test_a_plain_row_is_answered_beside_its_key(app: App, tmp_path: Path):
    status, _ = posted(app, INFER, {"file": coded(photo(3)), "id": "p3"})

    assert status == 200
    assert logged(tmp_path / "serving").select("key", "input.file").rows() == [("p3", photo(3))]


def claims_to_be_giant() -> bytes:
    file = BytesIO()
    Image.new("L", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


WRONG = [
    ("no base64!", '"no base64!" (text)'),
    (7, "7 (int)"),
    (None, "null"),
    ("", "no image (0 bytes)"),
    (coded(b"hello"), "no image (5 bytes)"),
    (coded(photo(0)[:-5]), "an image that does not decode: "),
    (coded(png(np.zeros((3, 2), np.uint8))), "an image 3 high and 2 wide, grey"),
    (coded(png(np.zeros((2, 3, 3), np.uint8))), "an image 2 high and 3 wide, red, green and blue"),
    (coded(claims_to_be_giant()), "an image that is too large: "),
]


@pytest.mark.parametrize(("value", "found"), WRONG)
def test_what_is_no_such_image_is_a_422_that_says_what_it_is(app: App, tmp_path: Path, value: object, found: str):
    status, body = posted(app, INFER, {"file": value})

    assert status == 422
    assert str(body["error"]).startswith(f"field 'file': found {found}")
    assert str(body["error"]).endswith(RIGHT)
    assert logged(tmp_path / "serving").is_empty()


def test_in_a_batch_each_wrong_image_is_named_with_its_row():
    decoder = RowDecoder({"file": SPEC, "age": ColumnSpec(type="int")})
    rows: list[object] = [{"file": coded(photo(0)), "age": 1}, {"file": coded(b"x"), "age": 1}, {"file": "", "age": 1}]

    with pytest.raises(Refused) as refused:
        decoder.many(rows, [0, 4, 7])

    assert [(each.row, each.field) for each in refused.value.problems] == [(4, "file"), (7, "file")]


def test_a_model_of_images_is_checked_on_real_ones_before_it_is_served(model: Trained):
    decoder = RowDecoder(model.spec.inputs)

    rows = probes(model.spec)

    assert len(set(rows)) == 32
    assert len(decoder.many([{"file": coded(row[0])} for row in rows], range(32))) == 32
