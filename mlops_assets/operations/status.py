"""What an operator wants to see of a product, without opening the UI: read from evidence, ledger and workers."""

from datetime import UTC, datetime

import msgspec

from mlops_assets.catalogue import check_product, read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import BrokenEvidence, Struct
from mlops_assets.evidence.step import parse
from mlops_assets.intake.sources import check_source
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.stored import Stored, stored_decisions
from mlops_assets.serving.workers import live_workers
from mlops_assets.settings import Settings


class SegmentStatus(Struct, frozen=True, kw_only=True):
    """One segment: who serves, how new the data is, what the newest window's verdict and the latest decision say."""

    segment: str
    champion: int | None
    since: str | None
    newest_data: str | None
    drift: str | None
    next: str | None


class ProductStatus(Struct, frozen=True, kw_only=True):
    """One product; `error` says why it does not load, and then there is nothing else."""

    product: str
    error: str | None = None
    now: str | None = None
    workers: list[str] = msgspec.field(default_factory=list[str])
    paused: str | None = None
    segments: list[SegmentStatus] = msgspec.field(default_factory=list[SegmentStatus])


def validate(settings: Settings) -> list[str]:
    """Return what is wrong with the declarations: one message each, none if all is right."""
    catalogue = read_catalogue(settings.defs)
    problems = [str(error) for error in catalogue.errors.values()]
    for product in catalogue.products.values():
        try:
            check_product(product, settings)
            check_source(product, settings.root)
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
        for each in one.segments:
            champion, data = each.champion or "none", each.newest_data or "none"
            lines.append(
                f"  {each.segment:12} champion {champion!s:<5} data {data:12} drift {each.drift or 'no window yet'}"
            )
            lines += [f"  {'':12} {each.next}"] if each.next else []
    return lines or ["no product is declared; mlops-assets init writes one"]


def decisions(settings: Settings, name: str, *, since: str | None) -> list[Stored]:
    """Return the stored retraining decisions of a product, oldest first."""
    product = read_catalogue(settings.defs).product(name)
    return [each for each in stored_decisions(settings.home, product.name) if not since or each.at >= since]


def decision_lines(rows: list[Stored]) -> list[str]:
    """Return decisions for people: when, for what, the answer and its reasons."""
    lines = [
        f"{row.at[:19]} {row.segment:10} {f'retrain on {row.target}' if row.retrain else 'no':22} "
        f"{'; '.join(row.reasons)}"
        for row in rows
    ]
    return lines or ["no decision yet: no window of live traffic was judged"]


def _status(settings: Settings, product: ModelProduct) -> ProductStatus:
    archive, wall = Archive(settings.home), datetime.now(UTC)
    folder = settings.serving(product.name)
    latest = {each.segment: each for each in stored_decisions(settings.home, product.name)}
    paused = archive.ledger.paused(product.name)
    return ProductStatus(
        product=product.name,
        now=product_now(folder, wall).isoformat(),
        workers=[worker.url for worker in live_workers(folder, wall)],
        paused=paused.reason if paused else None,
        segments=[_segment(archive, product, segment, latest.get(segment)) for segment in product.segments],
    )


def _segment(archive: Archive, product: ModelProduct, segment: str, decision: Stored | None) -> SegmentStatus:
    champion = archive.ledger.champion(product.name, segment)
    drift = _newest(archive, product, Stage.DRIFT, segment)
    data = _newest(archive, product, Stage.FEATURES, segment)
    answer = f"retrain on {decision.target}: " if decision and decision.retrain else "no retraining: "
    first = None if champion else f"no model yet; mlops-assets backfill {product.name} makes one"
    return SegmentStatus(
        segment=segment,
        champion=champion.version if champion else None,
        since=champion.at if champion else None,
        newest_data=data[0] if data else None,
        drift=f"{drift[0]}: {archive.held(drift[1]).record.facts.get('words')}" if drift else None,
        next=answer + "; ".join(decision.reasons) if decision else first,
    )


def _newest(archive: Archive, product: ModelProduct, stage: Stage, segment: str) -> tuple[str, str] | None:
    """Return window and record id of the newest made partition of a stage."""
    heads = archive.heads(product.name, stage)
    mine = [(parse(partition)[1], record) for partition, record in heads.items() if parse(partition)[0] == segment]
    return max(mine, default=None)
