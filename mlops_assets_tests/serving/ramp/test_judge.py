"""A canary goes on when it had its time and requests, and is taken back for each way in which it may be worse."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops_assets.product import Canary
from mlops_assets.serving.ramp.judge import Matured, Step, judge
from mlops_assets.serving.ramp.sequences import Mean
from mlops_assets.serving.routing.counts import VariantCounts, latency_bin

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = Canary.model_validate({"steps": ["5%", "25%", "100%"], "hold": "1h", "quality": 0.05})
FIRST = Step(share=0.05, since=NOON - HOUR, hold=HOUR)


def counts(
    requests: int, *, errors: int = 0, us: int = 100, slow: float = 0.0, low: int = 0, high: int = 100
) -> VariantCounts:
    """Requests that took `us`, or 20 times that in a `slow` share of them; scores are even over bins from low to high.

    Latencies have some spread, drawn with a fixed seed.
    """
    draw = np.random.default_rng(requests)
    took = us * draw.lognormal(0, 0.2, requests - errors) * np.where(draw.random(requests - errors) < slow, 20, 1)
    latency = [0] * 160
    for each in took.tolist():
        latency[latency_bin(int(each))] += 1
    scores = dict(enumerate(np.bincount(draw.integers(low, high, requests - errors), minlength=high).tolist()))
    return VariantCounts(requests=requests, errors=errors, latency=latency, scores=scores)


CHAMPION = counts(3_800, errors=4)


def mean(count: int, value: float) -> Mean:
    return Mean(count=count, mean=value, variance=0.1)


def test_a_canary_that_is_no_worse_goes_up_step_by_step_and_is_then_promoted():
    canary = counts(250)

    first = judge(PLAN, FIRST, CHAMPION, canary, None, NOON)
    last = judge(PLAN, Step(share=0.25, since=NOON - HOUR, hold=HOUR, looks=2), CHAMPION, canary, None, NOON)

    assert (first.answer, first.share) == ("step up", 0.25)
    assert (last.answer, last.share) == ("promote", 1.0)
    assert first.reason == "no worse in 250 requests since 2026-01-13 11:00:00 UTC"


def test_a_canary_waits_for_its_time_its_requests_and_its_outcomes():
    plan = PLAN.model_copy(update={"min_outcomes": 40})
    matured = Matured(canary=mean(12, 0.4), champion=mean(300, 0.4), bounded=True)

    found = judge(plan, FIRST, CHAMPION, counts(150), matured, NOON - HOUR / 2)

    assert found.answer == "hold"
    assert found.reason == "until 2026-01-13 12:00:00 UTC, 150 of 200 requests, 12 of 40 outcomes"
    assert judge(plan, FIRST, CHAMPION, counts(250), None, NOON).reason == "0 of 40 outcomes"


@pytest.mark.parametrize(
    ("canary", "matured", "why"),
    [
        (counts(200, errors=20), None, "it failed in 10.00% of its 200 requests, the champion in 0.11% of 3,800"),
        (counts(200, us=400), None, r"95% of its requests took up to 0\.\d+ ms, of the champion's 0\.\d+ ms: over 50%"),
        (counts(200, slow=0.3), None, "95% of its requests took up to"),
        (counts(200, low=60), None, r"its scores differ from the champion's by \d\.\d\d \(PSI\), over 0.25"),
        (
            counts(200),
            Matured(canary=mean(200, 0.8), champion=mean(3_000, 0.4), bounded=True),
            "its mean loss is 0.8 on 200 outcomes, the champion's 0.4 on 3,000: over 0.05 higher",
        ),
    ],
)
def test_a_canary_that_is_worse_is_taken_back_at_once_and_the_reason_says_by_what(
    canary: VariantCounts, matured: Matured | None, why: str
):
    found = judge(PLAN, FIRST, CHAMPION, canary, matured, NOON - HOUR)

    assert found.answer == "withdraw"
    assert re.match(why, found.reason), found.reason


def test_what_is_worse_by_less_than_the_margin_is_no_reason():
    lenient = Canary.model_validate(
        {"steps": ["5%", "100%"], "errors": 0.2, "latency": 30, "score_shift": 9, "quality": 0.5}
    )
    worse = counts(400, errors=24, us=400, low=60)
    matured = Matured(canary=mean(200, 0.8), champion=mean(3_000, 0.4), bounded=True)

    assert judge(lenient, FIRST, CHAMPION, worse, matured, NOON).answer == "promote"


def test_a_loss_is_only_looked_at_where_its_margin_is_declared_and_outcomes_suffice():
    without = PLAN.model_copy(update={"quality": None})
    bad = Matured(canary=mean(200, 0.8), champion=mean(3_000, 0.4), bounded=True)
    few = Matured(canary=mean(49, 0.8), champion=mean(3_000, 0.4), bounded=False)
    more = Matured(canary=mean(50, 0.8), champion=mean(3_000, 0.4), bounded=False)
    bounded = Matured(canary=mean(49, 0.8), champion=mean(3_000, 0.4), bounded=True)

    assert judge(without, FIRST, CHAMPION, counts(250), bad, NOON).answer == "step up"
    assert judge(PLAN, FIRST, CHAMPION, counts(250), few, NOON).answer == "step up"
    assert judge(PLAN, FIRST, CHAMPION, counts(250), more, NOON).answer == "withdraw"
    assert judge(PLAN, FIRST, CHAMPION, counts(250), bounded, NOON).answer == "withdraw"


def test_each_time_that_the_counts_begin_anew_it_takes_more_to_be_sure():
    erring = counts(60, errors=10)

    assert judge(PLAN, FIRST, CHAMPION, erring, None, NOON).answer == "withdraw"
    assert judge(PLAN, Step(share=0.05, since=NOON, hold=HOUR, looks=60), CHAMPION, erring, None, NOON).answer == "hold"


def test_without_a_request_to_the_champion_nothing_is_compared():
    nobody = VariantCounts()

    assert judge(PLAN, FIRST, nobody, counts(200, errors=100), None, NOON).answer == "step up"


def test_a_shadow_waits_for_its_period_and_then_takes_the_first_step():
    shadow = Step(share=0.0, since=NOON - HOUR, hold=2 * HOUR)

    assert judge(PLAN, shadow, CHAMPION, counts(3_800), None, NOON).answer == "hold"
    later = judge(PLAN, shadow, CHAMPION, counts(3_800), None, NOON + HOUR)
    assert (later.answer, later.share) == ("step up", 0.05)
