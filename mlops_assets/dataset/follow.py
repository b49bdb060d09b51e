"""Which windows have rows or labels that their dataset does not hold yet."""

from collections.abc import Collection, Generator, Iterator, Mapping
from datetime import datetime
from functools import cache

from mlops_assets.annotations.step import AnnotationsStep
from mlops_assets.dataset.step import DatasetStep
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import BrokenEvidence, Place, canonical, digest
from mlops_assets.evidence.settled import Settled
from mlops_assets.evidence.step import Due, Step, parse
from mlops_assets.intake.ingest import COLUMNS, SOURCE, ingest
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL, Grid

Stamps = Mapping[str, tuple[int, int]]


def due(
    product: ModelProduct, settings: Settings, wall: datetime, busy: Collection[str] = frozenset()
) -> Generator[Due]:
    """Yield the partitions to make, oldest first, but for those that are `busy`. What is not taken is due again.

    A window is looked at once it has ended and its labels are due, by the product's clock; and not again as long as
    its source, its traffic, its records and what they are made with stay the same.

    Raises:
        NotReady: If the source cannot be read.
    """
    archive, settled = Archive(settings.home), Settled(settings.home / "sensors" / f"{product.name}_data.json")
    manifest = ingest(archive, product, settings)
    now = product_now(settings.serving(product.name), wall)
    try:
        for partition, state in _states(product, archive, manifest.partitions, now):
            if partition in busy or settled.holds(partition, state):
                continue
            try:
                found = _due(product, settings, archive, partition)
            except BrokenEvidence as problem:  # its run says so and fails; the other windows go on
                found = Due(partition=partition, version=state, why=f"broken evidence: {problem}")
            if found is None:
                settled.note(partition, state)
            else:
                yield found
    finally:
        settled.save()


def _due(product: ModelProduct, settings: Settings, archive: Archive, partition: str) -> Due | None:
    """Return the partition if a stage of it is missing or stale; one that failed its check waits for other inputs."""
    for kind in (AnnotationsStep, DatasetStep):
        step = kind(product=product, archive=archive, settings=settings)
        status, why = step.status(partition)
        if status in ("missing", "stale"):
            return Due(partition=partition, version=_version(step, partition), why=f"{step.stage}: {status}, {why}")
    dataset = archive.head(Place(product=product.name, stage=Stage.DATASET, partition=partition))
    features = archive.head(Place(product=product.name, stage=Stage.FEATURES, partition=partition))
    if dataset is None or dataset.record.failed:
        return None
    if features is None or all(source.root != dataset.record.root for source in features.record.inputs):
        return Due(partition=partition, version=dataset.id[:16], why="features: not of this dataset")
    return None


def _version(step: Step, partition: str) -> str:
    """Return what is asked for, and from where: inputs that are again as they once were are made again."""
    head = step.archive.head(step.place(partition))
    return digest(canonical([step.prepare(partition).recipe.id, head.id if head else None]))[:16]


def _states(
    product: ModelProduct, archive: Archive, in_source: Collection[str], now: datetime
) -> Iterator[tuple[str, str]]:
    """Yield every partition whose labels are due, oldest first, and what changes with anything that it is made of."""
    stamps: dict[str, Stamps] = {each: archive.stamps(product.name, each) for each in (SOURCE, COLUMNS, *DATA)}
    served = _served(product, archive.stamps(product.name, Stage.PREDICTIONS))
    code = code_id("mlops_assets.annotations.step", "mlops_assets.dataset.step")
    made_with = (product.model_dump_json(), code, stamps[COLUMNS].get(ALL))
    common = digest(repr(made_with).encode())
    for partition in sorted({*in_source, *served}, key=lambda key: (parse(key)[1], key)):
        segment, window = parse(partition)
        if product.windows is None or _end(product.windows, window) + product.label.delay <= now:
            own = [stamps[stage].get(partition) for stage in (SOURCE, *DATA)]
            before = _before(product.windows, window) if product.windows else None
            seen = (common, own, stamps[Stage.ANNOTATIONS].get(f"{segment}|{before}"), served.get(partition))
            yield partition, digest(repr(seen).encode())[:16]


def _served(product: ModelProduct, sealed: Stamps) -> dict[str, list[tuple[str, tuple[int, int]]]]:
    """Return by partition the traffic that was sealed in it: live rows are rows to learn from."""
    if product.windows is None or product.endpoint.personal:
        return {}
    found: dict[str, list[tuple[str, tuple[int, int]]]] = {}
    monitored = product.grid
    for partition in sorted(sealed):
        segment, window = parse(partition)
        if (held := _holding(monitored, product.windows, window)) is not None:
            found.setdefault(f"{segment}|{held}", []).append((window, sealed[partition]))
    return found


@cache
def _holding(monitored: Grid, windows: Grid, window: str) -> str | None:
    """Return the window of data in which a monitoring window begins, if there is one."""
    start, _ = monitored.bounds(window)
    return windows.key(start) if windows.holds(start) else None


@cache
def _end(windows: Grid, window: str) -> datetime:
    return windows.bounds(window)[1]


@cache
def _before(windows: Grid, window: str) -> str | None:
    """Return the window before, whose labels those of `window` are compared with."""
    return next(iter(windows.before(window, 2)[:-1]), None)
