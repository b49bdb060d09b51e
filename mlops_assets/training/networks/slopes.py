"""A network's score as a function of the numbers that enter its first layer, and its gradient, in numpy.

A perceptron's numbers are the standardised values, a mark of what is missing, and the categories' embeddings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.model import Matrix, ModelSpec
from mlops_assets.training.networks.convolution import halved, neighbourhoods
from mlops_assets.training.networks.forms import Codes, Floats, sizes

Weights = dict[str, Matrix]
Taped = tuple[Matrix, Callable[[Matrix], Matrix]]  # scores, and their gradient given that of what follows


@dataclass(frozen=True, kw_only=True, eq=False)
class Slopes:
    """A network over flat points, shape (points, numbers).

    `points` makes them of prepared rows; `base` is the point that says nothing; `owners` is the feature that each
    number belongs to; `width` is how many numbers all layers hold for a point.
    """

    points: Callable[[Floats, Codes], Matrix]
    taped: Callable[[Matrix], Taped]
    base: Matrix
    owners: NDArray[np.intp]
    width: int

    def scores(self, points: Matrix) -> Matrix:
        """Return the last layer's values, shape (points, outputs)."""
        return self.taped(points)[0]

    def gradients(self, points: Matrix, chosen: int) -> tuple[Matrix, Matrix]:
        """Return one output at each point, shape (points,), and its gradient, shape (points, numbers)."""
        scores, back = self.taped(points)
        out = np.zeros_like(scores)
        out[:, chosen] = 1.0
        return scores[:, chosen], back(out)


def slopes_of(spec: ModelSpec, weights: Weights) -> Slopes:
    """Return the slopes of a network with these weights, in float64."""
    return _convolution(spec, weights) if spec.architecture["family"] == "convolution" else _perceptron(spec, weights)


def _perceptron(spec: ModelSpec, weights: Weights) -> Slopes:
    textual = np.array([name in spec.categories for name in spec.features], dtype=bool)
    numbers, texts = np.flatnonzero(~textual), np.flatnonzero(textual)
    tables = [weights[f"embedding.{place}"] for place in range(len(texts))]
    owners = [numbers, numbers, *(np.full(table.shape[1], at) for at, table in zip(texts, tables, strict=True))]
    base = [np.zeros(2 * len(numbers)), *(table[0] for table in tables)]

    def points(dense: Floats, codes: Codes) -> Matrix:
        missing = np.isnan(dense)
        embedded = [table[codes[:, place]] for place, table in enumerate(tables)]
        return np.concatenate([np.where(missing, 0.0, dense), missing, *embedded], axis=1, dtype=np.float64)

    layers = sizes(spec.architecture, "layers")
    return Slopes(
        points=points,
        taped=lambda values: _dense(weights, len(layers), values),
        base=np.concatenate(base),
        owners=np.concatenate(owners).astype(np.intp),
        width=len(np.concatenate(base)) + sum(layers),
    )


def _convolution(spec: ModelSpec, weights: Weights) -> Slopes:
    height, width, channels = sizes(spec.architecture, "image")
    filters = sizes(spec.architecture, "filters")

    def taped(values: Matrix) -> Taped:
        images, backs = values.reshape(-1, height, width, channels), list[Callable[[Matrix], Matrix]]()
        for layer in range(len(filters)):
            images, back = _convolved(weights[f"filter.{layer}"], weights[f"offset.{layer}"], images, pool=layer > 0)
            backs.append(back)
        scores, dense = _dense(weights, 2, images.reshape(len(images), -1))
        shape = images.shape

        def all_back(out: Matrix) -> Matrix:
            found = dense(out).reshape(shape)
            for back in reversed(backs):
                found = back(found)
            return found.reshape(len(found), -1)

        return scores, all_back

    return Slopes(
        points=lambda dense, codes: np.nan_to_num(dense).astype(np.float64),
        taped=taped,
        base=np.zeros(len(spec.features)),
        owners=np.arange(len(spec.features)),
        width=9 * height * width * max(channels, *filters) * len(filters),
    )


def _dense(weights: Weights, layers: int, values: Matrix) -> Taped:
    active: list[NDArray[np.bool_]] = []
    for layer in range(layers):
        values = values @ weights[f"weight.{layer}"].T + weights[f"bias.{layer}"]
        if layer < layers - 1:
            active.append(values > 0)
            values = np.maximum(values, 0)

    def back(out: Matrix) -> Matrix:
        for layer in reversed(range(layers)):
            out = (out * active[layer] if layer < layers - 1 else out) @ weights[f"weight.{layer}"]
        return out

    return values, back


def _convolved(filters: Matrix, offset: Matrix, images: Matrix, *, pool: bool) -> Taped:
    flat = filters.transpose(2, 3, 1, 0).reshape(-1, len(filters))
    shape = images.shape
    seen = np.maximum(neighbourhoods(cast("Floats", images)) @ flat + offset, 0)  # in float64, as the predictor is
    made = halved(cast("Floats", seen)).astype(np.float64) if pool else seen

    def back(out: Matrix) -> Matrix:
        out = _unhalved(seen, made, out) if pool else out
        return _gathered((out * (seen > 0)) @ flat.T, shape)

    return made, back


def _unhalved(seen: Matrix, made: Matrix, out: Matrix) -> Matrix:
    """Return the gradient before halving: it goes to the first of each 2 x 2 pixels that is the greatest."""
    found, taken = np.zeros_like(seen), np.zeros(made.shape, dtype=bool)
    height, width = made.shape[1:3]
    for down in range(2):
        for right in range(2):
            window = (slice(None), slice(down, 2 * height, 2), slice(right, 2 * width, 2))
            greatest = (seen[window] == made) & ~taken
            found[window] = out * greatest
            taken |= greatest
    return found


def _gathered(parts: Matrix, shape: tuple[int, ...]) -> Matrix:
    """Return the gradient of each pixel, from those of all the neighbourhoods that it is in."""
    images, height, width, channels = shape
    framed = np.zeros((images, height + 2, width + 2, channels))
    for place in range(9):
        down, right = divmod(place, 3)
        framed[:, down : down + height, right : right + width] += parts[..., place * channels : (place + 1) * channels]
    return framed[:, 1:-1, 1:-1]
