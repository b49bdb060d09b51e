"""Which windows have rows or labels that their dataset does not hold yet."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.annotations.step import AnnotationsStep
from mlops_assets.dataset.step import DatasetStep
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import Place, canonical, digest
from mlops_assets.evidence.step import Step, parse
from mlops_assets.intake.ingest import ingest
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import Settings

DUE = "due"


@dataclass(frozen=True, kw_only=True)
class Due:
    """A partition to make; `version` is the same as long as its inputs are."""

    partition: str
    version: str
    why: str


def due(product: ModelProduct, settings: Settings, wall: datetime, cursor: str | None) -> tuple[list[Due], str]:
    """Return the partitions to make, oldest first, and the cursor: `due` as long as there are any.

    A window is looked at once it has ended and its labels are due, by the product's clock.

    Raises:
        NotReady: If the source cannot be read.
    """
    archive = Archive(settings.home)
    manifest = ingest(archive, product, settings)
    now = product_now(settings.serving(product.name), wall)
    sealed = archive.heads(product.name, Stage.PREDICTIONS)
    partitions = sorted(set(manifest.partitions) | _served(product, sealed), key=lambda key: (parse(key)[1], key))
    mature = [partition for partition in partitions if _matured(product, partition, now)]
    seen = digest(canonical({"source": manifest.record, "sealed": sealed, "mature": mature}))
    if seen == cursor:
        return [], seen
    found = [each for partition in mature for each in _due(product, settings, archive, partition)]
    return found, DUE if found else seen  # what is due is looked at again, in case that its run fails


def _due(product: ModelProduct, settings: Settings, archive: Archive, partition: str) -> Iterator[Due]:
    """Yield the partition if a stage of it is missing or stale; one that failed its check waits for other inputs."""
    for kind in (AnnotationsStep, DatasetStep):
        step = kind(product=product, archive=archive, settings=settings)
        status, why = step.status(partition)
        if status in ("missing", "stale"):
            yield Due(partition=partition, version=_version(step, partition), why=f"{step.stage}: {status}, {why}")
            return
    dataset = archive.head(Place(product=product.name, stage=Stage.DATASET, partition=partition))
    features = archive.head(Place(product=product.name, stage=Stage.FEATURES, partition=partition))
    if dataset is None or dataset.record.failed:
        return
    if features is None or all(source.root != dataset.record.root for source in features.record.inputs):
        yield Due(partition=partition, version=dataset.id[:16], why="features: not of this dataset")


def _version(step: Step, partition: str) -> str:
    """Return what is asked for, and from where: inputs that are again as they once were are made again."""
    head = step.archive.head(step.place(partition))
    return digest(canonical([step.prepare(partition).recipe.id, head.id if head else None]))[:16]


def _served(product: ModelProduct, sealed: dict[str, str]) -> set[str]:
    """Return the partitions in which traffic was sealed: live rows are rows to learn from."""
    grid = product.windows
    if grid is None:
        return set()
    places = [(segment, product.grid.bounds(window)[0]) for segment, window in map(parse, sealed)]
    return {f"{segment}|{grid.key(start)}" for segment, start in places if grid.holds(start)}


def _matured(product: ModelProduct, partition: str, now: datetime) -> bool:
    window = parse(partition)[1]
    return product.windows is None or product.windows.bounds(window)[1] + product.label.delay <= now
