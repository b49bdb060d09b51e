"""What models cost: each spending belongs to one of them at most, first come first served."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.costs.budget import budget
from mlops_assets.costs.models import attributed, by_decision, per_point
from mlops_assets.costs.spent import Decided, Spent
from mlops_assets.costs.sums import Sum, total
from mlops_assets.costs.unused import unused
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.rules import Spending

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def made(
    record: str,
    stage: str,
    cpu_s: float,
    *inputs: str,
    run: str | None = None,
    gpu_s: float = 0.0,
    at: datetime = NOW,
    decided: Decided | None = None,
) -> Spent:
    return Spent(
        record=record,
        stage=stage,
        partition="all|all",
        at=stamp(at),
        run=run,
        measured=True,
        cpu_s=cpu_s,
        gpu_s=gpu_s,
        wall_s=cpu_s,
        rows_in=10,
        rows_out=10,
        bytes=100,
        inputs=list(inputs),
        decided=decided,
    )


def act(kind: str, version: int, *, at: datetime = NOW, segment: str = "all", decision: str | None = None) -> Act:
    return Act(
        kind=kind,  # type: ignore[arg-type]
        product="loans",
        segment=segment,
        version=version,
        record=f"m{version}",
        by="gate",
        reason="drift",
        at=stamp(at),
        facts={"decision": decision, "window": "all"},
    )


# Two weeks of data. Version 1 learns from the first, versions 2 and 3 from both; a third week nobody learns from.
WEEKS = [
    made("a1", "annotations", 1),
    made("f1", "features", 2, "a1"),
    made("a2", "annotations", 4),
    made("f2", "features", 8, "a2"),
    made("a3", "annotations", 16),
    made("d1", "drift", 32),
]
MODELS = [
    made("m1", "model", 100, "f1", run="r1"),
    made("c1", "champion", 10, "m1", run="r1", decided=Decided(1, "promote", 0.8)),
    made("e1", "endpoint", 1, "c1", run="r1"),
    made("m2", "model", 200, "f1", "f2", run="r2", gpu_s=50),
    made("c2", "champion", 20, "m2", "m1", run="r2", decided=Decided(2, "wait", 0.85, 0.8)),
    made("c3", "champion", 30, "m2", "m1", run="r9", decided=Decided(2, "promote", 0.85, 0.8)),
    made("e9", "endpoint", 1, "c3"),
    made("m3", "model", 300, "f1", "f2", run="r3"),
    made("c4", "champion", 40, "m3", "m2", run="r3", decided=Decided(3, "refuse", 0.7, 0.85)),
]
REGISTERED = [act("register", version, decision="yes" if version > 1 else None) for version in (1, 2, 3)]


def test_a_model_costs_its_training_its_gate_and_the_data_that_no_earlier_one_has_learned_from():
    one, two, three = attributed([*WEEKS, *MODELS], REGISTERED, "auc").models

    assert [(m.training.cpu_s, m.gate.cpu_s, m.data.cpu_s) for m in (one, two, three)] == [
        (100, 11, 3),
        (200, 50, 12),
        (300, 40, 0),
    ]
    assert [m.reused.cpu_s for m in (one, two, three)] == [0, 3, 15]
    assert [m.answer for m in (one, two, three)] == ["promote", "promote", "refuse"]
    assert two.cost.gpu_s == 50


def test_nothing_is_counted_twice_and_nothing_is_lost():
    everything = [*WEEKS, *MODELS]
    found = attributed(everything, REGISTERED, "auc")

    assert sum((m.cost for m in found.models), total(found.rest)) == total(everything)
    assert {each.record for each in found.rest} == {"a3", "d1", "e9"}


def test_a_model_that_was_trained_twice_costs_both_trainings():
    again = made("m1", "model", 70, "f1", run="r5")

    [one] = attributed([*WEEKS, *MODELS[:3], again], REGISTERED[:1], "auc").models

    assert one.training == total([MODELS[0], again])


@pytest.mark.parametrize(("metric", "gained"), [("auc", 0.05), ("rmse", -0.05)])
def test_a_promoted_version_gained_what_the_gate_saw(metric: str, gained: float):
    one, two, three = attributed([*WEEKS, *MODELS], REGISTERED, metric).models

    assert two.gained == pytest.approx(gained)
    assert (one.gained, three.gained) == (None, None)


def test_a_point_costs_what_was_spent_over_what_was_gained():
    cost = Sum(cpu_s=90, gpu_s=10)

    assert per_point(cost, 0.05) == pytest.approx(20)
    assert per_point(cost, -0.01) is per_point(cost, 0.0) is per_point(cost, None) is None


def test_a_decision_costs_all_versions_that_it_led_to():
    models = attributed([*WEEKS, *MODELS], REGISTERED, "auc").models

    assert {name: [m.version for m in led_to] for name, led_to in by_decision(models).items()} == {"yes": [2, 3]}


def test_what_never_served_or_no_longer_does_is_unused():
    registered = [act("register", v, at=NOW - 90 * DAY) for v in (1, 2, 3)] + [act("register", 4)]
    moves = [
        act("promote", 1, at=NOW - 80 * DAY),
        act("promote", 3, at=NOW - 40 * DAY),
    ]

    found = unused(registered, moves, {"m1": 5, "m2": 7}, NOW)

    assert [(each.version, each.why, each.bytes) for each in found] == [
        (1, "replaced by version 3 on 2026-01-20", 5),
        (2, "never promoted", 7),
    ]


def test_what_served_lately_or_waits_for_its_decision_is_in_use():
    registered = [act("register", v, at=NOW - 90 * DAY) for v in (1, 2)] + [act("register", 3, at=NOW - DAY)]
    moves = [act("promote", 1, at=NOW - 80 * DAY), act("promote", 2, at=NOW - 29 * DAY)]

    assert unused(registered, moves, {}, NOW) == ()
    assert [each.version for each in unused(registered, moves, {}, NOW + 30 * DAY)] == [1, 3]


def test_one_that_was_rolled_back_to_is_in_use_again():
    registered = [act("register", v, at=NOW - 90 * DAY) for v in (1, 2)]
    moves = [act("promote", 1, at=NOW - 80 * DAY), act("promote", 2, at=NOW - 70 * DAY)]
    moves.append(act("rollback", 1, at=NOW - 60 * DAY))

    [found] = unused(registered, moves, {}, NOW)

    assert (found.version, found.why) == (2, "replaced by version 1 on 2025-12-31")


def test_a_budget_counts_what_was_made_within_its_period():
    spending = Spending.model_validate({"cpu_hours": 1, "gpu_hours": 2, "per": "30d"})
    old, new = made("x", "model", 7200, at=NOW - 31 * DAY), made("y", "model", 1800, gpu_s=9000, at=NOW - 29 * DAY)

    found = budget(spending, [old, new], NOW)

    assert [(each.kind, each.hours, each.exceeded) for each in found.used] == [("CPU", 0.5, False), ("GPU", 2.5, True)]
    assert [each.words for each in found.exceeded] == ["2.5 of 2 GPU hours"]


def test_only_what_is_limited_is_counted():
    spending = Spending.model_validate({"cpu_hours": 1, "per": "1d"})

    assert [each.kind for each in budget(spending, [], NOW).used] == ["CPU"]
