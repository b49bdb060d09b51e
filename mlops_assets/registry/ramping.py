"""A candidate that passed the gate -> tried on live traffic before it is champion, where a ramp is declared.

What was taken back, by a rollback or out of a ramp, only a person puts back.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

import msgspec

from mlops_assets.evidence.ledger import Act, Ledger, moves_of, stamp
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.traffic import CAUSE, FROM, RAMP, move_traffic, ramp_of, taken_back, traffic_of
from mlops_assets.product import ModelProduct
from mlops_assets.registry.gate import Verdict


def ramped(verdict: Verdict, product: ModelProduct) -> Verdict:
    """Return what becomes of the verdict on a champion's successor: where a ramp is declared, it is first tried."""
    declared = product.endpoint.canary is not None or product.endpoint.shadow is not None
    return replace(verdict, answer="ramp") if verdict.promote and declared else verdict


def begin(ledger: Ledger, product: ModelProduct, word: Act, champion: Act, now: datetime) -> None:
    """Enter the first step of a candidate's ramp, unless it is on its way; whoever else was tried makes room for it.

    `word` is the gate's word on it, `champion` the one that it is to follow, `now` the product's time.

    Raises:
        Stopped: If the product is paused or the candidate rejected by now.
        Conflict: If somebody changed who answers.
    """
    acts, segment = ledger.acts(product.name), word.segment or ""
    if (found := ramp_of(acts, segment)) and found.record == word.record:
        return
    plan = product.endpoint.canary
    share = plan.steps[0] if product.endpoint.shadow is None and plan else 0.0
    facts: dict[str, Json] = {
        **word.facts,
        "variant": "canary" if share else "shadow",
        "share": f"{share:.6g}",
        RAMP: champion.record,
        FROM: stamp(now),
    }
    for name, other in traffic_of(acts, segment).items():
        if (name == "shadow") == (share == 0) or other.ramped:
            reason = f"{product.name}@{word.version} passed the gate and is tried in its place"
            made_room: dict[str, Json] = {"variant": name, CAUSE: "replaced"}
            gone = msgspec.structs.replace(other.act, kind="withdraw", by="gate", reason=reason, at=word.at)
            move_traffic(ledger, msgspec.structs.replace(gone, facts=made_room), expected=other.act, champion=champion)
    move_traffic(ledger, msgspec.structs.replace(word, kind="traffic", facts=facts), expected=None, champion=champion)


def put_aside(verdict: Verdict, acts: Sequence[Act], registered: Act) -> Verdict:
    """Return what becomes of a verdict on a version that was taken back: only a person puts it back."""
    if verdict.answer not in ("promote", "wait"):
        return verdict
    name, version = registered.product, registered.version
    rolled, tried = _rolled_back(acts, registered), taken_back(acts, registered.record)
    if rolled is not None:
        back = f"mlops-assets rollback {name} --to {version} puts it back"
        reason = f"{rolled.by} rolled it back at {rolled.at[:19]}: {rolled.reason}; {back}"
    elif tried is not None:
        back = f"mlops-assets traffic {name} --canary 5% {version} --segment {registered.segment} puts it back"
        reason = f"{tried.by} took it back at {tried.at[:19]}: {tried.reason}; {back}"
    else:
        return verdict
    return replace(verdict, answer="refuse", reasons=(reason, *verdict.reasons))


def _rolled_back(acts: Sequence[Act], registered: Act) -> Act | None:
    found: Act | None = None
    for before, act in pairwise(moves_of(acts, registered.segment)):
        if act.record == registered.record:
            found = None
        elif act.kind == "rollback" and before.record == registered.record:
            found = act
    return found
