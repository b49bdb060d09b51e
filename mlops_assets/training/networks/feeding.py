"""Rows -> batches on the device, which need not wait for them.

All rows lie on the device where they fit. Else each batch is gathered into pinned memory and copied on a stream of its
own while the one before it is computed.
"""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.training.networks.forms import Examples
from mlops_assets.training.networks.ranks import World

if TYPE_CHECKING:
    import torch

FITS = 0.5  # share of a GPU's free memory that rows may fill; weights, gradients and activations have the rest


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """One process's rows of a batch, on the device; those of all processes are `count`.

    A process without a row in it has another row instead, with `weight` 0.
    """

    dense: "torch.Tensor"
    labels: "torch.Tensor"
    codes: "torch.Tensor | None"
    draws: "torch.Tensor | None"
    count: int
    weight: float = 1.0


def fits(size: int, free: int) -> bool:
    """Return whether rows of `size` bytes may lie in a memory of which `free` bytes are left."""
    return size <= FITS * free


class Feed:
    """The rows that one process asks for, in batches."""

    def __init__(self, examples: Examples, device: "torch.device", *, resident: bool) -> None:
        """Move all rows to the device if they are to be `resident` there."""
        import torch

        self.rows, self._device = len(examples.labels), device
        self._at = device if resident else torch.device("cpu")
        self._pins = device.type == "cuda" and not resident
        self._side = torch.cuda.Stream(device) if self._pins else None
        arrays = (examples.dense, examples.labels, examples.codes)[: 3 if examples.codes.shape[1] else 2]
        self._parts = [torch.tensor(array, device=self._at) for array in arrays]

    def runs(self, size: int) -> Iterator[Batch]:
        """Yield all rows as they lie, `size` at a time."""
        for start in range(0, self.rows, size):
            parts = [part[start : start + size].to(self._device) for part in self._parts]
            yield _batch(parts, None, count=len(parts[0]))

    def batches(self, order: "torch.Tensor", draws: "torch.Tensor | None", size: int, world: World) -> Iterator[Batch]:
        """Yield this process's share of each `size` rows of `order`; `draws` has a row for each of `order`."""
        order, draws = order.to(self._at), None if draws is None else draws.to(self._at)
        ahead: tuple[Batch, torch.Event | None] | None = None
        for start in range(0, len(order), size):
            following = self._sent(order[start : start + size], draws, start, world)
            if ahead is not None:
                yield self._arrived(*ahead)
            ahead = following
        if ahead is not None:
            yield self._arrived(*ahead)

    def _sent(
        self, every: "torch.Tensor", draws: "torch.Tensor | None", start: int, world: World
    ) -> "tuple[Batch, torch.Event | None]":
        """Return this process's share of a batch, on its way to the device, and what tells when it is there."""
        import torch

        own = slice(None) if world.size == 1 else world.share if len(every) > world.rank else slice(0, 1)
        parts = [self._gathered(part, every[own]) for part in self._parts]
        drawn = None if draws is None else draws[start : start + len(every)][own]
        weight = 1.0 if len(every) > world.rank else 0.0
        with torch.cuda.stream(self._side) if self._side else nullcontext():
            parts = [part.to(self._device, non_blocking=True) for part in parts]
            drawn = None if drawn is None else drawn.to(self._device, non_blocking=True)
            event = self._side.record_event() if self._side else None
        return _batch(parts, drawn, count=len(every), weight=weight), event

    def _gathered(self, part: "torch.Tensor", places: "torch.Tensor") -> "torch.Tensor":
        import torch

        if not self._pins:
            return part.index_select(0, places)
        staged = torch.empty((len(places), *part.shape[1:]), dtype=part.dtype, pin_memory=True)
        return torch.index_select(part, 0, places, out=staged)

    def _arrived(self, batch: Batch, event: "torch.Event | None") -> Batch:
        """Return `batch`, for which what is computed from now on waits; its memory is not used again before that."""
        import torch

        if event is not None:
            now = torch.cuda.current_stream(self._device)
            now.wait_event(event)
            for part in (batch.dense, batch.labels, batch.codes, batch.draws):
                if part is not None:
                    part.record_stream(now)
        return batch


def _batch(parts: "list[torch.Tensor]", draws: "torch.Tensor | None", *, count: int, weight: float = 1.0) -> Batch:
    dense, labels = parts[:2]
    return Batch(
        dense=dense, labels=labels, codes=parts[2] if len(parts) > 2 else None, draws=draws, count=count, weight=weight
    )
