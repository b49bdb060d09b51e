"""What an operator wants to see of a product, without opening the UI: read from evidence, ledger and workers."""

from datetime import UTC, datetime

import msgspec

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.step import parse
from mlops_assets.intake.sources import check_source
from mlops_assets.monitoring.stored import Stored, stored_decisions
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.deploy import live_workers
from mlops_assets.settings import Settings

Body = dict[str, Json]


def validate(settings: Settings) -> list[str]:
    """Return what is wrong with the declarations: one message each, none if all is right."""
    catalogue = read_catalogue(settings.defs)
    problems = [str(error) for error in catalogue.errors.values()]
    for product in catalogue.products.values():
        try:
            check_source(product, settings.root)
        except ValueError as problem:
            problems.append(f"{settings.defs / product.name}: {problem}")
    return problems


def status(settings: Settings, name: str | None) -> list[Body]:
    """Return the state of one product, or of all.

    Raises:
        LookupError: If there is no such product.
    """
    catalogue = read_catalogue(settings.defs)
    products = [catalogue.product(name)] if name else list(catalogue.products.values())
    broken: list[Body] = [{"product": folder, "error": str(error)} for folder, error in catalogue.errors.items()]
    return [_status(settings, product) for product in products] + ([] if name else broken)


def status_lines(body: list[Body]) -> list[str]:
    """Return `status` for people."""
    lines: list[str] = []
    for one in body:
        if "error" in one:
            lines += [f"{one['product']}: does not load", f"  {one['error']}"]
            continue
        lines.append(f"{one['product']}: {one['health']}" + (f", paused: {one['paused']}" if one["paused"] else ""))
        for segment in one["segments"]:
            lines.append(
                f"  {segment['segment']:12} champion {segment['champion'] or 'none':<5} data {segment['newest_data'] or 'none':12} "
                f"drift {segment['drift'] or 'no window yet'}"
            )
            lines += [f"  {'':12} next: {segment['next']}"] if segment["next"] else []
    return lines


def decisions(settings: Settings, name: str, *, since: str | None) -> list[Body]:
    """Return the stored retraining decisions of a product, oldest first."""
    product = read_catalogue(settings.defs).product(name)
    return [msgspec.to_builtins(each) for each in stored_decisions(settings.home, product.name) if not since or each.at >= since]


def decision_lines(rows: list[Body]) -> list[str]:
    """Return decisions for people: when, for what, the answer and its reasons."""
    lines = [f"{r['at'][:19]} {r['segment']:10} {'retrain ' + r['target'] if r['retrain'] else 'no':20} {'; '.join(r['reasons'])}" for r in rows]
    return lines or ["no decision yet: no window of live traffic was judged"]


def _status(settings: Settings, product: ModelProduct) -> Body:
    archive = Archive(settings.home)
    now = product_now(settings.serving(product.name), datetime.now(UTC))
    workers = live_workers(settings.serving(product.name), datetime.now(UTC))
    latest = {each.segment: each for each in stored_decisions(settings.home, product.name)}
    paused = archive.ledger.paused(product.name)
    return {
        "product": product.name,
        "now": now.isoformat(),
        "health": f"{len(workers)} worker{'s' if len(workers) != 1 else ''} serving" if workers else "not served",
        "workers": [worker.url for worker in workers],
        "paused": paused.reason if paused else None,
        "segments": [_segment(archive, product, segment, latest.get(segment)) for segment in product.segments],
    }


def _segment(archive: Archive, product: ModelProduct, segment: str, decision: Stored | None) -> Body:
    champion = archive.ledger.champion(product.name, segment)
    drift = _newest(archive, product, Stage.DRIFT, segment)
    verdict = archive.held(drift[1]).record.facts.get("words") if drift else None
    data = _newest(archive, product, Stage.FEATURES, segment)
    return {
        "segment": segment,
        "champion": champion.version if champion else None,
        "since": champion.at if champion else None,
        "newest_data": data[0] if data else None,
        "drift": f"{drift[0]}: {verdict}" if drift else None,
        "next": "; ".join(decision.reasons) if decision else None,
    }


def _newest(archive: Archive, product: ModelProduct, stage: Stage, segment: str) -> tuple[str, str] | None:
    """Return window and record id of the newest made partition of a stage."""
    heads = archive.heads(product.name, stage)
    mine = [(parse(partition)[1], record) for partition, record in heads.items() if parse(partition)[0] == segment]
    return max(mine, default=None)
