"""Segment -> the model that answers for it: an immutable table, replaced at once; the ones before stay warm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np

from mlops_assets.evidence.store import Store
from mlops_assets.intake.images import png
from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.writer import Columns, Kind
from mlops_assets.serving.requests.decoder import RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.deploy import Deployment, Route
from mlops_assets.training.model import ColumnSpec, ModelSpec, decode_spec
from mlops_assets.training.predictor import Predictor

_PROBES = 32
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded model: how its rows are read and scored, and how the log names its columns."""

    spec: ModelSpec
    decoder: RowDecoder
    predictor: Predictor
    columns: msgspec.Raw


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """Who answers for a segment."""

    segment: str
    version: int
    model: Model


@dataclass(frozen=True, kw_only=True)
class Table:
    """One deployment, loaded. `segments` are those the product declares, with or without a champion."""

    deployment: str | None
    answerers: Mapping[str, Answerer]
    segments: Sequence[str]
    fallback: str | None = None

    def answerer(self, segment: str) -> Answerer:
        """Return who answers for `segment`: its champion, or for an unknown segment that of the fallback.

        Raises:
            Refused: 503 while the segment has no champion, 422 if it is unknown and there is no fallback.
        """
        found = self.answerers.get(segment)
        if found is not None:
            return found
        if segment not in self.segments and self.fallback is None:
            known = ", ".join(self.segments)
            raise Refused(422, f"no segment {segment!r}; known segments: {known}")
        served = segment if segment in self.segments or self.fallback is None else self.fallback
        if served in self.answerers:
            return self.answerers[served]
        raise Refused(503, f"segment {served!r} has no champion yet; its first one is served as soon as it is promoted")


def empty_table(product: ModelProduct) -> Table:
    """Return the table before the first deployment: every answer is a 503 that says so."""
    return Table(deployment=None, answerers={}, segments=product.segments, fallback=product.fallback)


class Loader:
    """Makes tables of deployments. A model is loaded and checked once, and kept while the last two tables have it."""

    def __init__(self, product: ModelProduct, store: Store) -> None:
        """Read models from `store`."""
        self._product = product
        self._store = store
        self._kept: dict[tuple[str, str], Model] = {}
        self._last: set[tuple[str, str]] = set()

    def table(self, deployment: Deployment) -> Table:
        """Return the table of `deployment`, each of its models checked against the offline path.

        Raises:
            BrokenEvidence: If a model's bytes are missing or changed.
            NotEqual: If a model would answer otherwise than offline.
            ValueError: If it is the deployment of another product.
        """
        if deployment.product != self._product.name:
            raise ValueError(f"a deployment of {deployment.product!r}; right is one of {self._product.name!r}")
        models = {_key(route): self._kept.get(_key(route)) or self._load(route) for route in deployment.routes.values()}
        self._kept = {key: model for key, model in self._kept.items() if key in self._last} | models
        self._last = set(models)
        answerers = {
            segment: Answerer(segment=segment, version=route.version, model=models[_key(route)])
            for segment, route in deployment.routes.items()
        }
        return Table(
            deployment=deployment.id,
            answerers=answerers,
            segments=tuple(dict.fromkeys([*self._product.segments, *answerers])),
            fallback=deployment.fallback,
        )

    def _load(self, route: Route) -> Model:
        spec = decode_spec(self._store.get_bytes(route.spec))
        predictor = Predictor(spec, self._store.get_bytes(route.model))
        if rows := probes(spec):
            predictor.check(rows)
        source = self._product.source
        inputs: list[tuple[str, Kind]] = [(name, column.type) for name, column in spec.inputs.items()]
        features: list[tuple[str, Kind]] = [
            (name, "str" if name in spec.categories else "float") for name in spec.features
        ]
        return Model(
            spec=spec,
            decoder=RowDecoder(spec.inputs, key=source.key, segment=source.segment),
            predictor=predictor,
            columns=msgspec.Raw(msgspec.msgpack.encode(Columns(inputs, features))),
        )


def probes(spec: ModelSpec) -> list[tuple[object, ...]]:
    """Return rows over the whole of what each column may hold, nulls too, to compare two ways of scoring on.

    None where a features function reads free text: what it makes of an invented one says nothing about real ones.
    """
    levels = {name: column.isin or spec.categories.get(name) for name, column in spec.inputs.items()}
    if spec.transform and any(column.type == "str" and not levels[name] for name, column in spec.inputs.items()):
        return []
    return [
        tuple(_probe(column, levels[name], at + 7 * place) for place, (name, column) in enumerate(spec.inputs.items()))
        for at in range(_PROBES)
    ]


def _probe(column: ColumnSpec, levels: list[str] | None, at: int) -> object:
    if column.nullable and at % 5 == 0:
        return None
    if column.type == "image":
        return png(np.random.default_rng(at).integers(0, 256, column.shape, np.uint8))
    if column.type == "str":
        return levels[at % len(levels)] if levels else f"probe {at}"
    if column.type == "bool":
        return at % 2 == 0
    if column.type == "datetime":
        return _MOMENT.replace(hour=at % 24)
    low = -100.0 if column.min is None else column.min
    high = low + 1000.0 if column.max is None else column.max
    value = low + (high - low) * (at % 11) / 10
    return int(value) if column.type == "int" else value


def _key(route: Route) -> tuple[str, str]:
    return route.model.sha256, route.spec.sha256
