"""Segment -> who answers for it: an immutable table, replaced at once; the models of the ones before stay warm."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from mlops_assets.evidence.store import Store
from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.keeping import keeper_of, kept_columns
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.counts import VariantCounts, counts_key
from mlops_assets.serving.routing.deploy import Deployment, Route
from mlops_assets.serving.routing.lanes import Answerer, Lane, Model, lane_of
from mlops_assets.serving.routing.probes import probes
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor


@dataclass(frozen=True)
class Table:
    """One deployment, loaded. `segments` are those the product declares, with or without a champion."""

    deployment: str | None
    lanes: Mapping[str, Lane]
    segments: Sequence[str]
    fallback: str | None = None

    @cached_property
    def answerers(self) -> Mapping[str, Answerer]:
        """The champion of each segment that has one."""
        return {segment: lane.champion for segment, lane in self.lanes.items()}

    @cached_property
    def pixels(self) -> int:
        """How many values the images of a row may have."""
        return max((by.model.decoder.pixels for by in self.everyone), default=0)

    def lane(self, segment: str) -> Lane:
        """Return who answers for `segment` and who beside; for an unknown segment those of the fallback.

        Raises:
            Refused: 503 while the segment has no champion, 422 if it is unknown and there is no fallback.
        """
        found = self.lanes.get(segment)
        if found is not None:
            return found
        if segment not in self.segments and self.fallback is None:
            known = ", ".join(self.segments)
            raise Refused(422, f"no segment {segment!r}; known segments: {known}")
        served = segment if segment in self.segments or self.fallback is None else self.fallback
        if served in self.lanes:
            return self.lanes[served]
        raise Refused(503, f"segment {served!r} has no champion yet; its first one is served as soon as it is promoted")

    @property
    def everyone(self) -> Iterator[Answerer]:
        """All who answer or get copies, champions first in each segment."""
        for lane in self.lanes.values():
            yield from lane.everyone

    def counts(self) -> dict[str, VariantCounts]:
        """Return what each of them did since its segment was last routed otherwise, by `segment/variant/version`."""
        return {counts_key(by.segment, by.variant, by.version): by.tally.counts() for by in self.everyone}


def empty_table(product: ModelProduct) -> Table:
    """Return the table before the first deployment: every answer is a 503 that says so."""
    return Table(deployment=None, lanes={}, segments=product.segments, fallback=product.fallback)


class Loader:
    """Makes tables of deployments. A model is loaded and checked once, and kept while the last two tables have it.

    A segment that is routed as before keeps its lane, and with it its counts.
    """

    def __init__(self, product: ModelProduct, store: Store, secret: bytes = b"") -> None:
        """Read models from `store`; `secret` hashes personal columns in the log."""
        self._product = product
        self._store = store
        self._secret = secret
        self._kept: dict[tuple[str, str], Model] = {}
        self._last: set[tuple[str, str]] = set()
        self._lanes: dict[str, tuple[object, Lane]] = {}

    def table(self, deployment: Deployment) -> Table:
        """Return the table of `deployment`, each of its models checked against the offline path.

        Raises:
            BrokenEvidence: If a model's bytes are missing or changed.
            NotEqual: If a model would answer otherwise than offline.
            ValueError: If it is the deployment of another product, or shares are by a column that no request has.
        """
        if deployment.product != self._product.name:
            raise ValueError(f"a deployment of {deployment.product!r}; right is one of {self._product.name!r}")
        routes = [*deployment.routes.values(), *(each.route for all_ in deployment.beside.values() for each in all_)]
        models = {_key(route): self._kept.get(_key(route)) or self._load(route) for route in routes}
        self._lanes = {segment: self._lane(deployment, segment, models) for segment in deployment.routes}
        self._kept = {key: model for key, model in self._kept.items() if key in self._last} | models
        self._last = set(models)
        return Table(
            deployment=deployment.id,
            lanes={segment: lane for segment, (_, lane) in self._lanes.items()},
            segments=tuple(dict.fromkeys([*self._product.segments, *self._lanes])),
            fallback=deployment.fallback,
        )

    def warm(self, route: Route) -> None:
        """Load a model that no table has yet, and keep it for the next one.

        Raises:
            BrokenEvidence: If its bytes are missing or changed.
            NotEqual: If it would answer otherwise than offline.
        """
        self._last.add(_key(route))
        if _key(route) not in self._kept:
            self._kept[_key(route)] = self._load(route)

    def _lane(
        self, deployment: Deployment, segment: str, models: Mapping[tuple[str, str], Model]
    ) -> tuple[object, Lane]:
        champion, beside = deployment.routes[segment], deployment.beside.get(segment, [])
        before = self._lanes.get(segment)
        if before is not None and before[0] == (champion, beside):
            return before
        lane = lane_of(self._product, segment, champion, beside, lambda route: models[_key(route)])
        return (champion, beside), lane

    def _load(self, route: Route) -> Model:
        spec = decode_spec(self._store.get_bytes(route.spec))
        predictor = Predictor(spec, self._store.get_bytes(route.model))
        rows = probes(spec)
        if rows:
            predictor.check(rows)
        source = self._product.source
        keeper = keeper_of(self._product, spec, self._secret)
        everything = msgspec.Raw(msgspec.msgpack.encode(kept_columns(spec)))
        return Model(
            spec=spec,
            decoder=RowDecoder(spec.inputs, key=source.key, segment=source.segment),
            predictor=predictor,
            columns=everything if keeper is None else keeper.columns,
            keeper=keeper,
            probes=rows,
        )


def _key(route: Route) -> tuple[str, str]:
    return route.model.sha256, route.spec.sha256
