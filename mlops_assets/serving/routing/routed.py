"""The ledger -> who is to be served: each segment's champion, who answers beside it, and who a rollback would serve."""

from contextlib import suppress
from dataclasses import dataclass

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act, moves_of
from mlops_assets.evidence.records import BrokenEvidence, Json, canonical, digest
from mlops_assets.evidence.traffic import Variant, traffic_of
from mlops_assets.product import ModelProduct
from mlops_assets.serving.routing.deploy import Beside, Route

Routes = dict[str, Route]
AllBeside = dict[str, list[Beside]]


@dataclass(frozen=True, kw_only=True)
class Routed:
    """Champions and who is beside them by segment, and the records of all these models."""

    routes: Routes
    beside: AllBeside
    models: list[Held]

    @property
    def id(self) -> str:
        """What changes with whoever is served, or with a share."""
        return digest(canonical([self.routes, self.beside] if self.beside else self.routes))

    @property
    def outputs(self) -> dict[str, tuple[bytes, str]]:
        """The files of a deployment's record."""
        outputs = {"routes": (msgspec.json.encode(self.routes), "json")}
        return outputs | ({"beside": (msgspec.json.encode(self.beside), "json")} if self.beside else {})

    @property
    def versions(self) -> dict[str, Json]:
        """The champion's version of each segment."""
        return {segment: route.version for segment, route in self.routes.items()}


def routed(archive: Archive, product: ModelProduct) -> Routed:
    """Return who is to be served, as the ledger has it; a segment without a champion is left out.

    Raises:
        BrokenEvidence: If the record of a model is missing or changed.
    """
    acts = archive.ledger.acts(product.name)
    routes: Routes = {}
    beside: AllBeside = {}
    models: list[Held] = []
    for segment in product.segments:
        moves = moves_of(acts, segment)
        if not moves or (version := moves[-1].version) is None or (record := moves[-1].record) is None:
            continue
        models.append(archive.held(record))
        routes[segment] = _route(version, models[-1])
        for variant in traffic_of(acts, segment).values():
            models.append(archive.held(variant.record))
            beside.setdefault(segment, []).append(_beside(variant, models[-1], segment))
    return Routed(routes=routes, beside=beside, models=models)


def warm(archive: Archive, product: ModelProduct) -> Routes:
    """Return the champion before each segment's; one whose record is damaged is left out."""
    acts = archive.ledger.acts(product.name)
    found: Routes = {}
    for segment in product.segments:
        before = _before(moves_of(acts, segment))
        if before is not None and before.version is not None and before.record is not None:
            with suppress(BrokenEvidence):
                found[segment] = _route(before.version, archive.held(before.record))
    return found


def read_routed(archive: Archive, deployment: Held) -> tuple[Routes, AllBeside]:
    """Return what the record of a deployment routes."""
    routes = msgspec.json.decode(archive.data(deployment, "routes"), type=Routes)
    if not any(output.name == "beside" for output in deployment.record.outputs):
        return routes, {}
    return routes, msgspec.json.decode(archive.data(deployment, "beside"), type=AllBeside)


def told(routes: Routes, beside: AllBeside) -> str:
    """Return a deployment in words: `eu@3, canary eu@4 5%`."""
    champions = [f"{segment}@{route.version}" for segment, route in routes.items()]
    others = [
        f"{each.name} {segment}@{each.route.version}" + ("" if each.name == "shadow" else f" {100 * each.share:g}%")
        for segment, all_ in beside.items()
        for each in all_
    ]
    return ", ".join([*champions, *others]) or "no champion yet"


def _before(moves: list[Act]) -> Act | None:
    """Return the act that made the predecessor champion, as `Ledger.predecessor` counts them."""
    latest = {act.version: act for act in moves}  # in the order in which versions first became champion
    order = list(latest)
    at = order.index(moves[-1].version) if moves else 0
    return latest[order[at - 1]] if at else None


def _route(version: int, model: Held) -> Route:
    return Route(version=version, record=model.id, model=model.file("model"), spec=model.file("spec"))


def _beside(variant: Variant, model: Held, segment: str) -> Beside:
    salt = f"{segment} {variant.record} {variant.since.at}"  # another trial draws anew who gets it
    return Beside(name=variant.name, route=_route(variant.version, model), share=variant.share, salt=salt)
