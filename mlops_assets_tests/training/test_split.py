"""The split in time: whatever the windows, the newest rows are held out and nothing is in two parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.training.split import filled, split


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=6).filter(lambda counts: sum(counts) >= 10), st.data())
def test_the_parts_follow_each_other_and_end_with_the_newest_rows(counts: list[int], data: st.DataObject):
    windows = filled(tuple(counts))
    used = data.draw(st.integers(1, len(windows)))

    parts = split(windows, used)

    assert sum(windows) == sum(counts)
    assert parts.fit.start == sum(windows[:-used])
    assert (parts.fit.stop, parts.validation.stop, parts.holdout.stop) == (
        parts.validation.start,
        parts.holdout.start,
        sum(counts),
    )
    assert all(part.start < part.stop for part in (parts.fit, parts.validation, parts.holdout))


@pytest.mark.parametrize(("rows", "held"), [(10, 3), (200, 66), (400, 100), (1000, 200)])
def test_a_fifth_is_held_out_but_a_hundred_rows_where_there_are_enough(rows: int, held: int):
    parts = split((5000, rows), 2)

    assert parts.holdout.stop - parts.holdout.start == held
    assert parts.holdout == split((5000, rows), 1).holdout


def test_a_tiny_newest_window_counts_with_the_one_before():
    assert filled((300, 0, 50, 4)) == (300, 54)
