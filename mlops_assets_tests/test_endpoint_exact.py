"""What a real endpoint said and logged, row by row, is what the same model and function make offline, bit for bit.

CHAOS_ROWS says how many rows each kind of model is asked for.
"""

import http.client
import json
import os
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.features.transform import Transform
from mlops_assets.lineage.replay import replay
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.rules import Trainer
from mlops_assets.serving.log.sealed import FEATURE, INPUT
from mlops_assets.serving.steps import EndpointStep, PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests import houses, photos
from mlops_assets_tests.asked import promoted
from mlops_assets_tests.started import endpoint, started, until

ROWS = int(os.environ.get("CHAOS_ROWS", "12"))
NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)

pytestmark = pytest.mark.chaos


@dataclass(frozen=True, kw_only=True)
class Case:
    """A product in a place of its own, the partition its model is of, and the rows that it is asked for."""

    product: ModelProduct
    settings: Callable[[Path], Settings]
    segment: str
    window: str
    rows: list[dict[str, object]]


def house(place: int) -> dict[str, object]:
    draw = np.random.default_rng(place)
    street = ["high", "low", "mill"][place % 3]
    return {"price": float(draw.uniform(0, 100)), "rooms": 1 + place % 8, "street": street, "town": "bath"}


def of_houses(**changes: object) -> Case:
    product = houses.HOUSES.model_copy(update=changes)
    return Case(
        product=product,
        settings=lambda folder: houses.deployment(folder),
        segment="bath",
        window=houses.WEEKS[0],
        rows=[house(place) for place in range(ROWS)],
    )


CASES = {
    "lightgbm": of_houses(),
    "torch": of_houses(trainer=Trainer(kind="torch", params={"epochs": 2, "width": 8})),
    "function": of_houses(features="mlops_assets_tests.worked.worked_out"),
    "images": Case(
        product=photos.PHOTOS,
        settings=photos.deployment,
        segment="all",
        window="2026-01-05",
        rows=[{"file": b64encode(photos.photo(100 + place)).decode()} for place in range(ROWS)],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answers_and_logged_features_are_those_made_offline_and_replayed_to_the_last_bit(tmp_path: Path, case: Case):
    settings, product = case.settings(tmp_path), case.product
    houses.declare(settings, product)
    made = [step(stage, product, settings).make(f"{case.segment}|{case.window}") for stage in (*DATA, Stage.MODEL)]
    promoted(settings, made[-1], 1)
    archive = Archive(settings.home)
    EndpointStep(product=product, archive=archive, settings=settings).make("all")

    with started(settings, "serve", product.name, "--port", "0", "--clock", "replay"):
        url = until(lambda: endpoint(settings, product.name), what="an endpoint")
        given = asked(url, product.name, case.rows)
    replays = {id_: replay(settings, id_) for id_ in list(given)[:: max(1, len(given) // 8)]}
    sealing = PredictionsStep(product=product, archive=archive, settings=settings)
    held = sealing.make(f"{case.segment}|{product.grid.key(NOON)}")
    sealed = archive.table(held, "predictions")

    assert given == dict(sealed.select("inference_id", "output").iter_rows())
    inputs = sealed.select(pl.col(f"{INPUT}{name}").alias(name) for name in names(sealed, INPUT))
    offline = Transform(product.features).computed(inputs)
    logged = sealed.select(pl.col(f"{FEATURE}{name}").alias(name) for name in offline.columns)
    assert sorted(names(sealed, FEATURE)) == sorted(offline.columns)
    assert [name for name in offline.columns if bits(logged[name]) != bits(offline[name])] == []
    assert {id_: each.differs for id_, each in replays.items()} == {id_: [] for id_ in replays}
    assert all(check.passed for check in held.record.checks)


def asked(url: str, product: str, rows: list[dict[str, object]]) -> dict[str, object]:
    """Ask for each row alone, then for all of them together; let the day end, and return the outputs by id."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:

        def post(path: str, body: object, at: datetime) -> dict[str, object]:
            connection.request("POST", path, json.dumps(body), {"mlops-clock": at.isoformat()})
            answer = connection.getresponse()
            found = json.loads(answer.read())
            assert answer.status == 200, found
            return found

        infer = f"/v2/models/{product}/infer"
        said = [post(infer, row, NOON) for row in rows]
        together = post(infer, {"rows": rows}, NOON)["predictions"]
        post("/v2/clock", {"at": (NOON + 8 * DAY).isoformat()}, NOON + 8 * DAY)
    assert isinstance(together, list)
    return {str(each["inference_id"]): each["output"] for each in [*said, *together]}


def names(sealed: pl.DataFrame, kind: str) -> list[str]:
    return [name.removeprefix(kind) for name in sealed.columns if name.startswith(kind)]


def bits(values: pl.Series) -> list[object]:
    """Values such that two are equal if all their bits are; every NaN says the same."""
    if values.dtype != pl.Float64:
        return values.to_list()
    return values.fill_nan(None).to_numpy().view(np.int64).tolist()
