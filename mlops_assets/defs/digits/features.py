"""An image of 8 by 8 pixels -> 64 numbers."""

import polars as pl

from mlops_assets.features.images import pixels


def ink(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return how dark each pixel is, in [0, 240]."""
    return rows.select(pixels("image", height=8, width=8)).unnest("pixels")
