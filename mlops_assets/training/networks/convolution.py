"""A small convolutional network for images whose pixels are the features: row by row, the channel last.

Convolutions of 3 x 3 pixels; each but the first halves the image, until a side has 7 pixels or less. The predictor is
numpy, so an endpoint needs no torch. Each epoch sees every image moved and warped a little, in another way.
"""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.fitting import Params, Rows
from mlops_assets.training.model import Matrix, ModelSpec
from mlops_assets.training.networks.forms import (
    Architecture,
    Codes,
    Floats,
    Form,
    Tensors,
    in_blocks,
    inverse,
    moments,
    sizes,
    standardised,
)

if TYPE_CHECKING:
    import torch

SIZE = ("height", "width", "channels")
DEFAULTS: dict[str, int | float | str | bool] = {
    "channels": 1,
    "epochs": 30,
    "patience": 30,
    "batch": 64,
    "learning_rate": 0.002,
    "weight_decay": 0.001,
    "filters": 32,
    "hidden": 128,
    "shift": 1.0,
    "warp": 0.15,
    "smoothing": 0.1,
    "num_threads": 1,
}
_SMALL = 7  # pixels of a side that is not halved again
_WIDEST = 256  # filters; they double with each halving up to here
_AT_ONCE = 2**21  # numbers that a convolution in numpy lays out at a time


def _architecture(spec: ModelSpec, params: Params) -> Architecture:
    if missing := [name for name in SIZE if name not in params]:
        right = "params: {network: convolution, height: 8, width: 8, channels: 1}"
        raise ValueError(f"a convolution needs {missing[0]!r}, the size of its images; right is such as `{right}`")
    height, width, channels = (int(params[name]) for name in SIZE)
    texts = [name for name in spec.features if name in spec.categories]
    if texts or height * width * channels != len(spec.features):
        found = f"feature {texts[0]!r} is text" if texts else f"there are {len(spec.features)} features"
        size = f"{height} x {width} pixels of {channels} channels"
        raise ValueError(f"{size} are {height * width * channels} numbers, but {found}; right is a feature per number")
    halvings = 0
    while min(height, width) >> halvings > _SMALL:
        halvings += 1
    filters = [min(int(params["filters"]) << layer, _WIDEST) for layer in range(max(halvings, 1) + 1)]
    outputs = len(spec.classes) if spec.task == "multiclass" else 1
    layers = [int(params["hidden"]), outputs]
    return {
        **{"family": "convolution", "activation": "relu", "image": [height, width, channels]},
        **{"filters": filters, "layers": layers},
    }


def _standards(spec: ModelSpec, architecture: Architecture, rows: Rows) -> Tensors:
    """Return mean and 1/sd of each channel, over all its pixels."""
    count, mean, variance = (each.reshape(-1, _image(architecture)[2]) for each in moments(rows.matrix, _places(spec)))
    share = count / np.maximum(count.sum(axis=0), 1)
    middle = (share * mean).sum(axis=0)
    spread = np.sqrt((share * (variance + (mean - middle) ** 2)).sum(axis=0))
    return {"mean": middle.astype(np.float32), "scale": inverse(middle, spread).astype(np.float32)}


def _prepared(spec: ModelSpec, tensors: Tensors, matrix: Matrix) -> tuple[Floats, Codes]:
    pixels = len(spec.features) // len(tensors["mean"])
    mean, scale = np.tile(tensors["mean"], pixels), np.tile(tensors["scale"], pixels)
    return standardised(matrix, _places(spec), mean, scale), np.empty((len(matrix), 0), dtype=np.int32)


def _start(spec: ModelSpec, architecture: Architecture, random: np.random.Generator) -> Tensors:
    """Return the first weights: He et al., ICCV (2015), for rectified layers."""
    height, width, channels = _image(architecture)
    filters, start = sizes(architecture, "filters"), dict[str, NDArray[np.float64]]()
    for layer, (seen, made) in enumerate(pairwise([channels, *filters])):
        start[f"filter.{layer}"] = random.normal(0, np.sqrt(2 / (9 * seen)), (made, seen, 3, 3))
        start[f"offset.{layer}"] = np.zeros(made)
    halvings = len(filters) - 1
    inputs = (height >> halvings) * (width >> halvings) * filters[-1]
    for layer, (wide, narrow) in enumerate(pairwise([inputs, *sizes(architecture, "layers")])):
        start[f"weight.{layer}"] = random.normal(0, np.sqrt(2 / wide), (narrow, wide))
        start[f"bias.{layer}"] = np.zeros(narrow)
    return {name: value.astype(np.float32) for name, value in start.items()}


