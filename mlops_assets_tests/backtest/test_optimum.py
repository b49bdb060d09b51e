"""The best in hindsight, against every way there is, tried one by one."""

from itertools import combinations

import numpy as np
import pytest

from mlops_assets.backtest.optimum import optimum


def tried(quality: np.ndarray, weights: np.ndarray, newest: list[int], retrains: int) -> float:
    """The best of every choice of at most so many moments."""
    moments = [p for p in range(len(newest)) if newest[p] > (newest[p - 1] if p else 0)]
    reached = []
    for count in range(retrains + 1):
        for chosen in combinations(moments, count):
            current, total = 0, 0.0
            for period in range(len(newest)):
                current = newest[period] if period in chosen else current
                total += quality[current, period] * weights[period] if weights[period] else 0.0
            reached.append(total / weights.sum())
    return max(reached)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_trying_every_choice_finds(seed: int):
    random = np.random.default_rng(seed)
    newest = [0, 0, 1, 2, 2, 3, 4, 5]
    weights = random.integers(0, 50, len(newest)).astype(float)
    quality = random.uniform(size=(6, len(newest)))
    for model in range(6):
        quality[model, [p for p, known in enumerate(newest) if known < model]] = np.nan

    found = optimum(quality, weights, newest)

    assert len(found) == 6
    assert found == pytest.approx([tried(quality, weights, newest, count) for count in range(6)])
    assert found == sorted(found)


def test_a_window_without_a_model_is_never_chosen():
    quality = np.array([[0.5, 0.5, 0.5], [np.nan] * 3, [np.nan, np.nan, 0.9]])

    assert optimum(quality, np.ones(3), [0, 1, 2]) == pytest.approx([0.5, (0.5 + 0.5 + 0.9) / 3, (0.5 + 0.5 + 0.9) / 3])
