"""A scored row -> the row of the log: whole, or as declared without personal columns, or with its features' hash."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from random import random

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.personal import hashed
from mlops_assets.serving.log.writer import Columns, Kind, Row
from mlops_assets.training.model import ModelSpec

_encode = msgspec.msgpack.Encoder().encode
_DIGEST = 16

Change = Callable[[object], str | None]


def features_digest(features: Sequence[object]) -> bytes:
    """Return the hash of a row's features: equal only if each is, to the last bit; one NaN is as any other."""
    return blake2b(_encode([None if value != value else value for value in features]), digest_size=_DIGEST).digest()


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """What is kept of one model's rows. `columns` are those of the log, encoded.

    `inputs` are the places of the inputs that stay, each with what makes a hash of it, or None; `features` those of the
    computed features that stay. `whole` is the share of requests whose features are logged beside their hash, None if
    there is no hash.
    """

    columns: msgspec.Raw
    inputs: tuple[tuple[int, Change | None], ...]
    features: tuple[int, ...]
    key: Change | None
    whole: float | None

    def rows(self, given: Sequence[Row]) -> list[Row]:
        """Return the rows of one request as they are kept."""
        whole = self.whole is None or random() < self.whole
        return [self._row(row, whole) for row in given]

    def _row(self, row: Row, whole: bool) -> Row:
        made, digest = row.features, None
        if made is not None:
            digest = None if self.whole is None else features_digest(made)
            made = tuple([made[at] for at in self.features]) if whole else None
        inputs = tuple([row.inputs[at] if change is None else change(row.inputs[at]) for at, change in self.inputs])
        key = row.key if self.key is None else self.key(row.key)
        return Row(row.index, key, row.output, inputs, made, digest, row.probabilities)


def kept_columns(spec: ModelSpec) -> Columns:
    """Return all columns of a model's rows."""
    inputs: list[tuple[str, Kind]] = [(name, column.type) for name, column in spec.inputs.items()]
    features: list[tuple[str, Kind]] = [(name, "str" if name in spec.categories else "float") for name in spec.features]
    return Columns(inputs, features, spec.classes if spec.task == "multiclass" else [])


def keeper_of(product: ModelProduct, spec: ModelSpec, secret: bytes) -> Keeper | None:
    """Return what is kept of a model's rows; None if all of it is. `secret` hashes personal columns."""
    personal, key = product.endpoint.personal, product.source.key
    by_hash = product.endpoint.log.features == "hash" and spec.transform is not None
    if not personal and not by_hash:
        return None
    everything = kept_columns(spec)
    inputs: list[tuple[str, Kind]] = []
    places: list[tuple[int, Change | None]] = []
    for at, (name, kind) in enumerate(everything.inputs):
        if personal.get(name) != "omit":
            change = partial(hashed, secret, name) if name in personal else None
            inputs.append((name, "hash" if change else kind))
            places.append((at, change))
    stay = [at for at, (name, _) in enumerate(everything.features) if name not in personal]
    columns = Columns(inputs, [everything.features[at] for at in stay], everything.classes)
    return Keeper(
        columns=msgspec.Raw(msgspec.msgpack.encode(columns)),
        inputs=tuple(places),
        features=tuple(stay),
        key=_key_change(personal.get(key or ""), secret, key or ""),
        whole=product.endpoint.log.sample if by_hash else None,
    )


def _key_change(how: str | None, secret: bytes, name: str) -> Change | None:
    if how is None:
        return None
    return partial(hashed, secret, name) if how == "hash" else _nothing


def _nothing(value: object) -> None:
    return None
