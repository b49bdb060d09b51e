"""First weights and rows -> the best weights: the training loop of a network, in torch."""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlops_assets.training.model import Task

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]

Tensors = dict[str, NDArray[np.float32]]


class MissingExtra(ModuleNotFoundError):
    """A library of the extra `torch` is not installed."""

    def __init__(self, library: str) -> None:
        """Say which one, and how to get it."""
        super().__init__(f"trainer torch needs {library}, which is not installed; pip install 'mlops-assets[torch]'")


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Rows as a network reads them: numbers (rows, columns), category codes (rows, categories), labels (rows,)."""

    dense: NDArray[np.float32]
    codes: NDArray[np.int64]
    labels: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """The weights of the best epoch, the validation loss after each epoch, and where it ran."""

    tensors: Tensors
    losses: list[float]
    device: str


def descend(
    start: Tensors,
    rows: Batch,
    validation: Batch,
    task: Task,
    params: Mapping[str, int | float | str | bool],
    random: np.random.Generator,
) -> Descent:
    """Return the weights with the lowest validation loss; it stops after `patience` epochs without a better one.

    AdamW (Loshchilov and Hutter, ICLR 2019). The whole of `rows` lies on the device.

    Raises:
        MissingExtra: If torch is not installed.
        ValueError: If the loss is not finite after the first epoch.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra("torch") from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learning, judging = _Rows(rows, device), _Rows(validation, device)
    weights = {name: torch.tensor(value, device=device, requires_grad=True) for name, value in start.items()}
    rate, decay = float(params["learning_rate"]), float(params["weight_decay"])
    optimiser = torch.optim.AdamW(weights.values(), lr=rate, weight_decay=decay)
    losses, best, patience = list[float](), start, int(params["patience"])
    with _threads(int(params["num_threads"])):
        for _ in range(int(params["epochs"])):
            order = torch.from_numpy(random.permutation(len(rows.labels))).to(device)
            for some in torch.split(order, int(params["batch"])):
                optimiser.zero_grad()
                learning.loss(weights, task, some).backward()
                optimiser.step()
            with torch.no_grad():
                loss = float(judging.loss(weights, task))
            if not np.isfinite(loss):
                break
            if not losses or loss < min(losses):
                best = {name: value.detach().cpu().numpy().copy() for name, value in weights.items()}
            losses.append(loss)
            if len(losses) - losses.index(min(losses)) > patience:
                break
    if not losses:
        raise ValueError(f"the loss is not finite after one epoch at learning_rate {rate}; right is a lower one")
    return Descent(tensors=best, losses=losses, device=device.type)


class _Rows:
    """Rows on the device."""

    def __init__(self, batch: Batch, device: "torch.device") -> None:
        import torch

        self.dense, self.codes = torch.tensor(batch.dense, device=device), torch.tensor(batch.codes, device=device)
        self.labels = torch.tensor(batch.labels, device=device)

    def loss(self, weights: "Weights", task: Task, some: "torch.Tensor | None" = None) -> "torch.Tensor":
        """Return the mean loss of some rows, or of all."""
        import torch
        from torch.nn import functional

        parts = (self.dense, self.codes, self.labels)
        dense, codes, labels = parts if some is None else (part[some] for part in parts)
        with torch.autocast(dense.device.type, torch.bfloat16, enabled=dense.device.type == "cuda"):
            raw = _forward(weights, dense, codes)
        if task == "multiclass":
            return functional.cross_entropy(raw.float(), labels.long())
        measured = functional.binary_cross_entropy_with_logits if task == "binary" else functional.mse_loss
        return measured(raw[:, 0].float(), labels)


def _forward(weights: "Weights", dense: "torch.Tensor", codes: "torch.Tensor") -> "torch.Tensor":
    """Return the last layer's values; `network._forward` says the same in numpy."""
    import torch
    from torch.nn import functional

    embedded = [functional.embedding(codes[:, place], weights[f"embedding.{place}"]) for place in range(codes.shape[1])]
    values = torch.cat([dense, *embedded], dim=1)
    last = sum(name.startswith("weight.") for name in weights) - 1
    for layer in range(last + 1):
        values = functional.linear(values, weights[f"weight.{layer}"], weights[f"bias.{layer}"])
        values = functional.relu(values) if layer < last else values
    return values


@contextmanager
def _threads(count: int) -> Generator[None]:
    """Compute on `count` threads: another number could add up in another order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
