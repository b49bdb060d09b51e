"""What the drift benchmark draws and how it counts: counts without rows against rows, known streams, known alarms."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp, kstest

from benchmarks.drift_counts import bins_of, counted, drawn_reference
from benchmarks.drift_peers import matched
from benchmarks.drift_scenarios import OURS, SHARED
from benchmarks.drift_streams import STREAMS, alarms
from benchmarks.drift_watch import WINDOWS, Scenario, Watched, by_world, told, watch
from benchmarks.drift_worlds import GRID, NOTHING, Change, World, shape, table, weekday
from benchmarks.streams import DRIFTS, EVERY, ROWS, Detected, detected, sines, waveform
from mlops_assets.detection.drift import judge
from mlops_assets.training.bins import count
from mlops_assets.training.reference import reference

HABITUAL = World(jitter=0.05)


def p_values(random, *, rows: int, windows: int, drawn: bool) -> list[float]:
    """The p-values of ordinary windows, through rows or drawn."""

    def of(day: int):
        return shape(HABITUAL, NOTHING, day, random)

    if drawn:
        seen = drawn_reference(HABITUAL, rows, WINDOWS, random)
        lives = [counted(of(day), rows, seen.bins, random) for day in range(windows)]
    else:
        history = pl.concat(table(of(day), rows, day, random) for day in range(WINDOWS))
        seen = reference(history, at="at", rows_per_window=rows, seed=0, grid=GRID)
        lives = [count(table(of(day), rows, day, random), seen.bins) for day in range(windows)]
    verdicts = [judge(live, seen, phase=weekday(day)).verdict for day, live in enumerate(lives)]
    return [verdict.p_value or 0.0 for verdict in verdicts]


def test_drawn_counts_look_like_those_of_rows():
    random = np.random.default_rng(0)
    of = shape(HABITUAL, Change(shift=0.3, scale=1.3, new_level=0.05, missing=0.1), 3, random)
    bins = bins_of(HABITUAL, 40_000)

    drawn, rows = counted(of, 40_000, bins, random), count(table(of, 40_000, 3, random), bins)

    assert (drawn.rows, drawn.bins, drawn.columns.keys()) == (rows.rows, rows.bins, rows.columns.keys())
    for name, column in rows.columns.items():
        assert abs(drawn.columns[name].null - column.null) < 400, name
        assert np.allclose(drawn.columns[name].bins, column.bins, atol=320), name
    assert np.allclose(drawn.matrix() / 40_000, rows.matrix() / 40_000, atol=0.04)


def test_the_scatter_of_a_drawn_gram_matrix_has_the_distribution_of_that_of_rows():
    random = np.random.default_rng(1)
    of, bins = shape(World(), NOTHING, 0, random), bins_of(World(), 56_000)

    def scatter(draw) -> np.ndarray:
        grams = [draw().matrix() / 200 for _ in range(150)]
        return np.array([[gram[i, 2] - gram[0, i] * gram[0, 2] for gram in grams] for i in (1, 2)])

    drawn = scatter(lambda: counted(of, 200, bins, random))
    rows = scatter(lambda: count(table(of, 200, 0, random), bins))

    assert min(ks_2samp(*both).pvalue for both in zip(drawn, rows, strict=True)) > 0.01
    assert kstest(drawn[0] * np.sqrt(200), "norm").pvalue > 0.01


def test_verdicts_on_drawn_counts_are_distributed_as_those_on_rows():
    found = {
        drawn: np.concatenate(
            [p_values(np.random.default_rng(seed), rows=500, windows=10, drawn=drawn) for seed in range(4)]
        )
        for drawn in (False, True)
    }

    assert ks_2samp(found[False], found[True]).pvalue > 0.01


def test_counts_of_correlated_columns_are_not_drawn():
    random = np.random.default_rng(0)

    with pytest.raises(ValueError, match="independent columns only"):
        counted(shape(World(pair=0.5), NOTHING, 0, random), 100, bins_of(World(), 100), random)


def test_decoupled_columns_keep_their_own_distribution():
    random = np.random.default_rng(0)
    world = World(factors=True)

    shapes = (shape(world, change, 0, random) for change in (NOTHING, Change(decoupled=True)))
    before, after = (table(of, 20_000, 0, random) for of in shapes)

    for name in ("n0", "n1", "n2"):
        assert ks_2samp(before[name], after[name]).pvalue > 0.001
    coupled = [name for name in before.columns[3:21] if abs(before.select(pl.corr("n0", name)).item()) > 0.3]
    assert coupled
    assert all(abs(after.select(pl.corr("n0", name)).item()) < 0.05 for name in coupled)


def test_a_window_s_rows_lie_in_their_own_day():
    random = np.random.default_rng(0)

    keys = table(shape(World(), NOTHING, 8, random), 300, 8, random).select(GRID.expression(pl.col("at")))

    assert keys.to_series().unique().to_list() == ["2024-01-09"]
    assert weekday(8) == 1


@pytest.mark.parametrize("rows", [300, 100_000])
def test_a_change_that_nobody_misses_is_caught_in_every_window(rows):
    scenario = Scenario(name="power", world=HABITUAL, rows=rows, change=Change(shift=1.0))

    found = told([watch([scenario], seed)["power"] for seed in range(2)])

    assert (found.at_once, found.delay, found.missed, found.slowly) == (1.0, 1.0, 0.0, 0.0)
    assert 0.03 < found.promised < 0.05


def test_alarms_are_told_apart_by_how_they_came_and_bounded_for_windows_that_share_a_reference():
    quiet = Watched(at_once=(False,) * 50, slowly=(False,) * 50, p_values=(0.5,) * 50, promised=0.04)
    noisy = replace(quiet, at_once=(False,) * 40 + (True,) * 10)
    slow = replace(quiet, slowly=(False, False, True) + (False,) * 47)

    alike, apart = told([replace(quiet, at_once=(True,) * 5 + (False,) * 45)] * 2), told([quiet, noisy])
    mixed = told([slow, noisy, quiet])

    assert (mixed.alarms, mixed.at_once, mixed.slowly) == pytest.approx((11 / 150, 10 / 150, 1 / 150))
    assert (mixed.delay, mixed.missed) == pytest.approx(((3 + 41) / 2, 1 / 3))
    assert (alike.alarms, apart.alarms) == (0.1, 0.1)
    assert (alike.low, alike.high) == pytest.approx((0.049, 0.176), abs=0.001)  # 10 of 100
    assert apart.low < alike.low < alike.high < apart.high
    assert told([quiet] * 2).high == pytest.approx(0.036, abs=0.001)  # 0 of 100


def test_a_matched_threshold_alarms_on_as_many_ordinary_windows_as_promised():
    quiet = np.arange(100.0)

    assert matched(quiet, quiet, 0.05) == 0.05
    assert matched(quiet, quiet + 50, 0.05) == 0.55


def test_every_change_is_shown_beside_the_same_world_without_it():
    worlds = {by_world(scenario) for scenario in (*SHARED, *OURS) if scenario.change == NOTHING}

    assert {by_world(scenario) for scenario in (*SHARED, *OURS)} == worlds
    assert len({scenario.name for scenario in (*SHARED, *OURS)}) == len((*SHARED, *OURS))


def test_streams_drift_every_five_thousand_rows_and_only_then():
    for make, columns in ((waveform, 21), (sines, 4)):
        values = make(0)
        parts = [values[start : start + EVERY] for start in (0, *DRIFTS)]
        halves = [(part[:2_500], part[2_500:]) for part in parts[:-1]]

        assert values.shape == (ROWS, columns)
        assert max(np.abs(_relation(a) - _relation(b)).max() for a, b in halves) < 0.35
        assert min(np.abs(_relation(a) - _relation(b)).max() for a, b in pairwise(parts[:-1])) > 0.5


def _relation(rows: np.ndarray) -> np.ndarray:
    """Means and correlations."""
    return np.concatenate([rows.mean(axis=0), np.corrcoef(rows.T).ravel()])


def test_the_first_alarm_after_a_drift_is_its_detection_and_all_others_are_false():
    found = detected([40, 130, 160, 350], drifts=(100, 200, 300))

    assert found == Detected(false_alarms=2, missed=1 - 2 / 3, delay_rows=40.0)
    assert detected([], drifts=(100,)).missed == 1.0


def test_a_stream_is_watched_anew_after_each_alarm():
    short = replace(STREAMS["sine_clusters"], make=lambda seed: sines(seed)[:15_000])

    found = alarms(short, seed=0)

    assert found == [5_250, 10_250]
