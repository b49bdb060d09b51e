"""Several processes that train one network together: who takes which rows, sums over all, averaged gradients."""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Forward = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class World:
    """Which of `size` processes this one is."""

    rank: int = 0
    size: int = 1

    @property
    def share(self) -> slice:
        """Which of a run of rows are this process's own; no two processes have one in common."""
        return slice(self.rank, None, self.size)


ALONE = World()


def joined(forward: "Forward", weights: "dict[str, torch.Tensor]", world: World) -> "Forward":
    """Return `forward` such that a gradient of its weights is the mean over all processes."""
    if world.size == 1:
        return forward
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = torch.nn.ParameterList(weights.values())

        def forward(self, dense: torch.Tensor, codes: torch.Tensor | None) -> torch.Tensor:
            return forward(dense, codes)

    return torch.nn.parallel.DistributedDataParallel(Network())


def summed(values: "torch.Tensor", world: World) -> "torch.Tensor":
    """Return the sum of `values` over all processes."""
    if world.size > 1:
        from torch import distributed

        distributed.all_reduce(values)
    return values
