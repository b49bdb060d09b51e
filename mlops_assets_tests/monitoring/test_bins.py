import math
import random as stdlib_random

import msgspec
import numpy as np
import polars as pl
import pytest

from mlops_assets.training.bins import Counts, count, merge
from mlops_assets.training.frozen import freeze_bins
from mlops_assets_tests.detection.populations import table


def test_every_row_is_counted_once_per_column():
    rows = pl.DataFrame(
        {"x": [1.0, 2.0, None, math.nan, math.inf, -math.inf, 99.0], "t": ["a", "b", None, "a", "z", "a", "a"]}
    )
    bins = freeze_bins(pl.DataFrame({"x": [1.0, 2.0, 3.0], "t": ["a", "b", "b"]}), ["x", "t"])

    counts = count(rows, bins)

    x, t = counts.columns["x"], counts.columns["t"]
    assert (x.valid, x.null, x.inf) == (3, 2, 2)
    assert x.bins[-1] == 1  # 99 is above all of training's values
    assert (t.bins, t.null) == ([1, 4, 0, 1], 1)  # levels b and a, other, unseen


def test_training_rows_fill_quantile_bins_evenly():
    values = pl.DataFrame({"x": np.random.default_rng(0).normal(size=10_000)})
    bins = freeze_bins(values, ["x"])

    filled = [rows for rows in count(values, bins).columns["x"].bins[1:-1] if rows > 10]

    assert len(filled) == 20
    assert max(filled) - min(filled) < 10


def test_counts_merge_to_the_last_digit_in_any_order_and_grouping():
    random = np.random.default_rng(1)
    rows = table(random, 4_000).with_columns(n0=pl.when(pl.col("n1") > 1.5).then(None).otherwise(pl.col("n0") * 1e5))
    bins = freeze_bins(rows, rows.columns)
    parts = [count(rows[start : start + 371], bins) for start in range(0, rows.height, 371)]
    whole = count(rows, bins)

    for seed in range(3):
        shuffled = stdlib_random.Random(seed).sample(parts, len(parts))
        pairs = [merge(shuffled[i : i + 2]) for i in range(0, len(shuffled), 2)]

        assert merge(pairs) == merge(shuffled) == merge([whole])


def test_counts_survive_json():
    rows = table(np.random.default_rng(2), 300)
    counts = count(rows, freeze_bins(rows, rows.columns))

    assert msgspec.json.decode(msgspec.json.encode(counts), type=Counts) == counts


def test_gram_is_the_one_of_the_rows():
    rows = table(np.random.default_rng(3), 3_000)
    names = [name for name in rows.columns if name.startswith("n")]
    bins = freeze_bins(rows, names)

    gram = count(rows, bins).matrix()

    z = (rows.select(names).to_numpy() - [b.mean for b in bins.numeric]) / [b.sd for b in bins.numeric]
    assert np.allclose(gram[1:, 1:], z.T @ z, atol=0.002 * rows.height)
    assert gram[0, 0] == rows.height


def test_counts_over_other_bins_do_not_merge():
    rows = table(np.random.default_rng(4), 200)
    mine, other = freeze_bins(rows, ["n0"]), freeze_bins(rows, ["n1"])

    with pytest.raises(ValueError, match="counts merge over one set of bins, found 2"):
        merge([count(rows, mine), count(rows, other)])


def test_a_column_that_is_no_number_and_no_text_is_named():
    rows = pl.DataFrame({"when": [None]}, schema={"when": pl.Datetime})

    with pytest.raises(ValueError, match=r"column 'when' is Datetime.*right is a number, a bool or text"):
        freeze_bins(rows, ["when"])


@pytest.mark.parametrize(
    ("values", "live", "bins"),
    [
        ([5.0] * 50, [5.0, 6.0, 4.0], [1, 1, 1]),  # constant: below, itself, above
        ([0.0, 1.0] * 50, [0.0, 1.0, 1.0], [0, 1, 0, 2, 0]),
        ([0.0] * 90 + [3.0, 4.0] * 5, [0.0, 0.1, 3.0], [0, 1, 1, 1, 0, 0]),  # zeros have no neighbours in their bin
    ],
)
def test_a_value_that_fills_a_bin_has_it_to_itself(values, live, bins):
    frozen = freeze_bins(pl.DataFrame({"x": values}), ["x"])

    assert count(pl.DataFrame({"x": live}), frozen).columns["x"].bins == bins
