"""Losses of two variants on matured outcomes -> which is better, with an interval that holds at every look. Pure."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import Json, Struct
from mlops_assets.evidence.traffic import Variant
from mlops_assets.serving.ramp.judge import Matured, enough_outcomes
from mlops_assets.serving.ramp.sequences import bounded_difference, difference

CHANCE = 0.05


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a variant is better than the champion.

    `difference` is its mean loss less the champion's, `low` and `high` its 95% interval; None as long as there are too
    few outcomes. `outcomes` are its own and the champion's.
    """

    answer: str
    outcomes: tuple[int, int]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    words: str


def verdict(matured: Matured) -> Verdict:
    """Return which is better: *better*, *worse*, *no difference yet* or *too few outcomes*."""
    mine, others = matured.canary, matured.champion
    counts = mine.count, others.count
    if not enough_outcomes(matured):
        words = f"{counts[0]:,} outcomes and {counts[1]:,} of the champion are too few to compare"
        return Verdict(answer="too few outcomes", outcomes=counts, words=words)
    found = bounded_difference(mine, others, CHANCE) if matured.bounded else difference(mine, others, CHANCE)
    answer = "better" if found.high < 0 else "worse" if found.low > 0 else "no difference yet"
    words = (
        f"{answer}: mean loss {mine.mean:.4g} on {counts[0]:,} outcomes, the champion's {others.mean:.4g} on "
        f"{counts[1]:,}; {found.value:+.4g}, 95% interval [{found.low:+.4g}, {found.high:+.4g}]{_holds(matured)}"
    )
    numbers = (float(f"{number:.6g}") for number in (found.value, found.low, found.high))
    value, low, high = numbers
    return Verdict(answer=answer, outcomes=counts, difference=value, low=low, high=high, words=words)


def _holds(matured: Matured) -> str:
    return " at every look" if matured.bounded else ", about so at every look of many outcomes"


def verdict_act(found: Verdict, variant: Variant, champion: Act, acts: Sequence[Act], now: datetime) -> Act | None:
    """Return the act that keeps a verdict, or None: there is none yet, or it was kept since the variant began."""
    if found.answer not in ("better", "worse"):
        return None
    later = acts[acts.index(variant.since) :]
    if any(act.kind == "verdict" and act.record == variant.record for act in later):
        return None
    facts: dict[str, Json] = {
        "variant": variant.name,
        "against": champion.version,
        "answer": found.answer,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "outcomes": list(found.outcomes),
    }
    return msgspec.structs.replace(
        variant.act, kind="verdict", by="ramp", reason=found.words, at=stamp(now), facts=facts
    )