def _forward(architecture: Architecture, tensors: Tensors, dense: Floats, codes: Codes) -> Floats:
    height, width, channels = _image(architecture)
    laid_out = 9 * height * width * max(channels, *sizes(architecture, "filters"))
    images = np.nan_to_num(dense).reshape(-1, height, width, channels)
    return in_blocks(lambda rows: _seen(architecture, tensors, images[rows]), len(images), _AT_ONCE // laid_out + 1)


def _seen(architecture: Architecture, tensors: Tensors, images: Floats) -> Floats:
    values = images
    for layer in range(len(sizes(architecture, "filters"))):
        filters = tensors[f"filter.{layer}"]
        flat = filters.transpose(2, 3, 1, 0).reshape(-1, len(filters))
        values = np.maximum(neighbourhoods(values) @ flat + tensors[f"offset.{layer}"], 0)
        values = halved(values) if layer else values
    values = values.reshape(len(values), -1)
    values = np.maximum(values @ tensors["weight.0"].T + tensors["bias.0"], 0)
    return values @ tensors["weight.1"].T + tensors["bias.1"]


def neighbourhoods(values: Floats) -> Floats:
    """Return each pixel's 3 x 3 neighbours, 0 beyond the edge, shape (images, height, width, 9 x channels)."""
    height, width = values.shape[1:3]
    framed = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [framed[:, down : down + height, right : right + width] for down in range(3) for right in range(3)]
    return np.concatenate(parts, axis=3)


def halved(values: Floats) -> Floats:
    """Return the greatest of each 2 x 2 pixels; a last odd row or column is left out."""
    down, right = values.shape[1] // 2 * 2, values.shape[2] // 2 * 2
    rows = np.maximum(values[:, 0:down:2], values[:, 1:down:2])
    return np.maximum(rows[:, :, 0:right:2], rows[:, :, 1:right:2])


def _layers(
    architecture: Architecture, weights: "dict[str, torch.Tensor]", dense: "torch.Tensor", codes: "torch.Tensor | None"
) -> "torch.Tensor":
    import torch
    from torch.nn import functional

    values = torch.nan_to_num(dense).view(-1, *_image(architecture)).permute(0, 3, 1, 2)
    for layer in range(len(sizes(architecture, "filters"))):
        values = functional.conv2d(values, weights[f"filter.{layer}"], weights[f"offset.{layer}"], padding=1)
        values = functional.relu(values)
        values = functional.max_pool2d(values, 2) if layer else values
    values = values.permute(0, 2, 3, 1).flatten(1)
    values = functional.relu(functional.linear(values, weights["weight.0"], weights["bias.0"]))
    return functional.linear(values, weights["weight.1"], weights["bias.1"])


def _draws(params: Params, count: int, random: np.random.Generator) -> Floats:
    """Return by how much each image is warped (4 entries of a matrix) and moved (down and right, pixels)."""
    reach = np.array([float(params["warp"])] * 4 + [float(params["shift"])] * 2, dtype=np.float32)
    return random.uniform(-1, 1, (count, 6)).astype(np.float32) * reach if reach.any() else np.empty((count, 0), "f4")


def _varied(architecture: Architecture, dense: "torch.Tensor", draws: "torch.Tensor") -> "torch.Tensor":
    """Return each image under its own affine map, read between its pixels, its edge continued beyond it."""
    import torch
    from torch.nn import functional

    if not draws.shape[1]:
        return dense
    height, width, channels = _image(architecture)
    images = torch.nan_to_num(dense).view(-1, height, width, channels).permute(0, 3, 1, 2)
    matrix = torch.eye(2, device=dense.device) + draws[:, :4].view(-1, 2, 2)
    moved = draws[:, 4:] * torch.tensor([2 / width, 2 / height], device=dense.device)  # a side is 2 long
    grid = functional.affine_grid(
        torch.cat([matrix, moved[:, :, None]], dim=2), list(images.shape), align_corners=False
    )
    varied = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return varied.permute(0, 2, 3, 1).flatten(1)


def _gains(architecture: Architecture, tensors: Tensors, dense: Floats) -> list[float]:
    """Return each pixel's mean |value x gradient|: Shrikumar et al., arXiv:1605.01713 (2016)."""
    import torch

    newest = dense[-max(min(len(dense), _AT_ONCE // dense.shape[1]), 1) :]
    pixels = torch.tensor(newest).requires_grad_()
    weights = {name: torch.tensor(value) for name, value in tensors.items()}
    _layers(architecture, weights, pixels, None).amax(dim=1).sum().backward()
    assert pixels.grad is not None
    return torch.nan_to_num(pixels * pixels.grad).abs().mean(dim=0).numpy(force=True).tolist()


def _image(architecture: Architecture) -> tuple[int, int, int]:
    height, width, channels = sizes(architecture, "image")
    return height, width, channels


def _places(spec: ModelSpec) -> NDArray[np.intp]:
    return np.arange(len(spec.features))


CONVOLUTION = Form(
    defaults=DEFAULTS,
    architecture=_architecture,
    standards=_standards,
    start=_start,
    prepared=_prepared,
    forward=_forward,
    layers=_layers,
    draws=_draws,
    varied=_varied,
    gains=_gains,
    anneals=True,
)
