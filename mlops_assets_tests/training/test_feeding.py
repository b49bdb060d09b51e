"""Rows come in the order asked for, wherever they lie, and each to one process."""

import numpy as np
import pytest
import torch

from mlops_assets.training.networks.descent import descend
from mlops_assets.training.networks.feeding import Feed, fits
from mlops_assets.training.networks.forms import Examples
from mlops_assets.training.networks.kinds import form_of
from mlops_assets.training.networks.ranks import ALONE, World
from mlops_assets_tests.training.networks import course

CPU = torch.device("cpu")


def examples(count: int = 10, categories: int = 1) -> Examples:
    """Row i has the number i, the code i and the label -i."""
    row = np.arange(count, dtype=np.float32)
    codes = np.repeat(row[:, None], categories, axis=1).astype(np.int32)
    return Examples(dense=row[:, None], codes=codes, labels=-row)


@pytest.mark.parametrize("resident", [True, False])
def test_batches_follow_the_order_and_keep_what_belongs_together(resident: bool):
    feed = Feed(examples(), CPU, resident=resident)
    order = torch.tensor([7, 3, 9, 0, 1, 2, 8])

    batches = list(feed.batches(order, order[:, None] * 2.0, 3, ALONE))

    assert [batch.dense[:, 0].tolist() for batch in batches] == [[7, 3, 9], [0, 1, 2], [8]]
    for batch in batches:
        assert batch.codes is not None
        assert batch.draws is not None
        assert batch.labels.tolist() == [-each for each in batch.dense[:, 0].tolist()]
        assert batch.codes.tolist() == batch.dense.tolist()
        assert batch.draws.tolist() == (2 * batch.dense).tolist()


def test_all_rows_are_run_through_as_they_lie():
    runs = list(Feed(examples(categories=0), CPU, resident=False).runs(4))

    assert [run.dense[:, 0].tolist() for run in runs] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(run.codes is None for run in runs)
    assert [run.count for run in runs] == [4, 4, 2]


def test_processes_share_each_batch_and_no_two_have_a_row_in_common():
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    feed = Feed(examples(), CPU, resident=True)

    shares = [list(feed.batches(order, None, 4, World(rank=rank, size=3))) for rank in range(3)]

    for place, start in enumerate(range(0, 10, 4)):
        batch = [share[place] for share in shares]
        seen = [row for each in batch if each.weight for row in each.dense[:, 0].tolist()]
        assert sorted(seen) == sorted(order[start : start + 4].tolist())
        assert {each.count for each in batch} == {min(4, 10 - start)}
    assert [share[-1].weight for share in shares] == [1, 1, 0]


def test_what_is_learned_does_not_hang_on_where_the_rows_lie():
    asked, start, rows, validation = course()
    form = form_of(asked.architecture)

    near, far = (descend(asked, form, start, rows, validation, resident=resident) for resident in (True, False))

    assert near.history == far.history
    for name, value in near.tensors.items():
        np.testing.assert_array_equal(far.tensors[name], value)


def test_rows_lie_on_the_device_up_to_half_of_its_free_memory():
    assert fits(50, 100)
    assert not fits(51, 100)
