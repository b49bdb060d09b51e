"""What an operator wants to see of a product, without opening the UI: read from evidence, ledger and workers."""

from datetime import UTC, datetime

import msgspec

from mlops_assets.alerting.shown import open_words
from mlops_assets.catalogue import check_product, read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import BrokenEvidence, Struct
from mlops_assets.evidence.step import parse
from mlops_assets.intake.declared import check_source
from mlops_assets.operations.trials import trials
from mlops_assets.operations.why import Drifts, drift_times, drift_words
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.people.pending import Pending, pending
from mlops_assets.registry.people.people import check_roles, read_people
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.stored import Stored
from mlops_assets.serving.scoring.table import check_table
from mlops_assets.serving.workers import live_workers
from mlops_assets.settings import Settings


class SegmentStatus(Struct, frozen=True, kw_only=True):
    """One segment: who serves, how new the data is, what the newest window's verdict and the latest decision say.

    `drifts` says how many were found, and how soon they were found and repaired; None before the first. `waits` names
    the candidates that people have to agree to, `beside` who answers beside the champion, and how that stands.
    """

    segment: str
    champion: int | None
    since: str | None
    newest_data: str | None
    drift: str | None
    next: str | None
    drifts: Drifts | None = None
    waits: list[str] = msgspec.field(default_factory=list[str])
    beside: list[str] = msgspec.field(default_factory=list[str])


class ProductStatus(Struct, frozen=True, kw_only=True):
    """One product; `error` says why it does not load, and then there is nothing else."""

    product: str
    error: str | None = None
    now: str | None = None
    workers: list[str] = msgspec.field(default_factory=list[str])
    paused: str | None = None
    alerts: list[str] = msgspec.field(default_factory=list[str])
    segments: list[SegmentStatus] = msgspec.field(default_factory=list[SegmentStatus])


def validate(settings: Settings) -> list[str]:
    """Return what is wrong with the declarations: one message each, none if all is right."""
    catalogue = read_catalogue(settings.defs)
    people = read_people(settings.defs)
    problems = [str(error) for error in catalogue.errors.values()] + ([people.problem] if people.problem else [])
    for product in catalogue.products.values():
        try:
            check_product(product, settings)
            check_source(product, settings.root, files=settings.files(product.name))
            check_table(product, settings.root)
            check_roles(product, people)
        except (ValueError, BrokenEvidence) as problem:
            problems.append(str(catalogue.wrong(product.name, problem)))
    return problems


def status(settings: Settings, name: str | None) -> list[ProductStatus]:
    """Return the state of one product, or of all.

    Raises:
        LookupError: If there is no such product.
    """
    catalogue = read_catalogue(settings.defs)
    products = [catalogue.product(name)] if name else list(catalogue.products.values())
    broken = [ProductStatus(product=folder, error=str(error)) for folder, error in catalogue.errors.items()]
    return [_status(settings, product) for product in products] + ([] if name else broken)


def status_lines(found: list[ProductStatus]) -> list[str]:
    """Return `status` for people."""
    lines: list[str] = []
    for one in found:
        if one.error is not None:
            lines += [f"{one.product}: does not load", f"  {one.error}"]
            continue
        served = f"served by {', '.join(one.workers)}" if one.workers else "not served"
        lines.append(f"{one.product}: {served}" + (f"; paused: {one.paused}" if one.paused else ""))
        lines += [f"  alert: {alert}" for alert in one.alerts]
        for each in one.segments:
            champion, data = each.champion or "none", each.newest_data or "none"
            lines.append(
                f"  {each.segment:12} champion {champion!s:<5} data {data:12} drift {each.drift or 'no window yet'}"
            )
            lines += [f"  {'':12} {each.next}"] if each.next else []
            lines += [f"  {'':12} {drift_words(each.drifts)}"] if each.drifts else []
            lines += [f"  {'':12} {line}" for line in (*each.waits, *each.beside)]
    return lines or ["no product is declared; mlops-assets init writes one"]


def _status(settings: Settings, product: ModelProduct) -> ProductStatus:
    archive, wall = Archive(settings.home), datetime.now(UTC)
    folder = settings.serving(product.name)
    reading = Reading(settings.home, product)
    latest = {each.segment: each for _, each in reading.decisions.entries()}
    drifts = drift_times(product, reading)
    paused = archive.ledger.paused(product.name)
    waiting = pending(archive, product, read_people(settings.defs), wall)
    return ProductStatus(
        product=product.name,
        now=product_now(folder, wall).isoformat(),
        workers=[worker.url for worker in live_workers(folder, wall)],
        paused=paused.reason if paused else None,
        alerts=open_words(settings, product.name),
        segments=[
            msgspec.structs.replace(
                _segment(archive, product, segment, latest.get(segment), drifts.get(segment), waiting),
                beside=trials(settings, product, segment),
            )
            for segment in product.segments
        ],
    )


def _segment(
    archive: Archive,
    product: ModelProduct,
    segment: str,
    decision: Stored | None,
    drifts: Drifts | None,
    waiting: list[Pending],
) -> SegmentStatus:
    champion = archive.ledger.champion(product.name, segment)
    drift = _newest(archive, product, Stage.DRIFT, segment)
    data = _newest(archive, product, Stage.FEATURES, segment)
    answer = f"retrain on {decision.target}: " if decision and decision.retrain else "no retraining: "
    waits = [f"{product.name}@{each.version} {each.words}" for each in waiting if each.segment == segment]
    first = None if champion or waits else without_champion(archive, product, segment)
    return SegmentStatus(
        segment=segment,
        champion=champion.version if champion else None,
        since=champion.at if champion else None,
        newest_data=data[0] if data else None,
        drift=f"{drift[0]}: {archive.held(drift[1]).record.facts.get('words')}" if drift else None,
        next=answer + "; ".join(decision.reasons) if decision else first,
        drifts=drifts,
        waits=waits,
    )


def without_champion(archive: Archive, product: ModelProduct, segment: str) -> str:
    """Return what became of the newest candidate, or how to make the first."""
    refused = [act for act in archive.ledger.acts(product.name, "refuse", "reject") if act.segment == segment]
    if not refused:
        return f"no model yet; mlops-assets backfill {product.name} makes one"
    newest = refused[-1]
    said = "refused" if newest.kind == "refuse" else "rejected"
    return f"no champion yet: {product.name}@{newest.version} was {said} by {newest.by}: {newest.reason}"


def _newest(archive: Archive, product: ModelProduct, stage: Stage, segment: str) -> tuple[str, str] | None:
    """Return window and record id of the newest made partition of a stage."""
    heads = archive.heads(product.name, stage)
    mine = [(parse(partition)[1], record) for partition, record in heads.items() if parse(partition)[0] == segment]
    return max(mine, default=None)
