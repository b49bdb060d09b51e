"""How far windows lie out, against what is known of their variances."""

import numpy as np
import pytest

from mlops_assets.detection.components import Component
from mlops_assets.detection.noise import deviations

WINDOWS = 29


def components(random: np.random.Generator, sds: list[float], *, sampling: float = 1e-6) -> list[Component]:
    return [
        Component(
            column=f"n{i}", what="mean", values=random.normal(0, sd, WINDOWS), variances=np.full(WINDOWS, sampling)
        )
        for i, sd in enumerate(sds)
    ]


def far(found: list[Component], **season):
    rows, behind = np.full(WINDOWS, 1e6), np.full(len(found), 28e6)
    return deviations(found, rows, behind, season.get("phases"), season.get("cycle", 0))


def test_a_window_is_compared_with_all_others_as_by_hand():
    found = components(np.random.default_rng(0), [1.0])  # one alone has nothing to be pooled with
    values = found[0].values

    made = far(found)

    others = values[:-1]
    by_hand = (values[-1] - others.mean()) / (others.std(ddof=1) * np.sqrt(1 + 1 / 28))
    assert made.scores[-1, 0] == pytest.approx(by_hand, rel=1e-3)
    assert made.freedom[-1, 0] == 27


def test_columns_that_vary_alike_lend_each_other_certainty():
    found = components(np.random.default_rng(1), [1.0] * 20)

    made = far(found)

    alone = np.array([np.delete(each.values, -1).std(ddof=1) for each in found])
    assert made.freedom[-1, 0] > 3 * 27
    assert made.noise[-1].std() < alone.std() / 2


def test_a_column_that_varies_more_than_the_others_keeps_its_own_noise():
    found = components(np.random.default_rng(2), [1.0] * 10 + [10.0])

    made = far(found)

    assert made.noise[-1, -1] > 7.0
    assert np.median(made.noise[-1, :-1]) < 1.5


def test_noise_is_never_less_than_sampling_variance():
    steady = components(np.random.default_rng(3), [0.001] * 5, sampling=0.04)

    assert (far(steady).noise >= 0.2).all()


def test_p_values_of_ordinary_windows_are_uniform():
    found = [far(components(np.random.default_rng(seed), [0.5, 1.0, 2.0, 1.0])).p_values[-1] for seed in range(200)]

    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_a_season_is_taken_out_where_there_is_one_and_only_there():
    random = np.random.default_rng(4)
    phases = [i % 7 for i in range(WINDOWS)]
    wave, plain = components(random, [0.1, 0.1])
    seasonal = Component(
        column="w", what="mean", values=wave.values + np.sin(2 * np.pi * np.array(phases) / 7), variances=wave.variances
    )

    made = far([seasonal, plain], phases=phases, cycle=7)

    assert made.noise[-1, 0] < 0.2
    assert far([seasonal, plain]).noise[-1, 0] > 0.6
    assert made.freedom[-1].tolist() == [21.0, 27.0]
