"""Which windows have rows in the table that are not scored yet."""

from collections.abc import Collection, Generator
from datetime import datetime

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import BrokenEvidence, Place, digest
from mlops_assets.evidence.settled import Settled
from mlops_assets.evidence.step import Due, parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.scoring.step import is_over
from mlops_assets.serving.scoring.table import TABLE, part_of, read_table
from mlops_assets.settings import Settings


def unscored(
    product: ModelProduct, settings: Settings, wall: datetime, busy: Collection[str] = frozenset()
) -> Generator[Due]:
    """Yield the windows to score, oldest first, but for those that are `busy`. What is not taken is due again.

    A window is scored once it is over, by the product's clock, and its segment has a champion.

    Raises:
        NotReady: If the table cannot be read.
    """
    archive, settled = Archive(settings.home), Settled(settings.home / "sensors" / f"{product.name}_scores.json")
    folder = settings.serving(product.name)
    deployed, now = read_deployment(folder), product_now(folder, wall)
    found = read_table(archive, product, settings).partitions
    tables, scored = archive.stamps(product.name, TABLE), archive.stamps(product.name, Stage.SCORES)
    try:
        for partition in sorted(found, key=lambda each: (parse(each)[1], each)):
            segment, window = parse(partition)
            state = digest(repr((tables.get(partition), scored.get(partition))).encode())[:16]
            served = deployed is not None and segment in deployed.routes
            if not served or partition in busy or settled.holds(partition, state) or not is_over(product, window, now):
                continue
            why = _due(archive, product, partition)
            if why is None:
                settled.note(partition, state)
            else:
                yield Due(partition=partition, version=state, why=why)
    finally:
        settled.save()


def _due(archive: Archive, product: ModelProduct, partition: str) -> str | None:
    """Return why a window is to be scored, or None if it is."""
    try:
        part, head = part_of(archive, product, partition), _scores(archive, product, partition)
    except BrokenEvidence as problem:  # its run says so and fails; the other windows go on
        return f"broken evidence: {problem}"
    if head is None:
        return "rows that are not scored"
    return "rows came or changed" if part is not None and head.record.state["table"] != part.record.root else None


def _scores(archive: Archive, product: ModelProduct, partition: str) -> Held | None:
    return archive.head(Place(product=product.name, stage=Stage.SCORES, partition=partition))
