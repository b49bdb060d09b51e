"""A network's last values and the labels -> what it is trained to make small, and how many answers are right."""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

from typing import TYPE_CHECKING

from mlops_assets.training.model import Task

if TYPE_CHECKING:
    import torch


def loss(task: Task, raw: "torch.Tensor", labels: "torch.Tensor", smoothing: float = 0.0) -> "torch.Tensor":
    """Return the sum of the rows' losses: cross-entropy of classes, squared error of a regression.

    `smoothing`, in [0, 1), is how much of a label is spread over all classes: Szegedy et al., CVPR (2016).
    """
    from torch.nn import functional

    if task == "multiclass":
        return functional.cross_entropy(raw, labels.long(), reduction="sum", label_smoothing=smoothing)
    if task == "binary":
        spread = labels * (1 - smoothing) + smoothing / 2 if smoothing else labels
        return functional.binary_cross_entropy_with_logits(raw[:, 0], spread, reduction="sum")
    return functional.mse_loss(raw[:, 0], labels, reduction="sum")


def right(task: Task, raw: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Return how many rows' likeliest class is their label; 0 of a regression."""
    if task == "regression":
        return labels.new_zeros(())
    return ((raw.argmax(dim=1) if task == "multiclass" else raw[:, 0] > 0) == labels).sum()
