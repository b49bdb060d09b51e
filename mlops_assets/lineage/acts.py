"""The acts on models: who put one in charge, who agreed, and whether each act is as its signer signed it."""

from collections.abc import Iterator

import msgspec

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.signed import id_of, proof_of
from mlops_assets.lineage.proof import ApprovalFacts
from mlops_assets.lineage.walk import Walk
from mlops_assets.product import Stage
from mlops_assets.registry.adoption.adopted import is_adopted
from mlops_assets.registry.people.approvals import BY_HAND, CRITERION, ROLE, UNTIL

TOLD = ("promote", "rollback", "traffic", "withdraw", "verdict", *BY_HAND)


def act_facts(act: Act) -> ApprovalFacts | None:
    """Return what a trace tells of an act; None of one that is no say about the model."""
    if act.kind not in TOLD:
        return None
    proof = proof_of(act) if act.kind in BY_HAND else None
    role, criterion, until = (_text(act, name) for name in (ROLE, CRITERION, UNTIL))
    return ApprovalFacts(
        act=act.kind,
        by=act.by,
        at=act.at,
        reason=act.reason,
        role=role,
        criterion=criterion,
        until=until,
        proof=proof,
        verified=None if proof is None else proof == "signed",
    )


def verify_acts(archive: Archive, walked: Walk) -> None:
    """Verify every signature on the walked records, and that what a promotion rests on is there; name what is wrong."""
    try:
        links = archive.ledger.chain.links()
    except BrokenEvidence:
        return  # told already
    acts = [msgspec.convert(link.body, Act) for link in links]
    before: dict[str, Act] = {}
    for number, act in enumerate(acts, 1):
        if act.record in walked.records:
            for problem in _problems(act, before):
                walked.broken.append(str(BrokenEvidence(f"{archive.ledger.chain.path}:{number}", problem)))
        before[id_of(act)] = act
    for held in walked.records.values():
        if held.record.place.stage == Stage.MODEL and is_adopted(held.record):
            file = f"{held.record.facts.get('file')}, sha256 {held.record.facts.get('sha256')}"
            walked.unverified.append(f"{held.record.place}: origin unknown; it was adopted from {file}")


def _problems(act: Act, before: dict[str, Act]) -> Iterator[str]:
    if act.kind in BY_HAND and proof_of(act) == "broken":
        yield f"the {act.kind} act of {act.by} on {act.product}@{act.version} is not signed by the key that it names"
    moves = act.kind in ("promote", "rollback")
    for named in msgspec.convert(act.facts.get("approvals") or [], list[str]) if moves else ():
        found = before.get(named)
        if found is None or (found.kind, found.record) != ("approve", act.record) or proof_of(found) != "signed":
            yield f"{act.product}@{act.version} was promoted on the approval {named[:12]}…, which is not there"


def _text(act: Act, name: str) -> str | None:
    found = act.facts.get(name)
    return found if isinstance(found, str) else None
