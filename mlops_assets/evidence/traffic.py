"""Acts -> who answers beside the champion: canary or split, and shadow, as the ledger has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from mlops_assets.evidence.ledger import Act

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
            if name != "shadow":
                found = {other: each for other, each in found.items() if other == "shadow"}
            found[name] = Variant(
                name=name,
                version=act.version,
                record=act.record,
                share=float(str(act.facts.get("share", 0.0))),
                since=before.since if same and before else act,
                act=act,
            )
    return found


def _name(facts: Mapping[str, object]) -> VariantName:
    return next(name for name in NAMES if name == facts["variant"])
