"""What evidence takes of a training of about ten seconds, on a million rows of four windows.

Evidence is all but the training itself: the recipe, inputs compared with their hashes, content roots, files, record
and journal. `python -m benchmarks.record_overhead_share` prints the CPU seconds of both, each
the least of several trainings, which differ by their seed.
"""

import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks import products
from benchmarks.measure import python, said
from benchmarks.results import Result, result
from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.intake.ingest import ingest
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, ModelProduct
from mlops_assets.rules import Trainer
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.step import ModelStep

AIM = 0.01
ROUNDS = 2
NAME = "million"
PARAMS = {"num_iterations": 300, "early_stopping_round": 300}  # about ten seconds of one core


class Timed(Archive):
    """An archive that knows how long it compared what was read with its hash."""

    compared_s = 0.0

    def table(self, held: Held, name: str) -> pl.DataFrame:
        """Return a table that a record names, its bytes compared first."""
        began = time.process_time()
        data = self.store.get_bytes(held.file(name))
        self.compared_s += time.process_time() - began
        return pl.read_parquet(io.BytesIO(data))


def measure() -> list[Result]:
    """Return the share of evidence in a training; both are CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        settings = products.deployment(Path(folder, "home"))
        evidence, training = map(float, said(python("-m", "benchmarks.record_overhead_share"), settings).split()[-2:])
    name = "record_overhead_share"
    return [
        result(name, evidence / (evidence + training), "share", aim=AIM),
        result(f"{name}/evidence", evidence, "CPU s", beside="the training", beside_figure=training),
    ]


def _taken(settings: Settings) -> tuple[float, float]:
    product = read_catalogue(settings.defs).product(NAME)
    partitions = sorted(ingest(Archive(settings.home), product, settings).partitions)
    for partition in partitions:
        for stage in DATA:
            step(stage, product, settings).make(partition)
    slow = product.model_copy(update={"trainer": Trainer(windows=4, params=dict(PARAMS))})
    taken = [_trained(slow.model_copy(update={"seed": seed}), settings, partitions[-1]) for seed in range(ROUNDS)]
    return min(each[0] for each in taken), min(each[1] for each in taken)


def _trained(product: ModelProduct, settings: Settings, partition: str) -> tuple[float, float]:
    archive, began = Timed(settings.home), time.process_time()
    prepared = ModelStep(product=product, archive=archive, settings=settings).prepare(partition)
    building = 0.0

    def build() -> Built:
        nonlocal building
        at = time.process_time()
        built = prepared.build()
        building = time.process_time() - at
        return built

    ready = replace(prepared, build=build)
    archive.make(ready.recipe, ready.inputs, ready.build)
    training = building - archive.compared_s
    return time.process_time() - began - training, training


if __name__ == "__main__":
    print(*_taken(load_settings()))
