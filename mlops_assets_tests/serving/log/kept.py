"""Houses that are asked about in this process, through the endpoint's own table, log and declaration."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.store import Store
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.log.durable import DurableLog
from mlops_assets.serving.log.ids import to_ms
from mlops_assets.serving.log.personal import personal_key
from mlops_assets.serving.log.writer import LogWriter
from mlops_assets.serving.requests.forms import Forms
from mlops_assets.serving.routing.deploy import Deployment, Route
from mlops_assets.serving.routing.router import Loader
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import champion, make, over, sales

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
DAY = "bath|2026-01-13"
STEPS = (PredictionsStep, ProfileStep, DriftStep, PerformanceStep)


def model_of(settings: Settings, product: ModelProduct) -> Held:
    """The first week's model of Bath, now its champion."""
    made = make(settings, product, "bath|2026-01-05", *DATA, Stage.MODEL)[Stage.MODEL]
    champion(settings, made, 1)
    return made


def asked(settings: Settings, product: ModelProduct, model: Held, rows: pl.DataFrame) -> list[str]:
    """Ask about houses one by one at noon, and return the inference ids."""
    route = Route(version=1, record=model.id, model=model.file("model"), spec=model.file("spec"))
    loader = Loader(product, Store(settings.home), personal_key(product, settings))
    folder = settings.serving(product.name)
    log = DurableLog(LogWriter(folder / "log", product.grid, "w"), sync=False, patience_s=30)
    inference = Inference(product, log, LogWriter(folder / "shadow", product.grid, "w"))
    inference.table = loader.table(Deployment(id="d", product=product.name, at="", routes={"bath": route}))
    forms = Forms(product.source.segment)

    async def life() -> Iterator[str]:
        answers = [
            await inference.answer(forms.infer(json.dumps(row).encode()), to_ms(NOON) + at, 0)
            for at, row in enumerate(rows.iter_rows(named=True))
        ]
        return (json.loads(each.body)["inference_id"] for each in answers)

    ids = [*asyncio.run(life())]
    log.close()
    over(settings, NOON + timedelta(days=1), "w")
    return ids


def houses(count: int) -> pl.DataFrame:
    """Requests: houses of Bath with all that a request may hold."""
    columns = ["id", "town", "price", "rooms", "street"]
    return sales(3).filter(pl.col("town") == "bath").select(columns).tail(count)


def table(settings: Settings, held: Held, name: str = "predictions") -> pl.DataFrame:
    return Archive(settings.home).table(held, name)


def judged(settings: Settings, product: ModelProduct) -> dict[Stage, Held]:
    """The sealed window with its profile, drift and performance."""
    archive = Archive(settings.home)
    steps = [kind(product=product, archive=archive, settings=settings) for kind in STEPS]
    return {step.stage: step.make(DAY) for step in steps}


def dearer(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A features function: price by room, and the street as it is."""
    return frame.select(by_room=pl.col("price") / pl.col("rooms"), street=pl.col("street"))


def half_as_dear(frame: pl.LazyFrame) -> pl.LazyFrame:
    """What `dearer` may have been when another wrote it."""
    return frame.select(by_room=pl.col("price") / pl.col("rooms") / 2, street=pl.col("street"))
