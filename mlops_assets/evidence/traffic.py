"""Acts -> who answers beside the champion: canary or split, and shadow, as the ledger has it.

`facts` of such an act: `variant`, its `share`, and, where the gate let it begin, `ramp`: the champion's record that it
is to follow; `from` is the product's time of it. A `withdraw` says its `cause`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from mlops_assets.evidence.ledger import Act, Conflict, Ledger, Stopped, moves_of

RAMP, CAUSE, FROM = "ramp", "cause", "from"
Cause = Literal["worse", "failed", "by hand", "moved", "replaced", "rejected"]
VariantName = Literal["canary", "split", "shadow"]
NAMES: tuple[VariantName, ...] = get_args(VariantName)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A version that answers a `share` (0 to 1) of a segment's requests, or as a shadow gets copies of all.

    `since` is the act that put it there first, `act` the one that gave it its present share.
    """

    name: VariantName
    version: int
    record: str
    share: float
    since: Act
    act: Act

    @property
    def ramped(self) -> bool:
        """Whether the gate let it begin, so that it may become champion by itself."""
        return RAMP in self.act.facts


def traffic_of(acts: Iterable[Act], segment: str) -> dict[VariantName, Variant]:
    """Return the variants in force: at most one canary or split, and at most one shadow.

    `traffic` gives a variant its share, `withdraw` ends one, and a champion that moves ends canary and split.
    """
    found: dict[VariantName, Variant] = {}
    for act in acts:
        if act.segment != segment:
            continue
        if act.kind in ("promote", "rollback"):
            found = {name: each for name, each in found.items() if name == "shadow" and each.version != act.version}
        elif act.kind == "withdraw":
            found.pop(_name(act.facts), None)
        elif act.kind == "traffic" and act.version is not None and act.record is not None:
            name = _name(act.facts)
            before = found.get(name)
            same = before is not None and before.record == act.record
            if name != "shadow":  # a shadow that steps up is no shadow any more
                found = {o: each for o, each in found.items() if o == "shadow" and each.record != act.record}
            found[name] = Variant(
                name=name,
                version=act.version,
                record=act.record,
                share=float(str(act.facts.get("share", 0.0))),
                since=before.since if same and before else act,
                act=act,
            )
    return found


def gates_word(act: Act) -> bool:
    """Return whether an act is the gate's word on a candidate."""
    return act.kind in ("promote", "refuse", "wait") or (act.kind == "traffic" and act.by == "gate")


def ramp_of(acts: Sequence[Act], segment: str) -> Variant | None:
    """Return the candidate that is on its way to become champion of a segment, if there is one."""
    return next((each for each in traffic_of(acts, segment).values() if each.ramped), None)


def taken_back(acts: Sequence[Act], record: str | None) -> Act | None:
    """Return the act that took a candidate back while it was tried, unless somebody has put it back since."""
    found: Act | None = None
    for act in acts:
        if act.record != record:
            continue
        cause = act.facts.get(CAUSE)
        if act.kind == "withdraw" and (cause in ("worse", "failed") or (cause == "by hand" and RAMP in act.facts)):
            found = act
        elif act.kind in ("promote", "rollback") or (act.kind == "traffic" and act.facts["variant"] != "shadow"):
            found = None
    return found


def move_traffic(ledger: Ledger, act: Act, *, expected: Act | None, champion: Act | None) -> Act:
    """Append a `traffic` or `withdraw` if variant and champion still are as `expected` and `champion` made them.

    Raises:
        Stopped: If the product is paused or the candidate rejected by now, and the act lets a ramp go on.
        Conflict: If somebody changed either in between.
    """
    with ledger.chain.writing():
        acts = ledger.acts(act.product)
        standing = traffic_of(acts, act.segment or "").get(_name(act.facts))
        moves = moves_of(acts, act.segment)
        if (standing.act if standing else None) != expected or (moves[-1] if moves else None) != champion:
            raise Conflict(f"{act.product}[{act.segment}]: somebody changed who answers; look again")
        if act.kind == "traffic" and RAMP in act.facts:
            if ledger.paused(act.product):
                raise Stopped(f"{act.product} was paused meanwhile")
            if ledger.rejected(act.product, act.record):
                raise Stopped(f"{act.product}@{act.version} was rejected meanwhile")
        ledger.chain.append(msgspec.to_builtins(act))
    return act


def _name(facts: Mapping[str, object]) -> VariantName:
    return next(name for name in NAMES if name == facts["variant"])
