"""Policies on eleven days whose relation turns round on the seventh: who retrains, when, and what it was worth."""

import numpy as np
import pytest

from mlops_assets.backtest.outcome import DRIFT, EVERY, NEVER, Backtest, backtested, policies
from mlops_assets.backtest.policies import Policy, evenly, play
from mlops_assets.parts import Budget, Retrain
from mlops_assets_tests.backtest.conftest import AFTER, BEFORE, SWITCH, Made
from mlops_assets_tests.tiny import DAY


@pytest.fixture(scope="module")
def found(turned: Made) -> Backtest:
    product = turned.tiny.product
    assert product.windows is not None
    return backtested(turned.matrix, policies(product.retrain, product.windows))


def test_the_day_of_the_switch_is_what_the_best_single_retrain_learns_from(found: Backtest, turned: Made):
    [period] = [p for p in turned.matrix.moments if turned.history.windows[turned.matrix.newest[p]].key == SWITCH]
    serving = np.where(np.arange(len(turned.matrix.periods)) < period, 0, turned.matrix.newest[period])

    assert found.optimum[1] == pytest.approx(turned.matrix.mean(serving))
    assert found.optimum == sorted(found.optimum)


def test_on_drift_retrains_on_the_switch_alone_and_keeps_the_gain(found: Backtest):
    row = found.row(DRIFT)

    assert row.declared
    assert row.retrained_on == [SWITCH]
    assert row.kept is not None
    assert row.kept > 0.9
    assert row.quality == pytest.approx(row.best)
    assert row.quality > row.evenly + 0.1
    assert (row.alarms, row.false_alarms) == (1, 0)
    assert found.row(NEVER).quality < 0.6


def test_fixed_policies_retrain_as_often_as_they_say(found: Backtest):
    occasions = BEFORE + AFTER - 2

    assert found.occasions == occasions
    assert [found.row(name).retrains for name in (NEVER, EVERY, "every 2 windows")] == [0, occasions, occasions // 2]
    assert (found.row(NEVER).kept, found.row(EVERY).kept) == (0, 1)
    assert found.row(EVERY).seconds > found.row("every 2 windows").seconds > found.row(NEVER).seconds == 0


def test_no_policy_is_better_than_the_best_in_hindsight(found: Backtest):
    assert all(row.quality <= found.optimum[row.retrains] + 1e-12 for row in found.policies)
    assert all(row.over_time[0] == found.policies[0].over_time[0] for row in found.policies)


def test_an_alarm_stays_open_until_a_training_and_is_false_if_that_makes_nothing_better(turned: Made):
    never_enough = Policy(name="never enough rows", retrain=Retrain(min_rows=1_000_000), heeds=frozenset({"loss"}))
    loose = Policy(name="loose", retrain=Retrain(min_rows=1_000_000), heeds=frozenset({"relation"}))

    heard, hasty = play(never_enough, turned.matrix), play(loose, turned.matrix)

    assert (heard.retrained, hasty.retrained) == ((), ())
    assert [turned.history.windows[turned.matrix.newest[period]].key >= SWITCH for period in heard.alarms] == [True] * 4
    assert heard.false == ()
    for period in hasty.alarms:
        new, old = (turned.matrix.quality[place, period] for place in (turned.matrix.newest[period], 0))
        assert (period in hasty.false) == (new <= old)


def test_an_alarm_leads_to_a_training_where_that_mends_something(turned: Made):
    declared = Policy(name="declared", retrain=turned.tiny.product.retrain)

    played = play(declared, turned.matrix)

    assert [turned.history.windows[turned.matrix.newest[period]].key for period in played.retrained] == [SWITCH]


def test_the_loops_own_brakes_hold_a_policy_back(turned: Made):
    free = play(Policy(name="free", retrain=Retrain(cooldown=0 * DAY, min_rows=1, every=DAY)), turned.matrix)
    spent = Retrain(cooldown=0 * DAY, min_rows=1, every=DAY, budget=Budget(trainings=1, per=100 * DAY))
    resting = Retrain(cooldown=3 * DAY, min_rows=1, every=DAY)

    assert len(free.retrained) == len(turned.matrix.moments)
    assert len(play(Policy(name="spent", retrain=spent), turned.matrix).retrained) == 1
    assert len(play(Policy(name="resting", retrain=resting), turned.matrix).retrained) == len(free.retrained) // 3


def test_evenly_spaced_retrains_are_between_none_and_all(turned: Made, found: Backtest):
    last = len(turned.matrix.moments)

    assert evenly(turned.matrix, 0) == pytest.approx(found.row(NEVER).quality)
    assert evenly(turned.matrix, last) == pytest.approx(found.row(EVERY).quality)


def test_few_windows_are_said_to_be_few(found: Backtest):
    assert found.caution.startswith("only 9 occasions to retrain (less than 12)")
