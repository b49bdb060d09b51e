"""The newest verdicts on a product's traffic, as the evidence has them; None while the store does not answer."""

from collections.abc import Iterator

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import BrokenEvidence, Place
from mlops_assets.evidence.step import parse
from mlops_assets.product import ModelProduct, Stage

SHOWN = 12  # windows of a segment


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A window's verdict: *ok*, *drift* or *cannot tell*, of which kind, over how many rows, and the sentence."""

    segment: str
    window: str
    stage: str
    state: str
    kind: str
    rows: int
    words: str
    record: str


def verdicts(archive: Archive, product: ModelProduct) -> list[Judged] | None:
    """Return the newest verdicts of each segment, oldest first: on inputs, and on outcomes once they are in."""
    try:
        return [found for stage in (Stage.DRIFT, Stage.PERFORMANCE) for found in _of(archive, product, stage)]
    except (OSError, BrokenEvidence, msgspec.MsgspecError):
        return None


def _of(archive: Archive, product: ModelProduct, stage: Stage) -> Iterator[Judged]:
    made = sorted(archive.stamps(product.name, stage), key=lambda partition: parse(partition)[1])
    for segment in product.segments:
        for partition in [each for each in made if parse(each)[0] == segment][-SHOWN:]:
            held = archive.head(Place(product=product.name, stage=stage, partition=partition))
            if held is None or "state" not in held.record.facts:
                continue
            facts = held.record.facts
            yield Judged(
                segment=segment,
                window=parse(partition)[1],
                stage=stage,
                state=str(facts["state"]),
                kind=str(facts.get("kind", "")),
                rows=int(str(facts.get("rows", 0))),
                words=str(facts.get("words", "")),
                record=held.id,
            )
