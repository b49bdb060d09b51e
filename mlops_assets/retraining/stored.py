"""Retraining decisions as stored: also the noes, each with its inputs, so that `why` can answer months later."""

from pathlib import Path

import msgspec

from mlops_assets.evidence.chain import Chain
from mlops_assets.evidence.records import Struct


class Stored(Struct, frozen=True, kw_only=True):
    """One decision on one segment. `at` is the product's time, `decided_at` the wall clock's."""

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


def stored_decisions(home: Path, product: str) -> list[Stored]:
    """Return the decisions on `product`, oldest first."""
    return [msgspec.convert(link.body, Stored) for link in _chain(home, product).links()]


def store_decision(home: Path, decision: Stored) -> bool:
    """Keep a decision and return True, unless the segment's latest one is the same."""
    chain = _chain(home, decision.product)
    with chain.writing():
        mine = [each for each in stored_decisions(home, decision.product) if each.segment == decision.segment]
        if mine and mine[-1].id == decision.id:
            return False
        chain.append(msgspec.to_builtins(decision))
        return True


def _chain(home: Path, product: str) -> Chain:
    return Chain(home / "decisions" / f"{product}.jsonl")
