"""First weights and rows -> the best weights: the training loop of a network, in torch.

What happens in an epoch follows from the seed and the epoch's number alone, so a training that goes on from a
checkpoint makes the same bytes on CPU as one that was never stopped.
"""
# torch's types are partial.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from mlops_assets.evidence.records import Struct
from mlops_assets.training.model import Task
from mlops_assets.training.networks.checkpoints import Checkpoints, Progress, State
from mlops_assets.training.networks.feeding import Batch, Feed, fits
from mlops_assets.training.networks.forms import Architecture, Examples, Form, MissingExtra, Tensors
from mlops_assets.training.networks.objective import loss, right
from mlops_assets.training.networks.ranks import ALONE, World, joined, summed
from mlops_assets.training.networks.weights import Weights

if TYPE_CHECKING:
    import torch

_JUDGED = 4  # batches of validation rows that are judged at a time; nothing of them is kept for gradients


class Course(Struct, frozen=True, kw_only=True):
    """What a descent is asked for."""

    task: Task
    architecture: Architecture
    params: dict[str, int | float | str | bool]
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Descent:
    """The weights of the best epoch, counted from 1, and what was measured after each."""

    tensors: Tensors
    history: dict[str, list[float]]
    best_epoch: int


def descend(
    course: Course,
    form: Form,
    start: Tensors,
    rows: Examples,
    validation: Examples,
    *,
    device: str = "cpu",
    world: World = ALONE,
    checkpoints: Checkpoints | None = None,
    resident: bool | None = None,
) -> Descent:
    """Return the weights with the lowest validation loss; it stops after `patience` epochs without a better one.

    AdamW (Loshchilov and Hutter, ICLR 2019); forwards in bfloat16 on a GPU. All rows lie on the device if they fit
    there, or as `resident` says. Each process of `world` has all rows, and learns from its share of each batch.

    Raises:
        MissingExtra: If torch is not installed.
        ValueError: If the loss is not finite after the first epoch.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra("torch") from error
    where = torch.device(device)
    if resident is None:
        resident = where.type == "cpu" or fits(rows.size + validation.size, torch.cuda.mem_get_info(where)[0])
    learning, judging = (Feed(part, where, resident=resident) for part in (rows, validation.part(world.share)))
    with threads(int(course.params["num_threads"])):
        descending = _Descending(course, form, Weights(start, course.params, where), world, checkpoints)
        while not descending.ended:
            descending.epoch(learning, judging)
    return descending.result()


class _Descending:
    """A descent under way, from where its checkpoint left it."""

    def __init__(
        self, course: Course, form: Form, weights: Weights, world: World, checkpoints: Checkpoints | None
    ) -> None:
        import torch

        self._course, self._form, self._weights, self._world = course, form, weights, world
        self._layers = partial(form.layers, course.architecture, weights.now)
        self._joined = joined(self._layers, weights.now, world)
        self._checkpoints = checkpoints
        self._progress, self._seen, self._diverged = Progress(history={}), list[torch.Tensor](), False
        if checkpoints and (state := checkpoints.found()):
            weights.restore(state.tensors)
            self._progress = state.progress
            self._seen = list(torch.tensor(state.tensors["seen"]))

    @property
    def ended(self) -> bool:
        """Whether the last epoch is over, or enough of them were no better than the best."""
        losses = self._losses
        waited = len(losses) - losses.index(min(losses)) if losses else 0
        patience, epochs = (int(self._course.params[name]) for name in ("patience", "epochs"))
        return self._diverged or waited > patience or self._progress.epoch >= epochs

    def epoch(self, learning: Feed, judging: Feed) -> None:
        """Learn from all rows, or from what is left of them after a checkpoint, and measure what that was worth."""
        params, number = self._course.params, self._progress.epoch
        if self._form.anneals:
            self._weights.anneal((1 + math.cos(math.pi * number / int(params["epochs"]))) / 2)
        size = int(params["batch"])
        order, draws = self._drawn(learning.rows, skipped=self._progress.batch * size)
        for batch in learning.batches(order, draws, size, self._world):
            self._seen.append(self._step(batch))
            self._progress = msgspec.structs.replace(self._progress, batch=self._progress.batch + 1)
            if self._checkpoints and self._checkpoints.due:
                self._keep()
        self._measure(learning, judging)
        if self._checkpoints and (self.ended or self._checkpoints.due):
            self._keep()

    def result(self) -> Descent:
        """Return the best weights.

        Raises:
            ValueError: If the loss was never finite.
        """
        if not self._losses:
            rate = self._weights.rate
            raise ValueError(f"the loss is not finite after one epoch at learning_rate {rate:g}; right is a lower one")
        tensors = {name: value.cpu().numpy() for name, value in self._weights.best.items()}
        best = self._losses.index(min(self._losses)) + 1
        return Descent(tensors=tensors, history=self._progress.history, best_epoch=best)

    @property
    def _losses(self) -> list[float]:
        return self._progress.history.get("validation_loss", [])

    def _drawn(self, rows: int, skipped: int) -> "tuple[torch.Tensor, torch.Tensor | None]":
        """Return the epoch's order of the rows, and how each is varied; both follow from its number."""
        import torch

        random = np.random.default_rng([self._course.seed, 1 + self._progress.epoch])
        order = torch.from_numpy(random.permutation(rows))[skipped:]
        if self._form.draws is None:
            return order, None
        return order, torch.from_numpy(self._form.draws(self._course.params, rows, random))[skipped:]

    def _step(self, batch: Batch) -> "torch.Tensor":
        """Learn from a batch, and return the sum of its losses."""
        import torch

        course, dense = self._course, batch.dense
        if self._form.varied and batch.draws is not None:
            dense = self._form.varied(course.architecture, dense, batch.draws)
        with _precision(dense):
            raw = self._joined(dense, batch.codes)
        total = loss(course.task, raw.float(), batch.labels, float(course.params.get("smoothing", 0.0)))
        share = batch.weight * self._world.size / batch.count  # gradients are averaged over the processes
        self._weights.learn(total * share)
        return total.detach() if batch.weight else torch.zeros_like(total)

    def _measure(self, learning: Feed, judging: Feed) -> None:
        """Add what the epoch was worth to the history; where that is not finite, the descent is over."""
        import torch

        judged = self._judged(judging)
        sums = summed(torch.cat([torch.stack(self._seen).double().sum()[None], judged]), self._world)
        learned, lost, right_answers, count = map(float, sums.cpu())
        measured = {"training_loss": learned / learning.rows, "validation_loss": lost / count}
        if self._course.task != "regression":
            measured["validation_accuracy"] = right_answers / count
        self._seen, self._diverged = [], not all(map(math.isfinite, measured.values()))
        if self._diverged:
            return
        if measured["validation_loss"] < min(self._losses, default=math.inf):
            self._weights.keep()
        history = {name: [*self._progress.history.get(name, []), value] for name, value in measured.items()}
        self._progress = Progress(epoch=self._progress.epoch + 1, history=history)

    def _judged(self, feed: Feed) -> "torch.Tensor":
        """Return the sum of the losses of these rows, how many answers are right, and of how many."""
        import torch

        sums = torch.zeros(3, dtype=torch.float64, device=self._weights.device)
        with torch.no_grad():
            for batch in feed.runs(_JUDGED * int(self._course.params["batch"])):
                with _precision(batch.dense):
                    raw = self._layers(batch.dense, batch.codes).float()
                task, labels = self._course.task, batch.labels
                sums += torch.stack([loss(task, raw, labels), right(task, raw, labels), labels.new_tensor(len(labels))])
        return sums

    def _keep(self) -> None:
        """Write a checkpoint, the first process for all of them."""
        if self._checkpoints and self._world.rank == 0:
            self._checkpoints.keep(self._state)

    def _state(self) -> State:
        import torch

        seen = torch.stack(self._seen).cpu().numpy() if self._seen else np.empty(0, dtype=np.float32)
        return State(progress=self._progress, tensors={**self._weights.taken(), "seen": seen})


@contextmanager
def threads(count: int) -> Generator[None]:
    """Compute on `count` threads: another number could add up in another order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _precision(values: "torch.Tensor") -> AbstractContextManager[object]:
    """Return what computes in bfloat16 on a GPU, in float32 on the CPU."""
    import torch

    return torch.autocast("cuda", torch.bfloat16) if values.is_cuda else nullcontext()
