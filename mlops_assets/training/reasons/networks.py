"""Reasons of a network by integrated gradients: Sundararajan, Taly, Yan, arXiv:1703.01365 (2017).

The gradient is summed along the straight line from a base row to the row. The base row has each number's mean, nothing
missing, and no known category. A rectified network is straight between its kinks, so a stretch of the line whose middle
gradient does not explain what its ends differ by is halved until it does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.model import Matrix, ModelSpec
from mlops_assets.training.networks.forms import Tensors, unpacked
from mlops_assets.training.networks.kinds import form_of
from mlops_assets.training.networks.slopes import Slopes, slopes_of
from mlops_assets.training.reasons.reasons import Explain, NoReasons, Reasons

TOLERANCE = 1e-4  # of what all features add, up and down
_FIRST, _MOST = 16, 16_384  # stretches to begin with, and gradients at most
_KINKS = 256  # stretches that may be off at once
_LEAST = 1e-9  # a score that no feature moves
_AT_ONCE = 2**24  # numbers in the layers of all points that are looked at together: 128 MB

Point = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Network:
    spec: ModelSpec
    slopes: Slopes
    shift: float
    scale: float
    unit: str


def network_reasons(spec: ModelSpec, model: bytes) -> Explain:
    """Return what explains rows of stored tensors, without torch; of several classes, the one that is answered."""
    stored = unpacked(model)
    slopes = slopes_of(spec, {name: value.astype(np.float64) for name, value in stored.items()})
    shift, scale = (float(stored["target"][0]), float(stored["target"][1])) if spec.task == "regression" else (0.0, 1.0)
    unit = {"binary": "log-odds", "regression": "label", "multiclass": "log-odds before the softmax"}[spec.task]
    network = _Network(spec=spec, slopes=slopes, shift=shift, scale=scale, unit=unit)

    def explain(matrix: Matrix) -> list[Reasons]:
        return [_row(network, point) for point in _points(network, stored, matrix)]

    return explain


def _points(network: _Network, stored: Tensors, matrix: Matrix) -> Matrix:
    form = form_of(network.spec.architecture)
    return network.slopes.points(*form.prepared(network.spec, stored, matrix))


def _row(network: _Network, point: Point) -> Reasons:
    slopes, base = network.slopes, network.slopes.base
    ends = slopes.scores(np.stack([base, point]))
    chosen = int(ends[1].argmax())
    low, high = float(ends[0, chosen]), float(ends[1, chosen])
    parts = _integrated(slopes, base, point, chosen, high - low)
    sums = np.bincount(slopes.owners, weights=parts, minlength=len(network.spec.features)) * network.scale
    return Reasons(
        network.unit,
        low * network.scale + network.shift,
        high * network.scale + network.shift,
        dict(zip(network.spec.features, sums.tolist(), strict=True)),
        network.spec.classes[chosen] if network.spec.task == "multiclass" else None,
    )


def _integrated(slopes: Slopes, base: Point, point: Point, chosen: int, difference: float) -> Point:
    """Return what each number of `point` adds to the score.

    Raises:
        NoReasons: If their sum is not near enough to `difference`, however finely the line is cut.
    """
    line = point - base
    edges = np.linspace(0, 1, _FIRST + 1)
    values = slopes.scores(base + edges[:, None] * line)[:, chosen]
    left, right, low, high = edges[:-1], edges[1:], values[:-1], values[1:]
    parts, looked, size = np.zeros_like(line), 0, 0.0
    while len(left) and looked < _MOST:
        middle = (left + right) / 2
        seen, gradients = _looked(slopes, base + middle[:, None] * line, chosen)
        added = gradients * line * (right - left)[:, None]
        size = size or float(np.abs(added).sum())
        off = np.abs(high - low - added.sum(axis=1)) > TOLERANCE * size / _KINKS
        off &= looked + len(left) < _MOST
        parts += added[~off].sum(axis=0)
        looked += len(left)
        left, right, low, high = (
            np.concatenate([first[off], second[off]])
            for first, second in ((left, middle), (middle, right), (low, seen), (seen, high))
        )
    found = float(parts.sum())
    if abs(found - difference) > TOLERANCE * max(float(np.abs(parts).sum()), _LEAST):
        raise NoReasons(f"the gradients sum to {found}, the scores differ by {difference}, after {looked} points")
    return parts


def _looked(slopes: Slopes, points: Matrix, chosen: int) -> tuple[Point, Matrix]:
    """Return score and gradient at each point, as many at once as memory allows."""
    size = max(_AT_ONCE // slopes.width, 1)
    found = [slopes.gradients(points[start : start + size], chosen) for start in range(0, len(points), size)]
    return np.concatenate([score for score, _ in found]), np.concatenate([gradient for _, gradient in found])
