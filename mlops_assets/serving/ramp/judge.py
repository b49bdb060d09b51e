"""What a canary and the champion did so far -> hold, step up, withdraw or promote, with the reason. Pure.

It may be asked as often as one likes: a canary that is within every margin is taken back in at most `CHANCE` of ramps.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import zip_longest
from math import log
from typing import Literal

from mlops_assets.endpoint import Canary
from mlops_assets.serving.ramp.sequences import Mean, difference, higher_mean, higher_share, slower
from mlops_assets.serving.ramp.shift import Scores, index, parts_of, shifted
from mlops_assets.serving.routing.counts import VariantCounts, latency_bin, latency_us, quantile_us

CHANCE = 0.01  # of a whole ramp
CRITERIA = 4  # errors, latency, scores, loss: each has its part of the chance
FEWEST = 50  # outcomes of each, from which on the mean of a loss without bounds is about normal

Answer = Literal["hold", "step up", "withdraw", "promote"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where a ramp stands: the share of requests, in [0, 1] (0: a shadow), since when, and for how long at least.

    `looks` is how often the counts have begun anew since the ramp did, 1 the first time.
    """

    share: float
    since: datetime
    hold: timedelta
    looks: int = 1


@dataclass(frozen=True, kw_only=True)
class Matured:
    """The losses on outcomes that have come in, of the requests that each answered since the ramp began.

    Those that are `bounded` lie in [0, 1].
    """

    canary: Mean
    champion: Mean
    bounded: bool


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The answer, why, and the share of requests to go on with."""

    answer: Answer
    reason: str
    share: float


def judge(
    plan: Canary, step: Step, champion: VariantCounts, canary: VariantCounts, matured: Matured | None, now: datetime
) -> Judgement:
    """Return what becomes of a canary, or of a shadow before it: taken back if it is worse by a declared margin.

    It steps up once it had its time, requests and outcomes; where the next step is the whole, it is promoted.
    """
    if found := list(worse(plan, step, champion, canary, matured)):
        return Judgement(answer="withdraw", reason="; ".join(found), share=0.0)
    if waits := list(_waits(plan, step, canary, matured, now)):
        return Judgement(answer="hold", reason=", ".join(waits), share=step.share)
    share = next((each for each in plan.steps if each > step.share), 1.0)
    seen = f"no worse in {canary.requests:,} requests since {step.since:%Y-%m-%d %H:%M:%S} UTC"
    outcomes = f" and {matured.canary.count:,} outcomes" if matured and matured.canary.count else ""
    return Judgement(answer="promote" if share >= 1 else "step up", reason=seen + outcomes, share=share)


def worse(
    plan: Canary, step: Step, champion: VariantCounts, canary: VariantCounts, matured: Matured | None
) -> Iterator[str]:
    """Yield each way in which a canary is worse by over the declared margin, unless chance may have made it so."""
    enough = log(CRITERIA * step.looks * (step.looks + 1) / CHANCE)
    errors, requests = (canary.errors, champion.errors), (canary.requests, champion.requests)
    if higher_share(errors, requests, plan.errors) >= enough:
        yield (
            f"it failed in {errors[0] / requests[0]:.2%} of its {requests[0]:,} requests, the champion in "
            f"{errors[1] / requests[1]:.2%} of {requests[1]:,}: over {100 * plan.errors:.6g}% more{_last(canary)}"
        )
    if slower(_own(canary), _own(champion), _bounds(), 1 + plan.latency) >= enough:
        yield (
            f"95% of its requests took up to {_ms(canary)} ms, of the champion's {_ms(champion)} ms: over "
            f"{plan.latency:.0%} longer"
        )
    mine, others = _scores(canary), _scores(champion)
    if shifted(mine, others, plan.score_shift) >= enough:
        size = index(*parts_of(mine, others))
        yield f"its scores differ from the champion's by {size:.2f} (PSI), over {plan.score_shift:.6g}"
    yield from _loses(plan, matured)


def _loses(plan: Canary, matured: Matured | None) -> Iterator[str]:
    """Yield that the mean loss is higher by over the margin. Outcomes are counted since the ramp began, never anew."""
    if plan.quality is None or matured is None or not enough_outcomes(matured):
        return
    if _is_over(matured, plan.quality):
        yield (
            f"its mean loss is {matured.canary.mean:.4g} on {matured.canary.count:,} outcomes, the champion's "
            f"{matured.champion.mean:.4g} on {matured.champion.count:,}: over {plan.quality:.6g} higher"
        )


def enough_outcomes(matured: Matured) -> bool:
    """Return whether there are outcomes enough to compare the losses: bounded ones can be from the first on."""
    return min(matured.canary.count, matured.champion.count) >= (1 if matured.bounded else FEWEST)


def _is_over(matured: Matured, margin: float) -> bool:
    chance = CHANCE / CRITERIA
    if matured.bounded:
        return higher_mean(matured.canary, matured.champion, margin) >= log(1 / chance)
    return difference(matured.canary, matured.champion, chance).low > margin


def _waits(plan: Canary, step: Step, canary: VariantCounts, matured: Matured | None, now: datetime) -> Iterator[str]:
    if now < step.since + step.hold:
        yield f"until {step.since + step.hold:%Y-%m-%d %H:%M:%S} UTC"
    if canary.requests < plan.min_requests:
        yield f"{canary.requests:,} of {plan.min_requests:,} requests"
    outcomes = matured.canary.count if matured else 0
    if step.share and outcomes < plan.min_outcomes:
        yield f"{outcomes:,} of {plan.min_outcomes:,} outcomes"


def _last(counts: VariantCounts) -> str:
    return f" (the last one: {counts.why})" if counts.why else ""


def _scores(counts: VariantCounts) -> Scores:
    return Scores(bins=counts.scores, weight=1 / max(1, counts.keyed))


def _own(counts: VariantCounts) -> list[int]:
    return [took - shared for took, shared in zip_longest(counts.latency, counts.shared, fillvalue=0)]


@cache
def _bounds() -> list[int]:
    return [latency_us(place) for place in range(latency_bin(sys.maxsize) + 1)]


def _ms(counts: VariantCounts) -> str:
    return f"{(quantile_us(_own(counts), 0.95) or 0) / 1000:.4g}"
