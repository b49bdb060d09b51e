"""Retraining decisions as stored: also the noes, each with its inputs, so that `why` can answer months later."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from mlops_assets.evidence.chain import Chain
from mlops_assets.evidence.ledger import stamp
from mlops_assets.evidence.records import Struct
from mlops_assets.evidence.store import replace

PATIENCE = timedelta(seconds=60)  # from asking for a run until somebody else may; a daemon submits it within seconds


class Stored(Struct, frozen=True, kw_only=True):
    """One decision on one segment. `at` is the product's time, `decided_at` the wall clock's.

    `alarms` and `asks` are those that it answers, `considered` all alarms that were open.
    """

    id: str
    product: str
    segment: str
    at: str
    decided_at: str
    retrain: bool
    target: str | None
    reasons: list[str]
    alarms: list[str]
    trigger: str | None
    asks: list[str] = msgspec.field(default_factory=list[str])
    considered: list[str] = msgspec.field(default_factory=list[str])


class _Claim(Struct, frozen=True, kw_only=True):
    key: str
    at: str


class Decisions:
    """The decisions on one product, oldest first, and who is asking for which run."""

    def __init__(self, home: Path, product: str) -> None:
        """Use the file of `product` below `home`, which appears with the first decision."""
        self._chain = Chain(home / "decisions" / f"{product}.jsonl")
        self._claims = self._chain.path.with_suffix(".asked.json")
        self._read: list[tuple[str, Stored]] = []

    def entries(self) -> list[tuple[str, Stored]]:
        """Return (hash of the entry, decision), oldest first; only what is new is read."""
        links = self._chain.links()
        if len(links) < len(self._read) or (self._read and links[len(self._read) - 1].hash != self._read[-1][0]):
            self._read = []
        self._read += [(link.hash, msgspec.convert(link.body, Stored)) for link in links[len(self._read) :]]
        return self._read

    def of(self, segment: str) -> list[Stored]:
        """Return the decisions on a segment, oldest first."""
        return [decision for _, decision in self.entries() if decision.segment == segment]

    @contextmanager
    def deciding(self) -> Generator[None]:
        """Hold the only right to decide on the product: nobody else reads the state of its loop meanwhile."""
        with self._chain.writing():
            yield

    def keep(self, decision: Stored) -> bool:
        """Keep a decision and return True, unless the segment's latest one is the same; call it while `deciding`."""
        mine = self.of(decision.segment)
        if mine and mine[-1].id == decision.id:
            return False
        self._chain.append(msgspec.to_builtins(decision))
        return True

    def claim(self, segment: str, key: str, wall: datetime) -> bool:
        """Return whether the caller may ask for the run `key`: nobody else has within a minute.

        A claim whose holder was killed is void after that minute, or as soon as the clock is before it.
        """
        with self.deciding():
            claims = self._claimed()
            held = claims.get(segment)
            if held is not None and held.key == key:
                age = wall - datetime.fromisoformat(held.at)
                if timedelta(0) <= age < PATIENCE:
                    return False
            replace(self._claims, msgspec.json.encode({**claims, segment: _Claim(key=key, at=stamp(wall))}))
            return True

    def _claimed(self) -> dict[str, _Claim]:
        if not self._claims.exists():
            return {}
        return msgspec.json.decode(self._claims.read_bytes(), type=dict[str, _Claim])


def stored_decisions(home: Path, product: str) -> list[Stored]:
    """Return the decisions on `product`, oldest first."""
    return [decision for _, decision in Decisions(home, product).entries()]


def store_decision(home: Path, decision: Stored) -> bool:
    """Keep a decision and return True, unless the segment's latest one is the same."""
    decisions = Decisions(home, decision.product)
    with decisions.deciding():
        return decisions.keep(decision)
