"""A multilayer perceptron for tables.

Numbers stand beside a mark of what is missing; categories are embedded, place 0 for the unknown.
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

DEFAULTS: dict[str, int | float | str | bool] = {
    "epochs": 60,
    "patience": 8,
    "batch": 256,
    "learning_rate": 0.003,
    "weight_decay": 0.0001,
    "width": 64,
    "layers": 2,
    "num_threads": 1,
}
_AT_ONCE = 4096  # rows that are scored at a time, so that they stay in the processor's cache


def _architecture(spec: ModelSpec, params: Params) -> Architecture:
    outputs = len(spec.classes) if spec.task == "multiclass" else 1
    layers = [int(params["width"])] * int(params["layers"]) + [outputs]
    return {"family": "perceptron", "activation": "relu", "layers": layers}


def _standards(spec: ModelSpec, architecture: Architecture, rows: Rows) -> Tensors:
    _, mean, variance = moments(rows.matrix, _places(spec, textual=False))
    return {"mean": mean.astype(np.float32), "scale": inverse(mean, np.sqrt(variance)).astype(np.float32)}


def _prepared(spec: ModelSpec, tensors: Tensors, matrix: Matrix) -> tuple[Floats, Codes]:
    dense = standardised(matrix, _places(spec, textual=False), tensors["mean"], tensors["scale"])
    codes = np.nan_to_num(matrix[:, _places(spec, textual=True)] + 1, nan=0.0)
    return dense, codes.astype(np.int32)


def _start(spec: ModelSpec, architecture: Architecture, random: np.random.Generator) -> Tensors:
    """Return the first weights: He et al., ICCV (2015), for rectified layers."""
    levels = [len(spec.categories[name]) + 1 for name in spec.features if name in spec.categories]
    places = [min(16, 1 + round(np.sqrt(count))) for count in levels]
    start = {
        f"embedding.{place}": random.normal(0, 0.1, (count, size))
        for place, (count, size) in enumerate(zip(levels, places, strict=True))
    }
    inputs = 2 * (len(spec.features) - len(levels)) + sum(places)
    for layer, (wide, narrow) in enumerate(pairwise([inputs, *sizes(architecture, "layers")])):
        start[f"weight.{layer}"] = random.normal(0, np.sqrt(2 / wide), (narrow, wide))
        start[f"bias.{layer}"] = np.zeros(narrow)
    return {name: value.astype(np.float32) for name, value in start.items()}


def _forward(architecture: Architecture, tensors: Tensors, dense: Floats, codes: Codes) -> Floats:
    return in_blocks(lambda rows: _seen(architecture, tensors, dense[rows], codes[rows]), len(dense), _AT_ONCE)


def _seen(architecture: Architecture, tensors: Tensors, dense: Floats, codes: Codes) -> Floats:
    missing = np.isnan(dense)
    embedded = [tensors[f"embedding.{place}"][codes[:, place]] for place in range(codes.shape[1])]
    values = np.concatenate([np.where(missing, np.float32(0), dense), missing, *embedded], axis=1, dtype=np.float32)
    last = len(sizes(architecture, "layers")) - 1
    for layer in range(last + 1):
        values = values @ tensors[f"weight.{layer}"].T + tensors[f"bias.{layer}"]
        values = np.maximum(values, 0) if layer < last else values
    return values


def _layers(
    architecture: Architecture, weights: "dict[str, torch.Tensor]", dense: "torch.Tensor", codes: "torch.Tensor | None"
) -> "torch.Tensor":
    import torch
    from torch.nn import functional

    columns = () if codes is None else codes.unbind(dim=1)
    embedded = [functional.embedding(each, weights[f"embedding.{place}"]) for place, each in enumerate(columns)]
    values = torch.cat([torch.nan_to_num(dense), torch.isnan(dense), *embedded], dim=1)
    last = len(architecture["layers"]) - 1
    for layer in range(last + 1):
        values = functional.linear(values, weights[f"weight.{layer}"], weights[f"bias.{layer}"])
        values = functional.relu(values) if layer < last else values
    return values


def _places(spec: ModelSpec, *, textual: bool) -> NDArray[np.intp]:
    return np.flatnonzero([(name in spec.categories) == textual for name in spec.features])


PERCEPTRON = Form(
    defaults=DEFAULTS,
    architecture=_architecture,
    standards=_standards,
    start=_start,
    prepared=_prepared,
    forward=_forward,
    layers=_layers,
)
