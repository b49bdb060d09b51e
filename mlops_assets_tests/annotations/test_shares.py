"""A shift of the labels warns only if it is certain and large enough to matter."""

import numpy as np
import polars as pl
import pytest

from mlops_assets.annotations.shares import label_shares_are_steady


def labels(ones: int, of: int) -> pl.DataFrame:
    return pl.DataFrame({"label": ["1"] * ones + ["0"] * (of - ones)})


@pytest.mark.parametrize(
    ("ones", "of", "passed"),
    [
        (400, 1000, True),  # the same share
        (440, 1000, True),  # four points: too small to matter
        (600, 1000, False),  # twenty points of a thousand
        (24, 60, True),
        (28, 60, True),  # seven points of sixty: chance
        (1000, 1000, False),  # a class is gone
    ],
)
def test_shares_of_classes_are_compared_with_the_window_before(ones: int, of: int, passed: bool):
    check = label_shares_are_steady(labels(ones, of), labels(400, 1000))

    assert check.passed is passed
    assert (check.severity, check.blocking) == ("warn", False)
    assert check.facts["largest_shift"] == pytest.approx(abs(ones / of - 0.4), abs=1e-4)


def test_the_certainty_is_that_of_pearsons_chi_square():
    """[[600, 400], [540, 460]]: chi-square 7.347 with one degree of freedom, p 0.00672, normal quantile 2.47."""
    check = label_shares_are_steady(labels(600, 1000), labels(540, 1000))

    assert check.facts["z"] == pytest.approx(2.47, abs=0.05)


@pytest.mark.parametrize("before", [None, labels(5, 10)])
def test_without_enough_labels_it_says_that_it_cannot_tell(before: pl.DataFrame | None):
    check = label_shares_are_steady(labels(400, 1000), before)

    assert check.passed
    assert check.facts["said"] == "cannot tell: fewer than 50 labels"


@pytest.mark.parametrize(("shift", "passed"), [(0.0, True), (0.1, True), (0.5, False)])
def test_the_mean_of_numbers_is_compared_in_standard_deviations(shift: float, passed: bool):
    values = np.random.default_rng(0).normal(size=4000)

    check = label_shares_are_steady(
        pl.DataFrame({"label": values + shift}), pl.DataFrame({"label": values[::-1].copy()})
    )

    assert check.passed is passed


def test_constant_numbers_are_steady_until_they_jump():
    one, two = pl.DataFrame({"label": [1.0] * 60}), pl.DataFrame({"label": [2.0] * 60})

    assert label_shares_are_steady(one, one).passed
    assert not label_shares_are_steady(two, one).passed
