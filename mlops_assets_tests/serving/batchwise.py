"""A features function that looks at other rows, so that a row alone gets another answer than in a batch."""

import polars as pl


def less_mean(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return prices as they differ from the batch's mean."""
    return frame.select(pl.col("price") - pl.col("price").mean(), "rooms", "street")
