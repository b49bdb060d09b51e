"""A stored yes -> the run to ask for: until one has succeeded, one at a time, thrice at most, and by one asker only."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.history import pause
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.stored import Stored
from mlops_assets.settings import Settings
from mlops_assets.training.step import ModelStep

RUNS = 3  # of one decision, each asked for after the one before has failed


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What became of the runs of a decision: how many failed for good, and whether one waits, runs or has ended well.

    `ended`: one succeeded, or a person stopped it.
    """

    failed: int = 0
    waiting: bool = False
    ended: bool = False


RunsOf = Callable[[str], Runs]  # of the decision with this id


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run to ask for: the decision behind it, and which attempt it is."""

    decision: Stored
    attempt: int

    @property
    def key(self) -> str:
        """The run key: the same for everybody who asks for the same attempt."""
        return f"{self.decision.id} attempt {self.attempt}"


def latest_yes(decided: list[Stored]) -> Stored | None:
    """Return the latest decision to retrain."""
    return next((decision for decision in reversed(decided) if decision.retrain), None)


def outstanding(product: ModelProduct, settings: Settings, reading: Reading, yes: Stored, runs: Runs) -> bool:
    """Return whether the training that a decision asked for is still to come, or under way."""
    if runs.waiting:
        return True
    return not runs.ended and runs.failed < RUNS and not _answered(product, settings, reading, yes)


def next_request(
    product: ModelProduct, settings: Settings, reading: Reading, segment: str, wall: datetime, runs_of: RunsOf
) -> Request | None:
    """Return the run to ask for now, claimed for the caller; None if there is none, or somebody else asks for it.

    It depends on what is stored, not on the tick that decided: a yes whose asker was killed is asked for again.
    """
    yes = latest_yes(reading.decisions.of(segment))
    if yes is None or pause(reading.acts()) is not None:
        return None
    runs = runs_of(yes.id)
    if runs.waiting or not outstanding(product, settings, reading, yes, runs):
        return None
    request = Request(decision=yes, attempt=runs.failed + 1)
    return request if reading.decisions.claim(segment, request.key, wall) else None


def decided_on(archive: Archive, model: Held) -> bool:
    """Return whether the gate has seen a model; else its run was cut short, and has to be made again."""
    decision = archive.head(msgspec.structs.replace(model.record.place, stage=Stage.CHAMPION))
    return decision is not None and any(source.record == model.id for source in decision.record.inputs)


def trained(product: ModelProduct, settings: Settings, archive: Archive, partition: str) -> bool:
    """Return whether there is a model of the partition's recipe as it is now, and the gate has seen it.

    Raises:
        NotReady: If the partition has nothing to train on.
    """
    step = ModelStep(product=product, archive=archive, settings=settings)
    model = archive.made(step.prepare(partition).recipe)
    return model is not None and decided_on(archive, model)


def _answered(product: ModelProduct, settings: Settings, reading: Reading, yes: Stored) -> bool:
    """Return whether evidence shows the training, as it does when Dagster has long forgotten its run."""
    partition = f"{yes.segment}|{yes.target}"
    registered = [act for act in reading.acts() if act.kind == "register" and act.facts.get("decision") == yes.id]
    model = reading.archive.head(Place(product=product.name, stage=Stage.MODEL, partition=partition))
    if model is not None and any(act.record == model.id for act in registered) and decided_on(reading.archive, model):
        return True
    try:
        return trained(product, settings, reading.archive, partition)
    except NotReady:
        return False
