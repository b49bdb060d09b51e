"""Who answers for one segment: its champion, a canary or split that takes a share, a shadow that gets copies of all.

The share is of buckets: a request's key, salted and hashed, falls into one of 10,000, and those below the share are
the canary's. So a key goes the same way in every worker, also after a restart, and a share that grows only adds keys.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

import msgspec

from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.keeping import Keeper
from mlops_assets.serving.requests.decoder import Decoded, RowDecoder
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.counts import Tally
from mlops_assets.serving.routing.deploy import Beside, Route
from mlops_assets.training.model import ModelSpec
from mlops_assets.training.predictor import Predictor, Values

BUCKETS = 10_000
_BY_KEY = -1

AnyVariant = Literal["champion", "canary", "split", "shadow"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded model: how its rows are read and scored, and how the log names its columns.

    `keeper` says what the log keeps of a row, None if that is all of it; `probes` are the rows it was checked on.
    """

    spec: ModelSpec
    decoder: RowDecoder
    predictor: Predictor
    columns: msgspec.Raw
    keeper: Keeper | None = None
    probes: Sequence[Values] = ()

    @property
    def cells(self) -> int:
        """How many values a row has, those of images counted one by one."""
        return len(self.spec.inputs) + self.decoder.pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Answerer:
    """Who answers for a segment, and what it did so far. `reader` reads rows that the champion's inputs do not fit."""

    segment: str
    version: int
    model: Model
    tally: Tally
    variant: AnyVariant = "champion"
    reader: RowDecoder | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Lane:
    """The answerers of a segment. `rival` is its canary or split, who has the buckets below `below`.

    `sticky` is the place among the champion's inputs of the value that decides, or -1 for the key.
    """

    champion: Answerer
    rival: Answerer | None = None
    shadow: Answerer | None = None
    salted: "blake2b | None" = None
    below: int = 0
    sticky: int | None = None

    def only(self, version: str) -> "Lane":
        """Return the lane without a rival, for a request that names the version that has to answer.

        Raises:
            Refused: 404 if the champion is another version; a canary's are chosen by chance, and not by whoever asks.
        """
        if str(self.champion.version) != version:
            found = f"no version {version[:60]!r} answers for segment {self.champion.segment!r}"
            raise Refused(404, f"{found}; right is {self.champion.version}")
        return self if self.rival is None else replace(self, rival=None)

    def choose(self, key: bytes) -> Answerer:
        """Return who answers where `key` decides."""
        if self.rival is None or self.salted is None or bucket(self.salted, key) >= self.below:
            return self.champion
        return self.rival

    def key_of(self, row: Decoded) -> bytes | None:
        """Return what decides who answers a row, by the declared column; None where it is missing or none is declared.

        Then it is the inference id of the request that decides.
        """
        if self.sticky is None:
            return None
        value = row.key if self.sticky == _BY_KEY else row.values[self.sticky]
        return None if value is None else value if isinstance(value, bytes) else str(value).encode()

    def read(self, by: Answerer, rows: list[Decoded], places: Sequence[int]) -> list[Decoded]:
        """Return rows that the champion's decoder read, as `by` reads them.

        Raises:
            Refused: If they do not fit its inputs.
        """
        if by.reader is None:
            return rows
        names, wanted = list(self.champion.model.spec.inputs), by.model.spec.inputs
        given: list[object] = [
            {name: value for name, value in zip(names, row.values, strict=True) if name in wanted} for row in rows
        ]
        again = by.reader.many(given, places)
        return [Decoded(read.values, row.key) for read, row in zip(again, rows, strict=True)]

    @property
    def everyone(self) -> Iterator[Answerer]:
        """The champion, and who is beside it."""
        yield from (by for by in (self.champion, self.rival, self.shadow) if by is not None)


def salted(salt: str) -> "blake2b":
    """Return what hashes keys with `salt`."""
    return blake2b(salt.encode(), digest_size=8)


def bucket(by: "blake2b", key: bytes) -> int:
    """Return the bucket of `key`, from 0 to 9,999."""
    found = by.copy()
    found.update(key)
    return int.from_bytes(found.digest(), "little") % BUCKETS


def lane_of(
    product: ModelProduct, segment: str, champion: Route, beside: Sequence[Beside], model: Callable[[Route], Model]
) -> Lane:
    """Return the lane of a segment, whose models are loaded.

    Raises:
        ValueError: If the shares are by a column that no request has.
    """
    first = model(champion)

    def answerer(route: Route, variant: AnyVariant) -> Answerer:
        found = model(route)
        alike = list(found.spec.inputs.items()) == list(first.spec.inputs.items())
        return Answerer(
            segment=segment,
            version=route.version,
            model=found,
            tally=Tally(found.spec.task),
            variant=variant,
            reader=None if alike else RowDecoder(found.spec.inputs),
        )

    rival = next((each for each in beside if each.name != "shadow"), None)
    shadow = next((each for each in beside if each.name == "shadow"), None)
    return Lane(
        champion=answerer(champion, "champion"),
        rival=answerer(rival.route, rival.name) if rival else None,
        shadow=answerer(shadow.route, "shadow") if shadow else None,
        salted=salted(rival.salt) if rival else None,
        below=round(rival.share * BUCKETS) if rival else 0,
        sticky=_place(product, first.spec) if rival else None,
    )


def _place(product: ModelProduct, spec: ModelSpec) -> int | None:
    sticky = product.endpoint.sticky
    if sticky is None:
        return None
    if sticky == product.source.key:
        return _BY_KEY
    if sticky not in spec.inputs:
        known = ", ".join([*spec.inputs, *filter(None, [product.source.key])])
        raise ValueError(f"endpoint.sticky: no request has a column {sticky!r}; requests have {known}")
    return list(spec.inputs).index(sticky)
