"""Handwritten digits as image files -> a table of what several annotators said of each.

The 1,797 images of 8 by 8 pixels are the test set of Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits",
UCI Machine Learning Repository (1998), which scikit-learn carries. Their ink, 0 to 16, is written as grey, 15 times as
much: `grey // 15` gives it back. The annotators are simulated: whoever errs says another digit, each as likely.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.evidence.records import digest
from mlops_assets.evidence.store import replace
from mlops_assets.intake.images import png

GREY = 15  # per unit of ink
ANNOTATORS: Mapping[str, float] = {"ada": 0.99, "ben": 0.97, "cleo": 0.94, "dev": 0.88, "eve": 0.80}  # share right
FEWEST = 3  # judgements of an image; each further annotator takes part in every other one
SEED = 0


def judgements(folder: Path) -> pl.LazyFrame:
    """Return a row per judgement: `image_id`, `image` (a file in `folder`), its `sha256`, `annotator` and `digit`.

    Files that are not there yet are written when the rows are read.
    """
    files, digits = _images()
    names = [f"{place:04}" for place in range(len(files))]
    images = pl.DataFrame({"place": range(len(files)), "image_id": [f"digit-{name}" for name in names]}).with_columns(
        image=pl.Series([f"{name}.png" for name in names]), sha256=pl.Series([digest(file) for file in files])
    )
    said = judged(digits, SEED)
    table = said.join(images, on="place", maintain_order="left")
    return (
        table.select("image_id", "image", "sha256", "annotator", "digit")
        .lazy()
        .map_batches(lambda rows: _written(rows, folder, dict(zip(images["image"], files, strict=True))))
    )


def judged(digits: NDArray[np.int64], seed: int) -> pl.DataFrame:
    """Return what the annotators say of images: `place` in `digits`, `annotator`, `digit`; by place."""
    draw = np.random.default_rng(seed)
    shape = (len(digits), len(ANNOTATORS))
    order = draw.random(shape).argsort(axis=1)
    takes_part = (order < FEWEST) | (draw.random(shape) < 0.5)
    right = draw.random(shape) < np.array(list(ANNOTATORS.values()))
    other = (digits[:, None] + draw.integers(1, 10, shape)) % 10
    said = np.where(right, digits[:, None], other)
    places, people = np.nonzero(takes_part)
    names = list(ANNOTATORS)
    return pl.DataFrame(
        {"place": places, "annotator": [names[person] for person in people], "digit": said[places, people]}
    )


@cache
def _images() -> tuple[tuple[bytes, ...], NDArray[np.int64]]:
    """Return each image as a PNG file, and which digit it really is."""
    from sklearn.datasets import load_digits

    found = cast("tuple[NDArray[np.float64], NDArray[np.int64]]", load_digits(return_X_y=True))
    ink, digits = found[0].reshape(-1, 8, 8), found[1]
    return tuple(png((image * GREY).astype(np.uint8)) for image in ink), digits


def _written(rows: pl.DataFrame, folder: Path, files: Mapping[str, bytes]) -> pl.DataFrame:
    for name, data in files.items():
        if not (folder / name).exists():
            replace(folder / name, data)
    return rows
