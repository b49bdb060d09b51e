"""Material of the tests of networks: tables, images, and one descent of either."""

import numpy as np
import polars as pl

from mlops_assets.training.fitting import Params
from mlops_assets.training.model import ModelSpec
from mlops_assets.training.networks.descent import Course
from mlops_assets.training.networks.forms import Examples, Tensors
from mlops_assets.training.networks.kinds import chosen
from mlops_assets.training.training_set import TrainingSet

IMAGE: Params = {"network": "convolution", "height": 8, "width": 8, "channels": 1}
SMALL: Params = {**IMAGE, "filters": 4, "hidden": 16}


def digits() -> TrainingSet:
    """Scikit-learn's handwritten digits as they lie there, which is by writer; the newest fifth is held out."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    features = pl.DataFrame(pixels, schema=[f"p{place}" for place in range(64)])
    return TrainingSet(features=features, labels=pl.Series(labels), task="multiclass")


def bars(count: int = 300) -> TrainingSet:
    """Images of 8 x 8 with one bright bar: "down" where it is a column, "across" where it is a row."""
    random = np.random.default_rng(5)
    images, down = random.normal(0, 0.2, (count, 8, 8)), random.random(count) < 0.5
    for image, upright, place in zip(images, down, random.integers(0, 8, count), strict=True):
        image[(slice(None), place) if upright else place] += 2.0
    features = pl.DataFrame(images.reshape(count, 64), schema=[f"p{place}" for place in range(64)])
    return TrainingSet(features=features, labels=pl.Series(np.where(down, "down", "across")), task="binary")


def course(**params: int | float | str) -> tuple[Course, Tensors, Examples, Examples]:
    """A perceptron's course on 200 rows of 3 numbers, and 60 to judge; the label is whether the first is above 0."""
    random = np.random.default_rng(7)
    form, whole = chosen({"epochs": 6, "batch": 32, "width": 8, **params})
    spec = ModelSpec(kind="torch", task="binary", classes=["0", "1"], features=["a", "b", "c"])
    architecture = form.architecture(spec, whole)
    parts = [random.normal(size=(count, 3)).astype(np.float32) for count in (200, 60)]
    rows, validation = (
        Examples(dense=part, codes=np.empty((len(part), 0), np.int32), labels=(part[:, 0] > 0).astype(np.float32))
        for part in parts
    )
    start = form.start(spec, architecture, np.random.default_rng(0))
    return Course(task="binary", architecture=architecture, params=whole, seed=3), start, rows, validation
