"""What a kind of network is: how its rows are prepared, how it starts, and what it answers, in numpy and in torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.fitting import Params, Rows
from mlops_assets.training.model import Matrix, ModelSpec

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]
Tensors = dict[str, Floats]
Architecture = dict[str, str | list[int]]
_AT_ONCE = 2**17  # numbers that are prepared at a time, so that they stay in the processor's cache


class MissingExtra(ModuleNotFoundError):
    """A library of the extra `torch` is not installed."""

    def __init__(self, library: str) -> None:
        """Say which one, and how to get it."""
        super().__init__(f"trainer torch needs {library}, which is not installed; pip install 'mlops-assets[torch]'")


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Rows as a network reads them.

    Standardised numbers, NaN where one is missing, shape (rows, numbers); codes of categories, 0 for the unknown, shape
    (rows, categories); labels, shape (rows,).
    """

    dense: Floats
    codes: Codes
    labels: Floats

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dense.nbytes + self.codes.nbytes + self.labels.nbytes

    def part(self, rows: slice) -> "Examples":
        """Return some rows."""
        return Examples(dense=self.dense[rows], codes=self.codes[rows], labels=self.labels[rows])


@dataclass(frozen=True, kw_only=True)
class Form:
    """A kind of network. `layers` says in torch what `forward` says in numpy: the last layer's values, per row.

    `architecture` is a network's shape, and refuses parameters that fit no rows; `standards` are what its rows are
    prepared with, `start` its first weights. What can be `varied` is, in every epoch by new `draws`, one row for each
    example. `gains` is what each feature is worth; without it they are found by permutation. The learning rate of what
    `anneals` falls to 0 over its epochs, along a cosine.
    """

    defaults: Params
    architecture: Callable[[ModelSpec, Params], Architecture]
    standards: Callable[[ModelSpec, Architecture, Rows], Tensors]
    start: Callable[[ModelSpec, Architecture, np.random.Generator], Tensors]
    prepared: Callable[[ModelSpec, Tensors, Matrix], tuple[Floats, Codes]]
    forward: Callable[[Architecture, Tensors, Floats, Codes], Floats]
    layers: "Callable[[Architecture, dict[str, torch.Tensor], torch.Tensor, torch.Tensor | None], torch.Tensor]"
    draws: Callable[[Params, int, np.random.Generator], Floats] | None = None
    varied: "Callable[[Architecture, torch.Tensor, torch.Tensor], torch.Tensor] | None" = None
    gains: Callable[[Architecture, Tensors, Floats], list[float]] | None = None
    anneals: bool = False


def sizes(architecture: Architecture, name: str) -> list[int]:
    """Return the list of numbers that an architecture has under `name`."""
    return msgspec.convert(architecture[name], list[int])


def moments(matrix: Matrix, columns: NDArray[np.intp]) -> tuple[Matrix, Matrix, Matrix]:
    """Return how many values of each column are finite, their mean, and their variance; 0 where none is."""
    count, total, squares = np.zeros((3, len(columns)))
    for block in _blocks(matrix, columns):
        finite = np.isfinite(block)
        whole = bool(finite.all())
        count += len(block) if whole else finite.sum(axis=0)
        total += block.sum(axis=0) if whole else np.where(finite, block, 0.0).sum(axis=0)
    mean = total / np.maximum(count, 1)
    for block in _blocks(matrix, columns):
        apart = block - mean
        finite = np.isfinite(apart)
        if not finite.all():
            apart[~finite] = 0.0
        squares += np.einsum("ij,ij->j", apart, apart)
    return count, mean, squares / np.maximum(count, 1)


def inverse(mean: Matrix, spread: Matrix) -> Matrix:
    """Return 1/spread; 0 for a column that varies by less than a float32 of its mean can tell, and so says nothing."""
    return np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > np.finfo(np.float32).eps * np.abs(mean))


def standardised(matrix: Matrix, columns: NDArray[np.intp], mean: Floats, scale: Floats) -> Floats:
    """Return (value - mean) * scale of each column, NaN where a value is missing or not finite."""
    dense = np.empty((len(matrix), len(columns)), dtype=np.float32)
    start = 0
    for block in _blocks(matrix, columns):
        values = dense[start : start + len(block)]
        start += len(block)
        apart = block - mean
        with np.errstate(invalid="ignore", over="ignore"):  # what is infinite, or too large for a float32, goes missing
            values[:] = np.multiply(apart, scale, out=apart)
        finite = np.isfinite(values)
        if not finite.all():
            values[~finite] = np.nan
    return dense


def in_blocks(answer: Callable[[slice], Floats], rows: int, size: int) -> Floats:
    """Return what `answer` says of `rows` rows, asked for `size` at a time."""
    return np.concatenate([answer(slice(start, start + size)) for start in range(0, max(rows, 1), size)])


def packed(tensors: Tensors) -> bytes:
    """Return the tensors as safetensors, the same bytes for the same tensors."""
    from safetensors.numpy import save

    return save(dict(sorted(tensors.items())))


def unpacked(data: bytes) -> Tensors:
    """Return the tensors in `data`, by name; safetensors itself has them in any order.

    Raises:
        MissingExtra: If safetensors is not installed.
    """
    try:
        from safetensors.numpy import load
    except ModuleNotFoundError as error:
        raise MissingExtra("safetensors") from error
    return dict(sorted(load(data).items()))


def _blocks(matrix: Matrix, columns: NDArray[np.intp]) -> Iterator[Matrix]:
    """Yield some columns, a block of rows at a time; a view where they are all columns."""
    size = max(_AT_ONCE // max(len(columns), 1), 1)
    for start in range(0, len(matrix), size):
        rows = matrix[start : start + size]
        yield rows if len(columns) == matrix.shape[1] else rows[:, columns]
