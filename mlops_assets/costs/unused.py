"""Registered versions and the champions so far -> the models that nobody uses, and what room they take."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Struct

UNUSED_AFTER = timedelta(days=30)


class Unused(Struct, frozen=True, kw_only=True):
    """A version that nobody uses, why that is said, and the size of its files in bytes."""

    version: int
    segment: str
    why: str
    bytes: int


def unused(
    registered: Sequence[Act], moves: Sequence[Act], sizes: Mapping[str, int], now: datetime
) -> tuple[Unused, ...]:
    """Return the versions that were never promoted, and those that have not served for 30 days.

    The newest version of a segment may wait for its decision for as long. `moves` are promotions and rollbacks, oldest
    first; `sizes` are those of models by record.
    """
    found: list[Unused] = []
    newest = {act.segment: act.version for act in registered}
    for act in registered:
        since, why = _since(act, [move for move in moves if move.segment == act.segment])
        waits = why == _NEVER and act.version == newest[act.segment]
        if since is not None and (now - since >= UNUSED_AFTER or (why == _NEVER and not waits)):
            size = sizes.get(act.record or "", 0)
            found.append(Unused(version=act.version or 0, segment=act.segment or "", why=why, bytes=size))
    return tuple(found)


_NEVER = "never promoted"


def _since(act: Act, moves: Sequence[Act]) -> tuple[datetime | None, str]:
    """Return since when a version serves nobody, and why; None while it is the champion."""
    places = [place for place, move in enumerate(moves) if move.version == act.version]
    if not places:
        return datetime.fromisoformat(act.at), _NEVER
    if places[-1] == len(moves) - 1:
        return None, ""
    after = moves[places[-1] + 1]
    return datetime.fromisoformat(after.at), f"replaced by version {after.version} on {after.at[:10]}"
