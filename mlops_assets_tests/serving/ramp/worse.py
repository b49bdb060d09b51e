"""Features of candidates that are worse on purpose, once they serve: training and probes see nothing of it."""

import time
from itertools import count

import polars as pl

BEFORE = 120  # calls: those of training, of the probes and of warming up
_slow, _erring = count(), count()


def plain(houses: pl.LazyFrame) -> pl.LazyFrame:
    """The price."""
    return houses.select(price=pl.col("price").map_batches(_same, pl.Float64))


def slow(houses: pl.LazyFrame) -> pl.LazyFrame:
    """The price; it takes its time."""
    return houses.select(price=pl.col("price").map_batches(_late, pl.Float64))


def erring(houses: pl.LazyFrame) -> pl.LazyFrame:
    """The price; every other time it fails."""
    return houses.select(price=pl.col("price").map_batches(_failing, pl.Float64))


def _same(prices: pl.Series) -> pl.Series:
    return prices


def _late(prices: pl.Series) -> pl.Series:
    if next(_slow) > BEFORE:
        time.sleep(0.02)
    return prices


def _failing(prices: pl.Series) -> pl.Series:
    if (called := next(_erring)) > BEFORE and called % 2:
        raise RuntimeError("the price of flat 7 is secret")
    return prices
