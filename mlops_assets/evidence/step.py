"""A step of the flow: which recipe a partition has now, and how it is made. It fails closed on its inputs."""

import fcntl
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.records import BrokenEvidence, Input, Place, Recipe
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import Settings

Status = Literal["done", "missing", "failed", "stale", "blocked"]


class NotReady(Exception):
    """A step cannot run now: an input is missing or failed its checks. `check` names the check that this fails."""

    def __init__(self, problem: str, *, check: str | None = None) -> None:
        """Say what is missing or wrong."""
        super().__init__(problem)
        self.check = check


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Everything that is known before a step runs."""

    recipe: Recipe
    inputs: list[Input]
    build: Callable[[], Built]


@dataclass(frozen=True, kw_only=True)
class Due:
    """A partition to make. `version` is the same as long as its inputs are; `why` is for people."""

    partition: str
    version: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One stage of one product over one deployment's evidence."""

    product: ModelProduct
    archive: Archive
    settings: Settings

    @property
    @abstractmethod
    def stage(self) -> Stage:
        """The stage that this step makes."""

    @abstractmethod
    def prepare(self, partition: str) -> Prepared:
        """Return recipe, inputs and the work of `partition`.

        Raises:
            NotReady: If an input is missing or failed a blocking check; it names the input.
        """

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the record of `partition`, made now unless its recipe already has a good one."""
        prepared = self.prepare(partition)
        return self.archive.make(prepared.recipe, prepared.inputs, prepared.build, run_id=run_id)

    @contextmanager
    def alone(self, partition: str) -> Generator[None]:
        """Hold the only right to make `partition`; whoever else wants to waits. A killed process holds nothing."""
        path = self.archive.home / "locks" / "steps" / self.product.name / self.stage / partition
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def status(self, partition: str) -> tuple[Status, str]:
        """Return whether `partition` is up to date, and why not."""
        head = self.archive.head(self.place(partition))
        try:
            recipe = self.prepare(partition).recipe
        except NotReady as problem:
            return "blocked", str(problem)
        if head is None:
            return "missing", "never made"
        if head.record.recipe != recipe.id:
            return "stale", "its recipe has changed: new inputs, parameters or code"
        if head.record.failed:
            return "failed", f"check failed: {', '.join(head.record.failed)}"
        if self.archive.made(recipe) is None:
            return "stale", "a file of its record is missing"
        return "done", ""

    def place(self, partition: str, stage: Stage | str | None = None) -> Place:
        """Return the place of a partition of this product."""
        return Place(product=self.product.name, stage=str(stage or self.stage), partition=partition)

    def input(self, stage: Stage | str, partition: str) -> Held:
        """Return the current record of an input.

        Raises:
            NotReady: If there is none, or it failed a blocking check.
        """
        held = self.optional(stage, partition)
        if held is None:
            raise NotReady(f"{self.place(partition, stage)} is missing; make it first")
        return held

    def optional(self, stage: Stage | str, partition: str) -> Held | None:
        """Return the current record of an input that may be missing, but not failed.

        Raises:
            NotReady: If it failed a blocking check.
            BrokenEvidence: If what is named as its record is missing, changed, or that of another place.
        """
        place = self.place(partition, stage)
        held = self.archive.head(place)
        if held is not None and held.record.place != place:
            raise BrokenEvidence(str(place), f"changed; its head names a record of {held.record.place}")
        if held is not None and held.record.failed:
            raise NotReady(f"{held.record.place} failed its check: {', '.join(held.record.failed)}")
        return held


def parse(partition: str) -> tuple[str, str]:
    """Return segment and window of a partition key."""
    segment, _, window = partition.partition("|")
    return segment, window
