"""A column of image files -> numbers that a model can learn from; of each row's image alone."""

import numpy as np
import polars as pl

from mlops_assets.intake.images import Shape
from mlops_assets.intake.images import pixels as decoded


def pixels(column: str, *, height: int, width: int, channels: int = 1) -> pl.Expr:
    """Return a struct `pixels` of the image's pixels, each in [0, 255]; `unnest` makes columns of it.

    They are called `pixel_<row>_<column>`, with more channels `pixel_<row>_<column>_<channel>`, and are in this order.
    A row without an image has none of them. An example:

        def features(rows: pl.LazyFrame) -> pl.LazyFrame:
            return rows.select(pixels("image", height=8, width=8)).unnest("pixels")
    """
    shape = (height, width, channels)
    made = pl.Struct(dict.fromkeys(pixel_names(shape), pl.UInt8()))
    return pl.col(column).map_batches(lambda files: _unpacked(files, shape, made), made).alias("pixels")


def pixel_names(shape: Shape) -> list[str]:
    """Return what the pixels of an image are called, in row-major order, the channel last."""
    height, width, channels = shape
    places = [(row, column) for row in range(height) for column in range(width)]
    if channels == 1:
        return [f"pixel_{row}_{column}" for row, column in places]
    return [f"pixel_{row}_{column}_{channel}" for row, column in places for channel in range(channels)]


def _unpacked(files: pl.Series, shape: Shape, made: pl.Struct) -> pl.Series:
    names = [field.name for field in made.fields]
    matrix = np.zeros((len(files), len(names)), np.uint8)
    for row, file in enumerate(files):
        if file is not None:
            matrix[row] = decoded(file, shape).ravel()
    found = pl.Series(files.name, matrix).arr.to_struct(names)
    return found.set(files.is_null(), None) if files.null_count() else found
