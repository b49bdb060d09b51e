"""Who answers beside the champions of a product, how they do, and a person's say in it."""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Struct
from mlops_assets.evidence.signed import person
from mlops_assets.evidence.traffic import VariantName, traffic_of
from mlops_assets.monitoring.late_labels import labelled
from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.sealed import CHAMPION
from mlops_assets.serving.ramp import acts
from mlops_assets.serving.ramp.tend import Look, Tending
from mlops_assets.serving.ramp.verdict import Verdict
from mlops_assets.serving.routing.counts import VariantCounts, quantile_us
from mlops_assets.settings import Settings


class Share(Struct, frozen=True, kw_only=True):
    """Who answers which share (0 to 1) of a segment's requests, and what was counted since it was last changed.

    `state` says what the ramp waits for, or would do; `verdict` compares losses on matured outcomes.
    """

    segment: str
    variant: str
    version: int
    share: float
    since: str
    requests: int | None = None
    errors: int | None = None
    p95_ms: float | None = None
    state: str | None = None
    verdict: Verdict | None = None


def traffic(settings: Settings, name: str) -> list[Share]:
    """Return who answers in every segment of a product that has a champion.

    Raises:
        LookupError: If there is no such product.
    """
    product = read_catalogue(settings.defs).product(name)
    ledger, tending = Archive(settings.home).ledger, Tending(product, settings, labelled)
    found: list[Share] = []
    for segment in product.segments:
        champion = ledger.champion(name, segment)
        if champion is None or champion.version is None:
            continue
        looks = tending.looks(segment, datetime.now(UTC))
        rest = 1 - sum(look.tried.variant.share for look in looks)
        first = Share(
            segment=segment,
            variant=CHAMPION,
            version=champion.version,
            share=round(rest, 6),
            since=champion.at,
            state=_taken_back(ledger.acts(name), segment),
        )
        found.append(_counted(first, looks[0].seen.champion) if looks else first)
        found += [_tried(look) for look in looks]
    return found


def traffic_lines(name: str, found: list[Share]) -> list[str]:
    """Return `traffic` for people."""
    lines: list[str] = []
    for each in found:
        share = "copies" if each.variant == "shadow" else f"{100 * each.share:.4g}%"
        counted = ""
        if each.requests is not None:
            slow = "" if each.p95_ms is None else f", 95% within {each.p95_ms:g} ms"
            counted = f"  {each.requests:,} requests, {each.errors:,} failed{slow}"
        where = each.segment if each.variant == CHAMPION else ""
        lines.append(f"{where:12} {each.variant:8} {each.version!s:>4} {share:>7}{counted}")
        lines += [f"{'':12} {each.state}"] if each.state else []
        lines += [f"{'':12} {each.verdict.words}"] if each.verdict else []
    return lines or [f"{name} has no champion yet"]


def trials(settings: Settings, product: ModelProduct, segment: str) -> list[str]:
    """Return in short who answers beside the champion of a segment, and how that stands."""
    known = Archive(settings.home).ledger.acts(product.name)
    if not traffic_of(known, segment):
        return list(filter(None, [_taken_back(known, segment)]))
    looks = Tending(product, settings, labelled).looks(segment, datetime.now(UTC))
    return [line.strip() for look in looks for line in traffic_lines(product.name, [_tried(look)])]


def set_traffic(
    settings: Settings,
    name: str,
    segment: str | None,
    variant: VariantName,
    version: int,
    share: float | None,
    why: str,
) -> list[str]:
    """Let a version answer beside the champion, and return what was done.

    Raises:
        LookupError: If there is no such product, segment or version.
        ValueError: If it cannot answer there; it says what is right.
    """
    product = read_catalogue(settings.defs).product(name)
    return acts.set_traffic(settings, product, segment, variant, version, share, by=person(), reason=why)


def withdraw(settings: Settings, name: str, segment: str | None, why: str) -> list[str]:
    """End what answers beside the champion, and return what was done.

    Raises:
        LookupError: If there is no such product or segment, or nothing to end.
    """
    return acts.withdraw(settings, read_catalogue(settings.defs).product(name), segment, by=person(), reason=why)


def _taken_back(known: Iterable[Act], segment: str) -> str | None:
    """Return what was taken back last, and why, as long as nobody answers beside the champion and it stays."""
    kinds = ("traffic", "withdraw", "promote", "rollback")
    moves = [act for act in known if act.segment == segment and act.kind in kinds]
    if not moves or moves[-1].kind != "withdraw":
        return None
    last = moves[-1]
    return f"{last.facts['variant']} {last.version} was taken back by {last.by} at {last.at[:19]}: {last.reason}"


def _tried(look: Look) -> Share:
    variant = look.tried.variant
    share = Share(
        segment=look.tried.segment,
        variant=variant.name,
        version=variant.version,
        share=variant.share,
        since=variant.since.at,
        state=_state(look),
        verdict=look.verdict,
    )
    return _counted(share, look.seen.variant)


def _counted(share: Share, counts: VariantCounts) -> Share:
    slow = quantile_us(counts.latency, 0.95)
    return msgspec.structs.replace(
        share, requests=counts.requests, errors=counts.errors, p95_ms=None if slow is None else slow / 1000
    )


def _state(look: Look) -> str | None:
    variant, found = look.tried.variant, look.judgement
    if found.answer == "withdraw" and variant.name != "split":
        return f"is worse: {found.reason}"
    if not variant.ramped:
        return None
    return f"waits: {found.reason}" if found.answer == "hold" else f"goes on: {found.reason}"
