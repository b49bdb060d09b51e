"""A person's say in retraining: ask for a training, or dismiss alarms. Both are ledger acts with who, when and why."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.signed import person
from mlops_assets.product import ModelProduct
from mlops_assets.registry.people.acting import signer
from mlops_assets.registry.people.people import read_people
from mlops_assets.retraining.alarms import Alarm
from mlops_assets.retraining.loop_state import open_now, opened
from mlops_assets.retraining.shown import ID
from mlops_assets.settings import Settings


def ask(settings: Settings, name: str, *, segment: str | None, reason: str, key: Path | None = None) -> str:
    """Ask for a training of a segment, or of each, and return what follows. It is answered once, by the retrain sensor.

    Raises:
        LookupError: If there is no such product or segment.
        ValueError: If there is no champion to retrain yet, or `key` is nobody's.
    """
    product = read_catalogue(settings.defs).product(name)
    ledger = Archive(settings.home).ledger
    wanted = _segments(product, segment)
    if without := [each for each in wanted if ledger.champion(product.name, each) is None]:
        raise ValueError(
            f"{name}[{', '.join(without)}] has no champion yet; mlops-assets backfill {name} makes the first model"
        )
    who, now = signer(read_people(settings.defs), key), stamp(datetime.now(UTC))
    act = Act(kind="retrain", product=product.name, segment=segment, by="", reason=reason, at=now)
    ledger.add(who.acted(act))
    told = f"{name}: a training of {', '.join(wanted)} is asked for ({reason})"
    return f"{told}; the retrain sensor decides while mlops-assets up runs, and mlops-assets why {name} shows how"


def dismiss(
    settings: Settings, name: str, *, alarm: str | None, segment: str | None, window: str | None, reason: str
) -> Iterator[str]:
    """Close open alarms of a product without a training, all or the chosen ones, and yield each that was closed.

    Raises:
        LookupError: If no open alarm is chosen; it names those that are open.
    """
    product = read_catalogue(settings.defs).product(name)
    reading = opened(settings, product)
    found = {each: open_now(product, settings, reading, each) for each in _segments(product, segment)}
    chosen = [
        (each, one)
        for each, alarms in found.items()
        for one in alarms
        if one.id.startswith(alarm or "") and window in (None, one.window)
    ]
    if not chosen:
        known = "; ".join(_told(each, one) for each, alarms in found.items() for one in alarms)
        raise LookupError(f"{name}: no such open alarm; open alarms: {known or 'none'}")
    now = stamp(datetime.now(UTC))
    for each, one in chosen:
        reading.archive.ledger.add(_dismissal(product, each, one, reason, now))
        yield f"dismissed {_told(each, one)} ({reason})"


def _segments(product: ModelProduct, segment: str | None) -> tuple[str, ...]:
    if segment is not None and segment not in product.segments:
        raise LookupError(f"no segment {segment!r}; known segments: {', '.join(product.segments)}")
    return (segment,) if segment else product.segments


def _dismissal(product: ModelProduct, segment: str, alarm: Alarm, reason: str, at: str) -> Act:
    return Act(
        kind="dismiss",
        product=product.name,
        segment=segment,
        record=alarm.id,
        by=person(),
        reason=reason,
        at=at,
        facts={"window": alarm.window, "kind": alarm.kind, "words": alarm.words},
    )


def _told(segment: str, alarm: Alarm) -> str:
    return f"{alarm.id[:ID]} {segment} {alarm.window}: {alarm.words}"
