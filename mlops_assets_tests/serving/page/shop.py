"""Houses whose names and values try to become markup, deployed without Dagster, and their endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from mlops_assets.detection.verdict import State, Verdict
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place, Recipe
from mlops_assets.monitoring.steps import verdict_built
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.rules import Decide
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.settings import Settings
from mlops_assets_tests import photos
from mlops_assets_tests.houses import HOUSES, WEEKS, declare, deployment, make, registered, sales
from mlops_assets_tests.serving.loans import Running
from mlops_assets_tests.started import started, until

SCRIPT = "<script>document.title = 'broken in'</script>"
IMAGE = "<img src=x onerror=\"document.title = 'broken in'\">"
INFER = "/v2/models/houses/infer"
SHOP = HOUSES.model_copy(update={"description": f"Whether a house is sold. {IMAGE}", "decide": Decide(threshold=0.4)})


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A deployment in which bath and york have champions, and bath a second model that is not promoted yet."""

    settings: Settings
    product: ModelProduct

    @property
    def archive(self) -> Archive:
        return Archive(self.settings.home)

    def deploy(self) -> str:
        """Ask for what the ledger says, and return the deployment."""
        return EndpointStep(product=self.product, archive=self.archive, settings=self.settings).make("all").id

    def promote(self, segment: str, week: str, version: int) -> None:
        [made] = make(self.settings, self.product, f"{segment}|{week}", Stage.MODEL).values()
        known = registered(self.settings, made, version)
        current = self.archive.ledger.champion(self.product.name, segment)
        act = msgspec.structs.replace(known, kind="promote", by="gate")
        self.archive.ledger.move_champion(act, expected=current.version if current else None)

    def judged(self, town: str, day: str, state: State, words: str) -> None:
        """Store a verdict on a day, as its step does."""
        verdict = Verdict(state=state, kind="data", p_value=0.01, rows=100, windows=28, words=words)
        place = Place(product="houses", stage=Stage.DRIFT, partition=f"{town}|{day}")
        built = verdict_built(verdict, "no_drift", {"version": 1})
        self.archive.make(Recipe(place=place, code=words), [], lambda: built)

    @contextmanager
    def endpoint(self) -> Iterator[Running]:
        """Its endpoint, once it answers."""
        with started(self.settings, "serve", self.product.name, "--port", "0") as run:
            until(lambda: "serving at " in run.text, what="an endpoint", within_s=60)
            yield Running(process=run.process, url=run.text.split("serving at ")[1].split()[0])  # type: ignore[arg-type]


def shop(folder: Path) -> Shop:
    """Make data and models, promote the first of each town, and deploy."""
    rows = sales(2).with_columns(street=pl.col("street").replace({"mill": SCRIPT, "low": IMAGE}))
    found = Shop(settings=deployment(folder, rows), product=SHOP)
    declare(found.settings, SHOP)
    for partition in (f"bath|{WEEKS[0]}", f"bath|{WEEKS[1]}", f"york|{WEEKS[0]}"):
        make(found.settings, SHOP, partition, *DATA)
    found.promote("bath", WEEKS[0], 1)
    found.promote("york", WEEKS[0], 2)
    make(found.settings, SHOP, f"bath|{WEEKS[1]}", Stage.MODEL)
    found.judged("bath", "2026-01-13", "ok", "no drift")
    found.judged("bath", "2026-01-14", "drift", f"data drift: street is {IMAGE}")
    found.deploy()
    return found


def gallery(folder: Path) -> Shop:
    """A product of images, deployed."""
    folder.mkdir()
    found = Shop(settings=photos.deployment(folder), product=photos.PHOTOS)
    declare(found.settings, found.product)
    make(found.settings, found.product, f"all|{WEEKS[0]}", *DATA)
    found.promote("all", WEEKS[0], 1)
    found.deploy()
    return found
