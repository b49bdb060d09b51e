"""A network's weights and their optimiser, on the device: moved by gradients, taken down and restored bit by bit."""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

from typing import TYPE_CHECKING

from mlops_assets.training.fitting import Params
from mlops_assets.training.networks.forms import Tensors

if TYPE_CHECKING:
    import torch

MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's own names


class Weights:
    """The weights under way, and the best so far. AdamW: Loshchilov and Hutter, ICLR (2019)."""

    def __init__(self, start: Tensors, params: Params, device: "torch.device") -> None:
        """Begin at `start`."""
        import torch

        self.device, self.rate = device, float(params["learning_rate"])
        self.now: dict[str, torch.Tensor] = {
            name: torch.nn.Parameter(torch.tensor(value, device=device)) for name, value in start.items()
        }
        self.best = {name: value.detach().clone() for name, value in self.now.items()}
        self._optimiser = torch.optim.AdamW(
            self.now.values(), lr=self.rate, weight_decay=float(params["weight_decay"]), fused=True
        )

    def learn(self, loss: "torch.Tensor") -> None:
        """Take a step down the gradient of `loss`."""
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()

    def anneal(self, share: float) -> None:
        """Learn from now on at a share, in [0, 1], of the first rate."""
        for group in self._optimiser.param_groups:
            group["lr"] = share * self.rate

    def keep(self) -> None:
        """Take the weights as they are for the best."""
        self.best = {name: value.detach().clone() for name, value in self.now.items()}

    def taken(self) -> Tensors:
        """Return all that `restore` needs."""
        taken = {f"now/{name}": value for name, value in self.now.items()}
        taken |= {f"best/{name}": value for name, value in self.best.items()}
        for name, value in self.now.items():
            taken |= {f"{kind}/{name}": self._optimiser.state[value][kind] for kind in (*MOMENTS, "step")}
        return {name: value.detach().cpu().numpy() for name, value in taken.items()}

    def restore(self, taken: Tensors) -> None:
        """Go back to where `taken` was taken."""
        import torch

        with torch.no_grad():
            for name, value in self.now.items():
                value.copy_(torch.from_numpy(taken[f"now/{name}"]))
                self.best[name].copy_(torch.from_numpy(taken[f"best/{name}"]))
                self._optimiser.state[value] = {
                    kind: torch.tensor(taken[f"{kind}/{name}"], device=value.device) for kind in (*MOMENTS, "step")
                }
