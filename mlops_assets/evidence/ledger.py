"""The acts of people and rules: who promoted, rolled back, paused what, when and why; the truth about champions."""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from mlops_assets.evidence.chain import Chain, Link
from mlops_assets.evidence.records import Json, Struct

ActKind = Literal[
    "register",
    "promote",
    "refuse",
    "wait",
    "rollback",
    "deploy",
    "fail",
    "pause",
    "resume",
    "retrain",
    "dismiss",
    "approve",
    "reject",
    "waive",
    "adopt",
    "traffic",
    "withdraw",
    "verdict",
]


class Conflict(Exception):
    """Somebody else acted in between; read the ledger again and decide anew."""


class Stopped(Conflict):
    """Somebody said in between that it must not be: by a pause or a rejection."""


class Act(Struct, frozen=True, kw_only=True):
    """One entry. `version` and `record` are the model's, where the act concerns one."""

    kind: ActKind
    product: str
    segment: str | None = None
    version: int | None = None
    record: str | None = None
    by: str
    reason: str
    at: str
    facts: dict[str, Json] = msgspec.field(default_factory=dict[str, Json])


class Ledger:
    """Acts in order, in a hash-chained file."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`."""
        self.chain = Chain(path)
        self._known: dict[str, tuple[list[Link], int, list[Act]]] = {}

    def acts(self, product: str, *kinds: ActKind) -> list[Act]:
        """Return the acts on `product`, oldest first; all kinds if none is named."""
        return [act for act in self._acts(product) if not kinds or act.kind in kinds]

    def champion(self, product: str, segment: str) -> Act | None:
        """Return the act that made the segment's champion what it is, or None before the first."""
        moves = moves_of(self.acts(product), segment)
        return moves[-1] if moves else None

    def predecessor(self, product: str, segment: str) -> int | None:
        """Return the version that was champion before the champion first was: rolled back twice goes back two."""
        moves = moves_of(self.acts(product), segment)
        order = list(dict.fromkeys(act.version for act in moves))
        at = order.index(moves[-1].version) if moves else 0
        return order[at - 1] if at else None

    def version(self, product: str, version: int) -> Act | None:
        """Return the registration of `product@version`."""
        return next((act for act in self.acts(product, "register") if act.version == version), None)

    def paused(self, product: str) -> Act | None:
        """Return the pause in force, if there is one."""
        acts = self.acts(product, "pause", "resume")
        return acts[-1] if acts and acts[-1].kind == "pause" else None

    def rejected(self, product: str, record: str | None) -> Act | None:
        """Return who rejected a candidate, if anybody did."""
        return next((act for act in self.acts(product, "reject") if act.record == record), None)

    def add(self, act: Act) -> Act:
        """Append an act that needs no agreement about what came before."""
        with self.chain.writing():
            self.chain.append(msgspec.to_builtins(act))
        return act

    def register(self, act: Act) -> Act:
        """Append a model's registration, once per record.

        Raises:
            Conflict: If another record holds this version.
        """
        with self.chain.writing():
            for other in self.acts(act.product, "register"):
                if other.record == act.record:
                    return other
                if other.version == act.version:
                    raise Conflict(f"{act.product}@{act.version} is record {other.record}, not {act.record}")
            self.chain.append(msgspec.to_builtins(act))
        return act

    def move_champion(self, act: Act, *, expected: int | None, still: Callable[[list[Act]], bool] | None = None) -> Act:
        """Append a promotion or rollback if the segment's champion still is `expected` (compare-and-set).

        Nothing is promoted that was rejected, or while the product is paused, even if that was said a moment ago; nor
        what has to hold of the acts by then, `still`, and does not.

        Raises:
            Stopped: If it is rejected or paused by now.
            Conflict: If the champion is another one by now.
        """
        with self.chain.writing():
            current = self.champion(act.product, act.segment or "")
            found = current.version if current else None
            if found != expected:
                raise Conflict(f"{act.product}[{act.segment}]: the champion is {found}, expected {expected}")
            if act.kind == "promote" and self.paused(act.product):
                raise Stopped(f"{act.product} was paused meanwhile")
            if act.kind == "promote" and self.rejected(act.product, act.record):
                raise Stopped(f"{act.product}@{act.version} was rejected meanwhile")
            if still is not None and not still(self.acts(act.product)):
                raise Conflict(f"{act.product}[{act.segment}]: somebody changed who answers; look again")
            self.chain.append(msgspec.to_builtins(act))
        return act

    def _acts(self, product: str) -> list[Act]:
        """Return the acts on `product`; a link is converted once. What is kept is never changed, only replaced."""
        links = self.chain.links()
        read, count, acts = self._known.get(product, (links, 0, []))
        if read is not links:  # the chain has begun anew
            count, acts = 0, []
        if new := links[count:]:
            acts = acts + [msgspec.convert(link.body, Act) for link in new if link.body["product"] == product]
            self._known[product] = links, count + len(new), acts
        return acts


def moves_of(acts: Iterable[Act], segment: str | None) -> list[Act]:
    """Return the acts that made a version champion of `segment`, in their order."""
    return [act for act in acts if act.kind in ("promote", "rollback") and act.segment == segment]


def stamp(at: datetime) -> str:
    """Return `at` in UTC as ISO 8601 with milliseconds."""
    return at.isoformat(timespec="milliseconds")
