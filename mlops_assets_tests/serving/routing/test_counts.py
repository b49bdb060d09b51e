"""Bins that ascend and are narrow, and counts that add up."""

import math

import msgspec
import pytest

from mlops_assets.serving.routing.counts import (
    NO_NUMBER,
    Tally,
    VariantCounts,
    added,
    by_segment,
    counts_key,
    latency_bin,
    latency_us,
    quantile_us,
    score_bin,
)
from mlops_assets.training.predictor import Score


def scores(*outputs: float) -> list[Score]:
    return [Score(output, None, None) for output in outputs]


def test_bins_of_latency_ascend_one_by_one_and_hold_what_they_say():
    before = -1
    for us in [*range(5_000), *range(5_000, 70_000_000, 9_973)]:
        place = latency_bin(us)
        assert place >= before
        assert latency_us(place) >= min(us, 2**26 - 1) > (latency_us(place - 1) if place else -1)
        assert latency_us(place) <= max(us, 1) * 1.125 + 1
        before = place


def test_a_quantile_is_the_bound_of_its_bin():
    tally = Tally("binary")
    for us in [10] * 94 + [1_000] * 6:
        tally.answered(us, scores(0.5))

    latency = tally.counts().latency

    assert quantile_us(latency, 0.5) == 10
    assert quantile_us(latency, 0.95) == latency_us(latency_bin(1_000))
    assert quantile_us([], 0.95) is None


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_bins_of_scores_ascend_with_the_score(task):
    values = {
        "binary": [0.0, 0.004, 0.5, 0.99, 1.0],
        "multiclass": [0.0, 1.0, 2.0, 17.0],
        "regression": [-1e30, -290.0, -1.01, -1.0, 0.0, 1e-9, 0.5, 1.0, 1.02, 290.0, 300.0, 1e18, 1e30],
    }

    places = [score_bin(task)(value) for value in values[task]]

    assert places == sorted(places)


def test_values_of_two_percent_more_have_another_bin():
    place = score_bin("regression")

    assert all(place(value) < place(value * 1.02) for value in (1e-3, 1.0, 290.0, 1e6))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_has_a_bin_of_its_own(task, value):
    assert score_bin(task)(value) == NO_NUMBER


def test_counts_of_workers_add_up_and_pass_through_their_files():
    first, second = Tally("binary"), Tally("binary")
    first.answered(20, scores(0.1, 0.9))
    second.answered(3_000, scores(0.1))
    second.errors += 1
    second.dropped += 2
    second.explain(ValueError("of Jane Doe"))

    parts = [msgspec.json.decode(msgspec.json.encode(tally.counts()), type=VariantCounts) for tally in (first, second)]
    both = added(parts)

    assert (both.requests, both.errors, both.dropped, both.why) == (3, 1, 2, "ValueError")
    assert sum(both.latency) == 2
    assert both.scores == {10: 2}


def test_of_a_request_the_first_row_counts_and_of_a_sticky_value_the_first_request():
    first, second = Tally("binary"), Tally("binary")
    for tally in (first, second):
        tally.answered_for(b"jo", 20, scores(0.1, 0.9), shared=False)
        tally.answered_for(b"jo", 20, scores(0.5), shared=False)
        tally.answered_for(b"al", 20, scores(0.5), shared=True)
        tally.answered_for(b"cy", 20, (), shared=True)

    both = added([first.counts(), second.counts()])

    assert (both.scores, both.keyed) == ({10: 2, 50: 2}, 2)
    assert (sum(both.latency), sum(both.shared)) == (8, 4)


def test_a_worker_names_segment_variant_and_version():
    counts = {counts_key("eu-1.a", "canary", 7): VariantCounts(requests=1)}

    assert by_segment(counts) == {("eu-1.a", "canary", 7): VariantCounts(requests=1)}
