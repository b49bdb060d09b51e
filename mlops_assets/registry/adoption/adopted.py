"""A model that was not trained here -> whether it may be a segment's first champion, on a person's word."""

from collections.abc import Sequence

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Record
from mlops_assets.evidence.signed import proof_of
from mlops_assets.registry.gate import Verdict
from mlops_assets.registry.scored import Judged

ORIGIN, UNKNOWN = "origin", "unknown"  # a fact of a model's record


def is_adopted(record: Record) -> bool:
    """Return whether nobody can say what a model was trained on."""
    return record.facts.get(ORIGIN) == UNKNOWN


def judged_adopted(candidate: Held, champion: Held | None, acts: Sequence[Act], metric: str) -> Judged:
    """Return the verdict on an adopted model: promoted where there is no champion, on the act of who adopted it."""
    act = next((act for act in acts if act.kind == "adopt" and act.record == candidate.id), None)
    if champion is not None and champion.id == candidate.id:
        return Judged(verdict=Verdict(answer="keep", reasons=("it is the champion already",), metric=metric))
    if champion is not None:
        reason = "superseded: a model of unknown origin may only be a segment's first champion"
        return Judged(verdict=Verdict(answer="superseded", reasons=(reason,), metric=metric))
    if act is None or proof_of(act) == "broken":
        reason = "nobody stands for this model of unknown origin: the act that adopted it is missing or altered"
        return Judged(verdict=Verdict(answer="refuse", reasons=(reason,), metric=metric))
    reason = f"origin unknown, adopted by {act.by}: {act.reason}; there is no champion yet"
    return Judged(verdict=Verdict(answer="promote", reasons=(reason,), metric=metric))
