"""Stored decisions -> the verdicts behind them, read back from their records, and the drifts that they make up."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from mlops_assets.detection.verdict import Kind
from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.step import parse
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.episodes import Drift, Found, drifts
from mlops_assets.retraining.reading import Reading


def known_drifts(product: ModelProduct, reading: Reading) -> list[Drift]:
    """Return every drift that a decision of the product ever considered, oldest first."""
    decisions = [decision for _, decision in reading.decisions.entries()]
    ids = dict.fromkeys(alarm for each in decisions for alarm in (*each.considered, *each.alarms))
    return drifts(list(found_alarms(product, reading, ids)), decisions, reading.acts())


def found_alarms(product: ModelProduct, reading: Reading, ids: Iterable[str]) -> list[Found]:
    """Return the alarms with these records."""
    return [_found(product, reading, reading.held(record)) for record in ids]


def _found(product: ModelProduct, reading: Reading, held: Held) -> Found:
    segment, window = parse(held.record.place.partition)
    facts = held.record.facts
    return Found(
        id=held.id,
        segment=segment,
        kind=msgspec.convert(facts["kind"], Kind),
        version=msgspec.convert(facts["version"], int),
        window=window,
        end=product.grid.bounds(window)[1],
        words=str(facts["words"]),
        sealed=_sealed(reading, held),
        judged=datetime.fromisoformat(held.envelope.at),
    )


def _sealed(reading: Reading, held: Held) -> datetime:
    """Return when the predictions were sealed that a verdict is about, by the wall clock."""
    for source in held.record.inputs:
        if source.place.stage == Stage.PREDICTIONS:
            return datetime.fromisoformat(reading.held(source.record).envelope.at)
        if source.place.stage == Stage.PROFILE:
            return _sealed(reading, reading.held(source.record))
    return datetime.fromisoformat(held.envelope.at)
