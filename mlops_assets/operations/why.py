"""Why a product was or was not retrained: decisions, the alarms behind each, and the drifts with their times."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Struct
from mlops_assets.monitoring.origin import origin_now
from mlops_assets.product import ModelProduct
from mlops_assets.retraining.episodes import Drift, Found, mean
from mlops_assets.retraining.evidenced import found_alarms, known_drifts
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.shown import decision_lines, drift_lines, mean_words
from mlops_assets.retraining.stored import Stored
from mlops_assets.settings import Settings


class Drifts(Struct, frozen=True, kw_only=True):
    """How many drifts were found and are open, and how soon they were found and repaired, by the product's clock."""

    found: int
    open: int
    repaired: int
    mean_time_to_detect_s: float | None
    mean_time_to_repair_s: float | None


class Why(Struct, frozen=True, kw_only=True):
    """Decisions and drifts of a product, oldest first; `alarms` are those that the decisions considered, by record.

    `origins` says of each open drift, by its segment and newest window, where it entered as far as is known by now.
    """

    product: str
    decisions: list[Stored]
    alarms: dict[str, Found]
    drifts: list[Drift]
    origins: dict[str, str]
    times: Drifts


def why(settings: Settings, name: str, *, since: str | None) -> Why:
    """Return the decisions on a product and the drifts found in it, all or since a time of the product's clock.

    Raises:
        LookupError: If there is no such product.
        ValueError: If `since` is no time.
    """
    product = read_catalogue(settings.defs).product(name)
    reading, first = Reading(settings.home, product), _moment(since)
    decisions = [each for _, each in reading.decisions.entries() if datetime.fromisoformat(each.at) >= first]
    behind = dict.fromkeys(alarm for each in decisions for alarm in (*each.considered, *each.alarms))
    drifts = [each for each in known_drifts(product, reading) if datetime.fromisoformat(each.detected_at) >= first]
    return Why(
        product=product.name,
        decisions=decisions,
        alarms={alarm.id: alarm for alarm in found_alarms(product, reading, behind)},
        drifts=drifts,
        origins=dict(_origins(product, settings, drifts)),
        times=_times(drifts),
    )


def why_lines(found: Why) -> list[str]:
    """Return `why` for people."""
    entered = [f"  {place.partition('|')[0]:10} {words}" for place, words in found.origins.items()]
    return [
        *decision_lines(found.decisions, found.alarms),
        *drift_lines(found.drifts),
        *(["where the open ones entered", *entered] if entered else []),
    ]


def drift_words(times: Drifts) -> str:
    """Return how many drifts there were, and the mean times, in words."""
    found = f"{times.found} drift{'' if times.found == 1 else 's'} found, {times.repaired} repaired, {times.open} open"
    return f"{found}; {mean_words(times.mean_time_to_detect_s, times.mean_time_to_repair_s)}"


def drift_times(product: ModelProduct, reading: Reading) -> Mapping[str, Drifts]:
    """Return how soon the drifts of each segment that has had one were found and repaired."""
    by_segment: dict[str, list[Drift]] = {}
    for drift in known_drifts(product, reading):
        by_segment.setdefault(drift.segment, []).append(drift)
    return {segment: _times(drifts) for segment, drifts in by_segment.items()}


def _origins(product: ModelProduct, settings: Settings, drifts: Sequence[Drift]) -> Iterator[tuple[str, str]]:
    for drift in drifts:
        place = f"{drift.segment}|{drift.last}"
        origin = origin_now(product, Archive(settings.home), place) if drift.ending == "open" else None
        if origin is not None:
            yield place, origin.words


def _times(drifts: list[Drift]) -> Drifts:
    means = mean(drifts)
    return Drifts(
        found=len(drifts),
        open=sum(drift.ending == "open" for drift in drifts),
        repaired=sum(drift.ending == "repaired" for drift in drifts),
        mean_time_to_detect_s=means.to_detect_s,
        mean_time_to_repair_s=means.to_repair_s,
    )


def _moment(text: str | None) -> datetime:
    """Return a time given by a person; one without an offset is UTC.

    Raises:
        ValueError: If it is no time.
    """
    try:
        at = datetime.fromisoformat(text) if text else datetime.min
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; right is an ISO time: 2026-02-19, or 2026-02-19T14:00+01:00") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
