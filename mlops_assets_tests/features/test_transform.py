"""The features of a frame: the same bits for a row, whatever comes with it."""

import numpy as np
import polars as pl

from mlops_assets.features.transform import Transform


def in_parts(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select(third=pl.col("price") / 3, wave=(pl.col("price") / 10).sin())


def test_features_have_the_same_bits_however_many_rows_come_together():
    rows = pl.DataFrame({"price": np.random.default_rng(0).uniform(0, 100, 60)})
    transform = Transform(f"{__name__}.in_parts")

    whole = transform.computed(rows)

    assert all(
        transform.computed(rows[at : at + count]).equals(whole[at : at + count])
        for count in range(1, 10)
        for at in range(0, 50, 3)
    )
